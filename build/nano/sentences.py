"""All sentence forms by the name of their group, and how one is chosen.

A group's forms say the same in other words; its name up to the first dot is the kind of the claim
that a reader gets. An asset comes before its value, a list before its count, and values before
what follows from them: the order in which a small model can copy first and conclude afterwards.
"""

from __future__ import annotations

from random import Random

from nano import answer_sentences, brief_sentences, refusal_sentences, value_sentences
from nano.forms import Claim, Form, Sentence

GROUPS: dict[str, tuple[Form, ...]] = dict(
    (
        *value_sentences.SENTENCES,
        *answer_sentences.SENTENCES,
        *brief_sentences.SENTENCES,
        *refusal_sentences.SENTENCES,
    )
)

_FORMS = tuple(form for group in GROUPS.values() for form in group)


def say(rng: Random, group: str, **args: object) -> Sentence:
    """Write a sentence of a group, in one of its forms."""
    choices = GROUPS[group]
    return choices[int(rng.random() * len(choices))].write(rng, args)


def read(text: str) -> tuple[Claim, ...]:
    """Return what a sentence claims: one claim, or none where no form fits.

    More than one is a fault of the forms, which a test looks for.
    """
    claims: list[Claim] = []
    for form in _FORMS:
        claim = form.read(text)
        if claim is not None and claim not in claims:
            claims.append(claim)
    return tuple(claims)
