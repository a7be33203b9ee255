"""Split GGUFs: one model in several files, as llama-gguf-split and `gguf` write them.

    NAME-00001-of-00003.gguf   all metadata, and the first tensors (or none)
    NAME-00002-of-00003.gguf   split.no, split.count, split.tensors.count, and further tensors
    …

`split.no` counts from 0. Every file is a GGUF of its own, whose offsets count in itself.

Source: llama.cpp's tools/gguf-split and gguf-py's GGUFWriter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leadout.checkpoint.gguf import GgufHeader, Value, read_gguf_header
from leadout.checkpoint.source import Source
from leadout.errors import CheckpointError, TensorError
from leadout.shown import shown

_PART = re.compile(r"(?P<base>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)


@dataclass(frozen=True)
class GgufFiles:
    """The files of one GGUF, by their names.

    Attributes:
        name: of the whole: that of a split without its number.
        names: the files that are there, in order.
        missing: those that are not.
    """

    name: str
    names: tuple[str, ...]
    missing: tuple[str, ...] = ()


def group_ggufs(names: Sequence[str]) -> list[GgufFiles]:
    """Return the GGUFs among file names, by name; the parts of a split are one."""
    whole = []
    splits: dict[tuple[str, int], dict[int, str]] = {}
    for name in sorted(names):
        if not name.lower().endswith(".gguf"):
            continue
        part = _PART.fullmatch(name)
        count = int(part["count"]) if part else 1
        if part is None or not 1 <= int(part["number"]) <= count or count == 1:
            whole.append(GgufFiles(name, (name,)))
        else:
            splits.setdefault((part["base"], count), {})[int(part["number"])] = name
    for (base, count), found in splits.items():
        # No more than a message can show: a name may claim 99,999 parts.
        absent = [number for number in range(1, count + 1) if number not in found]
        missing = tuple(f"{base}-{number:05}-of-{count:05}.gguf" for number in absent[:16])
        whole.append(GgufFiles(f"{base}.gguf", tuple(found[n] for n in sorted(found)), missing))
    return sorted(whole, key=lambda group: group.names)


async def read_gguf_files(
    group: GgufFiles, files: Mapping[str, Source]
) -> tuple[list[Source], GgufHeader]:
    """Parse the headers of a GGUF's files as those of one.

    Args:
        group: which files.
        files: by name, these among them.

    Returns:
        The files in order, and the first's metadata with the tensors of all.

    Raises:
        CheckpointError: a part is missing, or is not of this model.
        TensorError: a tensor is in two parts.
        UnsupportedFormatError, SourceError: see `read_gguf_header`.
    """
    if group.missing:
        more = f" and {len(group.missing) - 1} more" if len(group.missing) > 1 else ""
        raise CheckpointError(
            f"{group.name} is split, and {group.missing[0]}{more} is not among the files given; "
            "give all of its parts",
            file=group.name,
            missing=list(group.missing),
        )
    sources = [files[name] for name in group.names]
    headers = [await read_gguf_header(source, index) for index, source in enumerate(sources)]
    first = headers[0]
    if len(headers) == 1 and first.metadata.get("split.count", 1) in (0, 1):
        return sources, first
    total = first.metadata.get("split.tensors.count")
    part_of: dict[str, str] = {}
    for number, (name, header) in enumerate(zip(group.names, headers, strict=True)):
        _check_part(name, number, len(headers), total, header.metadata)
        for tensor in header.tensors:
            if tensor.name in part_of:
                raise TensorError(
                    f"tensor {shown(tensor.name)} is in two parts, {part_of[tensor.name]} and "
                    f"{name}; take all parts from one download",
                    tensor=tensor.name,
                    parts=[part_of[tensor.name], name],
                )
            part_of[tensor.name] = name
    if total is not None and total != len(part_of):
        raise CheckpointError(
            f"{group.name}: its parts hold {len(part_of):,} tensors, and {shown(total)} are "
            "declared; take all parts from one download",
            file=group.name,
            found=len(part_of),
        )
    tensors = [tensor for header in headers for tensor in header.tensors]
    return sources, GgufHeader(first.version, first.metadata, tensors)


def _check_part(
    name: str, number: int, count: int, total: Value | None, metadata: Mapping[str, Value]
) -> None:
    """Refuse a file that says it is another part, or a part of another model."""
    said_count, said_number = metadata.get("split.count"), metadata.get("split.no")
    if said_count == count and said_number == number:
        said_total = metadata.get("split.tensors.count")
        if said_total == total:
            return
        found = f"counts {shown(said_total)} tensors in all, and the first part {shown(total)}"
    elif isinstance(said_count, int) and isinstance(said_number, int):
        found = f"says that it is part {said_number + 1:,} of {said_count:,}"
    else:
        found = "does not say which part of a split it is"
    wanted = f"part {number + 1} of {count}" if count > 1 else "a whole file"
    raise CheckpointError(
        f"{name} {found}; wanted {wanted} of one model: give all of its parts, under the names "
        "that they were published by",
        file=name,
        part=number + 1,
        num_parts=count,
    )
