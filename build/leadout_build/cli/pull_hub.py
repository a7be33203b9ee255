"""Pull a model from the Hugging Face Hub, or from the hub at HF_ENDPOINT.

1. list    the repository's files, with sizes and hashes
2. choose  the files that are the model (hub_choice.py)
3. fetch   the small files
4. open    the model by the headers of its weights at the hub, so that a model that cannot run is
           not downloaded
5. fetch   the weights; this resumes and verifies
6. move    all files into place. Until then each file is in the model's folder of parts, and its
           name is the hash of its content

`huggingface_hub` does authentication, retries and Range requests. It cannot resume in another
process, because it drops a half-downloaded file when it ends. So this module keeps the partial
files. If a pull was killed, the files that it had moved into place count as downloaded.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

from leadout.errors import IntegrityError, LeadoutError, SourceError
from leadout_build.cli.progress import Progress
from leadout_build.store.hub_listing import HubFile, Listing, hub_errors
from leadout_build.store.hub_models import HubModel
from leadout_build.store.model_store import ModelWriter, as_file_name, read_chunks


def pull_hub(model: HubModel, writer: ModelWriter) -> None:
    """Download a model's files into the store.

    Raises:
        UnsupportedModelError, CheckpointError and others: Leadout does not run this model. Then
            only headers were fetched, and nothing is kept.
        SourceError: the hub cannot be reached, refuses, or asks to accept terms first.
        IntegrityError: a file differs from what the hub published.
        StoreError: the disk is full or not writable.
    """
    partials = {file.path: _partial_path(writer, file) for file in model.files}
    total_bytes = sum(file.bytes for file in model.files)
    kept_bytes = sum(_kept_bytes(partial) for partial in partials.values())
    writer.require_free(max(total_bytes - kept_bytes, 0))
    is_under_way = any(_kept_bytes(partials[file.path]) for file in model.files if _is_large(file))
    small_first = sorted(model.files, key=_is_large)
    with Progress(f"downloading {model.listing.repo}", max(total_bytes, 1)) as progress:
        for file in small_first:
            if _is_large(file) and not is_under_way:
                _check_headers(model, partials, writer.folder)
                is_under_way = True
            with hub_errors(model.name, writer.folder):
                _download(model.listing, file, partials[file.path], progress)
            _check_hash(file, partials[file.path])
    # Only after all downloads: until then, a later pull finds complete files among the parts.
    for file in model.files:
        # The download's hash was checked just before.
        writer.adopt(partials[file.path], _stored_name(file), sha256=file.sha256)


def _stored_name(file: HubFile) -> str:
    return as_file_name(PurePosixPath(file.path).name)


def _is_large(file: HubFile) -> bool:
    return file.path.lower().endswith((".gguf", ".safetensors"))


def _check_headers(model: HubModel, partials: Mapping[str, Path], folder: Path) -> None:
    """Open a model: its small files are downloaded, its weights are read at the hub."""
    from leadout.checkpoint import FileSource, Source, open_checkpoint
    from leadout.tokenizer import tokenizer_json_from_gguf

    sources: dict[str, Source] = {**model.sources(folder)}
    for file in model.files:
        if not _is_large(file):
            name = PurePosixPath(file.path).name
            sources[name] = FileSource(partials[file.path], name)
    try:
        checkpoint = asyncio.run(open_checkpoint(sources))
        if checkpoint.kind == "gguf":
            tokenizer_json_from_gguf(checkpoint.metadata)
    except SourceError:
        raise
    except LeadoutError:
        for partial in partials.values():
            partial.unlink(missing_ok=True)
        raise


def _partial_path(writer: ModelWriter, file: HubFile) -> Path:
    """Return the path of a download. Its name is the content's hash, so only the same file resumes.

    A file that a killed pull had moved into place already becomes a part again.
    """
    partial = writer.parts_folder / f"{file.content_id}.download"
    placed = writer.folder / _stored_name(file)
    is_left_over = not (writer.folder / "manifest.json").exists()
    if is_left_over and not partial.exists() and _kept_bytes(placed) == file.bytes:
        placed.rename(partial)
    return partial


def _kept_bytes(partial: Path) -> int:
    return partial.stat().st_size if partial.is_file() else 0


def _download(listing: Listing, file: HubFile, partial: Path, progress: Progress) -> None:
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    before_bytes = progress.done_bytes
    if _kept_bytes(partial) > file.bytes:
        partial.unlink()

    class Bar:
        """The progress bar for `http_get`, with the interface of tqdm."""

        def __init__(self, initial: int = 0, **_options: Any) -> None:
            progress.update(before_bytes + initial)

        def __enter__(self) -> Self:
            return self

        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            traceback: TracebackType | None,
        ) -> None:
            pass

        def update(self, count: int) -> None:
            progress.advance(count)

    try:
        with partial.open("ab") as out:
            http_get(
                # The URL has the revision of the sizes and hashes, even after a new push.
                listing.url(file.path),
                out,
                resume_size=out.tell(),
                headers={**build_hf_headers(), "Accept-Encoding": "identity"},
                expected_size=file.bytes,
                tqdm_class=Bar,
            )
    except BaseException:
        if _kept_bytes(partial) == 0:
            partial.unlink(missing_ok=True)
        raise
    progress.update(before_bytes + file.bytes)


def _check_hash(file: HubFile, partial: Path) -> None:
    """Compare a download's hash with the published one: sha256, or git's hash of small files."""
    if file.sha256 is not None:
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(f"blob {partial.stat().st_size}\0".encode(), usedforsecurity=False)
    for chunk in read_chunks(partial):
        digest.update(chunk)
    if digest.hexdigest() != file.content_id:
        partial.unlink()
        raise IntegrityError(
            f"{file.path} has the hash {digest.hexdigest()}; {file.content_id} was published. It "
            "was dropped; pull again.",
            file=file.path,
            found=digest.hexdigest(),
            wanted=file.content_id,
        )
