"""What a hub says of a repository, and reading its files in pieces: web/hub/listing.js in Python.

Authentication, redirects and retries are `huggingface_hub`'s, which sends a token to the hub's host
alone.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leadout.checkpoint.source import check_range
from leadout.errors import ModelNotFoundError, RequestError, SourceError
from leadout_build.store.hub_names import HubName, parse_hub_name
from leadout_build.store.model_store import store_errors

#: A source's reads are small: headers. Bytes asked for at a time, and kept.
_PIECE_BYTES = 1 << 20

#: How often a read is tried again, and the first wait, which doubles.
_MAX_RETRIES = 3
_FIRST_WAIT_S = 0.5


@dataclass(frozen=True)
class HubFile:
    """A file of a repository.

    Attributes:
        path: in the repository.
        bytes: its size.
        sha256: of its content, where the hub publishes it.
        blob_id: else git's hash of it.
    """

    path: str
    bytes: int
    sha256: str | None
    blob_id: str | None

    @property
    def content_id(self) -> str:
        """What tells this content from any other.

        Raises:
            SourceError: the hub publishes neither hash.
        """
        found = self.sha256 or self.blob_id
        if found is None:
            raise SourceError(
                f"The hub publishes no hash of {self.path}; it cannot be verified.",
                file=self.path,
            )
        return found


@dataclass(frozen=True)
class Listing:
    """A repository at one commit.

    Attributes:
        repo: "owner/name", as the hub writes it now.
        revision: the commit that sizes and hashes belong to.
        files: by path.
        license: what the model card says, if anything.
        endpoint: the hub's address; None: the library's.
    """

    repo: str
    revision: str
    files: dict[str, HubFile]
    license: str | None
    endpoint: str | None

    def url(self, path: str) -> str:
        """Return where a file's content is asked for."""
        from huggingface_hub import hf_hub_url

        return hf_hub_url(self.repo, path, revision=self.revision, endpoint=self.endpoint)


def list_repository(name: HubName, folder: Path, endpoint: str | None) -> Listing:
    """List a repository's files.

    Args:
        name: its file is not looked at.
        folder: of the store, for messages.
        endpoint: the hub's address; None: HF_ENDPOINT, else the public hub.

    Raises:
        ModelNotFoundError: no such repository or revision.
        SourceError: the hub cannot be reached, refuses, or says nonsense.
    """
    # huggingface_hub takes a second to import: only where it is needed.
    from huggingface_hub import HfApi

    with hub_errors(name, folder):
        try:
            info = HfApi(endpoint=endpoint).model_info(
                name.repo, revision=name.revision, files_metadata=True
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # The library parses what comes without looking at it; its own errors are no ValueErrors
            # but for a name that it refuses.
            if type(error).__module__.startswith("huggingface_hub"):
                raise
            raise _nonsense(name.repo, f"no listing ({error!r:.100})") from error
    commit = info.sha
    if not isinstance(commit, str) or not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise _nonsense(name.repo, "no commit")
    files = [_file(name.repo, sibling) for sibling in info.siblings or []]
    card = info.card_data
    license_name = card.get("license") if card else None
    return Listing(
        _repo(info.id) or name.repo,
        commit,
        {file.path: file for file in files},
        license_name if isinstance(license_name, str) else None,
        endpoint,
    )


def _file(repo: str, sibling: Any) -> HubFile:
    lfs = sibling.lfs
    path, size = sibling.rfilename, sibling.size
    sha256 = lfs.sha256 if lfs else None
    if not isinstance(path, str) or type(size) is not int or size < 0:
        raise _nonsense(repo, "a file without a name or a size")
    return HubFile(path, size, _hash(sha256, 64), _hash(sibling.blob_id, 40))


def _repo(value: object) -> str | None:
    """Return what is a repository's "owner/name" and nothing else."""
    parsed = parse_hub_name(f"hf:{value}")
    return value if isinstance(value, str) and parsed == HubName(value) else None


def _hash(value: object, digits: int) -> str | None:
    is_hash = isinstance(value, str) and re.fullmatch(rf"[0-9a-f]{{{digits}}}", value)
    return str(value) if is_hash else None


def _nonsense(repo: str, found: str) -> SourceError:
    return SourceError(
        f"What the hub answered for {repo} is {found}; check HF_ENDPOINT, or try again later.",
        repo=repo,
    )


class HubSource:
    """A file on the hub, read in pieces; implements `leadout.checkpoint.Source`.

    Args:
        listing: the file's repository.
        file: of it.
        folder: of the store, for messages.
    """

    def __init__(self, listing: Listing, file: HubFile, folder: Path) -> None:
        self.name = file.path.rsplit("/", 1)[-1]
        self._listing = listing
        self._file = file
        self._folder = folder
        self._start = 0
        self._kept = b""

    async def size(self) -> int:
        """Return the length in bytes, as it was published."""
        return self._file.bytes

    async def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset`; see `Source.read`."""
        check_range(self.name, offset, length, self._file.bytes)
        begin = offset - self._start
        if begin < 0 or begin + length > len(self._kept):
            wanted = min(max(length, _PIECE_BYTES), self._file.bytes - offset)
            self._kept = self._fetch(offset, wanted) if wanted else b""
            self._start, begin = offset, 0
        return self._kept[begin : begin + length]

    def _fetch(self, offset: int, length: int) -> bytes:
        from huggingface_hub.utils import (  # type: ignore[attr-defined]
            build_hf_headers,
            hf_raise_for_status,
            http_backoff,
        )

        headers = {
            **build_hf_headers(),
            "Accept-Encoding": "identity",
            "Range": f"bytes={offset}-{offset + length - 1}",
        }
        with hub_errors(HubName(self._listing.repo), self._folder):
            response = http_backoff(
                "GET",
                self._listing.url(self._file.path),
                max_retries=_MAX_RETRIES,
                base_wait_time=_FIRST_WAIT_S,
                headers=headers,
                follow_redirects=True,
            )
            hf_raise_for_status(response)
        data: bytes = response.content
        if len(data) > length and response.status_code == 200:
            data = data[offset : offset + length]
        if len(data) != length:
            raise SourceError(
                f"{self.name}: the hub gave {len(data):,} bytes where {length:,} were wanted from "
                f"offset {offset:,}; it may hold a pointer to the file, or another one",
                file=self.name,
                offset=offset,
            )
        return data


@contextlib.contextmanager
def hub_errors(name: HubName, folder: Path) -> Iterator[None]:
    """Turn huggingface_hub's errors, and those of the HTTP library that it uses, into ours."""
    from huggingface_hub import errors

    repo = name.repo
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
    except errors.RevisionNotFoundError as error:
        raise ModelNotFoundError(f'{repo} has no revision "{name.revision}".', repo=repo) from error
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
        wait = error.response.headers.get("Retry-After", "")
        when = f"in {wait} seconds" if wait.isdecimal() else "later"
        raise SourceError(
            f"The hub answered {status} for {repo}. Run the same command again {when}; what was "
            "downloaded is kept.",
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
