"""Compiles the browser's Python at build time, so that the browser need not do it at every start.

npm's Pyodide has its standard library as sources. Compiling the imported modules took three
quarters of the time that a page needed to start. The build compiles once, with Pyodide's own Python
in Node.js, because bytecode is for one version of Python. A cache keeps the results. The same
sources give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from leadout_build.site.errors import BuildError
from leadout_build.site.stdlib import is_left_out

SCRIPT = Path(__file__).with_name("compile_python.mjs")
PYTHON_PART = Path(__file__).with_name("compile_python.py")

#: The file name of Pyodide's standard library, in npm's package and in the site.
STDLIB = "python_stdlib.zip"

#: Paths of the standard library (put there by Pyodide) and of packages (by web/python.js), for
#: tracebacks.
STDLIB_FOLDER = "/lib/python314.zip"
PACKAGES_FOLDER = "/lib"


@dataclass(frozen=True)
class Archive:
    """An archive of Python to compile.

    Attributes:
        sources: a zip file; entries other than Python are copied.
        out: the file to write.
        folder: its path in the browser.
        left_out: entries to leave out.
        keeps_docstrings: keep docstrings and asserts; otherwise both are removed, as by
            `python -OO`. Pyodide's own modules always keep their docstrings, because it copies them
            to its functions in C.
    """

    sources: Path
    out: Path
    folder: str
    left_out: tuple[str, ...] = ()
    keeps_docstrings: bool = True


def stdlib_archive(pyodide: Path, out: Path) -> Archive:
    """Return the browser's standard library: npm's, without modules that a tab cannot use.

    Args:
        pyodide: npm's package.
        out: the file to write.

    Raises:
        BuildError: the package has no standard library.
    """
    sources = pyodide / STDLIB
    try:
        with zipfile.ZipFile(sources) as archive:
            left_out = tuple(sorted(name for name in archive.namelist() if is_left_out(name)))
    except (OSError, zipfile.BadZipFile) as error:
        raise BuildError(f"{sources} cannot be read ({error}); run `make setup`") from error
    return Archive(sources, out, STDLIB_FOLDER, left_out, keeps_docstrings=False)


def compile_archives(archives: Sequence[Archive], pyodide: Path, cache: Path) -> None:
    """Write each archive with bytecode instead of sources.

    Args:
        archives: the archives to compile.
        pyodide: npm's package.
        cache: the folder that keeps results between builds; created if missing.

    Raises:
        BuildError: there is no Node.js, or something does not compile.
    """
    cache.mkdir(parents=True, exist_ok=True)
    # The standard library comes first: with it compiled, the other jobs start faster.
    stdlib = stdlib_archive(pyodide, cache / STDLIB)
    kept_stdlib = _kept(stdlib, pyodide, cache)
    if not kept_stdlib.is_file():
        _run([(stdlib, kept_stdlib)], pyodide, pyodide / STDLIB)
    kept = [(archive, _kept(archive, pyodide, cache)) for archive in archives]
    missing = [(archive, path) for archive, path in kept if not path.is_file()]
    if missing:
        _run(missing, pyodide, kept_stdlib)
    for archive, path in kept:
        shutil.copyfile(path, archive.out)


def _kept(archive: Archive, pyodide: Path, cache: Path) -> Path:
    """Return the archive's path in the cache, whether it exists or not."""
    digest = hashlib.sha256(json.dumps(_described(archive)).encode())
    for path in (archive.sources, pyodide / "package.json", SCRIPT, PYTHON_PART):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return cache / f"{digest.hexdigest()}.zip"


def _described(archive: Archive) -> dict[str, object]:
    return {
        "folder": archive.folder,
        "left_out": archive.left_out,
        "keeps_docstrings": archive.keeps_docstrings,
    }


def _run(jobs: Sequence[tuple[Archive, Path]], pyodide: Path, stdlib: Path) -> None:
    with tempfile.TemporaryDirectory(dir=jobs[0][1].parent) as folder:
        fresh = [Path(folder, str(number)) for number in range(len(jobs))]
        described = [
            {
                "sources": str(archive.sources.resolve()),
                "compiled": str(path),
                **_described(archive),
            }
            for (archive, _), path in zip(jobs, fresh, strict=True)
        ]
        command = ["node", str(SCRIPT), str(pyodide.resolve()), str(stdlib.resolve())]
        try:
            subprocess.run(
                command,
                input=json.dumps(described),
                capture_output=True,
                encoding="utf-8",
                check=True,
            )
        except FileNotFoundError as error:
            raise BuildError("there is no `node`; the build needs Node.js 20 or newer") from error
        except subprocess.CalledProcessError as error:
            lines = error.stderr.strip().splitlines() or [f"exit code {error.returncode}"]
            reason = lines[-1][:300]
            raise BuildError(f"Python could not be compiled in Pyodide: {reason}") from error
        for (_, kept), path in zip(jobs, fresh, strict=True):
            path.replace(kept)  # atomic, so parallel builds see a complete file or none
