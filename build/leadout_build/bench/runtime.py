"""The subject that `leadout bench` measures, and the interface to a running engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from leadout import errors
from leadout.errors import LeadoutError, RequestError

#: Called with the loaded bytes and the total bytes.
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Loaded:
    """What was observed of a load.

    Attributes:
        info: `ModelInfo` of web/messages.js.
        events: the load's "phase" and "progress" messages, each with `at_ms`.
        samples: [at_ms, bytes] of the JavaScript heap, from before the load until its end.
    """

    info: dict[str, Any]
    events: list[dict[str, Any]]
    samples: list[tuple[float, int]]


@dataclass(frozen=True)
class Subject:
    """What is measured: a model, or a shape, which has no files.

    Attributes:
        name: the model's name in the store or its path, or the shape's name.
        files: the model's files, file name → path; None for a shape.
        drafter_files: the files of the drafter beside the model; None if there is none. A shape
            always has a drafter.
        has_vocabulary: give a shape a made-up vocabulary, which answers that follow a grammar need.
    """

    name: str
    files: Mapping[str, Path] | None
    drafter_files: Mapping[str, Path] | None = None
    has_vocabulary: bool = False

    @property
    def is_shape(self) -> bool:
        """Whether the weights are made up."""
        return self.files is None

    @property
    def has_drafter(self) -> bool:
        """Whether the subject has an MTP drafter."""
        return self.is_shape or self.drafter_files is not None

    def load_message(
        self, drafter: str, options: Mapping[str, object] | None = None
    ) -> dict[str, object]:
        """Return the "load" message of web/messages.js, without its id.

        Args:
            drafter: "none", "mtp" or "ngram".
            options: further fields of `LoadOptions`.
        """
        return {
            "type": "load",
            "model": self._ref(self.files),
            "drafter": self._ref(self.drafter_files) if drafter == "mtp" else None,
            "options": {"drafter": drafter, **(options or {})},
        }

    def _ref(self, files: Mapping[str, Path] | None) -> dict[str, object]:
        """Return a `ModelRef` or a `ShapeRef`."""
        if self.is_shape:
            vocabulary = {"has_vocabulary": True} if self.has_vocabulary else {}
            return {"name": self.name, "shape": self.name, **vocabulary}
        assert files is not None, f"{self.name} has no drafter"
        refs = [{"name": file, "url": path.resolve().as_uri()} for file, path in files.items()]
        return {"name": self.name, "files": refs}


class Runtime(Protocol):
    """An engine that runs somewhere; `versions` is complete once a model is loaded."""

    versions: dict[str, str]

    def load(
        self,
        on_progress: OnProgress,
        drafter: str,
        options: Mapping[str, object] | None = None,
    ) -> Loaded:
        """Load the runtime's subject; it replaces what was loaded before.

        Args:
            on_progress: called with the bytes of weights.
            drafter: "none", "mtp" or "ngram".
            options: further fields of `LoadOptions` of web/messages.js.

        Raises:
            LeadoutError: one of its children, as in `Engine.load`.
        """

    def generate(self, request: Mapping[str, object]) -> dict[str, Any]:
        """Return `Generated` of web/messages.js for a `GenerateRequest`."""

    def generate_together(self, requests: Sequence[Mapping[str, object]]) -> list[dict[str, Any]]:
        """Run several requests at once; return the results of `generate` in their order."""

    def assume(self, ids: list[int]) -> None:
        """Treat ids as prefilled; only with made-up weights."""

    def profile(self, request: Mapping[str, object]) -> dict[str, Any]:
        """Return `PassProfile` of web/messages.js for a `ProfileRequest`."""

    def submits(self) -> int:
        """Return how many queue submits there were since the start."""


def raise_named(error: Mapping[str, Any]) -> None:
    """Raise an `ErrorMessage` of web/messages.js as an error of the class in its name."""
    kind = getattr(errors, str(error["name"]), LeadoutError)
    is_ours = isinstance(kind, type) and issubclass(kind, LeadoutError)
    raise (kind if is_ours else LeadoutError)(error["message"], **(error.get("detail") or {}))


def read_build(site: Path) -> dict[str, Any]:
    """Return a built site's build.json.

    Raises:
        RequestError: the site was not built.
    """
    try:
        facts: dict[str, Any] = json.loads((site / "build.json").read_text("utf-8"))
    except FileNotFoundError:
        raise RequestError(
            f"There is no built site in {site}. Run `leadout build` first."
        ) from None
    return facts


def site_versions(site: Path) -> dict[str, str]:
    """Return the versions of the software in a built site."""
    facts = read_build(site)
    lock = site / facts["vendor"] / "pyodide/pyodide-lock.json"
    python = json.loads(lock.read_text("utf-8"))["info"]["python"]
    return {"leadout": facts["version"], "pyodide_python": python}
