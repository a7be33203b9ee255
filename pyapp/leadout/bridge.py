"""Python's door to JavaScript: the only module that imports js or pyodide.

web/worker.js boots Pyodide, imports this module, and hands every message of web/messages.js but
"boot" to `Bridge.handle`. What JavaScript offers in return is the host object that worker.js
passes to `start`: `createRuntime`, `readTokenizer`, `renderTemplate`, `openSource`, `settle` and
`post`.

Who owns a proxy: Python objects that JavaScript gets to call are made with `create_proxy` and
destroyed by the same function. JavaScript objects seen from Python are counted by Pyodide and go
with the Python objects that wrap them here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import js
from pyodide.ffi import JsException, create_proxy, to_js

from leadout import errors
from leadout.chat import Rendering
from leadout.checkpoint import Checkpoint, open_checkpoint
from leadout.checkpoint.json_file import parse_json_object
from leadout.checkpoint.load_plan import LoadPlan
from leadout.checkpoint.page_plan import Move, PagePlan
from leadout.checkpoint.synthetic import synthetic_checkpoint
from leadout.devices.base import (
    CompiledPlan,
    DeviceInfo,
    PassTimes,
    Progress,
    Runnable,
    collected,
)
from leadout.engine import Engine, LoadOptions
from leadout.errors import LeadoutError, OutOfMemoryError, RequestError
from leadout.forecast import forecast
from leadout.lowering import Caps, lower
from leadout.ops import Program
from leadout.plan import BufferSpec, Plan
from leadout.probe import is_wanted, probe
from leadout.profiling import ProfileRequest
from leadout.request import GenerateRequest
from leadout.resumption import Resumption
from leadout.tokenizer_parts import check_parts

#: How often "progress" messages are sent at most, by share of the whole.
PROGRESS_STEPS = 200


@contextmanager
def js_errors() -> Iterator[None]:
    """Turn the runtime's named JavaScript errors into their Python classes."""
    try:
        yield
    except JsException as error:
        kind = getattr(errors, str(error.name), None)
        if isinstance(kind, type) and issubclass(kind, LeadoutError):
            detail: Any = getattr(error, "detail", None)
            facts = detail.to_py() if hasattr(detail, "to_py") else {}
            raise kind(str(error.message), **facts) from error
        raise


def parsed(value: object) -> Any:
    """Return plain data as a JavaScript object; one call, however deep."""
    return js.JSON.parse(json.dumps(value))


class JsSource:
    """A source of web/runtime/sources.js; implements `checkpoint.source.Source`."""

    def __init__(self, proxy: Any) -> None:
        self.proxy = proxy
        self.name: str = proxy.name

    async def size(self) -> int:
        """Return the length in bytes."""
        with js_errors():
            return int(await self.proxy.size())

    async def read(self, offset: int, length: int) -> bytes:
        """Return a copy of a range."""
        with js_errors():
            array = await self.proxy.read(offset, length)
        return bytes(array.to_bytes())


class JsTokenizer:
    """A tokenizer of web/tokenizer.js; implements `tokenizer.Tokenizer`."""

    def __init__(self, proxy: Any) -> None:
        self._proxy = proxy
        self.vocab_size: int = proxy.vocabSize

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """Return the ids of a text."""
        with js_errors():
            return numbers(self._proxy.encode(text, add_special_tokens))

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """Return the text of ids."""
        with js_errors():
            return str(self._proxy.decode(to_js(list(ids)), skip_special_tokens))

    def id_of(self, token: str) -> int | None:
        """Return the id of exactly this token, or None."""
        found = self._proxy.idOf(token)
        return found if isinstance(found, int) else None


class JsTemplates:
    """The worker of web/template/; implements `chat.TemplateRunner`."""

    def __init__(self, host: Any) -> None:
        self._host = host

    def prepare(self) -> None:
        """Start the worker."""
        self._host.prepareTemplates()

    async def render(self, rendering: Rendering) -> str:
        """Return the template's text."""
        with js_errors():
            return str(await self._host.renderTemplate(json.dumps(vars(rendering))))


def numbers(array: Any) -> list[int]:
    """Copy an array of whole numbers out of JavaScript."""
    return [int(value) for value in array.to_py()]


