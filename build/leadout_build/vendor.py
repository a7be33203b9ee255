"""Collects what the site carries of others: Pyodide, libraries in JavaScript, Python wheels.

npm has put the JavaScript into web/node_modules (package-lock.json pins and hashes it). The
wheels come through pip by the pins and hashes of vendored-wheels.txt, and stay in a cache, so
that later builds need no network. Nothing is fetched when the site runs.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from leadout_build.compiled import (
    PACKAGES_FOLDER,
    STDLIB,
    STDLIB_FOLDER,
    Archive,
    compile_archives,
)
from leadout_build.errors import BuildError
from leadout_build.wheel import write_wheel

REQUIREMENTS = Path(__file__).with_name("vendored-wheels.txt")
LICENCES = Path(__file__).with_name("licences")

LOCK = "pyodide-lock.json"
PYODIDE_FILES = (
    "pyodide.mjs",
    "pyodide.asm.mjs",
    "pyodide.asm.wasm",
    STDLIB,
    LOCK,
)
TOKENIZERS_FILE = "tokenizers.min.mjs"
SHA256_FILE = "sha256.umd.min.js"
JINJA_FILE = "jinja.mjs"
LICENCES_FILE = "THIRD_PARTY_LICENSES.txt"

#: Pyodide's Python; it decides which wheels pip may take.
PIP_TARGET = (
    *("--python-version", "3.14", "--implementation", "cp", "--abi", "cp314"),
    *("--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64"),
)

REQUIREMENT = re.compile(
    r"^(?P<name>[\w-]+)==(?P<version>[\w.]+) --hash=sha256:(?P<sha256>[0-9a-f]{64})$", re.MULTILINE
)

#: Endings of compiled code, its source and its types; the packages work without it.
COMPILED = (".so", ".c", ".pyi")


@dataclass(frozen=True)
class Vendored:
    """What `vendor` wrote, by path relative to the folder."""

    pyodide: str
    tokenizers: str
    sha256: str
    jinja: str
    packages: tuple[str, ...]


def vendor(out: Path, node_modules: Path, cache: Path) -> Vendored:
    """Write Pyodide, libraries in JavaScript, Python packages and everybody's licences.

    Python is compiled (see compiled.py), the standard library too.

    Args:
        out: an existing empty folder.
        node_modules: web/node_modules.
        cache: where wheels and compiled Python are kept between builds; created if need be.

    Raises:
        BuildError: an npm package is missing, or a wheel cannot be had or has another hash.
    """
    pyodide = _npm_package(node_modules, "pyodide")
    tokenizers = _npm_package(node_modules, "@huggingface/tokenizers")
    hash_wasm = _npm_package(node_modules, "hash-wasm")
    jinja = _npm_package(node_modules, "@huggingface/jinja")
    (out / "pyodide").mkdir()
    for name in PYODIDE_FILES:
        if name not in (STDLIB, LOCK):
            shutil.copyfile(pyodide / name, out / "pyodide" / name)
    # Pyodide's list of packages that it could fetch: what the site needs, it brings along.
    lock = json.loads((pyodide / LOCK).read_text("utf-8"))
    (out / "pyodide" / LOCK).write_bytes(json.dumps({**lock, "packages": {}}).encode())
    shutil.copyfile(tokenizers / "dist" / TOKENIZERS_FILE, out / TOKENIZERS_FILE)
    shutil.copyfile(hash_wasm / "dist" / SHA256_FILE, out / SHA256_FILE)
    shutil.copyfile(jinja / "dist" / "index.js", out / JINJA_FILE)
    (out / "python").mkdir()
    with tempfile.TemporaryDirectory() as folder:
        wheels = [repack_pure(wheel, Path(folder)) for wheel in fetch_wheels(cache / "wheels")]
        packages = [package_of(wheel, out / "python") for wheel in wheels]
        stdlib = Archive(pyodide / STDLIB, out / "pyodide" / STDLIB, STDLIB_FOLDER)
        compile_archives([stdlib, *packages], pyodide, cache / "python")
        licences = "\n".join(_licences(pyodide, (tokenizers, hash_wasm, jinja), wheels))
    (out / LICENCES_FILE).write_bytes(licences.encode())
    return Vendored(
        "pyodide/",
        TOKENIZERS_FILE,
        SHA256_FILE,
        JINJA_FILE,
        tuple(sorted(f"python/{package.out.name}" for package in packages)),
    )


def package_of(wheel: Path, out: Path) -> Archive:
    """Return what a pure wheel becomes in a site: <name>-<version>.zip, on Python's path."""
    name = "-".join(wheel.name.split("-")[:2]) + ".zip"
    return Archive(wheel, out / name, f"{PACKAGES_FOLDER}/{name}")


