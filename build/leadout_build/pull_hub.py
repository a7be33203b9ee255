"""Pull a model from the Hugging Face Hub, or from whatever HF_ENDPOINT names.

Which files there are, their sizes and hashes come from `huggingface_hub`, and so do
authentication, retries and Range requests. What it does not do is resume in another process (it
drops a half-downloaded file when it ends), so the partial files are ours: one per content hash,
kept among the model's parts.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from leadout.errors import IntegrityError, ModelNotFoundError, RequestError, SourceError
from leadout_build.progress import Progress
from leadout_build.store import (
    CHECKPOINT_FILES,
    ModelWriter,
    read_chunks,
    store_errors,
)

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")


def pull_hub(
    repo: str, file: str | None, writer: ModelWriter, endpoint: str | None = None
) -> str | None:
    """Download a model's files into the store.

    Args:
        repo: "owner/name".
        file: one file of it (a .gguf), or None for its safetensors set or its only GGUF.
        writer: where to.
        endpoint: the hub's address; default HF_ENDPOINT, else the public hub.

    Returns:
        The license notice to show, if the model names a license.

    Raises:
        ModelNotFoundError: no such repository or file.
        SourceError: the hub cannot be reached, refuses, or asks to accept terms first.
        IntegrityError: a file is not what the hub published.
        StoreError: the disk is full or not writable.
    """
    # huggingface_hub takes a second to import: only where it is needed.
    from huggingface_hub import HfApi

    with _hub_errors(repo, writer.folder):
        info = HfApi(endpoint=endpoint).model_info(repo, files_metadata=True)
    chosen = _choose_files(repo, info.siblings or [], file)
    total_bytes = sum(sibling.size or 0 for sibling in chosen)
    kept_bytes = sum(_kept_bytes(_partial_path(writer, sibling)) for sibling in chosen)
    writer.require_free(max(total_bytes - kept_bytes, 0))
    with Progress(f"downloading {repo}", max(total_bytes, 1)) as progress:
        for sibling in chosen:
            partial = _partial_path(writer, sibling)
            with _hub_errors(repo, writer.folder):
                _download(info, sibling, partial, progress, endpoint)
            _check_hash(sibling, partial)
    # Only now: until then, what is complete is a part that a later pull finds.
    for sibling in chosen:
        writer.adopt(_partial_path(writer, sibling), PurePosixPath(sibling.rfilename).name)
    license_name = info.card_data.get("license") if info.card_data else None
    if license_name is None:
        return None
    return f'{repo} is published under the license "{license_name}"; see its page on the hub.'


def _choose_files(repo: str, siblings: list[RepoSibling], file: str | None) -> list[RepoSibling]:
    by_name = {sibling.rfilename: sibling for sibling in siblings}
    ggufs = [name for name in by_name if name.endswith(".gguf")]
    if file is not None:
        if file not in by_name:
            raise ModelNotFoundError(
                f'{repo} has no file "{file}". Its GGUF files: {", ".join(ggufs) or "none"}.',
                repo=repo,
                file=file,
                ggufs=ggufs,
            )
        return [by_name[file]]
    shards = [name for name in by_name if _SHARD.fullmatch(name)]
    weights = ["model.safetensors"] if "model.safetensors" in by_name else shards
    if "config.json" in by_name and weights:
        names = [*(name for name in by_name if name in CHECKPOINT_FILES), *weights]
    elif len(ggufs) == 1:
        names = ggufs
    elif ggufs:
        raise ModelNotFoundError(
            f"{repo} has {len(ggufs)} GGUF files; choose one with hf:{repo}:FILE from: "
            f"{', '.join(ggufs)}.",
            repo=repo,
            ggufs=ggufs,
        )
    else:
        raise ModelNotFoundError(
            f"{repo} holds no model that Leadout reads: wanted config.json with "
            "model*.safetensors, or a .gguf file.",
            repo=repo,
        )
    return [by_name[name] for name in names]


def _partial_path(writer: ModelWriter, sibling: RepoSibling) -> Path:
    """Return where a file is downloaded to: named by its content, so that only that resumes it."""
    content = sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
    if content is None or not re.fullmatch(r"[0-9a-f]{40,64}", content):
        raise SourceError(
            f"The hub publishes no hash of {sibling.rfilename}; it cannot be verified.",
            file=sibling.rfilename,
        )
    return writer.parts_folder / f"{content}.download"


def _kept_bytes(partial: Path) -> int:
    return partial.stat().st_size if partial.exists() else 0


def _download(
    info: ModelInfo,
    sibling: RepoSibling,
    partial: Path,
    progress: Progress,
    endpoint: str | None,
) -> None:
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    before_bytes = progress.done_bytes
    if _kept_bytes(partial) > (sibling.size or 0):
        partial.unlink()

    class Bar:
        """What `http_get` reports to, in tqdm's manner."""

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
                # The revision that the sizes and hashes belong to, whatever is pushed meanwhile.
                hf_hub_url(info.id, sibling.rfilename, revision=info.sha, endpoint=endpoint),
                out,
                resume_size=out.tell(),
                headers={**build_hf_headers(), "Accept-Encoding": "identity"},
                expected_size=sibling.size,
                tqdm_class=Bar,
            )
    except BaseException:
        if _kept_bytes(partial) == 0:
            partial.unlink(missing_ok=True)
        raise
    progress.update(before_bytes + (sibling.size or 0))


