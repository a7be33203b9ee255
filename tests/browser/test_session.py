"""Conversations of the client library (web/client/session.js), over the fake worker."""

from __future__ import annotations

from typing import Any

import pytest
from pages import Chat, OpenPage

#: Runs a body with a `session` whose answers count the messages, and `sent()`: the requests.
WITH_SESSION = """
async () => {
  const { Leadout } = await import("/leadout.js");
  const testing = await importApp("testing.js");
  const model = { name: "fake", files: [] };
  const text = ({ messages }) => ` answer ${messages.length}.`;
  const load = (options = {}) => {
    const worker = new testing.FakeWorker({ text, ...options });
    return Leadout.load({ model, worker }).then((engine) => ({ engine, worker }));
  };
  const { engine, worker } = await load();
  const requestsOf = ({ messages }) => messages.flatMap(({ request }) => request ?? []);
  const sent = () => requestsOf(worker);
  const said = (session) => session.messages.map(({ role, content }) => `${role}: ${content}`);
  const caught = (promise) => promise.then(() => "no error", (e) => `${e.name}: ${e.message}`);
  const session = engine.session({ system: "Be brief.", temperature: 0.5 });
  %s
}
"""

SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.fixture
def blank(open_page: OpenPage) -> Chat:
    """A page without an element of its own."""
    return open_page(path="icon.svg", wait_for=None)


def run(blank: Chat, body: str) -> Any:
    """Run a body and return its value."""
    return blank.page.evaluate(WITH_SESSION % body)


def test_every_message_is_sent_with_all_that_was_said_before(blank: Chat) -> None:
    answer, requests, said = run(
        blank,
        """
        const answer = await session.send("One?");
        await session.send({ role: "user", content: "Two?" }, { temperature: 0, max_tokens: 9 });
        return [answer, sent(), said(session)];
        """,
    )
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"]["content"] == " answer 2."
    assert answer["usage"]["prompt_tokens_details"] == {"cached_tokens": 0}
    assert answer["leadout"]["dropped_messages"] == 0
    one = {"role": "user", "content": "One?"}
    first = {"role": "assistant", "content": " answer 2."}
    assert requests == [
        {"messages": [SYSTEM, one], "temperature": 0.5},
        {
            "messages": [SYSTEM, one, first, {"role": "user", "content": "Two?"}],
            "temperature": 0,
            "max_tokens": 9,
        },
    ]
    assert said[-2:] == ["user: Two?", "assistant:  answer 4."]


def test_an_answer_can_be_streamed(blank: Chat) -> None:
    text, usage, busy, said = run(
        blank,
        """
        let streamed = "", usage, busy = [];
        for await (const chunk of await session.send("One?", { stream: true })) {
          streamed += chunk.choices[0].delta.content ?? "";
          usage = chunk.usage;
        }
        busy.push(session.isBusy);
        await session.send("Two?");
        return [streamed, usage, busy, said(session)];
        """,
    )
    assert text == " answer 2."
    assert usage["completion_tokens"] == 2
    assert busy == [False]
    assert len(said) == 5


@pytest.mark.parametrize(
    "leave",
    [
        'for await (const _ of await session.send("One?", { stream: true })) break;',
        """
        const left = new AbortController();
        const answer = session.send("One?", { signal: left.signal });
        left.abort();
        await caught(answer);
        """,
        'await caught(session.send("One?", { stream: true, signal: AbortSignal.abort() }));',
        'await caught(session.send("One?", { verbosity: "high" }));',
    ],
)
def test_what_is_left_or_fails_is_no_part_of_the_conversation(blank: Chat, leave: str) -> None:
    said = run(blank, leave + "await session.send('Two?'); return said(session);")
    assert said == ["system: Be brief.", "user: Two?", "assistant:  answer 2."]


def test_one_message_is_answered_at_a_time(blank: Chat) -> None:
    error, said = run(
        blank,
        """
        const first = session.send("One?");
        const error = await caught(session.send("Two?"));
        await first;
        return [error, said(session)];
        """,
    )
    assert error.startswith("RequestError: Another message of this session is being answered.")
    assert said == ["system: Be brief.", "user: One?", "assistant:  answer 2."]


