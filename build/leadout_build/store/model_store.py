"""The model store: a folder of models, each complete and verified, or invisible.

    LEADOUT_HOME (default ~/.cache/leadout)
      models/<name>/manifest.json    written last: a folder without one is an unfinished pull
      models/<name>/<file>           written as <file>.partial, synced, then renamed
      models/<name>/.parts/          the files that an unfinished pull keeps in order to resume

So a reader never sees an incomplete file, even if a pull was interrupted.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import filelock

from leadout.errors import IntegrityError, ModelNotFoundError, StoreError
from leadout_build.store.built_in import NANO, built_in_files, is_built_in
from leadout_build.store.checkpoint_files import is_checkpoint_file, parts_beside, resolve_folder
from leadout_build.store.sizes import format_bytes

logger = logging.getLogger(__name__)

#: The version of manifest.json; a manifest with another version is an error.
MANIFEST_VERSION = 1

#: Bytes read, hashed and written at a time.
CHUNK_BYTES = 1 << 20

#: "index.json" is reserved, because the server uses it for the list of models.
_RESERVED_NAMES = frozenset({"index.json"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")


@dataclass(frozen=True)
class StoredFile:
    """One file of a stored model.

    Attributes:
        name: a plain file name.
        bytes: the size.
        sha256: the content's sha256, in hexadecimal.
    """

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class StoredModel:
    """A complete model in the store, as its manifest describes it.

    Attributes:
        name: the model's name in the store.
        folder: the folder of its files.
        source: where it was pulled from, as text.
        notice: the license notice to show, or None.
        files: all its files, both checkpoint and notices.
    """

    name: str
    folder: Path
    source: str
    notice: str | None
    files: tuple[StoredFile, ...]

    @property
    def checkpoint_files(self) -> tuple[StoredFile, ...]:
        """The files that a model is loaded from."""
        return tuple(file for file in self.files if is_checkpoint_file(file.name))


def check_name(name: str) -> str:
    """Return `name` if it can name a model or one of its files.

    Raises:
        StoreError: it is empty, too long, hidden, reserved, or holds a separator.
    """
    if not _NAME.fullmatch(name) or name in _RESERVED_NAMES:
        raise StoreError(
            f'"{name}" cannot be a name in the model store; wanted letters, digits and "._+-", '
            "beginning with a letter or digit, at most 128.",
            name=name,
        )
    return name


def as_name(text: str) -> str:
    """Return the valid store name that is most similar to `text`."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).lstrip("._+-")[:128]


def as_file_name(name: str) -> str:
    """Return the store's name for a file.

    Only a GGUF is renamed, if necessary. The names of safetensors are in their index.
    """
    if not name.lower().endswith(".gguf"):
        return name
    return f"{as_name(name[: -len('.gguf')])[-100:].lstrip('._+-')}.gguf"