@dataclass
class WebGpuReadback:
    """A ticket of the runtime; see `devices.base.Readback`."""

    runtime: Any
    ticket: int
    times: Sequence[PassTimes] = ()

    def __await__(self) -> Generator[Any, None, Sequence[int]]:
        """Wait for the words."""
        with js_errors():
            array = yield from self.runtime.collect(self.ticket).__await__()
        self.times, words = collected(array.to_py().tolist())
        return words

    def discard(self) -> None:
        """Return the buffer unread."""
        self.runtime.discard(self.ticket)


@dataclass(frozen=True)
class CompiledWebGpuPlan:
    """A Plan and its number in the runtime."""

    plan: Plan
    number: int


class WebGpuDevice:
    """The runtime of web/runtime/device.js; implements `devices.base.Device`."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime
        info = runtime.info.to_py()
        self.info = DeviceInfo(
            name=info["name"],
            max_binding_bytes=int(info["max_binding_bytes"]),
            max_buffer_bytes=int(info["max_buffer_bytes"]),
            features=tuple(info["features"]),
            is_software=bool(info["is_software"]),
            kernels=json.loads(runtime.kernelIndex)["variants"],
        )
        self._caps = Caps.of(self.info)
        #: Ends a running load when set; see `Bridge`.
        self.abort_signal: Any = None

    @property
    def allocated_bytes(self) -> int:
        """Bytes now held by buffers."""
        return int(self._runtime.allocatedBytes)

    @property
    def peak_bytes(self) -> int:
        """The most bytes ever held."""
        return int(self._runtime.peakBytes)

    async def allocate(self, buffers: Mapping[str, BufferSpec]) -> None:
        """Create zeroed buffers, all or none."""
        with js_errors():
            await self._runtime.allocate(
                parsed({name: {"bytes": spec.bytes} for name, spec in buffers.items()})
            )

    def free(self, names: Iterable[str]) -> None:
        """Destroy buffers."""
        self._runtime.free(parsed(list(names)))

    async def load(self, load_plan: LoadPlan, sources: Sequence[Any], progress: Progress) -> None:
        """Stream tensors into buffers."""
        proxies = to_js([source.proxy for source in sources])
        on_progress = create_proxy(progress)
        ending = js.AbortController.new()
        signals = [ending.signal, *([] if self.abort_signal is None else [self.abort_signal])]
        options = js.Object.new()
        options.onProgress = on_progress
        options.signal = js.AbortSignal.any(to_js(signals))
        try:
            with js_errors():
                loading = asyncio.ensure_future(
                    self._runtime.load(parsed(load_plan.to_json()), proxies, options)
                )
                try:
                    await asyncio.shield(loading)
                except asyncio.CancelledError:
                    # Something beside it failed: its buffers go, so it has to end first, however
                    # often it is cancelled (each `beside` around it does so once).
                    ending.abort()
                    while not loading.done():
                        with suppress(asyncio.CancelledError):
                            await asyncio.wait([loading])
                    raise
        finally:
            on_progress.destroy()

    async def page_in(self, pages: PagePlan, sources: Sequence[Any], moves: Sequence[Move]) -> None:
        """Bring rows of a paged table."""
        plan = {**pages.to_json(), "moves": [vars(move) for move in moves]}
        with js_errors():
            await self._runtime.pageIn(parsed(plan), to_js([one.proxy for one in sources]))

    def lower(self, program: Program) -> Plan:
        """Choose kernels for this adapter."""
        return lower(program, self._caps)

    async def compile(self, runnable: Runnable) -> CompiledWebGpuPlan:
        """Compile pipelines and build bind groups."""
        assert isinstance(runnable, Plan)
        with js_errors():
            number = await self._runtime.compile(parsed(runnable.to_json()))
        return CompiledWebGpuPlan(runnable, int(number))

    def write(self, buffer: str, offset: int, data: bytes) -> None:
        """Write bytes."""
        with js_errors():
            self._runtime.write(buffer, offset, to_js(data))

    def submit(self, compiled: CompiledPlan, num_positions: int = 0) -> WebGpuReadback:
        """Queue a Plan: one call into JavaScript, whatever it holds."""
        assert isinstance(compiled, CompiledWebGpuPlan)
        values = compiled.plan.values(num_positions)
        with js_errors():
            return WebGpuReadback(
                self._runtime, int(self._runtime.submit(compiled.number, *values))
            )

    def release(self, compiled: CompiledPlan) -> None:
        """Forget a Plan."""
        assert isinstance(compiled, CompiledWebGpuPlan)
        self._runtime.releasePlan(compiled.number)

    async def read(self, buffer: str, offset: int, num_bytes: int) -> bytes:
        """Read a range back."""
        with js_errors():
            array = await self._runtime.read(buffer, offset, num_bytes)
        return bytes(array.to_bytes())

    async def profile(
        self, plan: Plan, params: Sequence[int], groups: Sequence[Sequence[int]]
    ) -> dict[str, Any]:
        """Time a Plan's dispatches; see `profiling.ProfilingDevice`."""
        options = parsed({"groups": [list(group) for group in groups]})
        with js_errors():
            found = await self._runtime.profile(
                parsed(plan.to_json()), to_js(list(params)), options
            )
        return dict(found.to_py())

    async def bandwidth(self) -> dict[str, Any]:
        """Measure how fast the device reads."""
        with js_errors():
            return dict((await self._runtime.bandwidth()).to_py())

    def close(self) -> None:
        """Destroy the device."""
        self._runtime.destroy()


