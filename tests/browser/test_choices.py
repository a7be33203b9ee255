"""`n` choices of one call, over a fake engine that runs several requests at once."""

from __future__ import annotations

from typing import Any

import pytest
from pages import Chat, OpenPage

#: Runs a body with `engine`, loaded for several requests, its fake `worker` and what it was sent.
#: What a choice says depends on its seed, so that nothing mixed up goes unseen.
WITH_CHOICES = """
async ({ parallel, tokensPerSecond, fails }) => {
  const { Leadout } = await import("/leadout.js");
  const testing = await importApp("testing.js");
  const text = ({ seed = 0 }) => {
    if (seed === fails) throw { name: "ContextLengthError", message: "too long" };
    return Array.from({ length: 4 + seed %% 5 }, (_, i) => ` s${seed}w${i}`).join("");
  };
  const worker = new testing.FakeWorker({ text, tokensPerSecond });
  const engine = await Leadout.load({ model: { name: "fake", files: [] }, parallel, worker });
  const sent = (kind) => worker.messages.filter(({ type }) => type === kind);
  const caught = (promise) => promise.then(() => "no error", (e) => `${e.name}: ${e.message}`);
  const told = () => [sent("generate").map(({ id }) => id), sent("abort").map((one) => one.target)];
  const usable = async () => {
    const { choices: [{ text }] } = await engine.completions.create({ prompt: "x", seed: 1 });
    return text;
  };
  %s
}
"""

STREAM = """
  const chunks = [];
  for await (const chunk of await engine.%s) chunks.push(chunk);
  return chunks;
"""


@pytest.fixture
def blank(open_page: OpenPage) -> Chat:
    """A page without an element of its own."""
    return open_page(path="icon.svg", wait_for=None)


def run(
    blank: Chat, body: str, parallel: int, *, rate: float = 200, fails: int | None = None
) -> Any:
    """Run a body; `fails` is the seed of a choice that fails."""
    options = {"parallel": parallel, "tokensPerSecond": rate, "fails": fails}
    return blank.page.evaluate(WITH_CHOICES % body, options)


def said(seed: int) -> str:
    """What the fake says with a seed."""
    return "".join(f" s{seed}w{i}" for i in range(4 + seed % 5))


def indices(chunks: list[dict[str, Any]]) -> list[int]:
    """Whose the chunks are, in the order in which they came."""
    return [chunk["choices"][0]["index"] for chunk in chunks if chunk["choices"]]


