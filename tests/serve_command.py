"""`leadout serve` in a process of its own, as a person starts it."""

from __future__ import annotations

import re
import select
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

#: Until it says where it serves; most of it is for a busy machine.
PATIENCE_S = 60


@contextmanager
def served(
    command: Sequence[str], environment: Mapping[str, str], folder: Path | None = None
) -> Iterator[str]:
    """Run a command that serves, and give the address that its first line has.

    Args:
        command: with "--port", "0", so that it takes a free one.
        environment: its variables.
        folder: where it runs; None is this process's.
    """
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], PATIENCE_S)
        assert readable, "the server says nothing"
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert found, line
        yield found[0]
    finally:
        process.kill()
        process.communicate()
