"""An engine that comes back by itself, over fake workers: what goes on, and what fails."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pages import Chat, OpenPage
from playwright.sync_api import expect

from leadout.request import GenerateRequest
from leadout.resumption import Resumption

TEXT = " one two three four five six seven eight nine ten"

#: Both scripts begin so: their n-th worker has the n-th of some options; the last one's stay.
_WORKERS = """async ({ perWorker, load }) => {
  const { Leadout } = await import("/leadout.js");
  const testing = await importApp("testing.js");
  const workers = [];
  const worker = () => {
    const options = perWorker[Math.min(workers.length, perWorker.length - 1)];
    workers.push(new testing.FakeWorker(options));
    return workers.at(-1);
  };
"""

#: Runs a body with an `engine` whose n-th worker has the n-th of some options; the last one's stay.
WITH_WORKERS = (
    _WORKERS
    + """
  const model = { name: "fake", files: [] };
  const engine = await Leadout.load({ model, worker, drafter: "ngram", ...load });
  const events = [];
  engine.addEventListener("healing", ({ detail }) => events.push(detail));
  const caught = (promise) => promise.then(() => "no error", (e) => `${e.name}: ${e.message}`);
  const asked = (n, type) => workers[n].messages.filter((message) => message.type === type);
  const laterBy = (ms) => {
    const now = performance.now.bind(performance);
    performance.now = () => now() + ms;
  };
  %s
}
"""
)

#: The same without the engine: `begin` starts its load, and `told` has what that told.
WHILE_LOADING = (
    _WORKERS
    + """
  const told = [];
  const begin = (options = {}) => Leadout.load({
    model: { name: "fake", files: [] },
    worker,
    onPhase: (phase) => told.push(phase),
    onHealing: ({ state, reason, progress }) => told.push([state, reason.name, progress?.phase]),
    ...load,
    ...options,
  });
  const caught = (promise) => promise.then(() => "no error", (e) => `${e.name}: ${e.message}`);
  %s
}
"""
)

LOSES = {"text": TEXT, "loseDeviceAfterTokens": 4}
CRASHES = {"text": TEXT, "crashAfterTokens": 4}
WORKS = {"text": TEXT}
LOSES_AT_LOAD = {"loadError": {"name": "DeviceLostError", "message": "It was lost."}}
CRASHES_AT_LOAD = {"crashesAtLoad": True}


@pytest.fixture
def blank(open_page: OpenPage) -> Chat:
    """A page without an element of its own."""
    return open_page(path="icon.svg", wait_for=None)


def run(
    blank: Chat, body: str, *per_worker: dict[str, Any], around: str = WITH_WORKERS, **load: Any
) -> Any:
    """Run a body over an engine of such workers and return its value."""
    return blank.page.evaluate(around % body, {"perWorker": per_worker, "load": load})


@pytest.mark.parametrize(
    ("fails", "name"), [(LOSES, "DeviceLostError"), (CRASHES, "WorkerError")], ids=["lost", "crash"]
)
def test_open_requests_go_on_in_another_worker(blank: Chat, fails: dict, name: str) -> None:
    result = run(
        blank,
        """
        const stream = await engine.completions.create({ prompt: "a b", seed: 3, stream: true });
        const queued = engine.completions.create({ prompt: "c" });
        const chunks = [];
        for await (const chunk of stream) chunks.push(chunk);
        return {
          chunks,
          queued: (await queued).choices[0].text,
          events: events.map((one) => [one.state, one.reason.name, one.progress?.phase]),
          again: asked(1, "generate"),
          first: asked(0, "generate")[0],
          loads: [asked(0, "load")[0], asked(1, "load")[0]],
          failure: engine.failure,
          needsReload: engine.needsReload,
        };
        """,
        fails,
        WORKS,
    )
    chunks = result["chunks"]
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == result["queued"] == TEXT
    ids = [token for chunk in chunks[:-1] for token in chunk["leadout"]["tokens"]]
    assert len(ids) == 10
    assert chunks[-1]["usage"]["completion_tokens"] == 10
    assert chunks[-1]["leadout"]["resumed_tokens"] == 4
    assert chunks[-1]["leadout"]["accepted_tokens"] == sum(
        len(chunk["leadout"]["tokens"]) for chunk in chunks[:-1] if chunk["leadout"]["is_draft"]
    )
    # It is the same load, and the same request but for its prompt, and what came of it.
    first, second = result["loads"]
    assert {**first, "id": 0} == {**second, "id": 0}
    resumed, queued = result["again"]
    assert resumed["request"]["seed"] == result["first"]["request"]["seed"] == 3
    assert "prompt" not in resumed["request"]
    assert len(resumed["request"]["prompt_ids"]) == 2
    cycles = resumed["resumption"]["cycles"]
    assert [token for cycle in cycles for token in cycle["tokens"]] == ids[:4]
    assert [len(cycle["tokens"]) for cycle in cycles] == [1, 3]
    assert cycles[1]["num_drafted"] > 0
    assert queued["request"]["prompt"] == "c"
    assert "resumption" not in queued
    assert result["events"][0] == ["started", name, None]
    assert result["events"][-1] == ["done", name, None]
    assert ["loading", name, "warming_up"] in result["events"]
    assert result["failure"] is None
    assert result["needsReload"] is False


CALL = {"name": "now", "arguments": "{}"}


def test_python_takes_every_chat_that_goes_on(blank: Chat) -> None:
    """The fake worker takes any message, so what it got is given to Python's own checks."""
    result = run(
        blank,
        """
        const messages = [{ role: "user", content: "a b" }];
        const json_schema = { name: "text", schema: { type: "string" } };
        const chats = [
          { tools: [{ type: "function", function: { name: "now" } }] },
          { response_format: { type: "json_schema", json_schema } },
          { logprobs: true, top_logprobs: 2, presence_penalty: 0.5 },
        ];
        const ask = (fields) => engine.chat.completions.create({ messages, ...fields });
        const answers = await Promise.all(chats.map(ask));
        return { asked: [asked(0, "generate"), asked(1, "generate")], answers };
        """,
        *({**worker, "calls": [CALL]} for worker in (LOSES, WORKS)),
        parallel=3,
    )
    asked, again = result["asked"]
    assert len(again) == 3
    for first, second in zip(asked, again, strict=True):
        wanted = GenerateRequest.from_json(first["request"])
        resumed = GenerateRequest.from_json(second["request"])
        assert Resumption.from_json(second["resumption"]).tokens
        assert resumed == replace(wanted, messages=None, prompt_ids=resumed.prompt_ids)
    messages = [answer["choices"][0]["message"] for answer in result["answers"]]
    assert [message["content"] for message in messages] == [TEXT] * 3
    assert messages[0]["tool_calls"][0]["function"] == CALL


