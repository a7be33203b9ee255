"""web/tokenizer.js, called from Python through a Node process."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_WEB = Path(__file__).resolve().parents[1] / "web"


def ask_node_tokenizer(tokenizer_json: Path, calls: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Load a tokenizer.json in web/tokenizer.js and make calls, [verb, argument …] each.

    Returns:
        {"answers": [{"value": …} or {"error": {"name", "message"}}, …]}, one for each call; or
        {"error": …} where loading failed.
    """
    request = {
        "module": str(_WEB / "tokenizer.js"),
        "library": str(_WEB / "node_modules/@huggingface/tokenizers/dist/tokenizers.mjs"),
        "tokenizer_json": str(tokenizer_json),
        "calls": calls,
    }
    process = subprocess.run(
        ["node", str(Path(__file__).with_suffix(".mjs"))],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=True,
    )
    reply: dict[str, Any] = json.loads(process.stdout)
    return reply


def node_values(tokenizer_json: Path, calls: Sequence[Sequence[Any]]) -> list[Any]:
    """Return what the calls return; all must succeed."""
    return [answer["value"] for answer in ask_node_tokenizer(tokenizer_json, calls)["answers"]]