def _check_hash(sibling: RepoSibling, partial: Path) -> None:
    """Compare a download with what was published: sha256 of big files, git's hash of small ones."""
    if sibling.lfs:
        wanted, digest = sibling.lfs.sha256, hashlib.sha256()
    else:
        wanted = str(sibling.blob_id)
        digest = hashlib.sha1(f"blob {partial.stat().st_size}\0".encode(), usedforsecurity=False)
    for chunk in read_chunks(partial):
        digest.update(chunk)
    if digest.hexdigest() != wanted:
        partial.unlink()
        raise IntegrityError(
            f"{sibling.rfilename} has the hash {digest.hexdigest()}; {wanted} was published. It "
            "was dropped; pull again.",
            file=sibling.rfilename,
            found=digest.hexdigest(),
            wanted=wanted,
        )


@contextlib.contextmanager
def _hub_errors(repo: str, folder: Path) -> Iterator[None]:
    """Turn huggingface_hub's errors, and those of the HTTP library that it uses, into ours."""
    from huggingface_hub import errors

    # httpx's or httpx2's, by the version of huggingface_hub; any failed transfer is a child.
    transport_error = errors.HfHubHTTPError.__mro__[1]
    assert issubclass(transport_error, Exception)
    try:
        yield
    except errors.GatedRepoError as error:
        raise SourceError(
            f"{repo} asks to accept its terms first. Do so on its page on the hub, then log in "
            "with `hf auth login` or set HF_TOKEN.",
            repo=repo,
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelNotFoundError(
            f"The hub has no model {repo}, or it is private (then log in with `hf auth login` or "
            "set HF_TOKEN).",
            repo=repo,
        ) from error
    except errors.HFValidationError as error:
        raise RequestError(f'"{repo}" cannot be a repository: {error}', repo=repo) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        raise SourceError(
            f"The hub answered {status} for {repo}. Run the same command again to resume.",
            repo=repo,
            status=status,
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise SourceError("HF_HUB_OFFLINE is set: nothing can be pulled from the hub.") from error
    except transport_error as error:
        raise SourceError(
            f"The hub cannot be reached, or the connection broke: {error}. Run the same command "
            "again to resume.",
            repo=repo,
        ) from error
    except OSError as error:
        if error.errno is not None:
            with store_errors(folder):
                raise
        message = str(error).splitlines()[0]
        raise SourceError(f"{message} Run the same command again to resume.") from error
