"""What of a tokenizer.json may run: the parts that Gemma's tokenizers are made of, and no others.

The libraries that run a tokenizer.json know many kinds of parts. Some hold regular expressions,
which can go on for ever ("(a+)+$"), others make their library panic, and nothing can end them where
they run. Gemma's tokenizers need neither: they are byte-pair encoding over a text whose spaces were
replaced. So what is not known to be harmless is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from leadout.errors import TokenizerError
from leadout.shown import shown

#: Texts that parts search for or put in, and added tokens: each costs its length at every place.
MAX_TEXT_CHARS: Final = 256
#: Parts inside of parts, and items of a template.
MAX_PARTS: Final = 64

_Check = Callable[[Mapping[str, object], str], None]


def check_parts(parts: Mapping[str, object]) -> None:
    """Refuse a tokenizer with a part that is not known to be harmless.

    Args:
        parts: a tokenizer.json but for its lists: the model without `vocab` and `merges`, and
            `longest_added_token`, its characters, instead of `added_tokens`. As
            `TokenizerFile.parts` of web/tokenizer.js returns them.

    Raises:
        TokenizerError: naming the part.
    """
    longest = parts.get("longest_added_token")
    if not isinstance(longest, int) or longest > MAX_TEXT_CHARS:
        raise _refused(
            f"an added token has {longest} characters, at most {MAX_TEXT_CHARS} are allowed"
        )
    model = parts.get("model")
    if not isinstance(model, Mapping) or model.get("type", "BPE") != "BPE":
        kind = model.get("type") if isinstance(model, Mapping) else model
        raise _refused(f"its model is {shown(kind)}, Gemma's is 'BPE'")
    for key in ("continuing_subword_prefix", "end_of_word_suffix", "dropout"):
        if model.get(key):
            raise _refused(f"its model has a {key}, which Gemma's has not")
    for key, known in _KNOWN.items():
        if parts.get(key) is not None:
            _check_part(parts[key], key, known, [])


def _check_part(part: object, where: str, known: Mapping[str, _Check], seen: list[object]) -> None:
    seen.append(part)
    kind = part.get("type") if isinstance(part, Mapping) else None
    if len(seen) > MAX_PARTS:
        raise _refused(f"its {where} has more than {MAX_PARTS} parts")
    if kind == "Sequence":
        assert isinstance(part, Mapping)
        inner = _list(part.get("processors" if where == "post_processor" else f"{where}s"))
        for item in inner:
            _check_part(item, where, known, seen)
    elif isinstance(kind, str) and kind in known:
        assert isinstance(part, Mapping)
        known[kind](part, where)
    else:
        raise _refused(
            f"its {where} has a part {shown(kind)}, which Gemma's has not; known are "
            f"{', '.join(known)}"
        )


def _texts(*keys: str) -> _Check:
    """Return a check that these are short texts, where they are there."""

    def check(part: Mapping[str, object], where: str) -> None:
        for key in keys:
            _check_text(part.get(key, " "), f"{where}'s {key}")

    return check


def _check_pattern(part: Mapping[str, object], where: str) -> None:
    pattern = part.get("pattern")
    if not isinstance(pattern, Mapping) or set(pattern) != {"String"} or not pattern["String"]:
        raise _refused(
            f"its {where} looks for {shown(pattern)}; Gemma's look for plain texts, and a regular "
            "expression could go on for ever"
        )
    _check_text(pattern["String"], f"{where}'s pattern")
    _check_text(part.get("content", ""), f"{where}'s content")


def _check_template(part: Mapping[str, object], where: str) -> None:
    special = part.get("special_tokens")
    if not isinstance(special, Mapping) or len(special) > MAX_PARTS:
        raise _refused(f"its {where} has no special_tokens, or more than {MAX_PARTS}")
    for entry in special.values():
        if not isinstance(entry, Mapping) or len(_list(entry.get("ids"))) > MAX_PARTS:
            raise _refused(f"its {where} has a special token without ids, or with too many")
    for key in ("single", "pair"):
        items = _list(part.get(key))
        if len(items) > MAX_PARTS:
            raise _refused(f"its {where} has a template of more than {MAX_PARTS} items")
        for item in items:
            token = item.get("SpecialToken") if isinstance(item, Mapping) else None
            if token is None:
                continue
            name = token.get("id") if isinstance(token, Mapping) else None
            if not isinstance(name, str) or name not in special:
                raise _refused(f"its {where} puts in {shown(name)}, which it does not define")


def _check_text(value: object, what: str) -> None:
    if not isinstance(value, str) or len(value) > MAX_TEXT_CHARS:
        raise _refused(f"its {what} is not text of at most {MAX_TEXT_CHARS} characters")


def _nothing(part: Mapping[str, object], where: str) -> None:
    """Take it as it is."""


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _refused(problem: str) -> TokenizerError:
    return TokenizerError(
        f"the tokenizer.json is refused: {problem}; use the one that came with the model"
    )


def _same(check: _Check, kinds: Iterable[str]) -> dict[str, _Check]:
    return dict.fromkeys(kinds, check)


_KNOWN: Final[Mapping[str, Mapping[str, _Check]]] = {
    "normalizer": {"Replace": _check_pattern, "Prepend": _texts("prepend")},
    "pre_tokenizer": {"Split": _check_pattern, "Metaspace": _texts("replacement")},
    "post_processor": {"TemplateProcessing": _check_template},
    "decoder": {
        "Replace": _check_pattern,
        **_same(_nothing, ("ByteFallback", "Fuse")),
        "Strip": _texts("content"),
        "Metaspace": _texts("replacement"),
    },
}
