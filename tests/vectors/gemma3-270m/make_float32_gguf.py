"""Copy a GGUF with every tensor dequantised to float32.

    python make_float32_gguf.py MODEL.gguf OUT.gguf

llama.cpp rounds activations to int8 when it multiplies by quantised weights on the CPU, and
nothing when both are float32: with this copy it becomes an oracle for the same weights.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gguf
import numpy as np
from gguf.quants import dequantize


def main(source: Path, target: Path) -> None:
    """Write the copy."""
    reader = gguf.GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(target, architecture)
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        value = int(gguf.LlamaFileType.ALL_F32) if name == "general.file_type" else field.contents()
        sub_type = field.types[-1] if field.types[0] is gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, value, field.types[0], sub_type=sub_type)
    for tensor in reader.tensors:
        values = np.array(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        writer.add_tensor(tensor.name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
