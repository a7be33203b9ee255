"""safetensors headers: one file, or shards with an index.

    header length u64 (little-endian)  header: a JSON object  the data that offsets count from

The header maps names to {"dtype", "shape", "data_offsets": [begin, end]}; "__metadata__" is free.
As in gguf.py no number is believed before it was compared with the file's length.

Source: the format's description, https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeGuard

from leadout.checkpoint.json_file import MAX_JSON_BYTES, parse_json_object, read_json_object
from leadout.checkpoint.source import Source, advice_on
from leadout.checkpoint.tensors import TensorInfo, check_extents
from leadout.errors import CheckpointError, TensorError, UnsupportedFormatError
from leadout.shown import shown

#: The most tensors that all shards together may have. The largest model that Leadout runs, with its
#: experts apart and quantised by MLX, would have some 40,000.
MAX_TENSORS = 50_000

#: More than any tensor has; it keeps the product of a shape a small number.
MAX_DIMS = 16

#: dtype -> bits of a value. Unreadable ones are here too, so that their sizes can be checked.
DTYPE_BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "F64": 64,
    "I64": 64,
    "U64": 64,
    "C64": 64,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
}


async def read_safetensors_header(source: Source, index: int = 0) -> list[TensorInfo]:
    """Parse the header of a safetensors file.

    Args:
        source: the file.
        index: what `TensorInfo.source` shall be.

    Returns:
        Its tensors in the header's order; `format` is the dtype, readable or not; one
        that nobody knows is quoted.

    Raises:
        UnsupportedFormatError: not safetensors, or a header larger than `MAX_JSON_BYTES`; the
            reference implementation accepts 100 MB, real ones have a few.
        CheckpointError: the header contradicts itself or the file's length.
        SourceError: reading failed.
    """
    size = await source.size()
    if size < 8:
        raise UnsupportedFormatError(
            f"{source.name} has {size:,} bytes, too few for a safetensors file; download it again",
            file=source.name,
        )
    first = await source.read(0, 8)
    header_bytes = int.from_bytes(first, "little")
    if header_bytes > min(size - 8, MAX_JSON_BYTES):
        usual = "it is cut short or not a safetensors file, download it again"
        raise UnsupportedFormatError(
            f"{source.name} declares a header of {header_bytes:,} bytes, but has {size:,} bytes "
            f"in all and at most {MAX_JSON_BYTES:,} are read; {advice_on(first, usual)}",
            file=source.name,
            header_bytes=header_bytes,
            file_bytes=size,
        )
    header = parse_json_object(await source.read(8, header_bytes), source.name)
    header.pop("__metadata__", None)
    tensors = [
        _tensor(source.name, name, entry, 8 + header_bytes, index, size)
        for name, entry in header.items()
    ]
    check_extents(source.name, size, tensors)
    return tensors


async def read_sharded_headers(
    index_file: Source, files: Mapping[str, Source]
) -> tuple[list[Source], list[TensorInfo]]:
    """Parse the headers of all shards that an index names.

    Args:
        index_file: model.safetensors.index.json.
        files: by name, the shards among them.

    Returns:
        The shards in the order of their names, and all their tensors.

    Raises:
        CheckpointError: the index is malformed or a shard was not given.
        TensorError: a tensor is in two shards, or not in the one that the index says.
        SourceError: reading failed.
    """
    weight_map = (await read_json_object(index_file)).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(
            f"{index_file.name} has no weight_map of tensor names to files; download it again",
            file=index_file.name,
        )
    for tensor, shard in weight_map.items():
        if not isinstance(shard, str) or shard not in files:
            raise CheckpointError(
                f"{index_file.name} says that tensor {shown(tensor)} is in {shown(shard)}, which "
                f"is not among the {len(files):,} files given; add the missing shard",
                file=index_file.name,
                tensor=tensor,
                shard=shard,
            )
    names = sorted(set(weight_map.values()))
    shard_of: dict[str, str] = {}
    tensors: list[TensorInfo] = []
    for index, shard in enumerate(names):
        for info in await read_safetensors_header(files[shard], index):
            if info.name in shard_of:
                raise TensorError(
                    f"tensor {shown(info.name)} is in two shards, {shard_of[info.name]} and "
                    f"{shard}; take all shards from one download",
                    tensor=info.name,
                    shards=[shard_of[info.name], shard],
                )
            shard_of[info.name] = shard
            tensors.append(info)
        if len(tensors) > MAX_TENSORS:
            raise CheckpointError(
                f"{index_file.name}: its shards hold more than {MAX_TENSORS:,} tensors; check that "
                "they are of the right model",
                file=index_file.name,
                limit=MAX_TENSORS,
            )
    for tensor, shard in weight_map.items():
        if shard_of.get(tensor) != shard:
            raise TensorError(
                f"{index_file.name} says that tensor {shown(tensor)} is in {shard}, but it is in "
                f"{shard_of.get(tensor, 'none of the shards')}; take all shards from one download",
                tensor=tensor,
                shard=shard,
            )
    return [files[name] for name in names], tensors


def _tensor(
    file: str, name: str, entry: object, data_start: int, index: int, size: int
) -> TensorInfo:
    def damaged(problem: str) -> CheckpointError:
        return CheckpointError(
            f"{file}: tensor {shown(name)} {problem}; the file is damaged or cut short, get it "
            "again",
            file=file,
            tensor=name,
        )

    if not isinstance(entry, dict):
        raise damaged(f"has an entry that is a {type(entry).__name__}, not an object")
    dtype, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str):
        raise damaged("has no dtype")
    if not _are_counts(shape) or len(shape) > MAX_DIMS:
        raise damaged(f"has no shape of at most {MAX_DIMS} whole numbers")
    if not _are_counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise damaged("has no data_offsets [begin, end] with begin at most end")
    begin, end = offsets
    if data_start + end > size:
        raise damaged(f"ends at byte {data_start + end:,}, past the file's {size:,}")
    bits = DTYPE_BITS.get(dtype)
    if bits is not None and math.prod(shape) * bits != 8 * (end - begin):
        raise damaged(
            f"of shape {shape} takes {math.prod(shape) * bits // 8:,} bytes as {dtype}, but its "
            f"data_offsets hold {end - begin:,}"
        )
    # Quoted, a dtype that nobody knows is no name of a format, whatever it says.
    kind = dtype if bits is not None else shown(dtype)
    return TensorInfo(name, tuple(shape), kind, index, data_start + begin, end - begin)


def _are_counts(value: object) -> TypeGuard[list[int]]:
    """Return whether a JSON value is a list of whole numbers that fit in 64 bits."""
    return isinstance(value, list) and all(
        type(item) is int and 0 <= item < 1 << 64 for item in value
    )
