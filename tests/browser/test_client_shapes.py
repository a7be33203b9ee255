"""OpenAI's shapes beyond text: choices, logprobs, usage, and what is accepted and ignored."""

from __future__ import annotations

from typing import Any

import pytest
from pages import Chat, OpenPage
from test_client import run


@pytest.fixture
def blank(open_page: OpenPage) -> Chat:
    """A page without an element of its own."""
    return open_page(path="icon.svg", wait_for=None)


def chunks_of(blank: Chat, call: str, **options: Any) -> list[dict[str, Any]]:
    """Return the chunks of a stream."""
    return run(
        blank,
        f"""
        const chunks = [];
        for await (const chunk of await engine.{call}) chunks.push(chunk);
        return chunks;
        """,
        **options,
    )


def test_choices_have_seeds_of_their_own(blank: Chat) -> None:
    whole, seeds = run(
        blank,
        """
        const whole = await engine.completions.create({ prompt: "a b", n: 3, seed: 2 ** 32 - 2 });
        return [whole, worker.messages.slice(2).map(({ request }) => request.seed)];
        """,
        text=" one two",
    )
    assert seeds == [2**32 - 2, 2**32 - 1, 0]
    assert [choice["index"] for choice in whole["choices"]] == [0, 1, 2]
    assert [choice["text"] for choice in whole["choices"]] == [" one two"] * 3
    usage = whole["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (2, 6, 8)


@pytest.mark.parametrize("kind", ["completions", "chat.completions"])
def test_a_stream_of_choices_says_whose_each_chunk_is(blank: Chat, kind: str) -> None:
    asked = "prompt: 'x'" if kind == "completions" else "messages: [{role: 'user', content: 'x'}]"
    chunks = chunks_of(blank, f"{kind}.create({{ {asked}, n: 2, stream: true }})", text=" one two")
    choices = [chunk["choices"][0] for chunk in chunks]
    assert [choice["index"] for choice in choices] == [0, 0, 0, 1, 1, 1]
    assert [choice["finish_reason"] for choice in choices] == [None, None, "stop"] * 2
    assert ["usage" in chunk for chunk in chunks] == [False] * 5 + [True]
    assert chunks[-1]["usage"]["completion_tokens"] == 4
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_an_abort_among_choices_ends_all(blank: Chat) -> None:
    error, sent = run(
        blank,
        """
        const controller = new AbortController();
        const { signal } = controller;
        const stream = await engine.completions.create({ prompt: "x", n: 3, stream: true, signal });
        const error = await caught((async () => {
          for await (const { choices: [{ index }] } of stream) if (index === 1) controller.abort();
        })());
        return [error, worker.messages.map(({ type }) => type)];
        """,
        text=" one two three",
        tokensPerSecond=50,
    )
    assert error.startswith("AbortError")
    assert sent == ["boot", "load", "generate", "generate", "abort"]


def test_usage_comes_alone_where_it_is_asked_for_and_never_where_it_is_not(blank: Chat) -> None:
    call = "completions.create({ prompt: 'x', stream: true, stream_options: %s })"
    alone = chunks_of(blank, call % "{ include_usage: true }", text=" one two")
    assert [len(chunk["choices"]) for chunk in alone] == [1, 1, 1, 0]
    assert [chunk["usage"] is None for chunk in alone] == [True, True, True, False]
    assert alone[-1]["usage"]["completion_tokens"] == 2
    never = chunks_of(blank, call % "{ include_usage: false }", text=" one two")
    assert not any("usage" in chunk for chunk in never)
    other = chunks_of(blank, call % "{ include_obfuscation: false }", text=" one two")
    assert "usage" in other[-1]


def test_logprobs_of_a_chat(blank: Chat) -> None:
    call = """chat.completions.create({ messages: [{ role: "user", content: "x" }], logprobs: true,
      top_logprobs: 1, enable_thinking: true, stream: %s })"""
    options = {"text": " one two", "reasoning": "so "}
    whole = run(blank, f"return engine.{call % 'false'};", **options)
    logprobs = whole["choices"][0]["logprobs"]
    assert [entry["token"] for entry in logprobs["content"]] == [" one", " two"]
    assert [entry["token"] for entry in logprobs["reasoning_content"]] == ["so", " "]
    entry = logprobs["content"][0]
    assert set(entry) == {"id", "token", "logprob", "bytes", "top_logprobs"}
    assert (entry["logprob"], entry["bytes"]) == (-1.5, list(b" one"))
    assert [other["token"] for other in entry["top_logprobs"]] == ["yes"]
    chunks = chunks_of(blank, call % "true", **options)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    told = [chunk["choices"][0]["logprobs"] or {"content": []} for chunk in chunks]
    assert [entry for one in told for entry in one["content"]] == logprobs["content"]
    reasoned = [entry for one in told for entry in one.get("reasoning_content", [])]
    assert reasoned == logprobs["reasoning_content"]


def test_logprobs_of_a_completion(blank: Chat) -> None:
    call = "completions.create({ prompt: 'x', logprobs: 2, stream: %s })"
    whole, request = run(
        blank,
        f"return [await engine.{call % 'false'}, worker.messages.at(-1).request];",
        text=" één two",
    )
    assert (request["logprobs"], request["top_logprobs"]) == (True, 2)
    logprobs = whole["choices"][0]["logprobs"]
    assert logprobs["tokens"] == [" één", " two"]
    assert logprobs["token_logprobs"] == [-1.5, -1.5]
    assert logprobs["top_logprobs"][0] == {"yes": -1.5, "no": -1.5, " één": -1.5}
    assert logprobs["text_offset"] == [0, 4]
    chunks = chunks_of(blank, call % "true", text=" één two")
    told = [chunk["choices"][0]["logprobs"]["text_offset"] for chunk in chunks]
    assert told == [[0], [4], []]


def test_logprobs_wait_for_text_that_may_be_taken_back(blank: Chat) -> None:
    """Events as the worker sends them when a stop string begins, and then ends the text."""
    found = blank.page.evaluate(
        """async () => {
          const { Follower } = await importApp("client/generating.js");
          const told = [];
          const follower = new Follower((text, { logprobs }) => {
            told.push([text, logprobs.map(({ token }) => token)]);
          });
          const send = (text, tokens, num_settled) => follower.take({
            type: "delta", text, reasoning: "", tokens, is_draft: false, num_settled,
            logprobs: tokens.map((token) => ({ token })),
          });
          send("a", ["a"], 1);
          send("", ["b"], 1);
          send("bc", ["c", "d"], 3);
          send("", ["e"], 3);
          const { logprobs } = follower.finish({ tokens: [1, 2, 3, 4] });
          return [told, logprobs.map(({ token }) => token)];
        }"""
    )
    assert found == [[["a", ["a"]], ["bc", ["b", "c"]]], ["a", "b", "c", "d"]]


def test_what_means_nothing_here_is_accepted_and_ignored(blank: Chat) -> None:
    request = run(
        blank,
        """
        await engine.completions.create({
          prompt: "x", user: "u", metadata: { a: "b" }, store: true, service_tier: "auto", seed: 3,
          safety_identifier: "s", prompt_cache_key: "k", prompt_cache_retention: "24h", best_of: 1,
          prediction: { type: "content", content: "y" }, echo: false, suffix: "", n: 1,
          presence_penalty: 0.5, frequency_penalty: -0.5, logit_bias: { 7: -100 },
        });
        return worker.messages.at(-1).request;
        """,
    )
    assert request == {
        "prompt": "x",
        "seed": 3,
        "presence_penalty": 0.5,
        "frequency_penalty": -0.5,
        "logit_bias": {"7": -100},
    }
