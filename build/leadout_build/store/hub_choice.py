"""Chooses the files of a repository that are the model, and those that are its drafter.

It looks only at names and sizes. Keep in step with web/hub/choose.js; tests/vectors/hub has cases
for both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from leadout.errors import CheckpointError, ModelNotFoundError
from leadout_build.store.checkpoint_files import CHECKPOINT_FILES

_PART = re.compile(r"(?P<base>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.(gguf|safetensors)")

#: Names of GGUFs that are not language models: image encoders, statistics for quantisation.
_COMPANION = re.compile(r"(^|[-._])(mmproj|imatrix)", re.IGNORECASE)

#: Names that publishers give to a drafter's GGUF and repository.
_DRAFTER = re.compile(r"(^|[-._])(assistant|mtp)([-._]|$)", re.IGNORECASE)
_DRAFTER_REPO = re.compile(r"-assistant([-._]|$)", re.IGNORECASE)

_QUANTISATION = re.compile(
    r"(?:(?<=^)|(?<=[-._]))(I?Q\d\w*|TQ\d\w*|MXFP\d\w*|NVFP\d\w*|BF16|FP?16|FP?32)(?=$|[-._])",
    re.IGNORECASE | re.ASCII,
)

#: The quantisations that Leadout reads.
_READABLE = re.compile(
    r"Q4_0|Q4_1|Q5_0|Q5_1|Q8_0|Q[456]_K(_[A-Z]{1,2})?|BF16|FP?16|FP?32", re.ASCII
)

_FORMAT_SUFFIX = re.compile(r"[-._](GGUF|MLX|\d+-?bit|bf16|fp16)$", re.IGNORECASE | re.ASCII)

#: The most file names that a message lists.
_MAX_LISTED = 12


@dataclass(frozen=True)
class _Gguf:
    """A GGUF of one or several files, in order; `num_parts` is how many there should be."""

    paths: tuple[str, ...]
    num_parts: int
    size: int

    @property
    def path(self) -> str:
        return self.paths[0]

    @property
    def is_whole(self) -> bool:
        return len(self.paths) == self.num_parts


def choose_files(repo: str, files: Mapping[str, int], wanted: str | None) -> list[str]:
    """Choose the files that are the model.

    Args:
        repo: the repository's name, for messages.
        files: path in the repository → bytes.
        wanted: a .gguf's path, or a quantisation; None: the safetensors, else the smallest GGUF
            that Leadout reads.

    Raises:
        ModelNotFoundError: the repository has no model, or no such file.
        CheckpointError: a part is missing.
    """
    ggufs = [gguf for gguf in _ggufs(files) if not _COMPANION.search(_file_name(gguf.path))]
    if wanted is not None:
        return _complete(repo, _named(repo, ggufs, wanted))
    safetensors = _choose_safetensors(repo, files)
    if safetensors:
        return safetensors
    models = [gguf for gguf in ggufs if not is_drafter_name(gguf.path)] or ggufs
    if not models:
        raise ModelNotFoundError(
            f"{repo} holds no model that Leadout reads: wanted config.json with "
            "model*.safetensors, or a .gguf file.",
            repo=repo,
        )
    readable = [gguf for gguf in models if _is_readable(gguf.path)]
    if not readable:
        raise ModelNotFoundError(
            f"{repo} has no GGUF in a quantisation that Leadout reads (Q4_0 to Q8_0, Q4_K to Q6_K, "
            f"F16, BF16, F32); it has {_listed(models)}.",
            repo=repo,
        )
    return _complete(repo, _smallest(readable))


def choose_drafter_files(
    repo: str, files: Mapping[str, int], chosen: Sequence[str]
) -> list[str] | None:
    """Choose the drafter among the GGUFs of a GGUF's repository; None if there is none.

    Raises:
        CheckpointError: a part of it is missing.
    """
    if not any(_is_gguf(path) and not is_drafter_name(path) for path in chosen):
        return None
    drafters = [
        gguf for gguf in _ggufs(files) if is_drafter_name(gguf.path) and _is_readable(gguf.path)
    ]
    # Copies in other precisions are in subfolders.
    found = [gguf for gguf in drafters if "/" not in gguf.path] or drafters
    return _complete(repo, _smallest(found)) if found else None


def drafter_repos(repo: str) -> list[str]:
    """Return the repositories that may have the drafter, the likeliest first.

    A drafter's repository is named like its target's, with "-assistant" before or after the format.
    """
    if _DRAFTER_REPO.search(repo):
        return []
    bare = _FORMAT_SUFFIX.sub("", repo)
    return list(dict.fromkeys([f"{repo}-assistant", f"{bare}-assistant"]))


def is_drafter_name(path: str) -> bool:
    """Return whether a GGUF's name is that of a drafter."""
    return _DRAFTER.search(_stem(path)) is not None


