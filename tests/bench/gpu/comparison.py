"""Draw static/comparison.svg: the same text without its drafter and with it, in slow motion.

    comparison.py comparison.json "an NVIDIA H200" >static/comparison.svg

What it shows was recorded by comparison.mjs: every piece of text comes when it came, only slower.
Where less motion is wanted, all of the text stands there from the beginning.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

SLOWER = 20

#: Seconds that the finished texts are shown.
REST_S = 3.0

COLUMNS, LINE_HEIGHT, CHAR_WIDTH = 50, 21, 7.8
PANEL_WIDTH, PANEL_GAP, MARGIN, TOP = 416, 28, 20, 96

STYLE = """
svg { font: 13px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.page { fill: #f6f8f7; } .text { fill: #1b2421; } .quiet { fill: #5a6662; }
.draft { fill: #bfe8d6; } .track { fill: #dfe5e2; } .bar { fill: #0d7a5f; }
.title { font: 600 15px system-ui, sans-serif; } .note { font: 13px system-ui, sans-serif; }
@media (prefers-color-scheme: dark) {
  .page { fill: #101312; } .text { fill: #e6edea; } .quiet { fill: #9aa8a3; }
  .draft { fill: #1d4a3c; } .track { fill: #26302c; } .bar { fill: #3fbf96; }
}
@media (prefers-reduced-motion: reduce) { .later { opacity: 1 !important; } }
"""


class Piece(NamedTuple):
    """Text on one line that came at once."""

    ms: float
    line: int
    column: int
    text: str
    is_draft: bool


def pieces(chunks: Sequence[tuple[float, str, bool]]) -> Iterator[Piece]:
    """Yield what came, cut where lines end."""
    whole = "".join(text for _, text, _ in chunks)
    lines = textwrap.wrap(whole, COLUMNS, break_on_hyphens=False)
    starts: list[int] = []
    at = 0
    for line in lines:
        at = whole.index(line, at)
        starts.append(at)
        at += len(line)
    at = 0
    for ms, text, is_draft in chunks:
        for number, start in enumerate(starts):
            end = start + len(lines[number])
            first, last = max(at, start), min(at + len(text), end)
            if first < last:
                yield Piece(ms, number, first - start, whole[first:last], is_draft)
        at += len(text)


def shown_from(ms: float, loop_s: float) -> str:
    """Return what hides an element until its time."""
    share = min(SLOWER * ms / 1000 / loop_s, 1.0)
    return (
        f'<animate attributeName="opacity" values="0;1;1" keyTimes="0;{share:.4f};1" '
        f'calcMode="discrete" dur="{loop_s:.2f}s" repeatCount="indefinite"/>'
    )


def panel(
    left: int, title: str, chunks: Sequence[tuple[float, str, bool]], whole_ms: float, loop_s: float
) -> Iterator[str]:
    """Yield one text, its bar and its time."""
    ended_ms = chunks[-1][0]
    yield f'<text class="title text" x="{left}" y="62">{escape(title)}</text>'
    width = PANEL_WIDTH * ended_ms / whole_ms
    yield f'<rect class="track" x="{left}" y="72" width="{PANEL_WIDTH}" height="6" rx="3"/>'
    share = SLOWER * ended_ms / 1000 / loop_s
    yield (
        f'<rect class="bar" x="{left}" y="72" width="{width:.1f}" height="6" rx="3">'
        f'<animate attributeName="width" values="0;{width:.1f};{width:.1f}" '
        f'keyTimes="0;{share:.4f};1" dur="{loop_s:.2f}s" repeatCount="indefinite"/></rect>'
    )
    yield (
        f'<text class="title text later" x="{left + PANEL_WIDTH}" y="62" text-anchor="end">'
        f"{ended_ms:.0f} ms{shown_from(ended_ms, loop_s)}</text>"
    )
    for one in pieces(chunks):
        x, y = left + one.column * CHAR_WIDTH, TOP + 18 + one.line * LINE_HEIGHT
        width = len(one.text) * CHAR_WIDTH
        yield f'<g class="later">{shown_from(one.ms, loop_s)}'
        if one.is_draft:
            yield (
                f'<rect class="draft" x="{x:.1f}" y="{y - 14}" width="{width:.1f}" height="19"/>'
            )
        yield (
            f'<text class="text" x="{x:.1f}" y="{y}" textLength="{width:.1f}" '
            f'xml:space="preserve">{escape(one.text)}</text></g>'
        )


def drawing(recorded: dict[str, list[tuple[float, str, bool]]], machine: str) -> str:
    """Return the whole picture."""
    plain, drafted = recorded["none"], recorded["auto"]
    texts = ["".join(text for _, text, _ in chunks) for chunks in (plain, drafted)]
    assert texts[0] == texts[1], "the texts differ"
    whole_ms = max(plain[-1][0], drafted[-1][0])
    loop_s = SLOWER * whole_ms / 1000 + REST_S
    num_lines = 1 + max(one.line for one in pieces(plain))
    height = TOP + num_lines * LINE_HEIGHT + 60
    width = 2 * (PANEL_WIDTH + MARGIN) + PANEL_GAP
    right = MARGIN + PANEL_WIDTH + PANEL_GAP
    ratio = plain[-1][0] / drafted[-1][0]
    what = f"Nano in Chromium on {machine}, {SLOWER} times slower than it was"
    end = f"The same text, token for token, {ratio:.1f} times as fast"
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    times = f"without drafting {plain[-1][0]:.0f} ms, with drafting {drafted[-1][0]:.0f} ms"
    shown = shown_from(whole_ms, loop_s)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title">',
        f'<title id="title">{escape(f"{what}: {times}. {end}.")}</title>',
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}" rx="8"/>',
        f'<text class="note quiet" x="{MARGIN}" y="30">{escape(what)}. Shaded: drafted.</text>',
        *panel(MARGIN, "Without drafting", plain, whole_ms, loop_s),
        *panel(right, "With drafting", drafted, whole_ms, loop_s),
        f'<text class="title text later" x="{right}" y="{height - 22}">{escape(end)}{shown}</text>',
        "</svg>",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(drawing(json.loads(Path(sys.argv[1]).read_text("utf-8")), sys.argv[2]))
