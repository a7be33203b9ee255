"""Leadout: Gemma in a browser tab. Python decides, the device computes.

from leadout import load

engine = await load("nano")
async for piece in engine.stream([{"role": "user", "content": "Hello"}]):
    print(piece, end="")

See `leadout.api`. What is imported here is loaded when it is asked for, and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leadout.api import Embeddings, Engine, Generated, LeadoutError, Piece, Stream, load

__version__ = "0.1.0"

__all__ = [
    "Embeddings",
    "Engine",
    "Generated",
    "LeadoutError",
    "Piece",
    "Stream",
    "__version__",
    "load",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from leadout import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
