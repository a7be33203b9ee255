"""web/template/interpreter.js, called from Python through a Node process."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from leadout.chat import Rendering
from node_script import WEB, ask_node


def node_renderings(renderings: Sequence[Rendering], now: datetime) -> list[dict[str, Any]]:
    """Return {"text": …} or {"error": …} for every rendering."""
    request = {
        "module": str(WEB / "template/interpreter.js"),
        "library": str(WEB / "node_modules/@huggingface/jinja/dist/index.js"),
        "now": now.isoformat(),
        "renderings": [dataclasses.asdict(rendering) for rendering in renderings],
    }
    answers: list[dict[str, Any]] = ask_node("node_template.mjs", request)
    return answers
