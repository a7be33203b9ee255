"""A checkpoint's tokenizer: the one that lies beside it, or one made from its vocabulary."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from leadout.checkpoint import Checkpoint
from leadout.checkpoint.json_file import MAX_TOKENIZER_VALUES, check_num_values, read_text
from leadout.tokenizer import Tokenizer, tokenizer_json_from_gguf

#: Makes a tokenizer from a tokenizer.json.
TokenizerFactory = Callable[[str], Awaitable[Tokenizer]]


async def load_tokenizer(checkpoint: Checkpoint, make: TokenizerFactory) -> Tokenizer | None:
    """Return the checkpoint's tokenizer, or None if it has none (ids only).

    A GGUF without a tokenizer.json gets one made from its vocabulary.

    Raises:
        CheckpointError: the file is far larger than any real one.
        TokenizerError: it cannot be used.
    """
    if checkpoint.tokenizer_json is not None:
        text = await read_text(checkpoint.tokenizer_json)
        check_num_values(text, checkpoint.tokenizer_json.name, MAX_TOKENIZER_VALUES)
        return await make(text)
    if "tokenizer.ggml.tokens" in checkpoint.metadata:
        return await make(
            json.dumps(
                tokenizer_json_from_gguf(checkpoint.metadata),
                ensure_ascii=False,
                separators=(",", ":"),
            )
        )
    return None
