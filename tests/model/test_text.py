"""Text in and text out on real weights, with the real tokenizer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from leadout.checkpoint import FileSource, open_checkpoint
from leadout.engine import Engine, Generated
from leadout.request import GenerateRequest
from leadout.tokenizer import Tokenizer
from leadout.tokenizer_choice import load_tokenizer
from leadout_build.cli.native import make_tokenizer
from leadout_build.store.model_store import Store
from varied_text import varied_texts

PROMPT = "The capital of France is"
#: Gemma's own continuation of PROMPT.
CONTINUATION = " the capital of the country of France. It is the largest"

SAMPLED: tuple[dict[str, Any], ...] = (
    {"temperature": 0.0, "repetition_penalty": 1.3},
    {"temperature": 1.0, "seed": 7},
    {"temperature": 0.7, "top_k": 20, "seed": 99},
    {"temperature": 1.2, "top_p": 0.9, "min_p": 0.02, "repetition_penalty": 1.2, "seed": 2**32 - 1},
)


async def complete(engine: Engine, prompt: str, **fields: Any) -> tuple[Generated, list[str]]:
    """Return the result of a request and the deltas before it."""
    deltas: list[str] = []
    generated = await engine.generate(
        GenerateRequest.from_json({"prompt": prompt, **fields}),
        lambda delta: deltas.append(delta.text),
    )
    return generated, deltas


async def test_deltas_joined_are_the_text(engine: Engine) -> None:
    generated, deltas = await complete(engine, PROMPT, max_tokens=12)
    assert generated.text == CONTINUATION
    assert "".join(deltas) == generated.text
    assert len(deltas) > 6
    assert generated.finish_reason == "length"
    assert engine.tokenizer is not None
    assert engine.tokenizer.decode(generated.tokens) == generated.text


async def test_no_delta_has_half_a_character(engine: Engine) -> None:
    # Signs beyond the vocabulary are spelled byte by byte.
    prompt = "Egyptian hieroglyphs: 𓀀 𓀁 𓀂 𓀃 𓀄"
    generated, deltas = await complete(engine, prompt, max_tokens=16)
    assert "".join(deltas) == generated.text
    assert engine.tokenizer is not None
    byte_ids = [id_ for id_ in generated.tokens if 238 <= id_ < 494]
    assert len(byte_ids) >= 4
    assert not any("\ufffd" in delta for delta in deltas[:-1])


@pytest.mark.parametrize(
    ("stop", "text"),
    [
        ([" France"], " the capital of the country of"),
        (["try of Fr"], " the capital of the coun"),
        (["nowhere", ". It"], " the capital of the country of France"),
        ([" the"], ""),
    ],
)
async def test_a_stop_string_cuts_exactly(engine: Engine, stop: list[str], text: str) -> None:
    generated, deltas = await complete(engine, PROMPT, max_tokens=12, stop=stop)
    assert generated.text == "".join(deltas) == text
    assert generated.finish_reason == "stop"


@pytest.mark.parametrize("max_tokens", [1, 2, 5])
async def test_max_tokens_is_exact(engine: Engine, max_tokens: int) -> None:
    generated, _ = await complete(engine, PROMPT, max_tokens=max_tokens)
    assert len(generated.tokens) == max_tokens
    assert CONTINUATION.startswith(generated.text)
    assert generated.stats.decode_tokens == max_tokens - 1


@pytest.mark.parametrize("settings", SAMPLED)
async def test_settings_and_seed_give_the_same_ids_at_every_run_ahead(
    engine: Engine, settings: dict[str, Any]
) -> None:
    runs = [
        (await complete(engine, PROMPT, max_tokens=5, run_ahead=run_ahead, **settings))[0].tokens
        for run_ahead in (1, 3, 8)
    ]
    assert runs[0] == runs[1] == runs[2]
    assert len(runs[0]) > 0


async def test_another_seed_gives_another_text(engine: Engine) -> None:
    texts = {
        (await complete(engine, PROMPT, max_tokens=6, temperature=1.0, seed=seed))[0].text
        for seed in (1, 2, 3)
    }
    assert len(texts) == 3


async def test_an_abort_keeps_what_there_is(engine: Engine) -> None:
    deltas: list[str] = []
    generated = await engine.generate(
        GenerateRequest(prompt=PROMPT, max_tokens=200),
        lambda delta: deltas.append(delta.text),
        lambda: len(deltas) >= 3,
    )
    assert generated.finish_reason == "abort"
    assert generated.text == "".join(deltas)
    assert CONTINUATION.startswith(generated.text)
    again, _ = await complete(engine, PROMPT, max_tokens=3)
    assert CONTINUATION.startswith(again.text)


def test_a_gguf_alone_tokenises_as_with_its_tokenizer_json(
    engine: Engine, gemma3_gguf: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone.gguf"
    alone.symlink_to(gemma3_gguf)

    async def load() -> Tokenizer | None:
        files = Store().resolve(str(alone))
        assert list(files) == ["alone.gguf"]
        sources = {name: FileSource(path) for name, path in files.items()}
        return await load_tokenizer(await open_checkpoint(sources), make_tokenizer)

    built = asyncio.run(load())
    assert built is not None
    assert engine.tokenizer is not None
    for text in [PROMPT, *varied_texts(300, seed=5)]:
        ids = engine.tokenizer.encode(text, add_special_tokens=True)
        assert built.encode(text, add_special_tokens=True) == ids, text
        assert built.decode(ids) == engine.tokenizer.decode(ids), text
