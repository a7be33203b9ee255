"""The browser's wheel, and the repacking of others' (leadout_build.site)."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import leadout
from leadout_build.site.errors import BuildError
from leadout_build.site.wheel import build_wheel, write_wheel

PACKAGE = Path(__file__).parents[2] / "pyapp/leadout"


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_two_builds_give_the_same_bytes(tmp_path: Path) -> None:
    first = build_wheel(PACKAGE, tmp_path).read_bytes()
    for source in PACKAGE.rglob("*.py"):
        os.utime(source)
    assert build_wheel(PACKAGE, tmp_path).read_bytes() == first


def test_the_wheel_has_what_the_browser_runs_and_nothing_else(tmp_path: Path) -> None:
    wheel = build_wheel(PACKAGE, tmp_path)
    names = names_in(wheel)
    assert wheel.name == f"leadout-{leadout.__version__}-py3-none-any.whl"
    assert {"leadout/__init__.py", "leadout/devices/base.py", "leadout/py.typed"} <= names
    cpython_only = ("numpy", "native", "chat_child", "chat_jinja")
    assert not [name for name in names if any(part in name for part in cpython_only)]
    assert not [name for name in names if name.endswith((".pyc", "/"))]


def test_every_file_of_the_wheel_is_recorded_with_its_hash(tmp_path: Path) -> None:
    wheel = build_wheel(PACKAGE, tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        dist_info = f"leadout-{leadout.__version__}.dist-info"
        record = io.StringIO(archive.read(f"{dist_info}/RECORD").decode())
        recorded = {name: (sha256, size) for name, sha256, size in csv.reader(record)}
        assert set(recorded) == set(archive.namelist())
        assert recorded.pop(f"{dist_info}/RECORD") == ("", "")
        for name, (sha256, size) in recorded.items():
            data = archive.read(name)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            assert (sha256, size) == (f"sha256={digest}", str(len(data)))


def test_pip_installs_the_wheel(tmp_path: Path) -> None:
    wheel = build_wheel(PACKAGE, tmp_path)
    target = tmp_path / "target"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--disable-pip-version-check", "--target", str(target), str(wheel)]
    subprocess.run(command, check=True)
    assert (target / "leadout/errors.py").read_bytes() == (PACKAGE / "errors.py").read_bytes()


def test_the_wheel_does_without_numpy(tmp_path: Path) -> None:
    wheel = build_wheel(PACKAGE, tmp_path)
    program = (
        "import sys; sys.modules['numpy'] = None; sys.modules['tokenizers'] = None\n"
        f"sys.path.insert(0, {str(wheel)!r})\n"
        "import leadout.engine\n"
        "assert '.whl' in leadout.engine.__file__"
    )
    subprocess.run([sys.executable, "-P", "-c", program], check=True, cwd=tmp_path)


def test_a_folder_without_init_is_no_package(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="not a Python package"):
        build_wheel(tmp_path, tmp_path)


def test_writing_the_same_files_in_another_order_gives_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a-1-py3-none-any.whl"
    files = {"a/x.py": b"1", "a/y.py": b"2"}
    first = write_wheel(path, files).read_bytes()
    assert write_wheel(path, dict(reversed(files.items()))).read_bytes() == first
