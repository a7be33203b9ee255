"""The child process that chat templates run in under CPython; chat_native.py starts it.

A line of JSON comes in for every rendering, and one goes out. A template comes with a checkpoint
and is hostile: what this process may take is limited, it gets no environment, and its parent ends
it when an answer takes too long.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TextIO

#: Of address space, beyond what the process has when it begins to serve.
MAX_MEMORY_BYTES = 384 << 20


def limit_memory() -> None:
    """Have allocations fail beyond MAX_MEMORY_BYTES, where the system knows such a limit."""
    try:
        import resource
    except ImportError:
        return  # Windows: the bounds of chat_jinja.py and the parent's clock are left
    taken = 0
    with contextlib.suppress(OSError):
        taken = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    for kind, limit in (
        (resource.RLIMIT_AS, taken + MAX_MEMORY_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (limit, limit))


def serve(requests: TextIO, answers: TextIO) -> None:
    """Render what is asked for, until nobody asks."""
    from leadout.chat_jinja import JinjaTemplate
    from leadout.errors import ChatTemplateError

    limit_memory()
    answers.write('{"ready": true}\n')
    answers.flush()
    source, template = None, None
    for line in requests:
        request = json.loads(line)
        try:
            if template is None or request["source"] != source:
                source, template = request["source"], None
                template = JinjaTemplate(source)
            answer: dict[str, object] = {"text": template.render(request["names"])}
        except ChatTemplateError as error:
            answer = {"error": error.message, "detail": error.detail}
        except MemoryError:
            answer = {"error": "the chat template: it takes too much memory", "detail": {}}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main() -> None:
    """Serve the parent."""
    # What a template manages to print is no answer.
    answers, sys.stdout = sys.stdout, sys.stderr
    serve(sys.stdin, answers)
