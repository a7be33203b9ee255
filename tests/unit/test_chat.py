"""ChatTemplate: Gemma's prompts, and templates that mean no good."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from leadout.chat import MAX_OUTPUT_CHARS, MAX_SOURCE_CHARS, ChatTemplate, Rendering
from leadout.chat_jinja import JinjaTemplate
from leadout.errors import ChatTemplateError, RequestError
from leadout.tokenizer_native import HuggingFaceTokenizer
from published_templates import GEMMA_3, GEMMA_4_LARGE, GEMMA_4_SMALL
from tiny_vocabulary import BOS, gguf_metadata, with_marks


def user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def assistant(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}


def system(content: str) -> dict[str, str]:
    return {"role": "system", "content": content}


class Direct:
    """Runs templates in this process, where no hostile one goes on for ever."""

    def __init__(self, **options: Any) -> None:
        self._options = options

    def prepare(self) -> None:
        """Do nothing."""

    async def render(self, rendering: Rendering) -> str:
        return JinjaTemplate(rendering.source, **self._options).render(rendering.names)


class Chat:
    """A ChatTemplate whose coroutines are run."""

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template

    def render(self, *args: Any, **kwargs: Any) -> str:
        return asyncio.run(self._template.render(*args, **kwargs))

    def prompt_ids(self, *args: Any, **kwargs: Any) -> list[int]:
        return asyncio.run(self._template.prompt_ids(*args, **kwargs))


def template(source: str, now: Callable[[], datetime] | None = None) -> Chat:
    runner = Direct() if now is None else Direct(now=now)
    return Chat(ChatTemplate(source, bos_token="<bos>", eos_token="<eos>", runner=runner))


def test_gemma_3_one_turn() -> None:
    assert template(GEMMA_3).render([user("  Hi!\n")]) == (
        "<bos><start_of_turn>user\nHi!<end_of_turn>\n<start_of_turn>model\n"
    )


def test_gemma_3_folds_the_system_turn_into_the_first_user_turn() -> None:
    messages = [system("Be brief."), user("Hi!"), assistant("Hello."), user("Bye & <b>")]
    assert template(GEMMA_3).render(messages) == (
        "<bos><start_of_turn>user\nBe brief.\n\nHi!<end_of_turn>\n"
        "<start_of_turn>model\nHello.<end_of_turn>\n"
        "<start_of_turn>user\nBye & <b><end_of_turn>\n"
        "<start_of_turn>model\n"
    )


def test_gemma_3_without_a_generation_prompt() -> None:
    text = template(GEMMA_3).render([user("a"), assistant("b")], add_generation_prompt=False)
    assert text == (
        "<bos><start_of_turn>user\na<end_of_turn>\n<start_of_turn>model\nb<end_of_turn>\n"
    )


def test_gemma_3_refuses_two_user_turns_in_its_own_words() -> None:
    with pytest.raises(ChatTemplateError, match="line 11: Conversation roles must alternate") as e:
        template(GEMMA_3).render([user("a"), user("b")])
    assert e.value.detail == {"line": 11}


@pytest.mark.parametrize(
    ("source", "end"),
    [(GEMMA_4_SMALL, ""), (GEMMA_4_LARGE, "<|channel>thought\n<channel|>")],
    ids=["small", "large"],
)
def test_gemma_4_has_a_system_turn_and_where_it_is_large_an_empty_thought(
    source: str, end: str
) -> None:
    assert template(source).render([system("Be brief."), user("Hi!")]) == (
        "<bos><|turn>system\nBe brief.<turn|>\n<|turn>user\nHi!<turn|>\n<|turn>model\n" + end
    )


@pytest.mark.parametrize("source", [GEMMA_4_SMALL, GEMMA_4_LARGE], ids=["small", "large"])
def test_gemma_4_thinks_when_it_is_told_to(source: str) -> None:
    assert template(source).render([user("Hi!")], enable_thinking=True) == (
        "<bos><|turn>system\n<|think|><turn|>\n<|turn>user\nHi!<turn|>\n<|turn>model\n"
    )
    assert template(source).render([system("Be brief."), user("Hi!")], enable_thinking=True) == (
        "<bos><|turn>system\n<|think|>Be brief.<turn|>\n<|turn>user\nHi!<turn|>\n<|turn>model\n"
    )


def test_thinking_is_off_unless_it_is_asked_for() -> None:
    chat = template("{{ enable_thinking }}")
    assert chat.render([user("a")]) == "False"
    assert chat.render([user("a")], enable_thinking=True) == "True"


def test_gemma_4_forgets_earlier_thoughts() -> None:
    messages = [
        user("Hi!"),
        assistant("<|channel>thought\nA greeting.<channel|>Hello."),
        user("Bye."),
    ]
    assert template(GEMMA_4_LARGE).render(messages) == (
        "<bos><|turn>user\nHi!<turn|>\n<|turn>model\nHello.<turn|>\n<|turn>user\nBye.<turn|>\n"
        "<|turn>model\n<|channel>thought\n<channel|>"
    )


def test_tools_reach_the_template_as_plain_json() -> None:
    tools = [{"function": {"name": "f", "description": "<é> & 'x'"}}]
    text = template(GEMMA_4_LARGE).render([user("Hi!")], tools=tools)
    assert """<|tool>{"name": "f", "description": "<é> & 'x'"}<tool|>""" in text


def gemma_4_tokenizer() -> HuggingFaceTokenizer:
    """A tiny tokenizer with the marks of Gemma 4."""
    marks = ["<|turn>", "<turn|>", "<|channel>", "<channel|>", "<|think|>"]
    return HuggingFaceTokenizer.from_gguf(with_marks(marks))


#: A template that hands on whatever it gets, as some converted checkpoints carry.
CARELESS = "{% for m in messages %}<|turn>{{ m.role ~ '\n' ~ m.content }}<turn|>{% endfor %}"


@pytest.mark.parametrize("source", [GEMMA_4_SMALL, CARELESS], ids=["small", "careless"])
def test_prompt_ids_hold_no_earlier_thoughts_whatever_the_template(source: str) -> None:
    tokenizer = gemma_4_tokenizer()
    thoughtful = {**assistant("<|channel>thought\nso<channel|>that"), "reasoning_content": "so"}
    chat = template(source)
    ids = chat.prompt_ids(tokenizer, [user("the"), thoughtful, user("is")])
    assert ids == chat.prompt_ids(tokenizer, [user("the"), assistant("that"), user("is")])
    assert tokenizer.id_of("<|channel>") not in ids


def test_prompt_ids_ask_for_thoughts_through_the_template() -> None:
    tokenizer = gemma_4_tokenizer()
    chat = template(GEMMA_4_SMALL)
    think = tokenizer.id_of("<|think|>")
    assert think in chat.prompt_ids(tokenizer, [user("the")], enable_thinking=True)
    assert think not in chat.prompt_ids(tokenizer, [user("the")])


def test_a_tokenizer_without_channels_leaves_a_history_as_it_is() -> None:
    tokenizer = HuggingFaceTokenizer.from_gguf(gguf_metadata())
    chat = template(CARELESS)
    messages = [user("a"), assistant("<|channel>b<channel|>"), user("c")]
    assert tokenizer.decode(chat.prompt_ids(tokenizer, messages)) == chat.render(messages)


@pytest.mark.parametrize("source", [GEMMA_3, GEMMA_3.replace("{{ bos_token }}", "", 1)])
def test_prompt_ids_have_exactly_the_bos_that_the_template_writes(source: str) -> None:
    tokenizer = HuggingFaceTokenizer.from_gguf(gguf_metadata())
    chat = template(source)
    ids = chat.prompt_ids(tokenizer, [user("that")])
    assert ids.count(BOS) == ("bos_token" in source)
    assert tokenizer.decode(ids, skip_special_tokens=False) == chat.render([user("that")])


def test_white_space_of_blocks_is_dropped_as_in_transformers() -> None:
    source = (
        "{% for m in messages %}\n    {% if true %}\n{{ m.content }}\n    {% endif %}\n{% endfor %}"
    )
    assert template(source).render([user("a"), user("b")]) == "a\nb\n"


def test_loops_have_break_and_continue_and_their_own_names() -> None:
    source = (
        "{% for m in messages %}{% if m.content == 'b' %}{% continue %}{% endif %}"
        "{% if m.content == 'e' %}{% break %}{% endif %}"
        "{{ loop.index }}{{ m.content }}{{ loop.length }}{{ loop.last }}"
        "{{ loop.nextitem.content }} {% endfor %}"
    )
    messages = [user(char) for char in "abcdef"]
    assert template(source).render(messages) == "1a6Falseb 3c6Falsed 4d6Falsee "


def test_a_loop_over_something_undefined_has_no_rounds() -> None:
    assert (
        template("{% for x in nothing %}x{% else %}none{% endfor %}").render([user("a")]) == "none"
    )


def test_strftime_now_shows_the_time() -> None:
    source = "{{ strftime_now('%d %b %Y') }}"
    chat = template(source, now=lambda: datetime(2026, 4, 2, tzinfo=UTC))
    assert chat.render([user("a")]) == "02 Apr 2026"
    assert len(template(source).render([user("a")])) == len("02 Apr 2026")


def test_tojson_takes_json_dumps_arguments() -> None:
    source = "{{ {'b': '<', 'a': [1]} | tojson(sort_keys=true, separators=(',', ':')) }}"
    assert template(source).render([user("a")]) == '{"a":[1],"b":"<"}'


def test_generation_blocks_are_text() -> None:
    source = "a{% generation %}{{ messages[0].content }}{% endgeneration %}c"
    assert template(source).render([user("b")]) == "abc"


def test_tools_are_none_unless_given() -> None:
    assert template("{{ tools is none }}").render([user("a")]) == "True"
    assert template("{{ tools is none }}").render([user("a")], tools=[]) == "False"


def test_other_keys_of_messages_reach_the_template() -> None:
    messages = [{"role": "tool", "content": "", "name": "f"}]
    assert template("{{ messages[0].name }}").render(messages) == "f"


def test_arithmetic_and_joining_work_as_ever() -> None:
    source = "{{ 2 * 3 + 4 ** 2 % 5 }} {{ '-' * 3 ~ 1 ~ none }} {{ [1] + [2] }} {{ '%03d' % 7 }}"
    assert template(source).render([user("a")]) == "7 ---1None [1, 2] 007"


@pytest.mark.parametrize(
    "messages",
    [
        [],
        "Hi!",
        None,
        ["Hi!"],
        [{"role": "user"}],
        [{"content": "Hi!"}],
        [{"role": "", "content": "Hi!"}],
        [{"role": "user", "content": None}],
        [{"role": "user", "content": [{"type": "text", "text": "Hi!"}]}],
        [{"role": 7, "content": "Hi!"}],
        [user("Hi!"), {}],
    ],
)
def test_bad_messages_are_a_request_error(messages: Any) -> None:
    with pytest.raises(RequestError, match="message"):
        template(GEMMA_3).render(messages)
    with pytest.raises(RequestError, match="message"):
        template(GEMMA_3).prompt_ids(gemma_4_tokenizer(), messages)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a\n{% if %}", "line 2: Expected an expression"),
        ("{% for m in messages %}", "line 1: Unexpected end of template"),
        ("\n\n{{ x | no_such_filter }}", "line 3: No filter named"),
        ("{% include 'x' %}", "line 1"),
        ("x" * (MAX_SOURCE_CHARS + 1), "at most 262,144 are taken"),
        ("{{ " + "(" * 20_000, "RecursionError"),
        ("{% for a in b %}" * 30 + "{% endfor %}" * 30, "SyntaxError"),
        ("{{ " + "9" * 9_999 + " }}", "ValueError"),
    ],
)
def test_an_invalid_template_is_a_chat_template_error(source: str, message: str) -> None:
    with pytest.raises(ChatTemplateError, match=message):
        template(source).render([user("a")])


TOO_LONG = "more than 4,194,304 characters"
DOUBLED = "{% set ns = namespace(s='a') %}"


def loop(items: str, body: str) -> str:
    return "{% for _ in " + items + " %}" + body + "{% endfor %}"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        # Failures.
        ("a\n{{ messages[7].content.x }}", "line 2"),
        ("a\n\n{{ messages[0].content + 1 }}", "line 3: TypeError"),
        ("{{ 1 / 0 }}", "line 1: ZeroDivisionError"),
        ("{{ messages | tojson(indent='x', separators=1) }}", "line 1"),
        ("{% macro f() %}{{ f() }}{% endmacro %}\n{{ f() }}", "RecursionError"),
        # Ways out of the sandbox.
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "line 1"),
        ("{{ messages.append(1) }}", "line 1"),
        ("{{ messages[0].update(role='x') }}", "line 1"),
        ("{{ raise_exception.__globals__ }}{{ raise_exception.__globals__.x }}", "line 1"),
        ("{{ '{0.__class__.__base__}'.format(1) }}", "line 1"),
        # Too much of everything.
        ("{{ range(1000000) | list }}", "Range too big"),
        (loop("range(99999)", loop("range(99999)", "")), "1,000,000 steps"),
        (
            "{% macro f(n) %}{{ f(n - 1) ~ f(n - 1) if n }}{% endmacro %}{{ f(30) }}",
            "1,000,000 steps",
        ),
        ("{{ 'a' * 99999999 }}", TOO_LONG),
        ("{{ 99999999 * [1] }}", TOO_LONG),
        ("{{ 'a'.ljust(99999999) }}", TOO_LONG),
        ("{{ '%99999999d' % 1 }}", TOO_LONG),
        ("{% set a = 'a' * 10000 %}{{ a.replace('a', a) }}", TOO_LONG),
        (DOUBLED + loop("range(99)", "{% set ns.s = ns.s ~ ns.s %}"), TOO_LONG),
        (DOUBLED + loop("range(99)", "{% set ns.s = ns.s + ns.s %}"), TOO_LONG),
        ("{% set a = 'a' * 1000000 %}" + loop("range(99)", "{{ a }}"), TOO_LONG),
        ("{{ 9 ** 99999 }}", "4,096 bits"),
        ("{% set ns = namespace(n=9) %}" + 9 * "{% set ns.n = ns.n ** 9 %}", "4,096 bits"),
        ("{% set ns = namespace(n=9) %}" + 20 * "{% set ns.n = ns.n * ns.n %}", "4,096 bits"),
        ("{{ lipsum(n=10000) }}", "undefined"),
    ],
)
def test_a_failing_or_hostile_template_is_a_chat_template_error(source: str, message: str) -> None:
    chat = template(source)
    started = time.process_time()
    with pytest.raises(ChatTemplateError, match=message):
        chat.render([user("a")])
    # Measured: 2 s for the worst, on a slow machine.
    assert time.process_time() - started < 20


def test_a_template_that_failed_can_be_used_again() -> None:
    chat = template(
        "{% for m in messages %}{{ raise_exception('no') if m.content == 'x' }}ok{% endfor %}"
    )
    with pytest.raises(ChatTemplateError, match="no"):
        chat.render([user("x")])
    assert chat.render([user("y")]) == "ok"


def test_long_conversations_stay_far_below_the_limits() -> None:
    messages = [user("a" * 400), assistant("b" * 400)] * 1000
    text = template(GEMMA_4_LARGE).render([*messages, user("c")])
    assert 800_000 < len(text) < MAX_OUTPUT_CHARS
