"""How much each token counts in training: what a table decides counts more than choice of words.

Most of what is left of the loss is which of several wordings comes next. Nothing more can be
learned of that, and its noise drowns what is to be learned: which asset, which figure, which side.
"""

from __future__ import annotations

import re

import torch
from tokenizers import Tokenizer
from torch import Tensor

from nano.words import WORDS

#: Of a token of wording, where one of a fact counts 1.
WORDING_WEIGHT = 0.25

#: Letters of tickers, digits, signs.
_FACT = re.compile(r"[A-Z0-9+-]")

#: Words that a table decides.
_WORDS = ("side", "Side", "where", "Where", "state", "band", "yes", "Yes")


def token_weights(tokenizer: Tokenizer) -> Tensor:
    """Return the weight of each token where it is the next one, [vocab_size]."""
    weights = torch.full((tokenizer.get_vocab_size(),), WORDING_WEIGHT)
    facts = [id_ for token, id_ in tokenizer.get_vocab().items() if _FACT.fullmatch(token)]
    words = [word for kind in _WORDS for texts in WORDS[kind].values() for word in texts]
    for text in (*words, *(f" {word}" for word in words)):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        facts += ids if len(ids) == 1 else []
    weights[facts] = 1.0
    return weights
