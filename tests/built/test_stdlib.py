"""What the browser's Python does without of its standard library (leadout_build.site.stdlib)."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from leadout_build.site.stdlib import CODECS, LEFT_OUT, is_left_out

REPOSITORY = Path(__file__).parents[2]
ARCHIVE = REPOSITORY / "web/node_modules/pyodide/python_stdlib.zip"

#: Without an indent: what a module cannot be imported without.
IMPORT = re.compile(r"^import ([\w., ]+)|^from ([\w.]+) import (\([^)]*\)|[^\n]*)", re.MULTILINE)


def imported(source: str) -> Iterator[str]:
    """Yield the absolute names that a module imports at once, as paths."""
    for names, module, parts in IMPORT.findall(source):
        for name in names.split(","):
            yield name.split(" as ")[0].strip().replace(".", "/")
        yield module.replace(".", "/")
        for part in parts.strip("()").split(","):
            yield f"{module}/{part.split(' as ')[0].strip()}".replace(".", "/")


def test_what_is_kept_needs_nothing_that_is_left_out() -> None:
    with zipfile.ZipFile(ARCHIVE) as archive:
        names = {name for name in archive.namelist() if name.endswith(".py")}
        kept = {name: archive.read(name).decode() for name in names if not is_left_out(name)}
    gone = {name.removesuffix(".py").removesuffix("/__init__") for name in names - set(kept)}
    ours = REPOSITORY / "pyapp/leadout"
    kept |= {str(path): path.read_text() for path in ours.rglob("*.py")}
    needed = {
        (name, module) for name, text in kept.items() for module in imported(text) if module in gone
    }
    assert needed == set()


def test_every_entry_of_the_lists_is_there() -> None:
    with zipfile.ZipFile(ARCHIVE) as archive:
        names = archive.namelist()
    for path in (*LEFT_OUT, *(f"encodings/{codec}" for codec in CODECS)):
        assert any(name == f"{path}.py" or name.startswith(f"{path}/") for name in names), path