class Store:
    """The models of one user.

    Args:
        home: the folder that holds models/; default LEADOUT_HOME, else ~/.cache/leadout.
    """

    def __init__(self, home: Path | None = None) -> None:
        if home is None:
            configured = os.environ.get("LEADOUT_HOME")
            home = Path(configured) if configured else Path.home() / ".cache" / "leadout"
        self.models_folder = home.expanduser().absolute() / "models"

    def list_models(self) -> list[StoredModel]:
        """Return the complete models, by name.

        A model with a damaged manifest is left out, with a warning. A model with the name of a
        built-in one is hidden (see built_in.py).
        """
        models = []
        with store_errors(self.models_folder):
            folders = sorted(self.models_folder.iterdir()) if self.models_folder.is_dir() else []
        for folder in folders:
            try:
                is_hidden = is_built_in(folder.name) or not _NAME.fullmatch(folder.name)
                model = None if is_hidden else self.find(folder.name)
            except StoreError as error:
                logger.warning("%s", error.message)
            else:
                models += [model] if model else []
        return models

    def find(self, name: str) -> StoredModel | None:
        """Return the model of that name, or None if the store has no complete one.

        Raises:
            StoreError: the name is invalid, or the model's manifest is damaged.
        """
        folder = self.models_folder / check_name(name)
        try:
            text = (folder / "manifest.json").read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise _damaged_manifest(folder, str(error)) from error
        return _parse_manifest(folder, text)

    def resolve(self, name_or_path: str) -> dict[str, Path]:
        """Return the files of a model: file name → path.

        Args:
            name_or_path: a built-in model's name; else a name in the store; else a path to a .gguf
                file (or to any part of a split one), to a folder with config.json and
                *.safetensors, or to a folder with a single .gguf file besides drafters.

        Raises:
            ModelNotFoundError: there is no such model.
            StoreError: the stored model is incomplete.
        """
        if is_built_in(name_or_path):
            return built_in_files(name_or_path)
        model = self.find(name_or_path) if _NAME.fullmatch(name_or_path) else None
        if model is not None:
            return {file.name: _intact_path(model, file) for file in model.checkpoint_files}
        path = Path(name_or_path).expanduser()
        if path.is_dir():
            return resolve_folder(path)
        if path.is_file():
            return parts_beside(path)
        known = ", ".join(model.name for model in self.list_models()) or "none"
        raise ModelNotFoundError(
            f'No model "{name_or_path}": no such file or folder, and the store has: {known}. '
            f"`leadout pull MODEL` adds one; {NANO} is built in.",
            name=name_or_path,
        )

    def holds(self, name_or_path: str, files: Mapping[str, Path]) -> bool:
        """Return whether the files that `resolve` returned are the stored model of that name."""
        folder = next(iter(files.values())).parent
        return folder.parent == self.models_folder and folder.name == name_or_path

    def list_unfinished(self) -> dict[str, int]:
        """Return name → bytes on the disk for models with an unfinished pull."""
        found = {}
        with store_errors(self.models_folder):
            folders = sorted(self.models_folder.iterdir()) if self.models_folder.is_dir() else []
            for folder in folders:
                if _NAME.fullmatch(folder.name) and not (folder / "manifest.json").exists():
                    found[folder.name] = _folder_bytes(folder)
        return found

    def remove(self, name: str) -> int:
        """Remove a model (complete, unfinished or damaged), and return the bytes freed.

        Raises:
            ModelNotFoundError: there is no model of that name.
            StoreError: the name is invalid, the store is not writable, or a pull is running.
        """
        folder = self.models_folder / check_name(name)
        if not folder.is_dir():
            raise ModelNotFoundError(f'The store has no model "{name}".', name=name)
        with store_errors(folder):
            taken_bytes = _folder_bytes(folder)
            with _locked(folder):
                # Remove the manifest first, so that nobody finds an incomplete model.
                (folder / "manifest.json").unlink(missing_ok=True)
                shutil.rmtree(folder)
        return taken_bytes

    @contextlib.contextmanager
    def write(self, name: str) -> Iterator[ModelWriter]:
        """Open a model for writing; it becomes visible when the writer commits.

        Raises:
            StoreError: the name is a built-in model's, the store is not writable, or another
                process is writing this model.
        """
        if is_built_in(name):
            raise StoreError(
                f'"{name}" is the name of a model that comes with Leadout, and always means that '
                "one; give yours another name.",
                name=name,
            )
        folder = self.models_folder / check_name(name)
        with store_errors(folder):
            (folder / ".parts").mkdir(parents=True, exist_ok=True)
        try:
            with _locked(folder):
                yield ModelWriter(folder)
        finally:
            # If a pull failed before it kept anything, remove its empty folders.
            with contextlib.suppress(OSError):
                (folder / ".parts").rmdir()
                (folder / ".lock").unlink()
                folder.rmdir()


