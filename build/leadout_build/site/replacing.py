"""Writes a folder in whole: what was there stays until the new one is complete."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leadout_build.site.errors import BuildError


def check_replaceable(out: Path, mark: str, what: str, option: str) -> None:
    """Raise unless a folder may be written.

    Args:
        out: the folder.
        mark: a file that every earlier one has, by path in it.
        what: it is, for the message.
        option: of the command line, that names another.

    Raises:
        BuildError: `out` is a file, or holds anything but an earlier one.
    """
    if out.exists() and not out.is_dir():
        raise BuildError(f"{out} is not a folder; choose another {option}")
    if out.is_dir() and not (out / mark).is_file() and any(out.iterdir()):
        raise BuildError(
            f"{out} holds files that are no {what} (no {mark}); choose another {option}"
        )


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """Give an empty folder; it takes the place of `out` at the end, unless something is raised."""
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
