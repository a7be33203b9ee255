"""Prompts with embeddings in the place of tokens', against transformers, on the NumPy device."""

import asyncio
from array import array
from pathlib import Path

import numpy as np
import pytest

from engine_cases import RELATIVE_TOLERANCE, folder_files, load, relative_error
from leadout.devices.numpy import NumpyDevice
from leadout.embedded import Embeddings
from leadout.errors import RequestError
from leadout.request import GenerateRequest
from leadout.resumption import Resumption, WrittenCycle
from leadout.sampling import Sampling
from leadout.scheduler import FixedSchedule
from session_cases import slow_prompts

VECTORS = Path(__file__).parents[1] / "vectors"
CHECKPOINTS = {
    "gemma3-grouped-query": "gemma3-tiny/grouped-query",
    "gemma3-odd-scale": "gemma3-tiny/odd-scale",
    "gemma4-e2b": "gemma4-tiny/e2b",
    "gemma4-12b": "gemma4-tiny/12b",
    "gemma4-26b-a4b": "gemma4-tiny/26b-a4b",
}


class Golden:
    """A prompt with two images, and what transformers says behind it."""

    def __init__(self, name: str) -> None:
        with np.load(VECTORS / "embedded" / f"{name}.npz") as golden:
            self.arrays = {key: golden[key] for key in golden.files}
        self.files = folder_files(VECTORS / CHECKPOINTS[name])
        self.prompt = self.arrays["prompt_ids"].tolist()

    def embeddings(self, kind: str = "images") -> list[Embeddings]:
        first, second = self.arrays["spans"].tolist()
        cut = first[1] - first[0]
        given, sees_all = self.arrays["given"], kind == "images"
        return [
            Embeddings(second[0], given[cut:], sees_all),  # in any order
            Embeddings(first[0], array("f", given[:cut].ravel()), sees_all),
        ]

    def ids(self, kind: str = "images") -> list[int]:
        return self.arrays[f"{kind}_ids"].tolist()

    def request(self, **fields) -> GenerateRequest:
        wanted = {"prompt_ids": self.prompt, "ignore_eos": True, "max_tokens": 12, **fields}
        return GenerateRequest.from_json(wanted)


@pytest.fixture(params=CHECKPOINTS)
def golden(request) -> Golden:
    return Golden(request.param)


@pytest.fixture
def images() -> Golden:
    return Golden("gemma4-12b")


@pytest.mark.parametrize("kind", ["images", "causal"])
async def test_ids_and_logits_are_those_of_transformers(golden: Golden, kind: str) -> None:
    engine = await load(NumpyDevice(), golden.files)
    run = engine.decoder.run(
        golden.prompt,
        Sampling(),
        12,
        1,
        lambda: False,
        FixedSchedule(0),
        embeddings=golden.embeddings(kind),
    )
    logits, ids = [], []
    async for cycle in run:
        ids += cycle.tokens
        data = await engine.device.read("logits", 0, 4 * engine.decoder.tables.vocab_size)
        logits.append(np.frombuffer(data, np.float32))
    assert ids == golden.ids(kind)
    wanted = golden.arrays[f"{kind}_logits"]
    assert relative_error(np.stack(logits), wanted) < RELATIVE_TOLERANCE


async def test_a_prompt_is_cut_around_rows_that_see_one_another(
    images: Golden, monkeypatch
) -> None:
    """Beside a stream that decodes, a pass is to have 32 rows here, and the second image has 55."""
    engine = await load(NumpyDevice(), images.files, parallel=2)
    slow_prompts(engine, monkeypatch)
    passes, decodes = [], asyncio.Event()
    submit = engine.decoder.submit

    def note(plan, positions, uploads=()):
        passes.append(plan.name)
        if plan.name.startswith("cycle"):
            decodes.set()
        return submit(plan, positions, uploads)

    monkeypatch.setattr(engine.decoder, "submit", note)
    other = GenerateRequest.from_json({"prompt_ids": [2, 9], "max_tokens": 60, "ignore_eos": True})
    running = asyncio.ensure_future(engine.generate(other))
    await decodes.wait()
    found = await engine.generate(images.request(embeddings=images.embeddings()))
    await running
    assert found.tokens == images.ids()
    mine = [name for name in passes if "embedded" in name]
    # 32, 8 up to the second image, the image, and what follows.
    assert mine == [
        "prefill-32-embedded",
        "prefill-32-embedded",
        "prefill-64-embedded",
        "prefill-32-embedded",
        "prefill-32-last-embedded",
    ]


