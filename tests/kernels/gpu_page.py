"""A page that runs kernels and Plans through the real runtime, driven from tests.

`GpuPage` is the page, in Chromium or in Node (page_hosts.py). `GpuRuntime` is a Runtime in it.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import numpy.typing as npt
from page_hosts import PageHost, open_host
from page_server import PageServer

from leadout import errors
from leadout.devices.base import PassTimes, collected
from leadout_build import ROOT
from leadout_build.site.kernels import build_kernels
from leadout_build.site.reflection import reflect
from leadout_build.site.templates import Rendered, mark_lines

Words = npt.NDArray[np.uint32]

#: Bytes that cross within the call itself; more go over the server, which costs two requests.
#: In step with harness.js.
MAX_INLINE_BYTES = 32768


class AbortedError(Exception):
    """The page's operation was aborted (a DOMException named AbortError)."""


class PageError(Exception):
    """Something went wrong in the page that is no LeadoutError: a mistake in the code."""


class GpuPage:
    """The page; calls from tests wait for the page's answer."""

    def __init__(self, server: PageServer) -> None:
        self.server = server
        self._names = itertools.count()
        self._host: PageHost = open_host(server)

    @property
    def mistakes(self) -> list[str]:
        """What went wrong in the page unseen."""
        return self._host.mistakes

    def close(self) -> None:
        self._host.close()

    def evaluate(self, expression: str, argument: object = None) -> Any:
        """Evaluate JavaScript in the page."""
        return self._host.evaluate(expression, argument)

    def call(self, method: str, blob: bytes = b"", **args: object) -> Any:
        """Call a method of harness.js.

        Returns:
            The bytes that it gave, or else its JSON value.

        Raises:
            LeadoutError: as its named child, if that is what the page threw.
            AbortedError: for an AbortError.
            PageError: for anything else, with the stack.
        """
        upload, download = (f"/blobs/{next(self._names)}" for _ in range(2))
        if len(blob) <= MAX_INLINE_BYTES:
            upload = "data:," + base64.b64encode(blob).decode()
        else:
            self.server.blobs[upload.removeprefix("/blobs/")] = blob
        answer = self.evaluate(
            "([method, args, upload, download]) => harness(method, args, upload, download)",
            [method, args, upload, download],
        )
        if "error" in answer:
            raise error_from(answer["error"])
        if "base64" in answer:
            return base64.b64decode(answer["base64"])
        if answer.get("hasBytes"):
            return self.server.blobs.pop(download.removeprefix("/blobs/"))
        return answer["value"]


def error_from(error: Mapping[str, Any]) -> Exception:
    """Make the Python exception of an error in the page."""
    if error["name"] == "AbortError":
        return AbortedError(error["message"])
    known = getattr(errors, error["name"], None)
    if known is None:
        return PageError(f"{error['name']}: {error['message']}\n{error['stack']}")
    return known(error["message"], **error["detail"])


