"""web/tokenizer.js, called from Python through a Node process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from node_script import WEB, ask_node


def ask_node_tokenizer(tokenizer_json: Path, calls: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Load a tokenizer.json in web/tokenizer.js and make calls, [verb, argument …] each.

    Returns:
        {"answers": [{"value": …} or {"error": {"name", "message"}}, …]}, one for each call; or
        {"error": …} where loading failed.
    """
    request = {
        "module": str(WEB / "tokenizer.js"),
        "library": str(WEB / "node_modules/@huggingface/tokenizers/dist/tokenizers.mjs"),
        "tokenizer_json": str(tokenizer_json),
        "calls": calls,
    }
    reply: dict[str, Any] = ask_node("node_tokenizer.mjs", request)
    return reply


def node_values(tokenizer_json: Path, calls: Sequence[Sequence[Any]]) -> list[Any]:
    """Return what the calls return; all must succeed."""
    return [answer["value"] for answer in ask_node_tokenizer(tokenizer_json, calls)["answers"]]
