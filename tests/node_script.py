"""A script of tests/ run in Node, which answers a request with JSON."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

WEB = Path(__file__).resolve().parents[1] / "web"


def ask_node(script: str, request: object = None) -> Any:
    """Give a script a request on stdin, and return what it prints.

    Args:
        script: a file of this folder.
        request: anything that JSON can say.
    """
    process = subprocess.run(
        ["node", str(Path(__file__).with_name(script))],
        input=json.dumps(request),
        stdout=subprocess.PIPE,
        encoding="utf-8",
        timeout=120,
        check=True,
    )
    return json.loads(process.stdout)
