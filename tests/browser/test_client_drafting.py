"""The client library: which drafter is loaded, what requests say of it, and reasoning apart."""

from __future__ import annotations

from typing import Any

import pytest
from pages import LISTED_WITH_DRAFTER, Chat, OpenPage

#: Runs a body with `load(params)`, which gives the message that a load sends, or its error.
WITH_LOADS = """
async () => {
  const { Leadout } = await import("/leadout.js");
  const testing = await importApp("testing.js");
  const load = async (params) => {
    const worker = new testing.FakeWorker();
    try {
      await Leadout.load({ worker, ...params });
    } catch (error) {
      return `${error.name}: ${error.message}`;
    }
    const { model, drafter, options } = worker.messages.find(({ type }) => type === "load");
    const names = (ref) => ref && [ref.name, ...ref.files.map((file) => file.url ?? file.name)];
    return { model: names(model), drafter: names(drafter), options };
  };
  const file = (path) => {
    const made = new File(["x"], path.split("/").at(-1));
    if (path.includes("/")) Object.defineProperty(made, "webkitRelativePath", { value: path });
    return made;
  };
  %s
}
"""

#: As `run` of test_client.py: a body over a fake engine, here with a drafter.
WITH_ENGINE = """
async (options) => {
  const { Leadout } = await import("/leadout.js");
  const testing = await importApp("testing.js");
  const worker = new testing.FakeWorker(options);
  const drafter = { name: "d", files: [] };
  const engine = await Leadout.load({ model: { name: "fake", files: [] }, drafter, worker });
  const read = async (stream) => {
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    return chunks;
  };
  %s
}
"""

MESSAGES = "messages: [{ role: 'user', content: 'x' }]"


@pytest.fixture
def blank(open_page: OpenPage) -> Chat:
    """A page without an element of its own."""
    return open_page(path="icon.svg", wait_for=None, models=LISTED_WITH_DRAFTER)


def loads(blank: Chat, body: str) -> Any:
    return blank.page.evaluate(WITH_LOADS % body)


def run(blank: Chat, body: str, **options: Any) -> Any:
    return blank.page.evaluate(WITH_ENGINE % body, options)


def test_auto_takes_the_drafter_that_the_site_lists(blank: Chat) -> None:
    found = loads(
        blank,
        """
        const loaded = {};
        for (const drafter of [undefined, "auto", "mtp", "none", "ngram"]) {
          loaded[drafter] = await load({ model: "target", drafter });
        }
        loaded.alone = await load({ model: "gemma3-1b-it" });
        return loaded;
        """,
    )
    drafter = found["auto"]["drafter"]
    assert drafter[0] == "target-assistant"
    assert drafter[1].endswith("/models/target-assistant/d.gguf")
    assert found["undefined"] == found["auto"]
    assert {name: load["drafter"] for name, load in found.items()} == {
        "undefined": drafter,
        "auto": drafter,
        "mtp": drafter,
        "none": None,
        "ngram": None,
        "alone": None,
    }
    assert {name: load["options"] for name, load in found.items()} == {
        "undefined": {},
        "auto": {},
        "mtp": {"drafter": "mtp"},
        "none": {"drafter": "none"},
        "ngram": {"drafter": "ngram"},
        "alone": {},
    }
    assert all(load["model"][0] in ("target", "gemma3-1b-it") for load in found.values())


def test_a_drafter_may_be_a_model_of_its_own(blank: Chat) -> None:
    found = loads(
        blank,
        """
        return [
          await load({ model: "gemma3-1b-it", drafter: "target-assistant", maxDraftTokens: 3 }),
          await load({ model: "target", drafter: "/other/d.gguf" }),
          await load({ model: "target", drafter: file("mine-assistant.gguf") }),
          await load({ model: "target", drafter: { name: "x", files: [{ name: "y", url: "z" }] } }),
        ];
        """,
    )
    assert found[0]["drafter"][0] == "target-assistant"
    assert found[0]["options"] == {"max_draft_tokens": 3}
    assert found[1]["drafter"][0] == "d"
    assert found[1]["drafter"][1].endswith("/other/d.gguf")
    assert found[2]["drafter"] == ["mine-assistant", "mine-assistant.gguf"]
    assert found[3]["drafter"][1].startswith("http://127.0.0.1:")


def test_mtp_without_a_drafter_is_refused_by_name(blank: Chat) -> None:
    error = loads(blank, 'return load({ model: "gemma3-1b-it", drafter: "mtp" });')
    assert error.startswith("DrafterError: No drafter comes with gemma3-1b-it")


#: Files that were picked → the model's name and files, and the drafter's name.
PICKED: list[tuple[list[str], list[str], str | None]] = [
    (["a.gguf"], ["a", "a.gguf"], None),
    (["a-assistant.gguf"], ["a-assistant", "a-assistant.gguf"], None),
    (["a-it-Assistant.gguf", "b.gguf"], ["b", "b.gguf"], "a-it-Assistant"),
    (
        ["config.json", "model.safetensors", "d-assistant.gguf"],
        ["local model", "config.json", "model.safetensors"],
        "d-assistant",
    ),
    (["config.json", "a.gguf"], ["a", "a.gguf"], None),
    (
        ["x/config.json", "x/model.safetensors", "x/assistant/config.json"],
        ["x", "config.json", "model.safetensors"],
        "assistant",
    ),
    (
        ["x-assistant/config.json", "x-assistant/m.safetensors", "x/config.json"],
        ["x", "config.json"],
        "x-assistant",
    ),
    (["y/assistant/a.gguf", "y/b.gguf"], ["b", "b.gguf"], "a"),
    (["assistants/a.gguf", "assistants/a-assistant.gguf"], ["a", "a.gguf"], "a-assistant"),
]