@pytest.mark.parametrize("parallel", [1, 2, 4, 8])
def test_choices_come_in_their_order_with_the_seeds_that_they_always_had(
    blank: Chat, parallel: int
) -> None:
    whole, seeds = run(
        blank,
        """
        const whole = await engine.completions.create({ prompt: "a b c", n: 5, seed: 7 });
        return [whole, sent("generate").map(({ request }) => request.seed)];
        """,
        parallel,
        rate=1000,
    )
    assert seeds == [7, 8, 9, 10, 11]
    assert [choice["index"] for choice in whole["choices"]] == list(range(5))
    assert [choice["text"] for choice in whole["choices"]] == [said(seed) for seed in seeds]
    written = sum(4 + seed % 5 for seed in seeds)
    usage = whole["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (3, written)
    assert usage["total_tokens"] == 3 + written


def test_no_more_choices_are_asked_for_than_run_at_once(blank: Chat) -> None:
    found = run(
        blank,
        """
        const opened = [];
        let open = 0;
        const { generate } = Object.getPrototypeOf(engine);
        engine.generate = async (...given) => {
          opened.push(++open);
          try { return await generate.apply(engine, given); } finally { open--; }
        };
        await engine.completions.create({ prompt: "x", n: 7 });
        return opened;
        """,
        4,
    )
    assert found[:4] == [1, 2, 3, 4]
    assert len(found) == 7
    assert max(found) == 4


@pytest.mark.parametrize(
    "call",
    [
        "completions.create({ prompt: 'a b', %s })",
        "chat.completions.create({ messages: [{role: 'user', content: 'a b'}], %s })",
    ],
)
def test_a_stream_has_the_choices_beside_one_another(blank: Chat, call: str) -> None:
    chunks = run(blank, STREAM % (call % "n: 3, seed: 3, stream: true"), 2)
    came = indices(chunks)
    # The two that run at once take turns; the third one begins when one of them has ended.
    first_end = next(i for i, one in enumerate(chunks) if one["choices"][0]["finish_reason"])
    assert {0, 1} == set(came[:4]) == set(came[: first_end + 1])
    assert came.index(2) > first_end
    for index in range(3):
        own = [chunk["choices"][0] for chunk in chunks if chunk["choices"][0]["index"] == index]
        text = "".join(one.get("text", one.get("delta", {}).get("content", "")) for one in own)
        assert text == said(3 + index)
        assert [one["finish_reason"] for one in own] == [None] * (len(own) - 1) + ["stop"]
        if "delta" in own[0]:
            assert [one["delta"].get("role") for one in own][:2] == ["assistant", None]
    assert ["usage" in chunk for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    usage = chunks[-1]["usage"]
    written = sum(4 + seed % 5 for seed in (3, 4, 5))
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (2, written)
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_choices_come_beside_one_another_when_all_are_late(blank: Chat) -> None:
    chunks = run(
        blank,
        """
        const stream = await engine.completions.create({ prompt: "a b", n: 2, stream: true });
        const until = performance.now() + 300; // all their tokens are due by then
        while (performance.now() < until);
        const chunks = [];
        for await (const chunk of stream) chunks.push(chunk);
        return chunks;
        """,
        2,
    )
    assert set(indices(chunks)[:4]) == {0, 1}


def test_usage_that_comes_alone_comes_behind_all_choices(blank: Chat) -> None:
    call = """completions.create({ prompt: "a b", n: 2, stream: true,
      stream_options: { include_usage: true } })"""
    chunks = run(blank, STREAM % call, 2)
    assert [len(chunk["choices"]) for chunk in chunks] == [1] * (len(chunks) - 1) + [0]
    assert [chunk["usage"] is None for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
    assert chunks[-1]["usage"]["completion_tokens"] == len(chunks) - 3 == 9


def test_logprobs_of_choices_do_not_mix(blank: Chat) -> None:
    call = "completions.create({ prompt: 'x', n: 2, logprobs: 0, stream: true })"
    chunks = run(blank, STREAM % call, 2)
    assert len(set(indices(chunks)[:4])) == 2
    for index in (0, 1):
        own = [chunk["choices"][0] for chunk in chunks if chunk["choices"][0]["index"] == index]
        tokens = [token for one in own for token in one["logprobs"]["tokens"]]
        assert "".join(tokens) == said(index)
        offsets = [offset for one in own for offset in one["logprobs"]["text_offset"]]
        assert offsets == [len(" s0w0") * i for i in range(len(offsets))]


@pytest.mark.parametrize("leave", ["break;", "controller.abort();"])
def test_leaving_a_stream_ends_all_its_choices(blank: Chat, leave: str) -> None:
    error, asked, aborted, text = run(
        blank,
        """
        const controller = new AbortController();
        const { signal } = controller;
        const error = await caught((async () => {
          const params = { prompt: "x", n: 5, stream: true, signal };
          const stream = await engine.completions.create(params);
          for await (const { choices: [{ index }] } of stream) if (index === 1) { LEAVE }
        })());
        return [error, ...told(), await usable()];
        """.replace("LEAVE", leave),
        2,
        rate=50,
    )
    assert error.startswith("no error" if leave == "break;" else "AbortError")
    assert len(asked) == 2  # the others never began
    assert sorted(aborted) == asked
    assert text == said(1)


def test_an_abort_ends_all_choices_of_a_whole_answer(blank: Chat) -> None:
    error, asked, aborted, text = run(
        blank,
        """
        const signal = AbortSignal.timeout(50);
        const error = await caught(engine.completions.create({ prompt: "x", n: 3, signal }));
        return [error, ...told(), await usable()];
        """,
        2,
        rate=20,
    )
    assert error.startswith("TimeoutError")
    assert len(asked) == 2
    assert sorted(aborted) == asked
    assert text == said(1)


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_choice_that_fails_ends_the_others(blank: Chat, is_stream: bool) -> None:
    whole = "engine.completions.create({ prompt: 'x', n: 4 })"
    stream = """(async () => {
      const stream = await engine.completions.create({ prompt: "x", n: 4, stream: true });
      for await (const chunk of stream) chunks.push(chunk);
    })()"""
    error, asked, aborted, text = run(
        blank,
        """
        const chunks = [];
        const error = await caught(CALL);
        return [error, ...told(), await usable()];
        """.replace("CALL", stream if is_stream else whole),
        2,
        rate=50,
        fails=2,
    )
    assert error == "ContextLengthError: too long"
    # 0 and 1 take 80 and 100 ms; 2 begins when 0 has ended, and ends 1. 3 never begins.
    assert len(asked) == 3
    assert aborted == asked[1:2]
    assert text == said(1)


def test_two_calls_share_what_runs_at_once(blank: Chat) -> None:
    """A call with many choices does not keep others waiting until all of them are there."""
    order = run(
        blank,
        """
        const ended = [];
        const ask = async (name, n) => {
          await engine.completions.create({ prompt: "x", n });
          ended.push(name);
        };
        await Promise.all([ask("many", 6), ask("one", 1)]);
        return ended;
        """,
        2,
    )
    assert order == ["one", "many"]


def test_choices_go_on_where_the_device_was_lost(blank: Chat) -> None:
    whole, num_workers = run(
        blank,
        """
        let numWorkers = 0;
        // The first worker alone: a choice that had brought nothing yet begins anew in the second.
        const failing = { loseDeviceAfterTokens: 3 };
        const makeWorker = () => {
          numWorkers += 1;
          const fails = numWorkers === 1 && failing;
          return new testing.FakeWorker({ text, tokensPerSecond, ...fails });
        };
        const model = { name: "fake", files: [] };
        const other = await Leadout.load({ model, parallel, worker: makeWorker });
        return [await other.completions.create({ prompt: "x", n: 2, seed: 3 }), numWorkers];
        """,
        2,
    )
    assert num_workers == 2
    assert [choice["text"] for choice in whole["choices"]] == [said(3), said(4)]
