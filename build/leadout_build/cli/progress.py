"""Progress bars for long work: drawn on a terminal, silent when piped."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self, TextIO

from leadout_build.store.sizes import format_bytes

#: Redraws per second. More would only cost time and flicker.
MAX_REDRAWS_PER_S = 10

#: Columns for "253.1 MB / 253.1 MB  100.0 MB/s  0:59 left".
FIGURES_COLUMNS = 44

#: A bar with fewer columns is not drawn, because the figures beside it say more.
MIN_BAR_COLUMNS = 5


class Progress:
    """A bar of bytes done, for one piece of work; use it as a context manager.

    Args:
        label: what is being done, a few words.
        total_bytes: the total, > 0.
        stream: where to draw; nothing is drawn unless it is a terminal. Default: stderr.
    """

    def __init__(self, label: str, total_bytes: int, stream: TextIO | None = None) -> None:
        self.label = label
        self.total_bytes = total_bytes
        self.done_bytes = 0
        self._stream = sys.stderr if stream is None else stream
        self._is_drawn = self._stream.isatty()
        self._started_at = time.monotonic()
        self._redraw_at = 0.0
        # A resumed download starts half-done. That part must not count for the speed.
        self._first_bytes: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._is_drawn:
            self._draw()
            self._stream.write("\n")
            self._stream.flush()

    def advance(self, count: int) -> None:
        """Add `count` bytes to those done."""
        self.update(self.done_bytes + count)

    def watch(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield `chunks`; each counts as done when the next one is asked for."""
        for chunk in chunks:
            yield chunk
            self.advance(len(chunk))

    def update(self, done_bytes: int) -> None:
        """Set how many bytes are done."""
        self.done_bytes = min(done_bytes, self.total_bytes)
        if self._first_bytes is None:
            self._first_bytes = self.done_bytes
        now = time.monotonic()
        if self._is_drawn and now >= self._redraw_at:
            self._redraw_at = now + 1 / MAX_REDRAWS_PER_S
            self._draw()

    def _draw(self) -> None:
        columns = shutil.get_terminal_size().columns
        self._stream.write("\r" + self.line(columns).ljust(columns - 1))
        self._stream.flush()

    def line(self, columns: int) -> str:
        """Return the bar's text, at most `columns` - 1 characters."""
        share = self.done_bytes / self.total_bytes
        elapsed_s = time.monotonic() - self._started_at
        speed = (self.done_bytes - (self._first_bytes or 0)) / max(elapsed_s, 1e-3)
        figures = f"{format_bytes(self.done_bytes)} / {format_bytes(self.total_bytes)}"
        if speed > 0:
            figures += f"  {format_bytes(speed)}/s"
            if share < 1:
                figures += f"  {_format_seconds((self.total_bytes - self.done_bytes) / speed)} left"
        # Reserve columns for the longest figures, so that the bar keeps its length.
        room = max(len(figures), FIGURES_COLUMNS)
        width = min(columns - len(self.label) - room - 12, 40)
        bar = ""
        if width >= MIN_BAR_COLUMNS:
            filled = int(share * width)
            bar = f"[{'#' * filled}{'.' * (width - filled)}] "
        return f"{self.label}  {bar}{share:4.0%}  {figures}"[: columns - 1]


def _format_seconds(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextmanager
def progress_of(label: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of (bytes done, total bytes) that draws a bar from its first call on."""
    with ExitStack() as stack:
        bars: list[Progress] = []

        def update(done_bytes: int, total_bytes: int) -> None:
            if not bars:
                bars.append(stack.enter_context(Progress(label, max(total_bytes, 1))))
            bars[0].update(done_bytes)

        yield update