@pytest.mark.parametrize(
    ("fails", "name"),
    [(LOSES_AT_LOAD, "DeviceLostError"), (CRASHES_AT_LOAD, "WorkerError")],
    ids=["lost", "crash"],
)
def test_a_load_that_fails_in_its_midst_begins_once_again(
    blank: Chat, fails: dict, name: str
) -> None:
    result = run(
        blank,
        """
        const engine = await begin();
        const { text } = await engine.generate({ prompt: "a" });
        return { told, text, num: workers.length, needsReload: engine.needsReload };
        """,
        fails,
        WORKS,
        around=WHILE_LOADING,
    )
    phases = ["loading_runtime", "loading_package", "loading_weights"]
    told = result["told"]
    assert told[:3] == phases
    assert told[3] == ["started", name, None]
    # The page hears of the phases as ever, and beside them what they are for.
    assert [one for one in told[4:] if isinstance(one, str)] == [
        *phases,
        *("compiling_kernels", "warming_up", "ready"),
    ]
    assert told[4:6] == ["loading_runtime", ["loading", name, "loading_runtime"]]
    assert told[-1] == ["done", name, None]
    assert (result["text"], result["num"], result["needsReload"]) == (TEXT, 2, False)


def test_a_second_failure_of_a_load_is_final(blank: Chat) -> None:
    result = run(
        blank,
        "return [await caught(begin()), workers.length, told.at(-1)[0]];",
        LOSES_AT_LOAD,
        CRASHES_AT_LOAD,
        around=WHILE_LOADING,
    )
    assert result[0].startswith("WorkerError: The worker stopped: the fake worker crashed.")
    assert "Loading had begun again 0 s before, after another failure" in result[0]
    assert result[1:] == [2, "loading"]


