"""Lists a repository on the hub, and reads its files in pieces: web/hub/listing.js in Python.

`huggingface_hub` does authentication, redirects and retries. It sends the token only to the hub's
host.
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

#: Bytes to request at a time, and to keep. A source only reads headers, so its reads are small.
_PIECE_BYTES = 1 << 20

#: The number of retries of a read, and the first wait, which doubles each time.
_MAX_RETRIES = 3
_FIRST_WAIT_S = 0.5


@dataclass(frozen=True)
class HubFile:
    """A file of a repository.

    Attributes:
        path: the path in the repository.
        bytes: the size.
        sha256: the content's sha256, if the hub publishes it.
        blob_id: git's hash of the content, if not.
    """

    path: str
    bytes: int
    sha256: str | None
    blob_id: str | None

    @property
    def content_id(self) -> str:
        """The hash that identifies the content.

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
        repo: "owner/name", as the hub writes it.
        revision: the commit that has these sizes and hashes.
        files: the files, by path.
        license: the license in the model card, if any.
        endpoint: the hub's address; None: the library's default.
    """

    repo: str
    revision: str
    files: dict[str, HubFile]
    license: str | None
    endpoint: str | None

    def url(self, path: str) -> str:
        """Return the URL of a file's content."""
        from huggingface_hub import hf_hub_url

        return hf_hub_url(self.repo, path, revision=self.revision, endpoint=self.endpoint)


def list_repository(name: HubName, folder: Path, endpoint: str | None) -> Listing:
    """List a repository's files.

    Args:
        name: the repository's name; `file` is ignored.
        folder: the store's folder, for messages.
        endpoint: the hub's address; None: HF_ENDPOINT, else the public hub.

    Raises:
        ModelNotFoundError: no such repository or revision.
        SourceError: the hub cannot be reached, refuses, or its answer is invalid.
    """
    # Imported here, because importing huggingface_hub takes a second.
    from huggingface_hub import HfApi

    with hub_errors(name, folder):
        try:
            info = HfApi(endpoint=endpoint).model_info(
                name.repo, revision=name.revision, files_metadata=True
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # The library parses the answer without checking it. Only for a name that it refuses
            # are its own errors ValueErrors.
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
    """Return the value if it is a repository's "owner/name", else None."""
    parsed = parse_hub_name(f"hf:{value}")
    return value if isinstance(value, str) and parsed == HubName(value) else None


def _hash(value: object, digits: int) -> str | None:
    is_hash = isinstance(value, str) and re.fullmatch(rf"[0-9a-f]{{{digits}}}", value)
    return str(value) if is_hash else None


def _nonsense(repo: str, found: str) -> SourceError:
    return SourceError(
        f"The hub's answer for {repo} is invalid: {found}; check HF_ENDPOINT, or try again later.",
        repo=repo,
    )


class HubSource:
    """A file on the hub, read in pieces; implements `leadout.checkpoint.Source`.

    Args:
        listing: the repository.
        file: the file in it.
        folder: the store's folder, for messages.
    """

    def __init__(self, listing: Listing, file: HubFile, folder: Path) -> None:
        self.name = file.path.rsplit("/", 1)[-1]
        self._listing = listing
        self._file = file
        self._folder = folder
        self._start = 0
        self._kept = b""

    async def size(self) -> int:
        """Return the published length in bytes."""
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
    """Convert errors of huggingface_hub, and of the HTTP library that it uses, into ours."""
    from huggingface_hub import errors

    repo = name.repo
    # This class is httpx's or httpx2's, depending on the version of huggingface_hub. Every failed
    # transfer raises a child of it.
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