class GpuRuntime:
    """One Runtime in the page; methods as in web/runtime/device.js."""

    def __init__(
        self,
        page: GpuPage,
        wgsl: Mapping[str, str] | None = None,
        max_binding_bytes: int | None = None,
        hidden_features: Sequence[str] = (),
        hang_ms: float | None = None,
    ) -> None:
        """Create it.

        Args:
            wgsl: kernels by variant name; by default those that the build rendered.
            max_binding_bytes: see RuntimeOptions.
            hidden_features: see RuntimeOptions.
            hang_ms: see RuntimeOptions.
        """
        self.page = page
        options: dict[str, object] = {"hiddenFeatures": list(hidden_features)}
        if max_binding_bytes is not None:
            options["maxBindingBytes"] = max_binding_bytes
        if hang_ms is not None:
            options["hangMs"] = hang_ms
        kernels = None if wgsl is None else kernels_in_memory(wgsl)
        self.handle = page.call("create", options=options, kernels=kernels)

    def _call(self, method: str, blob: bytes = b"", **args: object) -> Any:
        return self.page.call(method, blob, handle=self.handle, **args)

    @property
    def info(self) -> dict[str, Any]:
        return dict(self._call("state")["info"])

    @property
    def allocated_bytes(self) -> int:
        return int(self._call("state")["allocated_bytes"])

    @property
    def peak_bytes(self) -> int:
        return int(self._call("state")["peak_bytes"])

    @property
    def lost(self) -> list[dict[str, Any]]:
        """What `onLost` was called with."""
        return list(self._call("state")["lost"])

    def allocate(self, sizes: Mapping[str, int]) -> None:
        self._call("allocate", specs={name: {"bytes": size} for name, size in sizes.items()})

    def free(self, names: Sequence[str]) -> None:
        self._call("free", names=list(names))

    def compile(self, plan: Mapping[str, object]) -> int:
        return int(self._call("compile", plan=plan))

    def release_plan(self, plan: int) -> None:
        self._call("releasePlan", plan=plan)

    def write(self, buffer: str, data: bytes | npt.NDArray[Any], offset: int = 0) -> None:
        blob = data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes()
        self._call("write", blob, buffer=buffer, offset=offset)

    def copy(self, copies: Sequence[Mapping[str, object]]) -> None:
        self._call("copy", copies=list(copies))

    def submit(self, plan: int, *params: int) -> int:
        return int(self._call("submit", plan=plan, params=params))

    def collect(self, ticket: int) -> Words:
        return np.array(self.collect_timed(ticket)[1], np.uint32)

    def collect_timed(self, ticket: int) -> tuple[list[PassTimes], list[int]]:
        """Return when passes ran, and the words."""
        return collected(np.frombuffer(self._call("collect", ticket=ticket), np.float64).tolist())

    def discard(self, ticket: int) -> None:
        self._call("discard", ticket=ticket)

    def read(self, buffer: str, num_bytes: int, offset: int = 0) -> bytes:
        return bytes(self._call("read", buffer=buffer, offset=offset, bytes=num_bytes))

    def load(
        self,
        plan: Mapping[str, object],
        sources: Sequence[bytes | str],
        abort_after_bytes: int | None = None,
    ) -> list[list[int]]:
        """Load from bytes or URLs and return the progress calls as [loaded, total]."""
        specs, blob = _sent(sources)
        arguments = {"plan": plan, "sources": specs, "abortAfterBytes": abort_after_bytes}
        return list(self._call("load", blob, **arguments))

    def page_in(self, plan: Mapping[str, object], sources: Sequence[bytes | str]) -> None:
        """Bring rows of a paged table from bytes or URLs."""
        specs, blob = _sent(sources)
        self._call("pageIn", blob, plan=plan, sources=specs)

    def idle(self) -> None:
        self._call("idle")

    def profile(
        self, plan: Mapping[str, object], params: Sequence[int], groups: Sequence[Sequence[int]]
    ) -> dict[str, Any]:
        options = {"groups": groups, "rounds": 2}
        return dict(self._call("profile", plan=plan, params=params, options=options))

    def bandwidth(self) -> dict[str, Any]:
        return dict(self._call("bandwidth"))

    def lose(self) -> None:
        """Take the device away."""
        self._call("lose")

    def fail_unscoped(self) -> None:
        """Make the device report an error outside of all error scopes."""
        self._call("failUnscoped")

    def destroy(self) -> None:
        self._call("destroy")

    def run_kernel(
        self,
        variant: str,
        constants: Mapping[str, int | float],
        bindings: Sequence[npt.NDArray[Any]],
        workgroups: tuple[int, int, int],
    ) -> list[Words]:
        """Run one dispatch over buffers that hold `bindings`.

        Args:
            variant: a key of index.json.
            constants: values for its overrides.
            bindings: contents in binding order, any dtype, each a whole number of words.
            workgroups: x, y, z.

        Returns:
            All buffers as they are afterwards, as flat arrays of 32-bit words.
        """
        parts = [np.ascontiguousarray(binding).tobytes() for binding in bindings]
        sizes = [len(part) for part in parts]
        result = self._call(
            "run",
            b"".join(parts),
            variant=variant,
            constants={key: float(value) for key, value in constants.items()},
            sizes=sizes,
            workgroups=[int(count) for count in workgroups],
            label=variant,
        )
        words = np.frombuffer(bytearray(result), np.uint32)
        return np.split(words, np.cumsum(sizes)[:-1] // 4)

    def run_plan(
        self,
        plan: Mapping[str, object],
        buffers: Mapping[str, int | bytes | npt.NDArray[Any]],
        params: Sequence[int],
        read: Sequence[str],
    ) -> dict[str, Words]:
        """Run a Plan once over fresh buffers, then free them.

        Args:
            plan: Plan.to_json().
            buffers: every buffer's contents, or its size in bytes (zeroed then).
            params: values of the plan's params.
            read: names of the buffers to return.

        Returns:
            Words by name; the readback's, if the plan has one, under "readback".
        """
        contents = {
            name: value if isinstance(value, int | bytes) else np.ascontiguousarray(value).tobytes()
            for name, value in buffers.items()
        }
        held = [value for value in contents.values() if isinstance(value, bytes)]
        specs = [
            {"name": name, "bytes": value, "isHeld": False}
            if isinstance(value, int)
            else {"name": name, "bytes": len(value), "isHeld": True}
            for name, value in contents.items()
        ]
        # In one call, because each takes some 12 ms.
        result = self._call(
            "runPlan", b"".join(held), plan=plan, buffers=specs, params=params, read=list(read)
        )
        results: dict[str, Words] = {}
        end = 0
        for name in read:
            value = contents[name]
            start, end = end, end + (value if isinstance(value, int) else len(value))
            results[name] = np.frombuffer(result[start:end], np.uint32)
        if plan.get("readback"):
            _, words = collected(np.frombuffer(result[end:], np.float64).tolist())
            results["readback"] = np.array(words, np.uint32)
        return results


def _sent(sources: Sequence[bytes | str]) -> tuple[list[dict[str, object]], bytes]:
    """Return sources as harness.js takes them: what each one is, and all bytes."""
    specs: list[dict[str, object]] = [
        {"url": source} if isinstance(source, str) else {"blob": len(source)} for source in sources
    ]
    return specs, b"".join(source for source in sources if isinstance(source, bytes))


def kernels_in_memory(wgsl: Mapping[str, str]) -> dict[str, object]:
    """Return index and sources of hand-written kernels, for KernelLibrary.fromMemory."""
    variants = {}
    for name, code in wgsl.items():
        info = reflect(Rendered(mark_lines(code, name), name)).to_json()
        variants[name] = {"file": f"{name}.wgsl", "kernel": name, **info, "features": []}
    sources = {f"{name}.wgsl": code for name, code in wgsl.items()}
    return {"index": {"variants": variants}, "sources": sources}


@contextlib.contextmanager
def open_page(kernels: Path) -> Iterator[GpuPage]:
    """Serve and open the page; kernels are rendered into `kernels` when first asked for.

    Another worker's page may use the same folder.
    """

    def rendered() -> Path:
        with filelock.FileLock(kernels / ".lock"):
            if not (kernels / "index.json").exists():
                build_kernels(ROOT / "web" / "kernels", kernels, ROOT / "web" / "node_modules")
        return kernels

    server = PageServer(rendered)
    try:
        page = GpuPage(server)
        try:
            yield page
        finally:
            page.close()
    finally:
        server.close()
