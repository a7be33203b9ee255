"""Keys and values that are copied on WebGPU: ids equal those of prefilling all again."""

from page_device import PageDevice

from engine_cases import load
from leadout.engine import Engine, Generated
from leadout.request import GenerateRequest
from short_rings import short_rings
from speculation_cases import pair_files

#: The target's rings have 64 positions here, of which a row sees 32 and a drafter two more: they
#: lose a prompt's end to more than 31.
ANSWER_TOKENS = 36


async def answered(engine: Engine, prompt: list[int], max_tokens: int) -> Generated:
    fields = {"prompt_ids": prompt, "ignore_eos": True, "max_tokens": max_tokens}
    return await engine.generate(GenerateRequest.from_json(fields))


def ids(length: int, seed: int) -> list[int]:
    return [3 + (seed * 31 + 7 * i + i * i // 5) % 90 for i in range(length)]


async def test_turns_and_conversations_that_begin_alike_take_keys_over(kernel_runtime) -> None:
    with short_rings():
        target, assistant = pair_files("trained-31b")
        device = PageDevice(kernel_runtime, is_software=True)
        options = {"max_draft_tokens": 3, "parallel": 2, "kv_dtype": "f16"}
        engine = await load(device, target, assistant, **options)
        found, prompts, cached = [], [], []

        async def ask(prompt: list[int]) -> list[int]:
            result = await answered(engine, prompt, ANSWER_TOKENS)
            cached.append(result.stats.cached_tokens)
            prompts.append(prompt)
            found.append(result.tokens)
            return [*prompt, *result.tokens]

        first = [2, *ids(66, 1)]
        text = await ask(first)
        assert engine.decoder.lanes[0].written > len(first) + 31, "the ring has lost the prompt"
        second = text + ids(9, 2)
        await ask(second)
        # In the other lane: from the copy of the rings behind the first turn's prompt.
        await ask([*first, 5, *ids(20, 3)])
        assert cached == [0, len(first), len(first)]
        engine.decoder.admission.forget()
        for prompt, tokens in zip(prompts[1:], found[1:], strict=True):
            again = await answered(engine, prompt, ANSWER_TOKENS)
            assert again.stats.cached_tokens == 0
            assert again.tokens == tokens
            engine.decoder.admission.forget()
        engine.close()
