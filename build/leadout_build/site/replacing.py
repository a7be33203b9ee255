"""Replaces a folder at once: the old one stays until the new one is complete."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leadout_build.site.errors import BuildError


def check_replaceable(out: Path, mark: str, what: str, option: str) -> None:
    """Check that a folder may be replaced.

    Args:
        out: the folder.
        mark: the path in it of a file that every earlier result has.
        what: what the folder should be, for the message.
        option: the command's option that chooses another folder, for the message.

    Raises:
        BuildError: `out` is a file, or has content that is not an earlier result.
    """
    if out.exists() and not out.is_dir():
        raise BuildError(f"{out} is not a folder; choose another {option}")
    if out.is_dir() and not (out / mark).is_file() and any(out.iterdir()):
        raise BuildError(
            f"{out} holds files that are no {what} (no {mark}); choose another {option}"
        )


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """Yield an empty folder; it replaces `out` at the end, unless an error is raised."""
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        new = work / "new"
        new.mkdir()
        yield new
        if out.exists():
            out.rename(work / "old")
        new.rename(out)
    finally:
        shutil.rmtree(work)
