"""Builds the wheels of the browser; the same sources give the same bytes.

The engine's wheel contains pyapp/leadout without the modules that only CPython uses: the NumPy
device and its ops, and the native tokenizer. No build backend is used: writing a wheel takes twenty
lines, needs no network, and can leave out what must not reach the browser.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import leadout
from leadout_build.site.errors import BuildError

#: Files of pyapp/leadout that stay in CPython, as patterns relative to it.
CPYTHON_ONLY = (
    *("devices/numpy.py", "devices/numpy_ops/*", "tokenizer_native.py"),
    "grammar_native.py",
    *("chat_child.py", "chat_jinja.py", "chat_native.py"),
)

#: The earliest time a zip file can hold.
TIMESTAMP = (1980, 1, 1, 0, 0, 0)

METADATA = """\
Metadata-Version: 2.4
Name: {name}
Version: {version}
License-Expression: Apache-2.0
Requires-Python: >=3.11
{requires}"""

#: The dependencies of each package.
_REQUIRES = {
    "leadout": "Requires-Dist: jinja2>=3.1.5\n",
    "leadout_desk": f"Requires-Dist: leadout=={leadout.__version__}\n",
}

WHEEL = """\
Wheel-Version: 1.0
Generator: leadout_build
Root-Is-Purelib: true
Tag: py3-none-any
"""


def build_wheel(package: Path, out: Path) -> Path:
    """Write one of the browser's wheels.

    Args:
        package: pyapp/leadout, or pyapp/leadout_desk.
        out: an existing folder.

    Returns:
        The path of <package>-<version>-py3-none-any.whl.

    Raises:
        BuildError: `package` is not a Python package.
    """
    if not (package / "__init__.py").is_file():
        raise BuildError(f"{package} is not a Python package (it has no __init__.py)")
    left_out = {path for pattern in CPYTHON_ONLY for path in package.glob(pattern)}
    files = {
        f"{package.name}/{path.relative_to(package).as_posix()}": path.read_bytes()
        for path in package.rglob("*")
        if path.suffix in (".py", ".typed") and path not in left_out
    }
    version = leadout.__version__
    name = f"{package.name}-{version}"
    requires = _REQUIRES.get(package.name, "")
    metadata = METADATA.format(name=package.name, version=version, requires=requires)
    files[f"{name}.dist-info/METADATA"] = metadata.encode()
    return write_wheel(out / f"{name}-py3-none-any.whl", files)


def write_wheel(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write a pure-Python wheel, reproducibly, and return its path.

    Args:
        path: <name>-<version>-py3-none-any.whl.
        files: all files except WHEEL and RECORD, by name inside the wheel.

    Source: "Binary distribution format" of the Python packaging specifications.
    """
    dist_info = "-".join(path.name.split("-")[:2]) + ".dist-info"
    content = {**files, f"{dist_info}/WHEEL": WHEEL.encode()}
    record = [
        f"{name},sha256={_base64_sha256(data)},{len(data)}"
        for name, data in sorted(content.items())
    ]
    record.append(f"{dist_info}/RECORD,,")
    content[f"{dist_info}/RECORD"] = ("\n".join(record) + "\n").encode()
    # Stored, not compressed, so that the bytes do not depend on the version of zlib.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(content.items()):
            entry = zipfile.ZipInfo(name, TIMESTAMP)
            entry.create_system = 3  # always Unix, so that every system builds the same bytes
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, data)
    return path


def _base64_sha256(data: bytes) -> str:
    digest = hashlib.sha256(data).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
