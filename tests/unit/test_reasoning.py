"""ReasoningStream: thoughts and answer apart, in whatever portions; histories without thoughts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadout.errors import RequestError
from leadout.reasoning import ReasoningStream, without_thoughts
from leadout.text_stream import byte_tokens_of
from leadout.tokenizer_native import HuggingFaceTokenizer
from tiny_vocabulary import EOS, gguf_metadata, with_marks

#: Of llama.cpp: how a tokenizer's own file has the marks, and how converters write them.
CONTROL, USER_DEFINED = 3, 4

MARKS = ("<|channel>", "<channel|>", "<turn|>", "<|tool_response>")

EXAMPLES = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@cache
def gemma_4_like(mark_type: int = CONTROL) -> HuggingFaceTokenizer:
    """A tiny Gemma tokenizer that has the marks of channels and turns."""
    return HuggingFaceTokenizer.from_gguf(with_marks(MARKS, mark_type))


def ids_of(text: str) -> list[int]:
    return gemma_4_like().encode(text)


def id_of(token: str) -> int:
    found = gemma_4_like().id_of(token)
    assert found is not None
    return found


def stops() -> list[int]:
    """The ids that end a text of an instruction-tuned Gemma 4."""
    return [EOS, id_of("<turn|>"), id_of("<|tool_response>")]


def stream(**options: Any) -> ReasoningStream:
    return ReasoningStream(gemma_4_like(), **{"eos_ids": stops(), **options})


def split(text: str, **options: Any) -> tuple[str, str]:
    """Return the answer and the reasoning of a whole text, pushed at once."""
    whole = stream(**options)
    whole.push(ids_of(text))
    whole.flush()
    return whole.text, whole.reasoning


@pytest.mark.parametrize(
    ("text", "answer", "reasoning"),
    [
        ("Paris.", "Paris.", ""),
        ("<|channel>thought\nthe capital<channel|>Paris.", "Paris.", "the capital"),
        ("<|channel>thought\n<channel|>Paris.", "Paris.", ""),
        ("<|channel>thought<channel|>Paris.", "Paris.", ""),
        ("<|channel><channel|>Paris.", "Paris.", ""),
        ("<|channel>thought\nthe cap", "", "the cap"),
        ("<|channel>thought\n", "", ""),
        ("<|channel>tho", "", ""),
        ("<|channel>thoughtful\n<channel|>a", "a", "thoughtful\n"),
        ("<|channel>no name\n<channel|>a", "a", "no name\n"),
        (
            "<|channel>thought\none<channel|>a<|channel>thought\ntwo<channel|>b",
            "ab",
            "one\n\ntwo",
        ),
        ("<|channel>thought\n<channel|>a<|channel>thought\ntwo<channel|>", "a", "two"),
        ("<|channel>thought\none<|channel>thought\ntwo<channel|>a", "a", "one\n\ntwo"),
        ("a<channel|>b", "ab", ""),
        ("<|channel>thought\nthe <turn|>a", "", "the "),
        ("<|channel>thought\n日本🫠<channel|>語🫠", "語🫠", "日本🫠"),
        ("", "", ""),
    ],
)
def test_thoughts_are_kept_apart_from_the_answer(text: str, answer: str, reasoning: str) -> None:
    assert split(text) == (answer, reasoning)


@pytest.mark.parametrize("mark_type", [CONTROL, USER_DEFINED])
def test_the_marks_are_never_text(mark_type: int) -> None:
    tokenizer = gemma_4_like(mark_type)
    parts = ReasoningStream(tokenizer)
    ids = tokenizer.encode("<|channel>thought\nx<channel|>y<channel|>z")
    assert parts.push(ids) == ("yz", "x")
    assert parts.tokens == ids


def test_a_tokenizer_without_channels_gives_answers_alone() -> None:
    tokenizer = HuggingFaceTokenizer.from_gguf(gguf_metadata())
    parts = ReasoningStream(tokenizer, eos_ids=[EOS])
    text = "<|channel>thought\nx<channel|>y"
    assert parts.push([*tokenizer.encode(text), EOS]) == (text, "")
    assert (parts.text, parts.reasoning, parts.stopped) == (text, "", True)
    assert parts.num_reasoning_tokens == 0


def test_without_a_tokenizer_ids_are_collected() -> None:
    parts = ReasoningStream(None, eos_ids=[9])
    assert parts.push([1, 2]) == ("", "")
    assert parts.push([3, 9, 4]) == ("", "")
    assert parts.flush() == ("", "")
    assert (parts.tokens, parts.text, parts.reasoning) == ([1, 2, 3], "", "")
    assert (parts.stopped, parts.stop_string, parts.num_reasoning_tokens) == (True, None, 0)


def test_what_is_final_is_handed_out_at_once() -> None:
    parts = stream(stop=["END"])
    handed = [
        parts.push(ids_of(text))
        for text in ("<|channel>", "thought\n", "a", "E", "<channel|>", "b", "E", "c")
    ]
    assert handed == [
        *(("", ""), ("", ""), ("", "a"), ("", "E"), ("", ""), ("b", ""), ("", ""), ("Ec", "")),
    ]


def test_the_end_of_a_channel_gives_what_waited_in_it() -> None:
    parts = stream()
    first_bytes = ids_of("🫠")[:2]
    assert parts.push([*ids_of("<|channel>thought\na"), *first_bytes]) == ("", "a")
    assert parts.push(ids_of("<channel|>")) == ("", "\ufffd\ufffd")


def test_stop_strings_end_the_answer_and_not_the_thought() -> None:
    parts = stream(stop=["b", "\n"])
    ids = ids_of("<|channel>thought\na\nb<channel|>xaby")
    parts.push(ids)
    assert (parts.text, parts.reasoning) == ("xa", "a\nb")
    assert (parts.stopped, parts.stop_string) == (True, "b")
    assert parts.tokens == ids_of("<|channel>thought\na\nb<channel|>xa")
    assert parts.push(ids_of("more")) == ("", "")
    assert parts.flush() == ("", "")


def test_a_stop_string_around_a_thought_drops_the_thoughts_ids() -> None:
    parts = stream(stop=["12"])
    parts.push(ids_of("a1<|channel>thought\nx<channel|>2b"))
    assert (parts.text, parts.stop_string) == ("a", "12")
    assert parts.tokens == ids_of("a")


@pytest.mark.parametrize("stop", ["<turn|>", "<|tool_response>", "<eos>"])
@pytest.mark.parametrize("head", ["the capital", "<|channel>thought\nthe", "<|channel>"])
def test_a_block_is_cut_at_the_first_stop_id_wherever_it_comes(head: str, stop: str) -> None:
    parts = stream()
    block = [*ids_of(head), id_of(stop), *ids_of("of"), id_of("<turn|>"), *ids_of("France")]
    parts.push(block)
    assert parts.stopped
    assert parts.stop_string is None
    assert parts.tokens == ids_of(head)
    assert (parts.text, parts.reasoning) == split(head)
    assert parts.push(ids_of("<|channel>thought\nmore<channel|>more")) == ("", "")
    assert parts.tokens == ids_of(head)


def test_reasoning_tokens_are_those_of_the_channels() -> None:
    parts = stream()
    thought = ids_of("<|channel>thought\nthe capital<channel|>")
    parts.push([*thought, *ids_of("Paris."), id_of("<turn|>")])
    assert parts.num_reasoning_tokens == len(thought)


@pytest.mark.parametrize(
    ("prompt", "answer", "reasoning"),
    [
        ("<|channel>thought\n<channel|>", "b", "a"),  # as larger models are told not to think
        ("<|channel>thought\n", "b", "thought\na"),
        ("<|channel>thought\nx", "b", "thought\na"),
        ("<|channel>", "b", "a"),
        ("<|channel>x<turn|>", "b", "a"),  # written by the person, in a turn that has ended
    ],
)
def test_a_prompt_may_have_opened_the_channel(prompt: str, answer: str, reasoning: str) -> None:
    is_open = prompt in ("<|channel>thought\n", "<|channel>thought\nx", "<|channel>")
    parts = stream(prompt_ids=ids_of(prompt))
    parts.push(ids_of("thought\na<channel|>b" if is_open else "<|channel>thought\na<channel|>b"))
    assert (parts.text, parts.reasoning) == (answer, reasoning)


pieces = st.lists(
    st.one_of(
        st.sampled_from([*MARKS[:2], MARKS[0] + "thought\n", "<eos>", "thought", "\n"]),
        st.text(st.sampled_from("abeht \n日😀é🫠"), max_size=8),
    ),
    max_size=12,
).map("".join)


def portions(data: st.DataObject, ids: Sequence[int]) -> list[Sequence[int]]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(ids)), max_size=8)))
    return [ids[start:end] for start, end in zip([0, *cuts], [*cuts, len(ids)], strict=True)]


@EXAMPLES
@given(data=st.data(), text=pieces, stop=st.lists(st.sampled_from(["he", "\n\n", "a", "日"])))
def test_portions_make_no_difference(data: st.DataObject, text: str, stop: list[str]) -> None:
    ids = ids_of(text)
    byte_tokens = byte_tokens_of(gemma_4_like())
    whole = stream(stop=stop, byte_tokens=byte_tokens)
    whole.push(ids)
    whole.flush()
    parts = stream(stop=stop, byte_tokens=byte_tokens)
    answer = reasoning = ""
    for portion in portions(data, ids):
        new_answer, new_reasoning = parts.push(portion)
        answer, reasoning = answer + new_answer, reasoning + new_reasoning
        assert (parts.text, parts.reasoning) == (answer, reasoning)
        assert whole.text.startswith(answer)
        assert whole.reasoning.startswith(reasoning)
    new_answer, new_reasoning = parts.flush()
    assert (answer + new_answer, reasoning + new_reasoning) == (whole.text, whole.reasoning)
    assert parts.tokens == whole.tokens == ids[: len(whole.tokens)]
    assert (parts.stopped, parts.stop_string) == (whole.stopped, whole.stop_string)
    assert 0 <= parts.num_reasoning_tokens <= len(parts.tokens)


def test_a_bad_stop_is_a_request_error() -> None:
    with pytest.raises(RequestError, match="stop"):
        stream(stop=[""])


# ---- histories ------------------------------------------------------------------------------


def test_a_history_keeps_answers_alone() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "<|channel>thought\nkept<channel|>"},
        {"role": "user", "content": "<|channel>kept"},
        {"role": "assistant", "content": "<|channel>thought\nx<channel|>a<|channel>y<channel|>b"},
        {"role": "assistant", "content": "c", "reasoning_content": "dropped", "name": "kept"},
        {"role": "model", "content": "d<|channel>thought\nunfinished"},
    ]
    assert without_thoughts(messages) == [
        *messages[:2],
        {"role": "assistant", "content": "ab"},
        {"role": "assistant", "content": "c", "name": "kept"},
        {"role": "model", "content": "d"},
    ]
    assert messages[3]["reasoning_content"] == "dropped"  # of the caller's own, nothing changed


def test_a_turn_that_calls_a_tool_is_the_templates_to_sort_out() -> None:
    message = {
        "role": "assistant",
        "content": "<|channel>thought\nx<channel|>",
        "reasoning_content": "x",
        "tool_calls": [{}],
    }
    assert without_thoughts([message]) == [message]