def test_forks_go_on_apart(blank: Chat) -> None:
    said = run(
        blank,
        """
        await session.send("One?");
        const fork = session.fork();
        await Promise.all([session.send("Left?"), fork.send("Right?")]);
        return [said(session), said(fork), sent().at(-1).temperature];
        """,
    )
    left, right, temperature = said
    assert left[:3] == right[:3]
    assert (left[3], right[3]) == ("user: Left?", "user: Right?")
    assert temperature == 0.5


def test_an_export_is_plain_data_and_goes_on_in_another_engine(blank: Chat) -> None:
    saved, said, request, tokens = run(
        blank,
        """
        await session.send("One?");
        const saved = JSON.parse(JSON.stringify(session.export()));
        const other = await load();
        const again = other.engine.importSession(saved);
        await again.send("Two?");
        const request = other.worker.messages.at(-1).request;
        return [saved, said(again), request, again.export().tokens.length];
        """,
    )
    assert saved["format"] == "leadout-session"
    assert saved["model"] == {
        "name": "fake",
        "architecture": "gemma3_text",
        "num_parameters": 268_098_176,
    }
    assert saved["params"] == {"temperature": 0.5}
    assert [message["role"] for message in saved["messages"]] == ["system", "user", "assistant"]
    assert len(saved["tokens"]) == 5  # "Be brief. One?" and the answer
    assert all(isinstance(token, int) for token in saved["tokens"])
    assert said[2:] == ["assistant:  answer 2.", "user: Two?", "assistant:  answer 4."]
    assert request["temperature"] == 0.5
    assert tokens > 5


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("saved.model.num_parameters = 7", "It was with fake (gemma3_text, 7 parameters), and"),
        ("saved.version = 2", 'It is {"format":"leadout-session","version":2}; wanted'),
        ("saved.messages = 'none'", "Its messages, params or tokens are missing or malformed."),
        ("saved.tokens = [0.5]", "Its messages, params or tokens are missing or malformed."),
        ("saved = 'text'", "It is string; wanted what session.export() gave."),
    ],
)
def test_what_is_no_export_of_this_models_is_refused(blank: Chat, change: str, named: str) -> None:
    error = run(
        blank,
        f"""
        let saved = session.export();
        {change};
        try {{ engine.importSession(saved); }} catch (e) {{ return `${{e.name}}: ${{e.message}}`; }}
        """,
    )
    assert error.startswith("SessionError: The saved conversation cannot be continued. ")
    assert named in error


def test_a_session_that_was_disposed_of_says_so(blank: Chat) -> None:
    error, messages, still = run(
        blank,
        """
        session.dispose();
        const error = await caught(session.send("One?"));
        const messages = [{ role: "user", content: "x" }];
        const { choices } = await engine.chat.completions.create({ messages });
        return [error, session.messages, choices.length];
        """,
    )
    assert error.startswith("RequestError: The session was disposed of.")
    assert messages == []
    assert still == 1


@pytest.mark.parametrize("options", ["{ n: 2 }", "{ stream: true }", "{ verbosity: 'high' }"])
def test_what_a_session_does_not_take_is_refused_at_once(blank: Chat, options: str) -> None:
    error = run(
        blank, f"try {{ engine.session({options}); }} catch (e) {{ return e.name + e.message; }}"
    )
    assert error.startswith("RequestError")


def test_what_was_left_out_is_told_though_the_device_is_lost(blank: Chat) -> None:
    dropped, requests = run(
        blank,
        """
        const options = { text: " one two three", droppedMessages: 4 };
        Object.assign(options, { loseDeviceAfterTokens: 1, sparesResumed: true });
        const workers = [];
        const make = () => (workers.push(new testing.FakeWorker(options)), workers.at(-1));
        const healing = await Leadout.load({ model, worker: make });
        const long = healing.session({ context_overflow: "drop_oldest" });
        const answer = await long.send("One?");
        return [answer.leadout.dropped_messages, workers.map((one) => requestsOf(one).at(-1))];
        """,
    )
    assert dropped == 4
    assert requests[0]["context_overflow"] == "drop_oldest"
    assert "messages" not in requests[1]