class ModelWriter:
    """Writes one model's files, then its manifest; see `Store.write`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parts_folder = folder / ".parts"
        self._files: dict[str, StoredFile] = {}

    @property
    def file_names(self) -> tuple[str, ...]:
        """The files written so far."""
        return tuple(self._files)

    def require_free(self, needed_bytes: int) -> None:
        """Raise StoreError unless `needed_bytes` are free on the disk."""
        free_bytes = shutil.disk_usage(self.folder).free
        if free_bytes < needed_bytes:
            raise StoreError(
                f"{format_bytes(needed_bytes)} more are needed in {self.folder}, and "
                f"{format_bytes(free_bytes)} are free. Free some space, or set LEADOUT_HOME to a "
                "folder on another disk.",
                needed_bytes=needed_bytes,
                free_bytes=free_bytes,
            )

    def add(self, name: str, chunks: Iterable[bytes], wanted: StoredFile | None = None) -> None:
        """Write one file from `chunks`; it appears under its name only when complete.

        Args:
            name: a plain file name.
            chunks: its content, in order.
            wanted: the published size and hash that the content must have, if known.

        Raises:
            IntegrityError: the size or hash differs.
            StoreError: the disk is full or not writable. The incomplete file is removed.
        """
        partial = self.folder / f"{check_name(name)}.partial"
        digest = hashlib.sha256()
        count = 0
        try:
            with store_errors(self.folder), partial.open("wb") as out:
                for chunk in chunks:
                    digest.update(chunk)
                    count += len(chunk)
                    out.write(chunk)
                out.flush()
                os.fsync(out.fileno())
            self._finish(partial, StoredFile(name, count, digest.hexdigest()), wanted)
        finally:
            partial.unlink(missing_ok=True)

    def adopt(
        self,
        path: Path,
        name: str,
        wanted: StoredFile | None = None,
        *,
        sha256: str | None = None,
    ) -> None:
        """Move a file from the folder of parts into place; otherwise like `add`.

        Args:
            path: the file.
            name: a plain file name.
            wanted: as for `add`.
            sha256: the content's sha256, if it was just computed.
        """
        found = StoredFile(check_name(name), path.stat().st_size, sha256 or hash_file(path))
        self._finish(path, found, wanted)

    def _finish(self, path: Path, found: StoredFile, wanted: StoredFile | None) -> None:
        if wanted is not None:
            check_content(found, wanted)
        with store_errors(self.folder):
            # A model that is being replaced is incomplete until its new manifest is written.
            (self.folder / "manifest.json").unlink(missing_ok=True)
            path.replace(self.folder / found.name)
        self._files[found.name] = found

    def discard(self) -> None:
        """Remove all written files and parts, because they are not a usable model."""
        with store_errors(self.folder):
            for name in self._files:
                (self.folder / name).unlink(missing_ok=True)
            for part in self.parts_folder.iterdir():
                part.unlink()
        self._files.clear()

    def commit(self, source: str, notice: str | None) -> StoredModel:
        """Write the manifest, drop the parts and return the model, which is visible from now on."""
        manifest = {
            "version": MANIFEST_VERSION,
            "source": source,
            "notice": notice,
            "files": [vars(file) for file in self._files.values()],
        }
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        partial = self.folder / "manifest.json.partial"
        with store_errors(self.folder):
            with partial.open("w", encoding="utf-8") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            partial.replace(self.folder / "manifest.json")
            shutil.rmtree(self.parts_folder)
            # Remove files of an earlier pull that was killed; it may have had other files.
            kept = {*self._files, "manifest.json", ".lock"}
            for path in self.folder.iterdir():
                if path.is_file() and path.name not in kept:
                    path.unlink()
        return StoredModel(
            self.folder.name, self.folder, source, notice, tuple(self._files.values())
        )


def check_content(found: StoredFile, wanted: StoredFile) -> None:
    """Raise IntegrityError unless a file has the size and hash that were published."""
    for what, is_value, want_value in (
        ("bytes", found.bytes, wanted.bytes),
        ("sha256", found.sha256, wanted.sha256),
    ):
        if is_value != want_value:
            raise IntegrityError(
                f"{wanted.name} has {what} {is_value}; {want_value} was published. It was dropped; "
                "pull again.",
                file=wanted.name,
                found=is_value,
                wanted=want_value,
            )


def hash_file(path: Path, on_bytes: Callable[[int], None] = lambda _count: None) -> str:
    """Return a file's sha256; `on_bytes` is called with each number of bytes read."""
    digest = hashlib.sha256()
    for chunk in read_chunks(path):
        digest.update(chunk)
        on_bytes(len(chunk))
    return digest.hexdigest()


def read_chunks(path: Path) -> Iterator[bytes]:
    """Yield a file's content in chunks."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


@contextlib.contextmanager
def store_errors(folder: Path) -> Iterator[None]:
    """Convert the operating system's errors about the disk into StoreErrors."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(
                f"The disk that holds {folder} is full. Free some space and run the same command "
                "again: what was downloaded completely is kept.",
                folder=str(folder),
            ) from error
        raise StoreError(
            f"{folder} cannot be used: {error.strerror or error}. Make it readable and writable, "
            "or set LEADOUT_HOME to another folder.",
            folder=str(folder),
        ) from error


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a model's lock.

    Raises:
        StoreError: another process holds the lock.
    """
    with store_errors(folder):
        lock = filelock.FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise StoreError(
                f'Another process is pulling "{folder.name}" just now; wait for it to end.',
                name=folder.name,
            ) from None
    try:
        yield
    finally:
        lock.release()


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _parse_manifest(folder: Path, text: str) -> StoredModel:
    try:
        manifest = json.loads(text)
        if manifest["version"] != MANIFEST_VERSION:
            raise ValueError(f"version {manifest['version']}, wanted {MANIFEST_VERSION}")
        files = tuple(
            StoredFile(check_name(file["name"]), int(file["bytes"]), str(file["sha256"]))
            for file in manifest["files"]
        )
        notice = manifest["notice"]
        return StoredModel(
            folder.name,
            folder,
            str(manifest["source"]),
            None if notice is None else str(notice),
            files,
        )
    except (ValueError, KeyError, TypeError, RecursionError, StoreError) as error:
        raise _damaged_manifest(folder, repr(error)) from error


def _damaged_manifest(folder: Path, why: str) -> StoreError:
    return StoreError(
        f"{folder / 'manifest.json'} cannot be read: {why}. Remove the folder and pull the model "
        "again.",
        folder=str(folder),
    )


def _intact_path(model: StoredModel, file: StoredFile) -> Path:
    path = model.folder / file.name
    size = path.stat().st_size if path.is_file() else None
    if size != file.bytes:
        found = "missing" if size is None else f"{size} bytes long"
        raise StoreError(
            f'{file.name} of the stored model "{model.name}" is {found}; wanted {file.bytes} '
            f"bytes. Run `leadout pull` for it again.",
            file=file.name,
            found_bytes=size,
            wanted_bytes=file.bytes,
        )
    return path
