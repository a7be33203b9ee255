"""Splitting a GGUF as gguf-py does."""

from __future__ import annotations

from pathlib import Path

import gguf


def split_gguf(path: Path, out: Path, tensors_per_part: int) -> list[Path]:
    """Write a GGUF again, as parts in the folder `out`, and return them in order."""
    reader = gguf.GGUFReader(path)
    fields = {name: field for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    architecture = fields.pop("general.architecture").contents()
    writer = gguf.GGUFWriter(
        out / path.name, architecture, split_max_tensors=tensors_per_part, use_temp_file=False
    )
    for name, field in fields.items():
        is_array = field.types[0] == gguf.GGUFValueType.ARRAY
        kind = field.types[-1] if is_array else None
        writer.add_key_value(name, field.contents(), field.types[0], kind)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return sorted(out.glob(f"{path.stem}-*-of-*.gguf"))