def test_a_failure_soon_after_a_load_that_began_again_is_final_and_a_later_one_is_not(
    blank: Chat,
) -> None:
    result = run(
        blank,
        """
        const soon = await caught((await begin()).generate({ prompt: "a" }));
        workers.length = 0;
        const engine = await begin();
        const now = performance.now.bind(performance);
        performance.now = () => now() + 61_000;
        return [soon, await caught(engine.generate({ prompt: "a" })), workers.length];
        """,
        CRASHES_AT_LOAD,
        LOSES,
        WORKS,
        around=WHILE_LOADING,
    )
    assert result[0].startswith("DeviceLostError: ")
    assert "It had been loaded again 0 s before, after another failure." in result[0]
    assert result[1:] == ["no error", 3]


@pytest.mark.parametrize(
    ("first", "load", "end"),
    [
        (LOSES_AT_LOAD, {"heal": False}, "DeviceLostError: It was lost."),
        ({"loadError": {"name": "SourceError", "message": "gone"}}, {}, "SourceError: gone"),
        (
            {"loadError": {"name": "DeviceUnavailableError", "message": "none"}},
            {},
            "DeviceUnavailableError: none",
        ),
    ],
    ids=["unwanted", "no failure of the worker's", "no device at all"],
)
def test_what_does_not_begin_again(blank: Chat, first: dict, load: dict, end: str) -> None:
    body = "return [await caught(begin()), workers.length, told.at(-1)];"
    result = run(blank, body, first, WORKS, around=WHILE_LOADING, **load)
    assert result == [end, 1, "loading_weights"]


def test_a_load_that_begins_again_waits_for_a_device_and_not_for_who_has_left(
    blank: Chat,
) -> None:
    result = run(
        blank,
        """
        const patient = await caught(begin());
        const numPatient = workers.length;
        workers.length = 0;
        const controller = new AbortController();
        const left = caught(begin({ signal: controller.signal }));
        while (workers.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
        await new Promise((resolve) => setTimeout(resolve, 100)); // within the first wait
        const began = performance.now();
        controller.abort();
        return [patient, numPatient, await left, performance.now() - began, workers.length];
        """,
        LOSES_AT_LOAD,
        {"loadError": {"name": "DeviceUnavailableError", "message": "none yet"}},
        WORKS,
        around=WHILE_LOADING,
    )
    assert result[:2] == ["no error", 3]
    assert result[2].startswith("AbortError")
    assert result[3] < 200
    assert result[4] == 2


def test_a_second_failure_within_a_minute_is_final_and_a_later_one_is_not(blank: Chat) -> None:
    result = run(
        blank,
        """
        const patient = engine.completions.create({ prompt: "a" });
        while (!events.some(({ state }) => state === "done")) {
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        laterBy(61_000);
        const late = await caught(engine.tokenize("x"));
        const error = await caught(patient);
        return {
          late, error,
          lost: (await engine.lost).name,
          afterwards: await caught(engine.tokenize("x")),
          needsReload: engine.needsReload,
          num: workers.length,
        };
        """,
        # The third one fails as soon as it is there.
        *[{**LOSES, "text": "word " * 30, "tokensPerSecond": 50}] * 3,
    )
    assert result["late"] == "no error"
    assert result["error"].startswith("DeviceLostError: The graphics device was lost.")
    assert "It had been loaded again 0 s before" in result["error"]
    assert result["lost"] == "DeviceLostError"
    assert result["afterwards"] == result["error"]
    assert result["needsReload"] is True
    assert result["num"] == 3


@pytest.mark.parametrize(
    ("name", "end", "num"),
    [("DeviceUnavailableError", "no error", 4), ("SourceError", "SourceError: gone", 2)],
)
def test_what_may_pass_is_tried_again_and_all_else_is_final(
    blank: Chat, name: str, end: str, num: int
) -> None:
    refuses = {"loadError": {"name": name, "message": "gone"}}
    result = run(
        blank,
        "return [await caught(engine.completions.create({ prompt: 'a' })), workers.length];",
        LOSES,
        refuses,
        refuses,
        WORKS,
    )
    assert result == [end, num]


