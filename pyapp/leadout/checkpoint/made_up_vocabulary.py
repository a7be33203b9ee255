"""A vocabulary for shapes without files, so that answers of made-up weights can keep to a grammar.

It is built like Gemma's: control tokens, the 256 byte tokens, what JSON is made of, single
characters, and words with and without a space before them. Nothing is merged: text is encoded
character by character.
"""

from __future__ import annotations

import json

from leadout.tokenizer import BYTE_TOKENS

#: The first ids, as in Gemma 4.
_CONTROL = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")

#: The id that ends a turn, and its token.
_END_OF_TURN = (106, "<turn|>")

_FIRST_BYTE = 238

_JSON = ('{"', '"}', '":', '",', '", "', '": "', '": ', "[{", "}]", '["', '"]', "},", "],", "▁{")

_CONSONANTS = "bcdfghjklmnprstvwz"
_VOWELS = "aeiou"


def made_up_tokenizer_json(vocab_size: int) -> str:
    """Return the text of a tokenizer.json with so many tokens.

    Args:
        vocab_size: from 1,024 on.
    """
    tokens = [*_CONTROL, *(f"<unused{i}>" for i in range(len(_CONTROL), _FIRST_BYTE))]
    tokens[_END_OF_TURN[0]] = _END_OF_TURN[1]
    control = list(tokens)
    tokens += [*BYTE_TOKENS, "▁", "\n", *map(chr, range(0x21, 0x7F)), *_JSON]
    known = set(tokens)
    number = 0
    while len(tokens) < vocab_size:
        word, rest = "", number // 2
        while True:
            rest, syllable = divmod(rest, len(_CONSONANTS) * len(_VOWELS))
            consonant, vowel = divmod(syllable, len(_VOWELS))
            word += _CONSONANTS[consonant] + _VOWELS[vowel]
            if rest == 0:
                break
        piece = f"▁{word}" if number % 2 else word
        number += 1
        if piece not in known:
            known.add(piece)
            tokens.append(piece)
    return json.dumps(
        {
            "version": "1.0",
            "added_tokens": [
                {
                    "id": id_,
                    "content": token,
                    "special": True,
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                }
                for id_, token in enumerate(control)
            ],
            "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            "pre_tokenizer": None,
            "post_processor": None,
            "decoder": {
                "type": "Sequence",
                "decoders": [
                    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                    {"type": "ByteFallback"},
                    {"type": "Fuse"},
                ],
            },
            "model": {
                "type": "BPE",
                "unk_token": "<unk>",
                "byte_fallback": True,
                "fuse_unk": True,
                "vocab": {token: id_ for id_, token in enumerate(tokens)},
                "merges": [],
            },
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )
