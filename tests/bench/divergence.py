"""What activations of fewer bits do to Gemma 3 270M's distributions: KL divergence from float32.

    PYTHONPATH=pyapp:build:tests .venv/bin/python tests/bench/divergence.py [--tokens 160]

(after `leadout pull gemma3-270m`.)

Every linear layer reads its activations as packed_matvec does (web/kernels/shared/packed.wgsl), in
all rows: with both bytes, which is what decoding does by default, and with the high one alone,
which is precision "fast". The reference is float32 on the same dequantised weights.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from leadout import ops
from leadout.devices.numpy import NumpyDevice
from leadout.devices.numpy_ops import Memory
from leadout.engine import Engine
from leadout_build.cli.native import load_engine
from leadout_build.store.model_store import Store
from reference_gemma3 import forward_blocks, gguf_weights, kl_divergence

Floats = npt.NDArray[np.float32]

TESTS = Path(__file__).parents[1]

#: Rows of the reference's logits at a time.
ROWS = 64


def packed(x: Floats, *, with_low: bool) -> Floats:
    """Return x as shared/packed.wgsl gives it to the products: [rows, columns]."""
    blocks = x.reshape(len(x), -1, 32)
    top = np.abs(blocks).max(axis=2, keepdims=True)
    inverse = np.divide(np.float32(32639), top, out=np.zeros_like(top), where=top > 1e-30)
    quants = np.round(blocks * inverse).astype(np.int32)
    if not with_low:
        quants = (quants + 128 >> 8) * 256
    return np.asarray(quants * (top * np.float32(1 / 32639)), np.float32).reshape(x.shape)


class PackingDevice(NumpyDevice):
    """Computes in float32, but for what linear layers read."""

    def __init__(self, *, with_low: bool) -> None:
        super().__init__()
        for kind in (ops.Linear, ops.GatedLinear):
            plain = self._meanings[kind]

            def meaning(op: ops.Linear | ops.GatedLinear, memory: Memory, plain=plain) -> None:
                x = memory.floats(op.x)
                kept = x.copy()
                x[:] = packed(kept, with_low=with_low)
                plain(op, memory)
                x[:] = kept

            self._meanings[kind] = meaning


async def divergences(engine: Engine, gguf: Path, ids: list[int]) -> list[float]:
    """Return KL(reference, engine) in nats of the distribution behind every token."""
    reference = forward_blocks(*gguf_weights(gguf), ids, ROWS)
    size = engine.decoder.tables.vocab_size
    wanted = np.empty((0, size), np.float32)
    found: list[float] = []
    async for chunk in engine.score(ids):
        logits = np.frombuffer(chunk, np.float32).reshape(-1, size)
        wanted = wanted if len(wanted) else next(reference)
        found += [float(kl_divergence(a, b)) for a, b in zip(wanted, logits, strict=False)]
        wanted = wanted[len(logits) :]
    return found


async def main() -> None:
    """Print both precisions' divergence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=160)
    args = parser.parse_args()
    text = json.loads((TESTS / "vectors/gemma3-270m/text.json").read_text())
    ids = text["ids"][: args.tokens]
    files = Store().resolve("gemma3-270m")
    gguf = next(path for name, path in files.items() if name.endswith(".gguf"))
    for name, with_low in (("accurate", True), ("fast", False)):
        device = PackingDevice(with_low=with_low)
        engine = await load_engine(files, device=device)
        found = await divergences(engine, gguf, ids)
        mean, worst = np.mean(found), max(found)
        print(f"{name}: mean {mean:.3g}, largest {worst:.3g} nats, {len(found)} tokens")
        engine.close()


if __name__ == "__main__":
    asyncio.run(main())
