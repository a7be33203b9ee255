"""web/template/interpreter.js, called from Python through a Node process."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from leadout.chat import Rendering

_WEB = Path(__file__).resolve().parents[1] / "web"


def node_renderings(renderings: Sequence[Rendering], now: datetime) -> list[dict[str, Any]]:
    """Return {"text": …} or {"error": …} for every rendering."""
    request = {
        "module": str(_WEB / "template/interpreter.js"),
        "library": str(_WEB / "node_modules/@huggingface/jinja/dist/index.js"),
        "now": now.isoformat(),
        "renderings": [dataclasses.asdict(rendering) for rendering in renderings],
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
    answers: list[dict[str, Any]] = json.loads(process.stdout)
    return answers
