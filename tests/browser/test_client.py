"""The client library: OpenAI's shapes, aborts, errors, and what a model may be called."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pages import Chat, OpenPage

#: Runs a body with `engine`, its fake `worker`, `Leadout` and `testing` at hand.
WITH_ENGINE = """
async (options) => {
  const { Leadout } = await import("/leadout.js");
  const testing = await importApp("testing.js");
  const worker = new testing.FakeWorker(options);
  const engine = await Leadout.load({ model: { name: "fake", files: [] }, worker });
  const caught = (promise) => promise.then(() => "no error", (e) => `${e.name}: ${e.message}`);
  %s
}
"""


@pytest.fixture
def blank(open_page: OpenPage) -> Chat:
    """A page without an element of its own."""
    return open_page(path="icon.svg", wait_for=None)


def run(blank: Chat, body: str, **options: Any) -> Any:
    """Run a body over a fake engine and return its value."""
    return blank.page.evaluate(WITH_ENGINE % body, options)


def test_a_completion_has_openais_shape(blank: Chat) -> None:
    completion = run(
        blank,
        "return engine.completions.create({ prompt: 'The capital is', max_tokens: 2 });",
        text=" Paris, of course.",
    )
    assert completion["id"].startswith("cmpl-")
    assert completion["object"] == "text_completion"
    assert completion["model"] == "fake"
    assert completion["choices"] == [
        {"index": 0, "text": " Paris, of", "logprobs": None, "finish_reason": "length"}
    ]
    assert completion["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "total_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
            "reasoning_tokens": 0,
        },
    }
    assert completion["leadout"]["decode_tokens"] == 1


def test_a_stream_gives_chunks_and_the_usage_at_its_end(blank: Chat) -> None:
    chunks = run(
        blank,
        """
        const chunks = [];
        const stream = await engine.completions.create({ prompt: "x", stream: true });
        for await (const chunk of stream) chunks.push(chunk);
        return chunks;
        """,
        text=" one two",
    )
    assert [chunk["choices"][0]["text"] for chunk in chunks] == [" one", " two", ""]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, "stop"]
    assert ["usage" in chunk for chunk in chunks] == [False, False, True]
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert all(len(chunk["leadout"]["tokens"]) == 1 for chunk in chunks[:2])
    assert chunks[-1]["usage"]["completion_tokens"] == 2


def test_a_chat_has_openais_shape_with_and_without_a_stream(blank: Chat) -> None:
    whole, chunks = run(
        blank,
        """
        const messages = [{ role: "user", content: [{ type: "text", text: "Hello" }] }];
        const whole = await engine.chat.completions.create({ messages });
        const chunks = [];
        const stream = await engine.chat.completions.create({ messages, stream: true });
        for await (const chunk of stream) chunks.push(chunk);
        return [whole, chunks];
        """,
        text="Hi there",
    )
    assert whole["object"] == "chat.completion"
    message = {"role": "assistant", "content": "Hi there", "refusal": None}
    assert whole["choices"][0]["message"] == message
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": "Hi"},
        {"content": " there"},
        {},
    ]


@pytest.mark.parametrize("leave", ["break;", "throw new Error('left');", "return sent();"])
def test_leaving_a_stream_aborts_the_generation(blank: Chat, leave: str) -> None:
    sent = run(
        blank,
        """
        const sent = () => worker.messages.map(({ type, target }) => [type, target ?? null]);
        async function read() {
          const stream = await engine.completions.create({ prompt: "x", stream: true });
          for await (const chunk of stream) { LEAVE }
        }
        await read().catch(() => {});
        return sent();
        """.replace("LEAVE", leave),
        text="word " * 100,
        tokensPerSecond=100,
    )
    assert sent == [["boot", None], ["load", None], ["generate", None], ["abort", 3]]


@pytest.mark.parametrize("stream", ["true", "false"])
@pytest.mark.parametrize("place", ["params", "withSignal"])
def test_a_signal_ends_a_generation_with_an_abort_error(
    blank: Chat, stream: str, place: str
) -> None:
    error = run(
        blank,
        """
        const controller = new AbortController();
        const params = { prompt: "x", stream: STREAM };
        const withSignal = {};
        PLACE.signal = controller.signal;
        setTimeout(() => controller.abort(), 50);
        return caught((async () => {
          const answer = await engine.completions.create(params, withSignal);
          for await (const chunk of answer) void chunk;
        })());
        """.replace("STREAM", stream).replace("PLACE", place),
        text="word " * 1000,
        tokensPerSecond=100,
    )
    assert error.startswith("AbortError")


def test_requests_are_answered_one_after_the_other(blank: Chat) -> None:
    order = run(
        blank,
        """
        const order = [];
        const ask = async (prompt) => {
          const stream = await engine.completions.create({ prompt, stream: true });
          for await (const chunk of stream) order.push(prompt);
        };
        await Promise.all([ask("a"), ask("b")]);
        return order.join("");
        """,
        text=" one two three",
        tokensPerSecond=200,
    )
    assert order == "aaaabbbb"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("completions.create({ prompt: 'x', best_of: 2 })", "best_of is 2"),
        ("completions.create({ prompt: 'x', suffix: 'y' })", 'suffix is "y"'),
        ("completions.create({ prompt: 'x', echo: true })", "echo is true"),
        ("completions.create({ prompt: 'x', tempreature: 1 })", 'no parameter "tempreature"'),
        ("completions.create({ prompt: 'x', top_logprobs: 1 })", 'no parameter "top_logprobs"'),
        ("completions.create({ prompt: 'x', n: 0 })", "n is 0"),
        ("completions.create({ prompt: 'x', n: 129 })", "from 1 to 128"),
        ("completions.create({ prompt: 'x', stream_options: {} })", "only for stream: true"),
        (
            "completions.create({ prompt: 'x', stream: true, stream_options: { often: true } })",
            "no stream_options.often",
        ),
        ("embeddings.create({ model: 'x', input: 'y' })", "makes no embeddings"),
        ("chat.completions.create({ messages: [], audio: {} })", 'no parameter "audio"'),
        ("chat.completions.create({ messages: [], reasoning_effort: 'low' })", "enable_thinking"),
        ("chat.completions.create({ messages: [], modalities: ['audio'] })", "modalities is"),
        ("completions.create({})", "Wanted prompt or prompt_ids; given: none"),
        ("completions.create({ prompt: 'x', prompt_ids: [1] })", "given: prompt and prompt_ids"),
        ("chat.completions.create({ prompt: 'x' })", "Wanted messages; given: prompt"),
        ("chat.completions.create({ messages: 'x' })", "must be a list"),
        (
            "chat.completions.create({ messages: [{ role: 'user', content: [{ type: 'i' }] }] })",
            "must be text",
        ),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(blank: Chat, call: str, message: str) -> None:
    error, sent = run(blank, f"return [await caught(engine.{call}), worker.messages.length];")
    assert error.startswith("RequestError: ")
    assert message in error
    assert sent == 2  # boot and load


def test_openais_nulls_and_names_are_understood(blank: Chat) -> None:
    request = run(
        blank,
        """
        await engine.chat.completions.create({
          model: "any", messages: [{ role: "user", content: "x" }], max_completion_tokens: 3,
          temperature: null, stop: "END", stream: null,
        });
        return worker.messages.at(-1).request;
        """,
    )
    assert request == {
        "messages": [{"role": "user", "content": "x"}],
        "max_tokens": 3,
        "stop": ["END"],
    }


@pytest.mark.parametrize(
    ("option", "name"),
    [("crashAfterTokens", "WorkerError"), ("loseDeviceAfterTokens", "DeviceLostError")],
)
def test_a_failure_rejects_all_requests_and_later_ones(blank: Chat, option: str, name: str) -> None:
    errors = run(
        blank,
        """
        const errors = await Promise.all([
          caught(engine.completions.create({ prompt: "a" })),
          caught(engine.completions.create({ prompt: "b" })),
        ]);
        errors.push(await caught(engine.tokenize("late")), `${(await engine.lost).name}: `);
        return [errors, engine.needsReload];
        """,
        text="word " * 10,
        **{option: 2},
    )
    assert [error.split(":")[0] for error in errors[0]] == [name] * 4
    assert errors[1] is True


def test_a_worker_that_stays_silent_is_ended_and_one_that_is_there_is_not(blank: Chat) -> None:
    ends = blank.page.evaluate(
        """async () => {
          const { Channel } = await importApp("client/channel.js");
          const started = (answersPings) => {
            const worker = new EventTarget();
            worker.pings = 0;
            worker.postMessage = ({ type, id }) => {
              if (type !== "ping") return;
              worker.pings += 1;
              if (!answersPings) return;
              worker.dispatchEvent(new MessageEvent("message", { data: { type: "pong", id } }));
            };
            worker.terminate = () => { worker.isEnded = true; };
            const channel = new Channel(worker, { pingMs: 20 });
            const end = channel
              .request({ type: "tokenize", text: "a" })
              .catch(({ name, message }) => `${name}: ${message}`);
            return { worker, channel, end };
          };
          const [silent, busy] = [started(false), started(true)];
          const end = await silent.end;
          while (busy.worker.pings < 30) await new Promise((resolve) => setTimeout(resolve, 20));
          return {
            end,
            late: await silent.channel.request({ type: "unload" }).catch(({ name }) => name),
            lost: (await silent.channel.lost).name,
            isEnded: [silent.worker.isEnded, busy.worker.isEnded ?? false],
            busyFailure: busy.channel.failure,
          };
        }"""
    )
    assert ends["end"].startswith("WorkerError: The worker stopped: it did not answer for")
    assert ends["late"] == ends["lost"] == "WorkerError"
    assert ends["isEnded"] == [True, False]
    assert ends["busyFailure"] is None


def test_a_lost_device_that_a_request_reports_ends_the_engine_too(blank: Chat) -> None:
    result = run(
        blank,
        """
        const error = await caught(engine.completions.create({ prompt: "a" }));
        return [error, (await engine.lost).name, engine.needsReload];
        """,
        generateError={"name": "DeviceLostError", "message": "gone"},
    )
    assert result == ["DeviceLostError: gone", "DeviceLostError", True]


def test_tokenize_score_unload_and_dispose(blank: Chat) -> None:
    result = run(
        blank,
        """
        const ids = await engine.tokenize("one two");
        const sizes = [];
        const onLogits = (logits, start) => sizes.push([logits.length, start]);
        const scored = await engine.score(ids, { onLogits });
        await engine.unload();
        const unloaded = await caught(engine.tokenize("x"));
        engine.dispose();
        return [sizes, scored, unloaded, engine.needsReload];
        """,
    )
    assert result[0] == [[16, 0]]
    assert result[1] == {"rows": 2, "vocab_size": 8}
    assert result[2].startswith("RequestError: The model was unloaded")
    assert result[3] is True


def test_an_abort_ends_a_load_and_its_worker(blank: Chat) -> None:
    result = run(
        blank,
        """
        const slow = new testing.FakeWorker({ loadMs: 60000 });
        let isTerminated = false;
        slow.terminate = () => { isTerminated = true; };
        const controller = new AbortController();
        const model = { name: "fake", files: [] };
        const error = await caught(Leadout.load({
          model, worker: slow, signal: controller.signal,
          onProgress: () => controller.abort(),
        }));
        return [error.split(":")[0], isTerminated, slow.messages.at(-1)];
        """,
    )
    assert result == ["AbortError", True, {"type": "abort", "id": 3, "target": 2}]


def test_load_options_cross_under_the_workers_names(blank: Chat) -> None:
    sent = run(
        blank,
        """
        const other = new testing.FakeWorker();
        await Leadout.load({
          model: { name: "m", files: [{ name: "f.gguf", url: "models/f.gguf" }] },
          worker: other, contextLength: 512, kvDtype: "f16", runAhead: 2,
        });
        return other.messages;
        """,
    )
    assert [message["type"] for message in sent] == ["boot", "load"]
    assert sent[1]["options"] == {"context_length": 512, "kv_dtype": "f16", "run_ahead": 2}
    assert sent[1]["model"]["files"][0]["url"].startswith("http://127.0.0.1:")


def test_the_models_of_the_site_come_with_the_default_first(blank: Chat) -> None:
    models = [
        {"name": "a", "default": False, "bytes": 1, "files": []},
        {"name": "b", "default": True, "bytes": 2, "files": []},
    ]
    blank.page.route("**/models/index.json", lambda route: route.fulfill(json={"models": models}))
    listed = run(blank, "return (await Leadout.listModels()).map(({ name }) => name);")
    assert listed == ["b", "a"]
    error = run(blank, "return caught(Leadout.load({ model: 'c' }));")
    assert error.startswith(
        'ModelNotFoundError: This site serves no model "c". It serves: b, a. From'
    )


def test_a_folder_is_found_out_file_by_file(blank: Chat) -> None:
    files = {
        "config.json": "{}",
        "tokenizer.json": "{}",
        "model.safetensors.index.json": json.dumps(
            {"weight_map": {"x": "a.safetensors", "y": "b.safetensors", "z": "a.safetensors"}}
        ),
    }
    serve_folder(blank, files)
    model = run(
        blank,
        """
        const other = new testing.FakeWorker();
        await Leadout.load({ model: "/folder/tiny", worker: other });
        return other.messages[1].model;
        """,
    )
    assert model["name"] == "tiny"
    assert [file["name"] for file in model["files"]] == [
        "config.json",
        "tokenizer.json",
        "model.safetensors.index.json",
        "a.safetensors",
        "b.safetensors",
    ]


@pytest.mark.parametrize(
    "shard", ["../secret.safetensors", "/a.safetensors", "a.bin", ".safetensors"]
)
def test_an_index_may_name_shards_beside_itself_only(blank: Chat, shard: str) -> None:
    index = json.dumps({"weight_map": {"x": shard}})
    serve_folder(blank, {"config.json": "{}", "model.safetensors.index.json": index})
    error = run(blank, "return caught(Leadout.load({ model: '/folder/tiny/', worker }));")
    assert error.startswith("CheckpointError")
    assert shard in error


def serve_folder(blank: Chat, files: dict[str, str]) -> None:
    """Answer for a folder of these files at /folder/tiny/."""

    def answer(route: Any) -> None:
        name = route.request.url.rsplit("/", 1)[1]
        if name in files:
            route.fulfill(body=files[name])
        else:
            route.fulfill(status=404)

    blank.page.route("**/folder/tiny/*", answer)


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("'https://elsewhere.example/model/'", "SourceError"),
        ("'/app/nowhere/'", "ModelNotFoundError"),
        ("undefined", "RequestError"),
        ("[]", "UnsupportedFormatError"),
        ("[new File([''], 'a.txt')]", "UnsupportedFormatError"),
    ],
)
def test_a_model_that_is_none_is_refused_by_name(blank: Chat, model: str, error: str) -> None:
    # As servers of single-page applications do.
    page = {"content_type": "text/html", "body": "<!doctype html>"}
    blank.page.route("**/app/**", lambda route: route.fulfill(**page))
    found = run(blank, f"return caught(Leadout.load({{ model: {model}, worker }}));")
    assert found.split(":")[0] == error
    blank.page.evaluate("window.violations = []")  # the foreign address is meant to be refused


@pytest.mark.parametrize(
    ("agent", "advice"),
    [
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5) Version/17.5 Mobile Safari/604.1", "iOS"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox"),
        ("Mozilla/5.0 (Linux; Android 11) Chrome/110.0 Mobile Safari/537.36", "Android 12"),
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/110.0 Safari/537.36", "enable-vulkan"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/110.0 Safari/537.36 Edg/110.0", "113"),
        ("Mozilla/5.0 (Macintosh) Version/17.5 Safari/605.1.15", "Safari 26"),
        ("Something/1.0", "current Chrome"),
    ],
)
def test_the_advice_fits_the_browser(blank: Chat, agent: str, advice: str) -> None:
    found = blank.page.evaluate(
        "async (agent) => (await importApp('client/support.js')).adviseBrowser(agent)", agent
    )
    assert advice in found


def test_an_estimate_asks_a_worker_of_its_own_and_ends_it(blank: Chat) -> None:
    found = run(
        blank,
        """
        const other = new testing.FakeWorker({ forecast: { fits: true } });
        let ended = 0;
        other.terminate = () => { ended += 1; };
        const sizes = { contextLength: 8192, kvDtype: "f16", pagedRows: 512, memoryBytes: 4e9 };
        const how = { placement: "paged", precision: "fast", drafter: "none" };
        const asked = { ...sizes, ...how, probe: true };
        const model = { name: "fake", files: [] };
        const forecast = await Leadout.models.estimate(model, { ...asked, worker: other });
        const failing = new testing.FakeWorker();
        const failure = await caught(Leadout.models.estimate(model, { worker: failing }));
        return { forecast, messages: other.messages, ended, failure };
        """,
    )
    assert found["forecast"] == {"fits": True}
    assert found["failure"] == "RequestError: No forecast was given."
    assert found["ended"] == 1
    boot, estimate = found["messages"]
    assert boot["type"] == "boot"
    assert estimate["options"] == {
        "drafter": "none",
        "context_length": 8192,
        "kv_dtype": "f16",
        "placement": "paged",
        "precision": "fast",
        "paged_rows": 512,
        "memory_bytes": 4_000_000_000,
    }
    assert (estimate["type"], estimate["probe"]) == ("estimate", True)