def _npm_package(node_modules: Path, name: str) -> Path:
    package = node_modules / name
    if not (package / "package.json").is_file():
        raise BuildError(f"{node_modules} has no package {name}; run `make setup`")
    return package


def fetch_wheels(cache: Path) -> list[Path]:
    """Return the wheels of vendored-wheels.txt, from the cache or through pip.

    Raises:
        BuildError: pip cannot fetch them, or what it fetched has another hash.
    """
    pins = list(REQUIREMENT.finditer(REQUIREMENTS.read_text("utf-8")))
    if any(_cached(cache, pin) is None for pin in pins):
        cache.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary", ":all:", "--require-hashes"]
        command += [*PIP_TARGET, "--dest", str(cache), "--requirement", str(REQUIREMENTS)]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise BuildError(f"pip could not fetch the wheels of {REQUIREMENTS.name}: {reason}")
    wheels = [_cached(cache, pin) for pin in pins]
    found = [wheel for wheel in wheels if wheel is not None]
    if len(found) < len(pins):
        missing = [pin["name"] for pin, wheel in zip(pins, wheels, strict=True) if wheel is None]
        message = f"{cache} lacks {', '.join(missing)} with the hash of {REQUIREMENTS.name}"
        raise BuildError(message)
    return found


def _cached(cache: Path, pin: re.Match[str]) -> Path | None:
    for wheel in cache.glob(f"{pin['name']}-{pin['version']}-*.whl"):
        if hashlib.sha256(wheel.read_bytes()).hexdigest() == pin["sha256"]:
            return wheel
    return None


def repack_pure(wheel: Path, out: Path) -> Path:
    """Write a wheel's pure-Python part as a wheel for every platform, and return its path."""
    name, version = wheel.name.split("-")[:2]
    written_anew = {f"{name}-{version}.dist-info/{file}" for file in ("WHEEL", "RECORD")}
    with zipfile.ZipFile(wheel) as archive:
        files = {
            entry.filename: archive.read(entry)
            for entry in archive.infolist()
            if not entry.is_dir()
            and entry.filename not in written_anew
            and not entry.filename.endswith(COMPILED)
        }
    return write_wheel(out / f"{name}-{version}-py3-none-any.whl", files)


def _licences(pyodide: Path, libraries: Sequence[Path], wheels: list[Path]) -> Iterator[str]:
    """Yield each part of THIRD_PARTY_LICENSES.txt."""
    yield "This folder holds works of others, each under its own licence:\n"
    for package, text in (
        (pyodide, LICENCES / "MPL-2.0.txt"),
        *((library, library / "LICENSE") for library in libraries),
    ):
        facts = json.loads((package / "package.json").read_text("utf-8"))
        repository = facts["repository"]
        url = repository if isinstance(repository, str) else repository["url"]
        source = url.removeprefix("git+")
        yield _section(f"{facts['name']} {facts['version']}", facts["license"], source)
        yield text.read_text("utf-8")
    yield _section("CPython (part of Pyodide)", "PSF-2.0", "https://www.python.org")
    yield (LICENCES / "CPython.txt").read_text("utf-8")
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            metadata = archive.read(next(name for name in names if name.endswith("/METADATA")))
            fields = dict(re.findall(r"^([\w-]+): (.*)$", metadata.decode(), re.MULTILINE))
            licence = fields.get("License-Expression") or fields.get("License") or "as below"
            yield _section(f"{fields['Name']} {fields['Version']}", licence, "the wheel itself")
            for name in names:
                if ".dist-info/" in name and re.search(r"LICEN[CS]E|COPYING|NOTICE", name):
                    yield archive.read(name).decode()


def _section(title: str, licence: str, source: str) -> str:
    return f"{'=' * 80}\n{title}\nLicence: {licence}\nSource: {source}\n{'=' * 80}\n"
