"""Turns an archive of Python sources into one of bytecode. Runs in Pyodide; see compiled.py.

Bytecode belongs to one version of Python, and the build may run on another one than the browser.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path
from py_compile import PycInvalidationMode, compile  # noqa: A004

#: Where compile_python.mjs puts what is to be compiled, and takes the result.
SOURCES = Path("/tmp/sources.zip")
COMPILED = Path("/tmp/compiled.zip")

#: The earliest time a zip file can hold.
TIMESTAMP = (1980, 1, 1, 0, 0, 0)


#: Packages whose docstrings Pyodide hands on to functions in C.
PYODIDE = ("_pyodide/", "pyodide/")


def compile_archive(folder: str, left_out: Iterable[str], keeps_docstrings: bool) -> None:
    """Compile SOURCES into COMPILED.

    Args:
        folder: where the archive will lie in the browser, for tracebacks.
        left_out: entries that do not go along.
        keeps_docstrings: else docstrings and asserts go, but Pyodide's own.
    """
    skipped = set(left_out)
    source, bytecode = Path("/tmp/source.py"), Path("/tmp/source.pyc")
    with zipfile.ZipFile(SOURCES) as sources, zipfile.ZipFile(COMPILED, "w") as compiled:
        for name in sorted(sources.namelist()):
            if name.endswith("/") or name in skipped:
                continue
            data, ending = sources.read(name), ""
            if name.endswith(".py"):
                source.write_bytes(data)
                # Sources do not go along, so nothing is compared with them.
                mode = PycInvalidationMode.UNCHECKED_HASH
                shown = f"{folder}/{name}"
                compile(
                    str(source),
                    str(bytecode),
                    shown,
                    doraise=True,
                    optimize=0 if keeps_docstrings or name.startswith(PYODIDE) else 2,
                    invalidation_mode=mode,
                )
                data = bytecode.read_bytes()
                ending = "c"
            entry = zipfile.ZipInfo(name + ending, TIMESTAMP)
            entry.create_system = 3  # Unix, whatever built it
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            compiled.writestr(entry, data)