def model_stem(path: str) -> str:
    """Return a GGUF's file name without its suffix and without the number of a part."""
    match = _PART.fullmatch(_file_name(path))
    return match["base"] if match else _stem(path)


def _is_gguf(path: str) -> bool:
    return path.lower().endswith(".gguf")


def _file_name(path: str) -> str:
    return PurePosixPath(path).name


def _stem(path: str) -> str:
    name = _file_name(path)
    return name[: -len(".gguf")] if _is_gguf(name) else name


def _quantisation(path: str) -> str | None:
    """Return the quantisation in the name, such as "Q4_K_M", or None."""
    found = _QUANTISATION.findall(model_stem(path))
    return found[-1].upper() if found else None


def _is_readable(path: str) -> bool:
    quantisation = _quantisation(path)
    return quantisation is None or _READABLE.fullmatch(quantisation) is not None


def _ggufs(files: Mapping[str, int]) -> list[_Gguf]:
    groups: dict[str, list[str]] = {}
    for path in sorted(path for path in files if _is_gguf(path)):
        part = _PART.fullmatch(path)
        key = f"{part['base']}-of-{part['count']}" if part else path
        groups.setdefault(key, []).append(path)
    ggufs = []
    for paths in groups.values():
        part = _PART.fullmatch(paths[0])
        num_parts = int(part["count"]) if part else 1
        ggufs.append(_Gguf(tuple(paths), num_parts, sum(files[path] for path in paths)))
    return sorted(ggufs, key=lambda gguf: gguf.path)


def _smallest(ggufs: Sequence[_Gguf]) -> _Gguf:
    whole = [gguf for gguf in ggufs if gguf.is_whole] or ggufs
    return min(whole, key=lambda gguf: gguf.size)


def _named(repo: str, ggufs: Sequence[_Gguf], wanted: str) -> _Gguf:
    for gguf in ggufs:
        if wanted in gguf.paths:
            return gguf
    quantised = [
        gguf
        for gguf in ggufs
        if _quantisation(gguf.path) == wanted.upper() and not is_drafter_name(gguf.path)
    ]
    if len(quantised) == 1:
        return quantised[0]
    raise ModelNotFoundError(
        f'{repo} has no file "{wanted}". Its GGUF files: {_listed(ggufs)}.',
        repo=repo,
        file=wanted,
    )


def _complete(repo: str, gguf: _Gguf) -> list[str]:
    _require_parts(repo, gguf.paths, gguf.num_parts)
    return list(gguf.paths)


def _require_parts(repo: str, paths: Sequence[str], num_parts: int) -> None:
    """Raise unless the paths, in order, are parts 1 to `num_parts`."""
    if num_parts == 1:
        return
    numbers = [int(part["number"]) for path in paths if (part := _PART.fullmatch(path))]
    for number in range(1, num_parts + 1):
        if numbers[number - 1 : number] != [number]:
            raise CheckpointError(
                f"{repo} lacks part {number} of {num_parts} of {_file_name(paths[0])}; choose "
                "another file.",
                repo=repo,
                part=number,
                num_parts=num_parts,
            )


def _choose_safetensors(repo: str, files: Mapping[str, int]) -> list[str]:
    """Return config.json and the files with it; an empty list if there is no such model."""
    if "config.json" not in files:
        return []
    if "model.safetensors" in files:
        others = CHECKPOINT_FILES - {"model.safetensors.index.json"}
        return [*sorted(others & files.keys()), "model.safetensors"]
    shards = []
    for path in sorted(files):
        part = _PART.fullmatch(path)
        if part is not None and part["base"] == "model" and not _is_gguf(path):
            shards.append((path, int(part["count"])))
    if not shards:
        return []
    paths = [path for path, _ in shards]
    _require_parts(repo, paths, shards[0][1])
    if "model.safetensors.index.json" not in files:
        raise CheckpointError(
            f"{repo} has shards without their model.safetensors.index.json; choose another "
            "repository.",
            repo=repo,
        )
    return [*sorted(CHECKPOINT_FILES & files.keys()), *paths]


def _listed(ggufs: Sequence[_Gguf]) -> str:
    paths = [gguf.path for gguf in ggufs]
    more = f" and {len(paths) - _MAX_LISTED} more" if len(paths) > _MAX_LISTED else ""
    return ", ".join(paths[:_MAX_LISTED]) + more if paths else "none"
