"""A GGUF vocabulary of a few hundred pieces, shaped like Gemma's, for fast tests.

It has every kind of piece: control, reserve, user-defined (runs of spaces, tags), byte and
learned ones, and pieces with several splits, so that the order of merges matters.
"""

from __future__ import annotations

from collections.abc import Sequence

PAD, EOS, BOS, UNK = 0, 1, 2, 3

CONTROL = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<unused0>", "<start_of_turn>"]
CONTROL += ["<end_of_turn>"]
# As llama.cpp's converters write them: with plain spaces, and image marks as user-defined.
USER_DEFINED = ["\n\n", "\n\n\n", "  ", "   ", "    ", "<table>", "</table>", "<start_of_image>"]
# From the best score to the worst. "▁" stands for a space.
LEARNED = [
    *("▁t", "he", "in", "er", "▁a", "▁the", "on", "▁s", "re", "an", "the", "at", "▁th", "th"),
    *("hat", "that", "▁that", "ing", "ng", "▁w", "en", "and", "nd", "▁and", "or", "▁c", "ca"),
    *("▁ca", "cap", "▁cap", "ital", "it", "al", "ta", "tal", "capital", "▁capital", "France"),
    *("Fr", "ance", "nce", "ce", "▁France", "anc", "▁F", "▁is", "is", "▁of", "of", "aa", "aaa"),
    *(
        "aaaa",
        "é",
        "日",
        "本",
        "日本",
        "語",
        "日本語",
        "ا",
        "ل",
        "ال",
        "😀",
        "👍",
        "🏽",
        "👍🏽",
        "…",
    ),
    *("▁", "\n", "\t", "\ufffd", "\u0301"),
    *"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
    *"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
]


def gguf_metadata(**changes: object) -> dict[str, object]:
    """Return metadata as a GGUF has it; `changes` are keys without their "tokenizer.ggml."."""
    byte_pieces = [f"<0x{byte:02X}>" for byte in range(256)]
    metadata: dict[str, object] = {
        "model": "llama",
        "tokens": [*CONTROL, *USER_DEFINED, *byte_pieces, *LEARNED],
        "token_type": [3] * len(CONTROL)
        + [4] * len(USER_DEFINED)
        + [6] * len(byte_pieces)
        + [1] * len(LEARNED),
        "scores": [-1000.0] * (len(CONTROL) + len(USER_DEFINED))
        + [0.0] * len(byte_pieces)
        + [-float(rank) for rank in range(len(LEARNED))],
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "unknown_token_id": UNK,
        "padding_token_id": PAD,
        "add_bos_token": True,
        "add_eos_token": False,
        "add_space_prefix": False,
    }
    metadata.update(changes)
    return {f"tokenizer.ggml.{key}": value for key, value in metadata.items() if value is not None}


def with_marks(marks: Sequence[str], token_type: int = 3) -> dict[str, object]:
    """Return metadata with further tokens at the end, such as Gemma 4's "<|channel>".

    Args:
        marks: the tokens.
        token_type: of llama.cpp; 3 is a control token, 4 a user-defined one.
    """
    metadata = gguf_metadata()
    more = {
        "tokens": list(marks),
        "token_type": [token_type] * len(marks),
        "scores": [0.0] * len(marks),
    }
    for key, values in more.items():
        known = metadata[f"tokenizer.ggml.{key}"]
        assert isinstance(known, list)
        metadata[f"tokenizer.ggml.{key}"] = [*known, *values]
    return metadata
