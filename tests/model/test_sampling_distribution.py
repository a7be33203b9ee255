"""Sampled tokens follow the target's distribution, with drafts as without: a chi-square test."""

import numpy as np
import pytest

from engine_cases import decoded, generated, load
from leadout.devices.numpy import NumpyDevice
from speculation_cases import pair_files
from thoroughness import IS_THOROUGH

#: Seeds, each a sample.
NUM_SAMPLES = 4000 if IS_THOROUGH else 300

#: A right sampler passes this bound with a probability of 99.99 %.
LARGEST_Z = 3.72

PROMPT = [2]


def z_of_chi_square(counts: np.ndarray, probs: np.ndarray) -> float:
    """Return how far counts lie from what probabilities say, as a standard normal deviate.

    Ids with fewer than five expected samples are taken together.
    Source: Wilson and Hilferty, The distribution of chi-square (1931).
    """
    total = counts.sum()
    order = np.argsort(-probs)
    is_common = probs[order] * total >= 5
    observed = [*counts[order][is_common], counts[order][~is_common].sum()]
    expected = [*(probs[order][is_common] * total), probs[order][~is_common].sum() * total]
    if expected[-1] < 5:
        observed[-2:] = [sum(observed[-2:])]
        expected[-2:] = [sum(expected[-2:])]
    observed, expected = np.array(observed), np.array(expected)
    degrees = len(observed) - 1
    assert degrees >= 2, "too few ids to tell"
    chi_square = ((observed - expected) ** 2 / expected).sum()
    spread = 2 / (9 * degrees)
    return float(((chi_square / degrees) ** (1 / 3) - (1 - spread)) / np.sqrt(spread))


def filtered_probs(logits: np.ndarray, temperature: float, top_k: int) -> np.ndarray:
    """Return the distribution that the settings ask for."""
    scaled = logits.astype(np.float64) / temperature
    if top_k:
        scaled[scaled < np.sort(scaled)[-top_k]] = -np.inf
    probs = np.exp(scaled - scaled.max())
    return probs / probs.sum()


@pytest.mark.parametrize(
    ("temperature", "top_k", "draft_tokens"), [(1.0, 0, 0), (1.0, 0, 1), (1.6, 12, 1)]
)
async def test_the_tokens_of_many_seeds_follow_the_softmax(
    temperature, top_k, draft_tokens
) -> None:
    """The first token, and the second, which may be a draft, behind whatever the first was."""
    target, assistant = pair_files("trained-e2b")
    engine = await load(NumpyDevice(), target, assistant, max_draft_tokens=1)
    vocab_size = engine.decoder.tables.vocab_size
    settings = {"temperature": temperature, "top_k": top_k, "draft_tokens": draft_tokens}
    first, second = np.zeros(vocab_size), np.zeros(vocab_size)
    for seed in range(NUM_SAMPLES):
        # A third token, so that the second one is drafted.
        ids = await generated(engine, PROMPT, max_tokens=3, seed=seed, **settings)
        first[ids[0]] += 1
        second[ids[1]] += 1
    _, logits = await decoded(engine, PROMPT, 1)
    probs = filtered_probs(logits[0], temperature, top_k)
    assert z_of_chi_square(first, probs) < LARGEST_Z
    behind = np.zeros(vocab_size)
    for token in np.flatnonzero(first).tolist():
        _, logits = await decoded(engine, [*PROMPT, token], 1)
        share = first[token] / NUM_SAMPLES
        behind += share * filtered_probs(logits[0], temperature, top_k)
    assert z_of_chi_square(second, behind) < LARGEST_Z


def test_the_statistic_tells_a_wrong_distribution() -> None:
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(30, 0.7))
    assert z_of_chi_square(rng.multinomial(400, probs), probs) < LARGEST_Z
    flatter = probs**0.6 / (probs**0.6).sum()
    assert z_of_chi_square(rng.multinomial(400, flatter), probs) > LARGEST_Z
