"""Greedy ids on real weights against transformers', step by step."""

from __future__ import annotations

from typing import Any

from engine_cases import generated
from leadout.engine import Engine
from thoroughness import IS_THOROUGH

#: Where ids part, the best two logits must be nearer than this: float32 sums in another order
#: differ by up to 2e-4. Seen: no id differs, and the smallest margin of all is 0.0024.
TIE_MARGIN = 2e-3

NUM_PROMPTS, NUM_TOKENS = (26, 32) if IS_THOROUGH else (4, 16)


async def test_greedy_ids_equal_transformers_on_every_golden_prompt(
    engine: Engine, golden_prompts: list[dict[str, Any]]
) -> None:
    parted = []
    for golden in golden_prompts[:NUM_PROMPTS]:
        wanted = golden["transformers_ids"][:NUM_TOKENS]
        assert len(wanted) == NUM_TOKENS, golden["name"]
        ids = await generated(engine, golden["prompt_ids"], max_tokens=NUM_TOKENS)
        assert len(ids) == NUM_TOKENS
        if ids != wanted:
            step = next(step for step in range(NUM_TOKENS) if ids[step] != wanted[step])
            parted.append((golden["name"], step, golden["margins"][step]))
    assert len(golden_prompts) >= NUM_PROMPTS
    assert [at for at in parted if at[2] >= TIE_MARGIN] == []


async def test_ids_are_the_same_at_every_run_ahead(
    engine: Engine, golden_prompts: list[dict[str, Any]]
) -> None:
    golden = golden_prompts[0]
    for run_ahead in (1, 2, 8):
        ids = await generated(engine, golden["prompt_ids"], max_tokens=8, run_ahead=run_ahead)
        assert ids == golden["transformers_ids"][:8], run_ahead
