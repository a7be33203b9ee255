"""Engines for tests: loading, generating, and Gemma 3 against golden vectors, on any device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from leadout import state
from leadout.checkpoint import Checkpoint, MemorySource, open_checkpoint
from leadout.devices.base import Device
from leadout.engine import Engine, LoadOptions
from leadout.request import GenerateRequest
from leadout.sampling import Sampling
from leadout.scheduler import FixedSchedule
from leadout.tokenizer import Tokenizer

Floats = npt.NDArray[np.float32]

#: Largest difference of a logit, relative to the largest logit.
RELATIVE_TOLERANCE = 1e-4

#: With keys and values stored as halves.
F16_RELATIVE_TOLERANCE = 5e-3


async def _no_tokenizer(text: str) -> Tokenizer:
    raise AssertionError("these checkpoints have no tokenizer")


async def load(
    device: Device,
    files: Mapping[str, Path],
    drafter_files: Mapping[str, Path] | None = None,
    **options: object,
) -> Engine:
    """Load a checkpoint, and its drafter's, from memory, without their tokenizers."""
    return await Engine.load(
        device,
        await open_files(files),
        LoadOptions(**options),  # type: ignore[arg-type]
        _no_tokenizer,
        lambda phase: None,
        lambda loaded, total: None,
        await open_files(drafter_files) if drafter_files else None,
    )


async def open_files(files: Mapping[str, Path]) -> Checkpoint:
    """Open a checkpoint in memory, without its vocabulary."""
    sources = {name: MemorySource(name, path.read_bytes()) for name, path in files.items()}
    checkpoint = await open_checkpoint(sources)
    checkpoint.metadata.pop("tokenizer.ggml.tokens", None)  # ids only
    return checkpoint


def folder_files(folder: Path) -> dict[str, Path]:
    """Return a safetensors checkpoint's files."""
    return {
        path.name: path for path in folder.iterdir() if path.suffix in (".json", ".safetensors")
    }


async def scored(engine: Engine, ids: list[int]) -> Floats:
    """Return the logits of every id, from scoring passes."""
    chunks = [np.frombuffer(chunk, np.float32) async for chunk in engine.score(ids)]
    return np.concatenate(chunks).reshape(len(ids), -1)


async def decoded(engine: Engine, prompt: list[int], max_tokens: int) -> tuple[list[int], Floats]:
    """Generate greedily one step at a time; return ids and the logits behind each."""
    tokens: list[int] = []
    logits: list[Floats] = []
    decoder = engine.decoder
    schedule = FixedSchedule(0)
    async for cycle in decoder.run(prompt, Sampling(), max_tokens, 1, lambda: False, schedule):
        tokens += cycle.tokens
        data = await engine.device.read("logits", 0, 4 * decoder.tables.vocab_size)
        logits.append(np.frombuffer(data, np.float32))
    return tokens, np.stack(logits)


async def verified(engine: Engine, prompt: list[int], tokens: list[int]) -> Floats:
    """Return the logits of tokens behind a prompt, from one pass with few rows (1, 2, 4 or 8)."""
    decoder, device = engine.decoder, engine.device
    async for _ in decoder.run(prompt, Sampling(), 1, 1, lambda: False, FixedSchedule(0)):
        pass
    compiled = await device.compile(decoder.passes.checks[len(tokens)])
    table = state.pack_rows(0, len(prompt), tokens, len(tokens))
    device.write("cycle_rows", 0, table)
    device.submit(compiled, len(prompt) + len(tokens)).discard()
    vocab_size = decoder.tables.vocab_size
    data = await device.read("logits", 0, 4 * vocab_size * len(tokens))
    device.release(compiled)
    return np.frombuffer(data, np.float32).reshape(len(tokens), vocab_size)


async def generated(engine: Engine, prompt: list[int], **fields: object) -> list[int]:
    """Return the ids of a request that ignores the end of the sequence."""
    request = {"prompt_ids": prompt, "ignore_eos": True, **fields}
    return (await engine.generate(GenerateRequest.from_json(request))).tokens


def relative_error(logits: Floats, golden: Floats) -> float:
    """Return the largest difference relative to the largest logit."""
    assert np.isfinite(logits).all()
    return float(np.abs(logits - golden).max() / np.abs(golden).max())


async def check_golden(
    device: Device,
    files: Mapping[str, Path],
    golden: Mapping[str, npt.NDArray[np.generic]],
    **options: object,
) -> None:
    """Assert that scoring, prefill and decoding give transformers' logits and ids."""
    tolerance = F16_RELATIVE_TOLERANCE if options.get("kv_dtype") == "f16" else RELATIVE_TOLERANCE
    engine = await load(device, files, **options)
    try:
        prompt = [int(token) for token in golden["prompt_ids"]]
        continuation = [int(token) for token in golden["generated_ids"]]
        wanted = np.asarray(golden["logits"], np.float32)
        logits = await scored(engine, prompt + continuation)
        assert relative_error(logits, wanted) < tolerance, "scoring"
        tokens, logits = await decoded(engine, prompt, len(continuation))
        assert tokens == continuation
        behind = wanted[len(prompt) - 1 : -1]
        assert relative_error(logits, behind) < tolerance, "prefill and decoding"
    finally:
        engine.close()
    assert device.allocated_bytes == 0