def test_nothing_heals_where_that_was_not_wanted(blank: Chat) -> None:
    body = "return [await caught(engine.completions.create({ prompt: 'a' })), events.length];"
    error, num_events = run(blank, body, LOSES, WORKS, heal=False)
    assert (error.split(":")[0], num_events) == ("DeviceLostError", 0)


def test_who_leaves_while_it_heals_is_let_go(blank: Chat) -> None:
    result = run(
        blank,
        """
        const controller = new AbortController();
        const left = caught(engine.completions.create({ prompt: "a", signal: controller.signal }));
        const disposed = caught(engine.completions.create({ prompt: "b" }));
        while (events.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
        const late = caught(engine.tokenize("c"));
        controller.abort();
        const first = await left;
        engine.dispose();
        return [first, await disposed, await late, engine.needsReload, asked(1, "generate").length];
        """,
        LOSES,
        {**WORKS, "loadMs": 60_000},
    )
    assert [text.split(":")[0] for text in result[:3]] == ["AbortError"] * 3
    assert result[3:] == [True, 0]


def test_a_silent_worker_is_ended_and_healed_though_nothing_was_asked(blank: Chat) -> None:
    result = blank.page.evaluate(
        """async () => {
          const { Channel } = await importApp("client/channel.js");
          const { HealingChannel } = await importApp("client/healing.js");
          const { FakeWorker } = await importApp("testing.js");
          const silent = new FakeWorker();
          silent.postMessage = () => {};
          const events = [];
          const started = (worker) => ({ channel: new Channel(worker, { pingMs: 10 }), info: {} });
          const channel = new HealingChannel(started(silent), {
            reload: async () => {
              const loaded = started(new FakeWorker());
              await loaded.channel.request({ type: "boot" });
              return loaded;
            },
            onHealing: ({ state, reason }) => events.push([state, reason.message]),
          });
          // As when a tab wakes up.
          document.dispatchEvent(new Event("resume"));
          while (events.length < 2) await new Promise((resolve) => setTimeout(resolve, 10));
          return { events, ids: (await channel.request({ type: "tokenize", text: "a b" })).length };
        }"""
    )
    assert [state for state, _ in result["events"]] == ["started", "done"]
    assert "it did not answer for" in result["events"][0][1]
    assert result["ids"] == 2


def test_tokenizing_waits_for_no_generation(blank: Chat) -> None:
    order = run(
        blank,
        """
        const order = [];
        const generating = engine.generate({ prompt: "a" }).then(() => order.push("text"));
        await engine.tokenize("b").then(() => order.push("ids"));
        await generating;
        return order;
        """,
        {**WORKS, "tokensPerSecond": 200},
    )
    assert order == ["ids", "text"]


def test_the_page_says_so_in_a_line_and_goes_on(open_page: OpenPage) -> None:
    chat = open_page(
        text=repr("word " * 12), loseDeviceAfterTokens=5, sparesResumed=True, loadMs=600
    )
    chat.page.evaluate(
        """() => {
          const chat = document.querySelector("leadout-chat");
          window.states = [];
          chat.addEventListener("leadout-healing", ({ detail }) => states.push(detail.state));
        }"""
    )
    chat.write("Go ")
    expect(chat.loading).to_contain_text(
        "The graphics device was lost. Recovering: Loading weights"
    )
    assert chat.value("chat.state") == "generating"
    chat.wait_until("chat.state === 'ready'")
    assert chat.value("chat.text").strip() == "Go " + " ".join(["word"] * 12)
    expect(chat.loading).to_be_hidden()
    expect(chat.notice).to_be_hidden()
    states = chat.page.evaluate("window.states")
    assert (states[0], states[-1]) == ("started", "done")


def test_the_page_says_that_a_load_begins_again_and_why_it_failed_at_last(
    open_page: OpenPage,
) -> None:
    chat = open_page(crashesAtLoad=True, loadMs=4000, wait_for=None)
    expect(chat.loading).to_contain_text("The model's worker stopped. Recovering: Loading weights")
    expect(chat.status).to_have_text("The model's worker stopped. Recovering…")
    assert chat.value("chat.state") == "loading_weights"
    chat.wait_for_state("failed")
    expect(chat.notice).to_contain_text("Loading had begun again")
    expect(chat.loading).to_be_hidden()
