"""Compiles an archive of Python sources to bytecode. Runs in Pyodide; see compiled.py.

Bytecode is for one version of Python, and the build's version may differ from the browser's.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path
from py_compile import PycInvalidationMode, compile  # noqa: A004

#: The paths where compile_python.mjs puts the sources, and reads the result.
SOURCES = Path("/tmp/sources.zip")
COMPILED = Path("/tmp/compiled.zip")

#: The earliest time a zip file can hold.
TIMESTAMP = (1980, 1, 1, 0, 0, 0)


#: Packages that keep their docstrings, because Pyodide copies these to functions in C.
PYODIDE = ("_pyodide/", "pyodide/")


def compile_archive(folder: str, left_out: Iterable[str], keeps_docstrings: bool) -> None:
    """Compile SOURCES into COMPILED.

    Args:
        folder: the archive's path in the browser, for tracebacks.
        left_out: entries to leave out.
        keeps_docstrings: keep docstrings and asserts; otherwise only Pyodide's own are kept.
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
                # The site has no sources, so Python must not compare them with the bytecode.
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
            entry.create_system = 3  # always Unix, so that every system builds the same bytes
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            compiled.writestr(entry, data)