async def test_keys_and_values_are_taken_over_where_embeddings_agree(images: Golden) -> None:
    engine = await load(NumpyDevice(), images.files)

    async def ask(embeddings, **fields):
        found = await engine.generate(images.request(embeddings=embeddings, **fields))
        return found.tokens, found.stats.cached_tokens

    (first, _), (second, _) = images.arrays["spans"].tolist()
    assert await ask(images.embeddings()) == (images.ids(), 0)
    assert await ask(images.embeddings()) == (images.ids(), len(images.prompt) - 1)
    # Another last row of the second image changes what all of its rows say.
    changed = images.embeddings()
    rows = changed[0].rows.copy()
    rows[-1] += 0.5
    changed[0] = Embeddings(second, rows, True)
    tokens, cached = await ask(changed)
    assert cached == second
    assert tokens != images.ids()
    assert await ask(images.embeddings("causal")) == (images.ids("causal"), first)
    # Where rows see those before them alone, those before a change are taken over.
    causal = images.embeddings("causal")
    causal[0] = Embeddings(second, rows)
    assert (await ask(causal))[1] == second + len(rows) - 1
    assert (await ask([]))[1] == first
    assert await ask(images.embeddings()) == (images.ids(), first)


@pytest.mark.parametrize("sampling", [{}, {"temperature": 0.9, "top_k": 20, "seed": 5}])
async def test_drafts_neighbours_and_resumption_change_no_id(images: Golden, sampling) -> None:
    plain = await load(NumpyDevice(), images.files)
    alone = await plain.generate(images.request(**sampling, embeddings=images.embeddings()))
    assistant = folder_files(VECTORS / "gemma4-tiny/12b-assistant")
    engine = await load(NumpyDevice(), images.files, assistant, drafter="mtp", parallel=4)
    several = await asyncio.gather(
        engine.generate(images.request(**sampling, embeddings=images.embeddings())),
        engine.generate(images.request(**sampling, draft_tokens=3, embeddings=images.embeddings())),
        engine.generate(images.request(seed=1, temperature=1.0)),
    )
    assert [one.tokens for one in several[:2]] == [alone.tokens] * 2
    for written in (1, 7):
        resumed = await engine.generate(
            images.request(**sampling, embeddings=images.embeddings()),
            resumption=Resumption((WrittenCycle(tuple(alone.tokens[:written])),)),
        )
        assert resumed.tokens == alone.tokens


async def test_logprobs_and_processors_go_with_embeddings(images: Golden) -> None:
    engine = await load(NumpyDevice(), images.files)
    found = await engine.generate(
        images.request(logprobs=True, max_tokens=3, embeddings=images.embeddings())
    )
    assert found.tokens == images.ids()[:3]
    logits = images.arrays["images_logits"].astype(np.float64)
    wanted = logits[0] - np.log(np.exp(logits[0]).sum())
    assert found.logprobs[0]["logprob"] == pytest.approx(wanted[images.ids()[0]], abs=1e-3)
    processed = await engine.generate(
        images.request(embeddings=images.embeddings()),
        own_code=engine.own_code((lambda ids, logits: None,), None),
    )
    assert processed.tokens == images.ids()


NAN = np.full((2, 96), np.nan, np.float32)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([Embeddings(3, np.zeros((2, 96)))], "of the type 'd'; wanted float32"),
        ([Embeddings(3, [0.5])], "are a list; wanted float32"),
        ([Embeddings(3, b"")], "0 bytes; wanted a multiple of 384"),
        ([Embeddings(3, bytes(380))], "380 bytes; wanted a multiple of 384"),
        ([Embeddings(3, NAN)], "hold an infinity or a NaN"),
        ([Embeddings(-1, bytes(384))], "start at -1"),
        ([Embeddings(True, bytes(384))], "start at True"),
        ([Embeddings(149, bytes(384))], "reach to position 149, but the prompt has 150 ids"),
        ([Embeddings(3, bytes(768)), Embeddings(4, bytes(384))], "from position 4 on overlap"),
        ([Embeddings(3, bytes(384), 1)], "sees_all is 1; wanted true or false"),
        ([(3, bytes(384))], "hold a tuple; wanted start, rows and sees_all"),
        ([{"start": 3}], "have \\['start'\\]; wanted start, rows, sees_all"),
        ([{"start": 3, "rows": b"", "reach": 2}], "wanted start, rows, sees_all"),
        (5, "embeddings is a int; wanted a list"),
        (
            [Embeddings(3, bytes(384 * 257), True)],
            "257 rows that see one another; wanted at most 256",
        ),
    ],
)
async def test_embeddings_that_do_not_fit_are_named(images: Golden, wrong, message) -> None:
    engine = await load(NumpyDevice(), images.files)
    with pytest.raises(RequestError, match=message):
        await engine.generate(images.request(embeddings=wrong))
    assert (await engine.generate(images.request(max_tokens=1))).tokens


def test_embeddings_stand_in_the_place_of_ids() -> None:
    with pytest.raises(RequestError, match="give prompt_ids with them"):
        GenerateRequest.from_json({"prompt": "a", "embeddings": [Embeddings(0, bytes(384))]})


async def test_their_memory_is_there_once_they_are_given_and_goes_with_the_engine(
    images: Golden,
) -> None:
    device = NumpyDevice()
    engine = await load(device, images.files)
    before = device.allocated_bytes
    await engine.generate(images.request(max_tokens=1))
    assert device.allocated_bytes == before
    for _ in range(2):
        await engine.generate(images.request(max_tokens=1, embeddings=images.embeddings()))
        assert device.allocated_bytes == before + 256 * 96 * 4
    engine.close()
    assert device.allocated_bytes == 0
