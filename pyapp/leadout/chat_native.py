"""Chat templates in CPython: in a child process, which is ended when one takes too long.

Never imported in a browser, where web/template/ does the same work. The child (chat_child.py) is
started by the first rendering and serves all later ones of this process.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading

from leadout.chat import Rendering
from leadout.errors import ChatTemplateError, RequestError

#: For a child to begin; a busy machine takes its time.
START_MS = 20_000

# The child finds what this process finds, and nothing that the environment says.
_CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from leadout.chat_child import main; main()"
)
_KEPT_ENVIRONMENT = ("SYSTEMROOT", "TZ", "LANG", "LC_ALL")

#: JSON writes a character in at most 12 bytes.
_BYTES_PER_CHAR = 12


class ChildTemplates:
    """Renders in a child process; implements `chat.TemplateRunner`. `close` ends the child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Do nothing: a child is there soon enough, and many ask no chat."""

    async def render(self, rendering: Rendering) -> str:
        """Return the template's text; see `chat.TemplateRunner`.

        Raises:
            RequestError: the messages hold what JSON cannot.
        """
        return await asyncio.to_thread(self._render, rendering)

    def close(self) -> None:
        """End the child, if there is one."""
        with self._lock:
            self._end()

    def _render(self, rendering: Rendering) -> str:
        try:
            request = json.dumps({"source": rendering.source, "names": rendering.names})
        except (TypeError, ValueError, RecursionError) as error:
            raise RequestError(f"messages must be plain data, as JSON has it: {error}") from error
        most_bytes = 1000 + _BYTES_PER_CHAR * rendering.max_chars
        with self._lock:
            if self._child is not None and self._child.poll() is not None:
                self._end()  # somebody else ended it
            child = self._child or self._started()
            line = self._ask(child, request.encode(), rendering.max_ms, most_bytes)
            try:
                answer = json.loads(line)
            except ValueError:
                status = self._end()
                raise ChatTemplateError(
                    f"the chat template: it took more than {rendering.max_ms / 1000:g} s or too "
                    "much memory, and was ended",
                    max_ms=rendering.max_ms,
                    status=status,
                ) from None
        if "error" in answer:
            raise ChatTemplateError(answer["error"], **answer["detail"])
        text = str(answer["text"])
        if len(text) > rendering.max_chars:
            raise ChatTemplateError(
                f"the chat template: a text of more than {rendering.max_chars:,} characters"
            )
        return text

    def _started(self) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            [sys.executable, "-I", "-c", _CODE, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={key: os.environ[key] for key in _KEPT_ENVIRONMENT if key in os.environ},
        )
        self._child = child
        if b"ready" not in self._ask(child, None, START_MS, 1000):
            status = self._end()
            raise ChatTemplateError(
                f"the process that runs chat templates did not start (status {status}); check "
                "that Jinja2 is installed",
                status=status,
            )
        return child

    @staticmethod
    def _ask(
        child: subprocess.Popen[bytes], request: bytes | None, max_ms: int, most_bytes: int
    ) -> bytes:
        """Return a line that the child writes, half a line where it was ended."""
        assert child.stdin is not None
        assert child.stdout is not None
        timer = threading.Timer(max_ms / 1000, child.kill)
        timer.start()
        try:
            if request is not None:
                child.stdin.write(request + b"\n")
                child.stdin.flush()
            return child.stdout.readline(most_bytes)
        except OSError:
            return b""
        finally:
            timer.cancel()

    def _end(self) -> int | None:
        """End the child; return its status."""
        child, self._child = self._child, None
        if child is None:
            return None
        child.kill()
        for pipe in (child.stdin, child.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # of what was not sent any more
                pipe.close()
        return child.wait()


#: The one child of this process.
TEMPLATES = ChildTemplates()
atexit.register(TEMPLATES.close)