def test_picked_files_are_a_model_and_its_drafter(blank: Chat) -> None:
    for paths, model, drafter in PICKED:
        loaded = loads(blank, f"return load({{ model: {paths!r}.map(file) }});")
        assert loaded["model"] == model
        assert (loaded["drafter"] or [None])[0] == drafter
        alone = loads(blank, f"return load({{ model: {paths!r}.map(file), drafter: 'none' }});")
        assert (alone["model"], alone["drafter"]) == (model, None)


#: Files that leave open which is the drafter → what is said.
UNCLEAR = [
    (["a.gguf", "b.gguf"], "Several models were given: a.gguf, b.gguf."),
    (["a-assistant.gguf", "b-assistant.gguf"], "Several models were given"),
    (["a.gguf", "b.gguf", "c-assistant.gguf"], "Several models were given"),
    (["x/config.json", "y/config.json"], "Several models were given: x, y."),
    (["config.json", "config.json"], "config.json was given twice"),
    (["notes.txt"], "the files given are: notes.txt"),
]


def test_files_that_do_not_tell_the_drafter_are_refused(blank: Chat) -> None:
    for paths, error in UNCLEAR:
        assert error in loads(blank, f"return load({{ model: {paths!r}.map(file) }});")


def test_requests_say_what_is_to_be_drafted(blank: Chat) -> None:
    requests = run(
        blank,
        f"""
        await engine.completions.create({{
          prompt: "x", drafter: "none", draft_tokens: 3, max_tokens: 1,
        }});
        await engine.chat.completions.create({{
          {MESSAGES}, drafter: null, draft_tokens: "auto", enable_thinking: true,
        }});
        const refused = await engine.completions.create({{ prompt: "x", enable_thinking: true }})
          .catch((error) => error.message);
        const sent = worker.messages.filter(({{ type }}) => type === "generate");
        return [...sent.map(({{ request }}) => request), refused];
        """,
    )
    assert requests[0] == {"prompt": "x", "drafter": "none", "draft_tokens": 3, "max_tokens": 1}
    assert requests[1] == {
        "messages": [{"role": "user", "content": "x"}],
        "draft_tokens": "auto",
        "enable_thinking": True,
    }
    assert 'no parameter "enable_thinking"' in requests[2]  # only a chat template knows it


def test_chunks_say_whether_their_tokens_were_drafted(blank: Chat) -> None:
    chunks, usage, stats = run(
        blank,
        """
        const chunks = await read(await engine.completions.create({
          prompt: "x", stream: true, draft_tokens: 2,
        }));
        const last = chunks.pop();
        return [chunks.map(({ leadout }) => leadout.is_draft), last.usage, last.leadout];
        """,
        text=" a b c d e f g",
        accepts=[2, 0, 1],
    )
    assert chunks == [False, True, True, False, False, True, False]
    assert usage["completion_tokens_details"] == {
        "accepted_prediction_tokens": 3,
        "rejected_prediction_tokens": 3,
        "reasoning_tokens": 0,
    }
    assert stats["drafter"] == "mtp"
    assert stats["draft_tokens"] == 2
    assert stats["drafted_per_position"] == [3, 3]
    assert stats["accepted_per_position"] == [2, 1]
    assert stats["tokens_per_cycle"] == 2
    assert stats["self_test"] == "identical"


def test_reasoning_comes_apart_from_the_answer(blank: Chat) -> None:
    whole, deltas = run(
        blank,
        f"""
        const params = {{ {MESSAGES}, enable_thinking: true }};
        const whole = await engine.chat.completions.create(params);
        params.stream = true;
        const chunks = await read(await engine.chat.completions.create(params));
        return [whole, chunks.map(({{ choices }}) => choices[0].delta)];
        """,
        reasoning="Let me see.",
        text=" Paris, of course.",
    )
    assert whole["choices"][0]["message"] == {
        "role": "assistant",
        "content": " Paris, of course.",
        "refusal": None,
        "reasoning_content": "Let me see.",
    }
    assert whole["usage"]["completion_tokens_details"]["reasoning_tokens"] == 3
    assert whole["usage"]["completion_tokens"] == 6
    assert deltas == [
        {"role": "assistant", "content": "", "reasoning_content": "Let"},
        {"reasoning_content": " me"},
        {"reasoning_content": " see."},
        {"content": " Paris,"},
        {"content": " of"},
        {"content": " course."},
        {},
    ]


def test_what_a_model_thought_is_not_said_to_it_again(blank: Chat) -> None:
    messages = run(
        blank,
        """
        const whole = await engine.chat.completions.create({ messages: [
          { role: "user", content: "x" },
          { role: "assistant", content: "y", reasoning_content: "z" },
          { role: "user", content: "x" },
        ] });
        return worker.messages.at(-1).request.messages;
        """,
    )
    assert messages[1] == {"role": "assistant", "content": "y"}


def test_the_model_says_what_drafts_for_it(blank: Chat) -> None:
    info = run(blank, "return engine.info;")
    assert info["drafter"]["kind"] == "mtp"
    assert info["drafter"]["name"] == "d"
    assert info["max_draft_tokens"] == 7
    assert info["self_test"] == "identical"
