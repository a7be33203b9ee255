"""The synthetic language that train_tiny_pair.py teaches: phrases, some of them predictable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BOS = 2


@dataclass(frozen=True)
class Language:
    """Phrases with slots, one after another.

    A phrase is an opener of its own, then literals, slots (SLOT) and copies (COPY) of the last
    slot's value. Inside a phrase the next token follows from the last two and from the slot; which
    phrase comes next, and what a slot holds, is drawn from a few candidates that depend on the two
    phrases before.
    """

    phrases: list[list[int]]
    next_phrases: np.ndarray  # [phrases, phrases, 4]
    slot_values: np.ndarray  # [phrases, phrases, 4]

    SLOT = -1
    COPY = -2
    CHANCES = (0.55, 0.25, 0.13, 0.07)

    def sample(self, rng: np.random.Generator, length: int) -> list[int]:
        """Return a sequence that starts with BOS."""
        ids = [BOS]
        before, current = rng.integers(0, len(self.phrases), 2)
        while len(ids) < length:
            following = self.next_phrases[before, current, rng.choice(4, p=self.CHANCES)]
            before, current = current, following
            value = 0
            for item in self.phrases[current]:
                if item == self.SLOT:
                    value = int(self.slot_values[before, current, rng.choice(4, p=self.CHANCES)])
                ids.append(value if item in (self.SLOT, self.COPY) else item)
        return ids[:length]


def make_language(seed: int) -> Language:
    """Return a language of 20 phrases of 4 to 18 tokens over 300 ids."""
    rng = np.random.default_rng(seed)
    openers = range(300, 320)
    values = np.arange(330, 362)
    phrases = []
    for opener in openers:
        phrase = [opener, *rng.integers(40, 290, rng.integers(3, 18)).tolist()]
        if len(phrase) > 7 and rng.random() < 0.6:
            slot = int(rng.integers(2, 4))
            phrase[slot] = Language.SLOT
            phrase[slot + int(rng.integers(2, len(phrase) - slot))] = Language.COPY
        phrases.append(phrase)
    num = len(phrases)
    return Language(phrases, rng.integers(0, num, (num, num, 4)), rng.choice(values, (num, num, 4)))
