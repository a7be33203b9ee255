"""Finds a model on the hub, and the drafter for it: web/hub/resolve.js in Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from leadout.errors import ModelNotFoundError, RequestError
from leadout_build.store.hub_choice import choose_drafter_files, choose_files, drafter_repos
from leadout_build.store.hub_listing import HubFile, HubSource, Listing, list_repository
from leadout_build.store.hub_names import HubName, parse_hub_name
from leadout_build.store.known_models import known_drafter, known_models


@dataclass(frozen=True)
class HubModel:
    """A model on the hub: some files of one commit.

    Attributes:
        name: the name that was asked for.
        listing: the repository's files.
        files: the files that are the model.
    """

    name: HubName
    listing: Listing
    files: tuple[HubFile, ...]

    def sources(self, folder: Path) -> dict[str, HubSource]:
        """Return file name → file, to be read in pieces at the hub.

        Args:
            folder: the store's folder, for messages.
        """
        files = [HubSource(self.listing, file, folder) for file in self.files]
        return {file.name: file for file in files}

    @property
    def notice(self) -> str | None:
        """The license notice to show, if the model names a license."""
        if self.listing.license is None:
            return None
        return (
            f'{self.listing.repo} is published under the license "{self.listing.license}"; see its '
            "page on the hub."
        )


def hub_name_of(model: str) -> HubName | None:
    """Return the model's name on the hub, if that is what a user wrote.

    Args:
        model: a short name, hf:owner/name[@revision][:file], or anything else.

    Returns:
        None for anything else. A path that exists is one, even if it looks like a name.

    Raises:
        RequestError: it begins with hf: but is no name.
    """
    for entry in known_models():
        if entry.name == model:
            return entry.hub
    name, is_hub = parse_hub_name(model), model.startswith("hf:")
    if name is None and is_hub:
        raise RequestError(f'"{model}" is not of the form hf:owner/name[@revision][:file].')
    return name if is_hub or not Path(model).expanduser().exists() else None


def find_hub_model(name: HubName, folder: Path, endpoint: str | None = None) -> HubModel:
    """Find the files of a model.

    Args:
        name: the model's name.
        folder: the store's folder, for messages.
        endpoint: the hub's address; default HF_ENDPOINT, else the public hub.

    Raises:
        ModelNotFoundError: no such repository, revision or file, or no file there is a model.
        CheckpointError: a part of the model is missing.
        SourceError: the hub cannot be reached or refuses.
    """
    listing = list_repository(name, folder, endpoint)
    sizes = {path: file.bytes for path, file in listing.files.items()}
    chosen = choose_files(listing.repo, sizes, name.file)
    return HubModel(name, listing, tuple(listing.files[path] for path in chosen))


def find_hub_drafter(target: HubModel, folder: Path) -> HubModel | None:
    """Find the drafter of a model on the hub; see web/hub/resolve.js.

    Raises:
        CheckpointError, SourceError: see `find_hub_model`.
    """
    listing = target.listing
    sizes = {path: file.bytes for path, file in listing.files.items()}
    beside = choose_drafter_files(listing.repo, sizes, [file.path for file in target.files])
    known = known_drafter(HubName(listing.repo, file=target.name.file))
    if known is not None or beside is None:
        candidates = [known] if known is not None else []
        candidates += [HubName(repo) for repo in drafter_repos(listing.repo)]
        for candidate in candidates:
            try:
                return find_hub_model(candidate, folder, listing.endpoint)
            except ModelNotFoundError:
                continue
    if beside is None:
        return None
    name = HubName(listing.repo, target.name.revision, beside[0])
    return HubModel(name, listing, tuple(listing.files[path] for path in beside))
