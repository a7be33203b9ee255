"""Compiling the browser's Python ahead (leadout_build.site.compiled)."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from leadout_build.site import compiled
from leadout_build.site.compiled import Archive, compile_archives
from leadout_build.site.errors import BuildError

REPOSITORY = Path(__file__).parents[2]
PYODIDE = REPOSITORY / "web/node_modules/pyodide"

#: Python in Pyodide that imports what was compiled, as web/host.js puts it on the path.
RUN = """
import { readFileSync } from "node:fs";
const [folder, archive, code] = process.argv.slice(2);
const { loadPyodide } = await import(folder + "/pyodide.mjs");
const pyodide = await loadPyodide({ indexURL: folder + "/" });
pyodide.FS.writeFile("/lib/x.zip", readFileSync(archive));
pyodide.pyimport("sys").path.append("/lib/x.zip");
console.log(JSON.stringify(pyodide.runPython(code)));
"""


@pytest.fixture(scope="module")
def cache() -> Path:
    """The builds' own cache, with the compiled standard library, which takes long."""
    folder = REPOSITORY / ".cache/python"
    compile_archives([], PYODIDE, folder)
    return folder


def write(path: Path, files: Mapping[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_sources_become_bytecode_that_pyodide_imports(tmp_path: Path, cache: Path) -> None:
    files = {"a/__init__.py": '"""A."""\nfrom a.b import x\n', "a/b.py": "x = 7\n", "a/c.txt": "c"}
    archive = Archive(write(tmp_path / "a.whl", files), tmp_path / "a.zip", "/lib/x.zip")
    compile_archives([archive], PYODIDE, cache)
    with zipfile.ZipFile(archive.out) as result:
        assert result.namelist() == ["a/__init__.pyc", "a/b.pyc", "a/c.txt"]
        assert result.read("a/c.txt") == b"c"
    script = tmp_path / "run.mjs"
    script.write_text(RUN)
    code = "import a; f'{a.x} {a.__doc__} {a.__file__} {a.b.__spec__.origin}'"
    command = ["node", str(script), str(PYODIDE), str(archive.out), code]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == '"7 A. /lib/x.zip/a/__init__.pyc /lib/x.zip/a/b.pyc"'


def test_the_same_sources_give_the_same_bytes_and_are_compiled_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"a.py": "names = {'x', 'y', 'z'}\ndef f(): return names | {1, 2.5}\n"}
    source = write(tmp_path / "a.whl", files)
    results = []
    for name in ("one", "two"):
        shutil.copytree(cache, tmp_path / name)
        archive = Archive(source, tmp_path / f"{name}.zip", "/lib/a.zip")
        compile_archives([archive], PYODIDE, tmp_path / name)
        results.append(archive.out.read_bytes())
    assert results[0] == results[1]
    monkeypatch.setattr(compiled, "_run", None)
    compile_archives([archive], PYODIDE, tmp_path / "two")


def test_a_broken_source_is_named_and_nothing_is_kept(tmp_path: Path, cache: Path) -> None:
    source = write(tmp_path / "a.whl", {"a.py": "def f(:\n"})
    archive = Archive(source, tmp_path / "a.zip", "/lib/a.zip")
    with pytest.raises(BuildError, match=r"could not be compiled.*Error"):
        compile_archives([archive], PYODIDE, cache)
    assert not archive.out.exists()
    assert not compiled._kept(archive, PYODIDE, cache).exists()


def test_without_node_the_build_says_so(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "a.whl", {"a.py": "pass\n"})
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match=r"Node\.js"):
        compile_archives([Archive(source, tmp_path / "a.zip", "/lib/a.zip")], PYODIDE, cache)
