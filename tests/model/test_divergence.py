"""Next-token distributions on real weights against the plain reference, in float32."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from leadout.engine import Engine
from reference_gemma3 import forward_blocks, gguf_weights, kl_divergence
from thoroughness import IS_THOROUGH

NUM_TOKENS = 2000 if IS_THOROUGH else 32

#: Rows of the reference's logits at a time: 64 MB of them.
ROWS = 64

#: Nats, the bound that is promised. Seen over the first 192 tokens: 1.2e-11.
MAX_MEAN_KL = 1e-3

#: Nats, of the worst token. Seen over the first 192: 5e-11.
MAX_KL = 1e-6


async def test_distributions_over_a_text_equal_the_references(
    engine: Engine, gemma3_gguf: Path, vectors: Path
) -> None:
    ids = json.loads((vectors / "gemma3-270m/text.json").read_text())["ids"][:NUM_TOKENS]
    assert len(ids) == NUM_TOKENS
    reference = forward_blocks(*gguf_weights(gemma3_gguf), ids, ROWS)
    wanted = np.empty((0, engine.decoder.tables.vocab_size), np.float32)
    divergences: list[float] = []
    async for chunk in engine.score(ids):
        logits = np.frombuffer(chunk, np.float32).reshape(-1, engine.decoder.tables.vocab_size)
        if len(wanted) == 0:
            wanted = next(reference)
        # Row by row, so that what is computed in float64 stays in the CPU's caches.
        for row, wanted_row in zip(logits, wanted, strict=False):
            divergences.append(float(kl_divergence(wanted_row, row)))
        wanted = wanted[len(logits) :]
    assert len(divergences) == NUM_TOKENS
    print(f"KL: mean {np.mean(divergences):.3g}, largest {max(divergences):.3g}")
    assert np.mean(divergences) < MAX_MEAN_KL
    assert max(divergences) < MAX_KL
