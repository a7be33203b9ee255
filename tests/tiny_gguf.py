"""A GGUF file of some hundred kilobytes: a real header and vocabulary, an embedding of zeros."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from tiny_vocabulary import gguf_metadata


def write_tiny_gguf(path: Path) -> bytes:
    """Write the file and return its content."""
    writer = gguf.GGUFWriter(path, "gemma3")
    writer.add_context_length(256)
    writer.add_embedding_length(64)
    writer.add_block_count(2)
    writer.add_feed_forward_length(128)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_key_length(32)
    writer.add_value_length(32)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    writer.add_sliding_window(32)
    metadata = gguf_metadata()
    for key, value in metadata.items():
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        else:
            writer.add_array(key, value)
    tokens = metadata["tokenizer.ggml.tokens"]
    assert isinstance(tokens, list)
    # Rows beyond the vocabulary are padding, as real checkpoints have them.
    embedding = np.zeros((-(-len(tokens) // 32) * 32, 64), np.float32)
    writer.add_tensor("token_embd.weight", embedding)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()
