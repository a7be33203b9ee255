"""Requests drawn at random, and the check that drafts change none of their ids; for any device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import strategies as st

from engine_cases import folder_files
from leadout.engine import Engine
from leadout.request import GenerateRequest
from leadout.sampling import Sampling

TINY = Path(__file__).parent / "vectors" / "gemma4-tiny"


@dataclass(frozen=True)
class Case:
    """A request, and how to draft for it."""

    prompt: tuple[int, ...]
    max_tokens: int
    sampling: Sampling
    draft_tokens: int | str = 0
    run_ahead: int = 1

    def request(self, drafter: str = "auto") -> GenerateRequest:
        """Return the request that the engine takes."""
        return GenerateRequest(
            prompt_ids=self.prompt,
            max_tokens=self.max_tokens,
            sampling=self.sampling,
            ignore_eos=True,
            run_ahead=self.run_ahead,
            drafter=drafter,
            draft_tokens=self.draft_tokens,
        )


def pair_files(name: str) -> tuple[dict[str, Path], dict[str, Path]]:
    """Return the files of a target and of its drafter."""
    return folder_files(TINY / name), folder_files(TINY / f"{name}-assistant")


def ways() -> st.SearchStrategy[tuple[int | str, int]]:
    """Draw a number of draft tokens, and how far to run ahead."""
    return st.tuples(st.one_of(st.integers(0, 7), st.just("auto")), st.integers(1, 4))


def cases(max_tokens: int = 16, vocab_size: int = 90) -> st.SearchStrategy[Case]:
    """Draw requests: short and long prompts, with and without repeats, greedy and sampled."""
    token = st.integers(3, vocab_size - 1)
    free = st.lists(token, max_size=40)
    # What n-grams find: a phrase said several times.
    repeated = st.builds(
        lambda phrase, times: (phrase * times)[:60],
        st.lists(token, min_size=2, max_size=6),
        st.integers(2, 8),
    )
    biases = st.dictionaries(token, st.sampled_from([-100.0, -3.0, 0.7, 5.0]), max_size=8)
    sampling = st.one_of(
        st.just(Sampling()),
        st.builds(  # greedy, where every draft that repeats counts
            Sampling,
            presence_penalty=st.sampled_from([0.0, 1.5, -0.5]),
            frequency_penalty=st.floats(-2.0, 2.0),
            logit_bias=biases,
        ),
        st.builds(
            Sampling,
            temperature=st.floats(0.1, 2.0),
            top_k=st.sampled_from([0, 1, 5, 40]),
            top_p=st.sampled_from([1.0, 0.95, 0.5]),
            min_p=st.sampled_from([0.0, 0.05]),
            repetition_penalty=st.sampled_from([1.0, 1.0, 1.3]),
            presence_penalty=st.sampled_from([0.0, 0.0, 0.6, -1.0]),
            frequency_penalty=st.sampled_from([0.0, 0.0, 0.4, 2.0, -0.3]),
            logit_bias=st.one_of(st.just({}), st.just({}), biases),
            seed=st.integers(0, 2**32 - 1),
        ),
    )
    return st.builds(
        lambda prompt, max_tokens, sampling, way: Case(prompt, max_tokens, sampling, *way),
        st.one_of(free, repeated).map(lambda ids: (2, *ids)),
        st.integers(1, max_tokens),
        sampling,
        ways(),
    )


async def check_case(engine: Engine, case: Case, plain: dict[Case, list[int]]) -> None:
    """Assert that a case's ids are those of plain decoding, one cycle at a time.

    Args:
        engine: loaded with a drafter.
        case: to run.
        plain: ids of plain decoding that are known already; gets more.
    """
    undrafted = replace(case, draft_tokens=0, run_ahead=1)
    if undrafted not in plain:
        plain[undrafted] = (await engine.generate(undrafted.request("none"))).tokens
    result = await engine.generate(case.request())
    assert result.tokens == plain[undrafted], case
    assert result.stats.self_test == "identical"
