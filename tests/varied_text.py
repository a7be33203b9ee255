"""Seeded strings of every kind a tokenizer may meet."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

_VOCABULARY = """
    the of and to in is that for it with as was on be at by this had not are but from or have an
    they which one you were her all she there would their we him been has when who will more no
    if out so said what up its about into than them can only other new some could time these two
    internationalization Donaudampfschifffahrtsgesellschaft antidisestablishmentarianism naïve
    façade København Łódź Ærøskøbing don't they've I'm O'Neill e-mail U.S.A. GPT-4 3D x86_64
"""
_WORDS = _VOCABULARY.split()
_CODE = (
    "def f(x: int) -> int:\n    return x ** 2\n",
    "for (let i = 0; i < n; ++i) {\n\tconsole.log(`${i}\\n`);\n}",
    '#include <stdio.h>\nint main(void) {\n\tprintf("%d\\n", 42);\n\treturn 0;\n}\n',
    "SELECT * FROM t WHERE a = 'x' AND b <> 1;",
    '{"key": [1, 2.5e-3, null, true], "nested": {"a": "\\u00e9"}}',
    "if __name__ == '__main__':\r\n\tsys.exit(main())\r\n",
    "\\begin{equation} \\frac{a}{b} \\end{equation}",
    "https://example.org/a/b?c=d&e=%20f#g",
)
_TAGS = (
    *("<table>", "</table>", "<tr>", "<td>", "<h1>", "</h6>", "<strong>", "<em>", "<b>", "<i>"),
    *("<code>", "</code>", "<sub>", "<a>", "<a href='x'>", "<html>", "<body>", "<img>", "<br/>"),
    *("<ul>", "<li>", "<div>", "<blockquote>", "<bbox>", "</span>", "<iframe>", "<footer>"),
)
_SPECIAL = (
    *("<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>", "<pad>", "<unk>", "<mask>"),
    *("<unused7>", "<unused98>", "<unused6241>", "<unused>", "[multimodal]", "<start_of_image>"),
    *("<end_of_image>", "<start_of_turn", "start_of_turn>", "<<bos>>", "< bos>", "<BOS>"),
    *("<0x41>", "<0x0A>", "<0xFF>", "<0xE2><0x96><0x81>", "<0x4", "<0xZZ>", "0x41"),
)
_EMOJI = (
    *(
        "😀",
        "🎉",
        "👍🏽",
        "👩‍👩‍👧‍👦",
        "🏳️‍🌈",
        "🇩🇪",
        "❤️",
        "1️⃣",
        "🧑🏿‍🚀",
        "🫠",
        "🪿",
        "👁️‍🗨️",
        "\U0001faea",
    ),
)
_RANGES = {
    "cjk": ((0x4E00, 0x9FFF), (0x3040, 0x30FF), (0xAC00, 0xD7A3), (0x3000, 0x303F)),
    "rare cjk": ((0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x30000, 0x3134A)),
    "arabic": ((0x0621, 0x064A), (0x064B, 0x0652), (0x0660, 0x0669), (0xFE70, 0xFEFC)),
    "hindi": ((0x0900, 0x097F),),
    "cyrillic greek hebrew": ((0x0400, 0x04FF), (0x0370, 0x03FF), (0x0591, 0x05F4)),
    "thai tamil georgian": ((0x0E01, 0x0E5B), (0x0B82, 0x0BFA), (0x10A0, 0x10FF)),
    "combining": ((0x0061, 0x007A), (0x0300, 0x036F), (0x1AB0, 0x1AFF)),
    "odd": (
        *((0x00, 0x1F), (0x7F, 0xA0), (0x2000, 0x206F), (0xE000, 0xE010), (0xFDD0, 0xFDEF)),
        *((0xFE00, 0xFE0F), (0xFFF9, 0xFFFF), (0x1D400, 0x1D7FF), (0xE0000, 0xE007F)),
        *((0x10FFF0, 0x10FFFF), (0x2581, 0x2581), (0xFEFF, 0xFEFF), (0x12000, 0x12399)),
    ),
}


def _from_ranges(rng: random.Random, ranges: Sequence[tuple[int, int]]) -> str:
    text = "".join(chr(rng.randint(*rng.choice(ranges))) for _ in range(rng.randint(1, 30)))
    if rng.random() < 0.5:
        text = " ".join(text[at : at + 5] for at in range(0, len(text), 5))
    return text


def _prose(rng: random.Random) -> str:
    words = [rng.choice(_WORDS) for _ in range(rng.randint(1, 25))]
    words = [rng.choice((word, word, word.title(), word.upper())) for word in words]
    text = "".join(
        word + rng.choice((" ", " ", " ", " ", ", ", ". ", "; ", "\n")) for word in words
    )
    return text if rng.random() < 0.3 else text.strip()


def _code(rng: random.Random) -> str:
    indent = rng.choice(("", "  ", "    ", "\t", "\t\t"))
    lines = "\n".join(rng.choice(_CODE) for _ in range(rng.randint(1, 3))).split("\n")
    return "\n".join(indent + line for line in lines)


def _numbers(rng: random.Random) -> str:
    return rng.choice((" ", "", ",", "\n", " + ")).join(
        rng.choice(
            (
                str(rng.randint(-(10**9), 10**9)),
                f"{rng.uniform(-1e6, 1e6):.3f}",
                f"{rng.randint(1, 10**7):,}",
                f"{rng.random():e}",
                f"0x{rng.randint(0, 2**32):X}",
                f"{rng.randint(1, 28)}.{rng.randint(1, 12)}.{rng.randint(1900, 2100)}",
                "½⅔²₃Ⅷ",
            )
        )
        for _ in range(rng.randint(1, 6))
    )


def _white_space(rng: random.Random) -> str:
    runs = (" ", "\n", "\t", "\r\n", "\u00a0", "\u3000", "▁", "\u2028", "\v")
    return "".join(
        rng.choice(runs) * rng.choice((1, 2, 3, 5, 16, 31, 32, 33, 70))
        + rng.choice(("", "", "a", "x=1", "."))
        for _ in range(rng.randint(1, 5))
    )


def _tags(rng: random.Random) -> str:
    return "".join(
        rng.choice(_TAGS) + rng.choice(("", " ", "text", "\n", " two words "))
        for _ in range(rng.randint(1, 8))
    )


def _special(rng: random.Random) -> str:
    return "".join(
        rng.choice(("", " ", "user\n", "word", "  ", "\n")) + rng.choice(_SPECIAL)
        for _ in range(rng.randint(1, 6))
    )


def _emoji(rng: random.Random) -> str:
    return "".join(
        rng.choice(_EMOJI) + rng.choice(("", "", " ", "!")) for _ in range(rng.randint(1, 9))
    )


def _long_word(rng: random.Random) -> str:
    unit = rng.choice(("a", "ab", "xyz", "ſ", "0", "=", "-", "é", "漢", "ha", "ACGT", "_"))
    length = rng.choice((50, 300, 1500))
    if rng.random() < 0.5:
        return unit * (length // len(unit))
    return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(length))


def _mixed(rng: random.Random) -> str:
    return "".join(rng.choice(_KINDS)(rng)[:40] for _ in range(rng.randint(2, 5)))


def _of_range(name: str) -> Callable[[random.Random], str]:
    return lambda rng: _from_ranges(rng, _RANGES[name])


_KINDS: tuple[Callable[[random.Random], str], ...] = (
    *(_prose, _code, _numbers, _white_space, _tags, _special, _emoji, _long_word),
    *(_of_range(name) for name in _RANGES),
)

_EDGES = (
    *("", " ", "  ", "\n", "\t", "▁", "▁▁", " a", "a ", " a ", "  a  ", "\x00", "\ufeff", "\ufffd"),
    *("<bos>", "<bos><bos>", " <bos> ", "<0x41>", "a<0x41>b", "\r", "\r\n", "e\u0301", "\u0301"),
)


def varied_texts(count: int, seed: int = 20240229) -> list[str]:
    """Return `count` strings, the same ones for the same seed; the first are the edge cases."""
    rng = random.Random(seed)
    texts = list(_EDGES)
    while len(texts) < count:
        kind = _mixed if rng.random() < 0.25 else _KINDS[len(texts) % len(_KINDS)]
        texts.append(kind(rng))
    return texts[:count]