@dataclass
class Bridge:
    """Serves one worker: one device, at most one model.

    Attributes:
        host: the host object of web/worker.js.
    """

    host: Any
    _device: WebGpuDevice | None = None
    _engine: Engine | None = None
    _defaults: dict[str, Any] = field(default_factory=dict)
    _aborted: set[int] = field(default_factory=set)
    _controllers: dict[int, Any] = field(default_factory=dict)
    _serving: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def handle(self, message: Any) -> None:
        """Serve one message of web/messages.js; answers go through `host.post`."""
        request = message.to_py()
        number = int(request["id"])
        if request["type"] == "abort":
            self._abort(int(request["target"]))
            return
        try:
            is_quick = request["type"] == "tokenize" and self._engine is not None
            async with nullcontext() if is_quick else self._serving:
                value = await self._serve(request, number)
            self._post(type="result", id=number, value=value)
        except LeadoutError as error:
            self._post(type="error", id=number, error=error.to_json())
        except JsException as error:
            self._post(
                type="error",
                id=number,
                error={"name": str(error.name), "message": str(error.message)},
            )
        finally:
            self._aborted.discard(number)
            self._controllers.pop(number, None)

    async def _serve(self, request: dict[str, Any], number: int) -> object:
        match request["type"]:
            case "load":
                return await self._load(request, number)
            case "generate":
                return await self._generate(request, number)
            case "score":
                return await self._score(request, number)
            case "tokenize":
                return await self._loaded().prompt_tokens(GenerateRequest(prompt=request["text"]))
            case "assume":
                self._loaded().assume([int(token) for token in request["ids"]])
                return None
            case "profile":
                return await self._loaded().profile(ProfileRequest.from_json(request["request"]))
            case "estimate":
                return await self._estimate(request, number)
            case "unload":
                self._unload()
                return None
        raise RequestError(f"Unknown message type {request['type']!r}.")

    async def _generate(self, request: dict[str, Any], number: int) -> object:
        resumption = request.get("resumption")
        generated = await self._loaded().generate(
            GenerateRequest.from_json(self._defaults | request["request"]),
            lambda delta: self._post(
                type="delta",
                id=number,
                text=delta.text,
                reasoning=delta.reasoning,
                tokens=delta.tokens,
                is_draft=delta.is_draft,
                num_drafted=delta.num_drafted,
                decode_tokens_per_s=round(delta.decode_tokens_per_s, 3),
            ),
            lambda: number in self._aborted,
            lambda prompt: self._post(type="prompt", id=number, tokens=prompt),
            None if resumption is None else Resumption.from_json(resumption),
        )
        return generated.to_json()

    async def _load(self, request: dict[str, Any], number: int) -> object:
        self._unload()
        options = dict(request["options"] or {})
        self._defaults = {name: options.pop(name) for name in ("run_ahead",) if name in options}
        GenerateRequest.from_json({"prompt": "", **self._defaults})  # refused here if at all
        max_binding_bytes = options.pop("max_binding_bytes", None)
        load_options = LoadOptions.from_json(options)
        controller = js.AbortController.new()
        self._controllers[number] = controller
        if number in self._aborted:
            controller.abort()
        device = await self._get_device(max_binding_bytes)
        device.abort_signal = controller.signal
        model, drafter = request["model"], request.get("drafter")
        last_step = -1

        def on_phase(phase: str) -> None:
            self.host.mark(phase)
            self._post(type="phase", id=number, phase=phase)

        def on_progress(loaded: int, total: int) -> None:
            nonlocal last_step
            step = PROGRESS_STEPS * loaded // max(total, 1)
            if step != last_step:
                last_step = step
                self._post(
                    type="progress",
                    id=number,
                    phase="loading_weights",
                    loaded_bytes=int(loaded),
                    total_bytes=int(total),
                )

        self._engine = await Engine.load(
            device,
            await self._open(model, "target"),
            load_options,
            self._make_tokenizer,
            on_phase,
            on_progress,
            await self._open(drafter, "drafter") if drafter else None,
            JsTemplates(self.host),
        )
        try:
            # What was loaded while it was fetched is checked as a whole only now.
            with js_errors():
                await self.host.settle()
        except BaseException:
            self._unload()
            raise
        info = self._engine.info()
        return {"name": model["name"], **info, "peak_bytes": device.peak_bytes}

    async def _estimate(self, request: dict[str, Any], number: int) -> object:
        options = LoadOptions.from_json(request["options"] or {})
        if request["probe"] and self._engine is not None:
            raise RequestError("A model is loaded here; ask for a probe before that.")
        device = await self._get_device()
        target = await self._open(request["model"], "target")
        drafter = request.get("drafter")
        drafter = await self._open(drafter, "drafter") if drafter else None
        found = await forecast(device, target, drafter, options)
        if found.fits and is_wanted(request["probe"], device.info, found.memory):
            self._post(type="forecast", id=number, forecast=found.to_json())
            device.abort_signal = None
            options = found.as_planned(options)
            try:
                found = replace(found, probe=await probe(device, target, drafter, options))
            except OutOfMemoryError as error:  # now somebody knows
                found = replace(found, problem=error.message)
        return found.to_json()

    async def _get_device(self, max_binding_bytes: int | None = None) -> WebGpuDevice:
        if self._device is None:
            with js_errors():
                self._device = WebGpuDevice(await self.host.createRuntime(max_binding_bytes))
        return self._device

    async def _open(self, model: dict[str, Any], role: str) -> Checkpoint:
        """Open the checkpoint of a `ModelRef`, or make one up for a shape."""
        if "shape" in model:
            return synthetic_checkpoint(model["shape"], role)
        return await open_checkpoint(
            {
                ref["name"]: JsSource(
                    self.host.openSource(
                        *(ref.get(key) for key in ("name", "url", "file", "size", "token"))
                    )
                )
                for ref in model["files"]
            }
        )

    async def _make_tokenizer(self, text: str) -> JsTokenizer:
        with js_errors():
            file = self.host.readTokenizer(text)
            check_parts(parse_json_object(str(file.parts()), "tokenizer.json"))
            return JsTokenizer(await file.make())

    async def _score(self, request: dict[str, Any], number: int) -> object:
        start = 0
        engine = self._loaded()
        async for logits in engine.score([int(token) for token in request["ids"]]):
            self.host.post(parsed({"type": "logits", "id": number, "start": start}), to_js(logits))
            start += len(logits) // (4 * engine.decoder.tables.vocab_size)
        return {"rows": start, "vocab_size": engine.decoder.tables.vocab_size}

    def _unload(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _loaded(self) -> Engine:
        if self._engine is None:
            raise RequestError("No model is loaded; load one first.")
        return self._engine

    def _abort(self, number: int) -> None:
        self._aborted.add(number)
        if number in self._controllers:
            self._controllers[number].abort()

    def _post(self, **message: object) -> None:
        self.host.post(parsed(message))


def start(host: Any) -> Bridge:
    """Return the bridge of a worker; called once by web/worker.js."""
    return Bridge(host)
