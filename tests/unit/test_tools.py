"""Tools: what is asked for, what the model must write, what clients get, and the way back."""

from __future__ import annotations

import json
import random
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from grammar_walks import MARKS, tokenizer, v8_walks
from leadout.chat import ChatTemplate
from leadout.chat_native import ChildTemplates
from leadout.errors import RequestError
from leadout.grammar.call_arguments import ArgumentsReader
from leadout.grammar.tool_calls import CallStream, call_ids, messages_for_template
from leadout.grammar.tools import MAX_TOOLS, TOOL_MARKS, Tools
from published_templates import GEMMA_4_TOOLS
from tiny_vocabulary import EOS

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Say the weather.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "minimum": 1, "maximum": 14},
                "units": {"enum": ["C", "F"]},
                "places": {"type": "array", "items": {"type": "number"}, "maxItems": 2},
                "more": {"type": "object", "properties": {"wind": {"type": "boolean"}}},
            },
            "required": ["city", "days"],
        },
    },
}
TIME: dict[str, Any] = {"type": "function", "function": {"name": "time"}}


def tools(**fields: object) -> Tools:
    found = Tools.from_request({"tools": [WEATHER, TIME], **fields})
    assert found is not None
    return found


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def read(text: str) -> str:
    reader = ArgumentsReader()
    return reader.push(text) + reader.close()


# ---- what is asked for -----------------------------------------------------------------------


def test_the_marks_are_those_that_the_tests_make_grammars_with() -> None:
    assert TOOL_MARKS == MARKS


def test_a_request_without_tools_has_none() -> None:
    assert Tools.from_request({}) is None
    assert Tools.from_request({"tools": [], "tool_choice": "auto"}) is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tools": {}}, "tools is a dict"),
        ({"tools": [3]}, "tools[0] is not"),
        ({"tools": [{"type": "function"}]}, "tools[0] has no function"),
        (
            {"tools": [TIME, {"type": "function", "function": {}}]},
            "tools[1].function.name is None",
        ),
        ({"tools": [named("a b")]}, "name is 'a b'"),
        ({"tools": [named("x" * 65)]}, "wanted 1 to 64"),
        ({"tools": [TIME, WEATHER, TIME]}, "two tools named 'time'"),
        ({"tools": [named(f"t{number}") for number in range(1000)]}, "has 1,000 tools"),
        (
            {"tools": [{**TIME, "function": {"name": "a", "parameters": []}}]},
            "not a schema of an object",
        ),
        (
            {"tools": [{**TIME, "function": {"name": "a", "parameters": {"type": "string"}}}]},
            "not a schema of an object",
        ),
        ({"tools": [{**TIME, "function": {"name": "a", "price": 3}}]}, "unknown fields ['price']"),
        (
            {"tools": [{**TIME, "function": {"name": "a", "parameters": {"properties": 3}}}]},
            "tool 'a': #: properties is 3",
        ),
        ({"tools": [TIME], "tool_choice": "always"}, "tool_choice is 'always'"),
        ({"tools": [TIME], "tool_choice": named("weather")}, "which is none of the tools"),
        ({"tools": [TIME], "parallel_tool_calls": "no"}, "parallel_tool_calls is 'no'"),
        ({"tool_choice": "required"}, "tool_choice is given without tools"),
    ],
)
def test_what_is_wrong_with_tools_is_said_by_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        Tools.from_request(fields)
    assert message in str(caught.value)
    assert MAX_TOOLS < 1000


def with_parameters(schema: object) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "a", "parameters": schema}}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"properties": {"x": 3}}, "#/properties/x is 3; wanted a schema"),
        ({"properties": {"x": {"type": "strng"}}}, '#/properties/x: type is "strng"'),
        ({"properties": {"x": {"required": True}}}, "#/properties/x: required is true"),
        ({"properties": {"x": {"anyOf": []}}}, "#/properties/x: anyOf is []"),
        ({"properties": {"x": {"items": [{}]}}}, "#/properties/x/items is [{}]; wanted a schema"),
        ({"properties": {"x": {"minLength": 10**5000}}}, "#/properties/x/minLength is a whole"),
        ({"properties": {"x": {"maxItems": -1}}}, "#/properties/x: maxItems is -1"),
        ({"additionalProperties": "no"}, '#/additionalProperties is "no"; wanted a schema'),
        ({"prefixItems": [{}, {"allOf": [None]}]}, "#/prefixItems/1/allOf/0 is null"),
        ({"$ref": "#/nope"}, "#: $ref #/nope leads nowhere"),
        ({"$defs": {"b": {"$ref": "#/$defs/a"}}}, "#/$defs/b: $ref #/$defs/a leads nowhere"),
        ({"oneOf": [{"$ref": "other.json"}]}, '#/oneOf/0: $ref is "other.json"; only references'),
        ({"$defs": {"a": {"minimum": "3"}}}, '#/$defs/a: minimum is "3"'),
        ({"definitions": [{}]}, "#: definitions is [{}]"),
        # What an unknown keyword holds is a schema where a reference says so.
        ({"$ref": "#/x-shared/0", "x-shared": [{"enum": 3}]}, "#/x-shared/0: enum is 3"),
    ],
)
@pytest.mark.parametrize("choice", ["auto", "required"])
def test_a_malformed_schema_is_refused_wherever_it_lies(
    schema: dict[str, Any], message: str, choice: str
) -> None:
    with pytest.raises(RequestError) as caught:
        Tools.from_request({"tools": [TIME, with_parameters(schema)], "tool_choice": choice})
    assert f"tool 'a': {message}" in str(caught.value)


def test_a_model_that_is_free_to_call_may_have_schemas_that_no_grammar_keeps_to() -> None:
    schema = {
        "properties": {
            "a": {"not": {"type": 3}, "format": "uri", "pattern": r"\p{L}", "nullable": True},
            "b": {"type": "array", "items": True, "uniqueItems": True},
            "c": {"enum": list(range(3000))},
            "d": {"type": "number", "multipleOf": 0.5, "maximum": 1.7e308},
            "e": {"$ref": "#/$defs/a%20list", "default": {"type": "strng"}},
        },
        "$defs": {"a list": {"items": {"$ref": "#"}}, "": {"const": {"$ref": "#/nope"}}},
        "patternProperties": {"a": 3},
    }
    found = Tools.from_request({"tools": [with_parameters(schema)]})
    assert found is not None
    assert found.constraint() is None


def test_a_deep_or_huge_schema_of_a_tool_is_refused_at_once() -> None:
    deep: dict[str, Any] = {"type": 3}
    for _ in range(5000):
        deep = {"x-unknown": deep}
    wide = {"$defs": {str(at): {"$ref": f"#/$defs/{at + 1}"} for at in range(20_000)}}
    for schema, message in ((deep, "nested deeper than 64"), (wide, "more than 10,000 values")):
        with pytest.raises(RequestError, match=message):
            Tools.from_request({"tools": [with_parameters(schema)]})
    chain = {"$defs": {str(at): {"$ref": f"#/$defs/{(at + 1) % 3000}"} for at in range(3000)}}
    assert Tools.from_request({"tools": [with_parameters(chain)]}) is not None


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"properties": {"a": {"not": {}}}}, "tool 'a': #/properties/a: the keyword 'not'"),
        ({"properties": {"a b": {}}}, "'a b' cannot be the name of a tool's argument"),
        ({"properties": {"a": {"enum": ["<|x"]}}}, "begins a mark"),
        ({"properties": {"a": False}, "required": ["a"]}, "allows no answer"),
    ],
)
def test_a_tool_that_must_be_called_has_a_schema_that_can_be_kept_to(
    schema: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError) as caught:
        Tools.from_request({"tools": [TIME, with_parameters(schema)], "tool_choice": "required"})
    assert message in str(caught.value)


# ---- what the model must write ---------------------------------------------------------------


def calls_of(ids: list[int]) -> tuple[list[int], list[dict[str, Any]]]:
    stream = CallStream(tokenizer(), None, call_ids([1]))
    rest, _ = stream.push(ids)
    assert not stream.is_inside
    assert stream.num_malformed == 0
    return rest, stream.calls


@pytest.mark.parametrize(
    ("fields", "names", "most"),
    [
        ({"tool_choice": "required"}, {"weather", "time"}, 16),
        ({"tool_choice": "required", "parallel_tool_calls": False}, {"weather", "time"}, 1),
        ({"tool_choice": named("weather")}, {"weather"}, 16),
    ],
)
def test_an_answer_that_must_call_has_calls_alone_and_valid_ones(
    fields: dict[str, Any], names: set[str], most: int
) -> None:
    constraint = tools(**fields).constraint()
    assert constraint is not None
    assert constraint.marks == MARKS
    validator = Draft202012Validator(WEATHER["function"]["parameters"])
    num_ended = 0
    for walk in v8_walks(constraint.ebnf, range(12), 3000):
        if not walk["isFinished"]:
            continue
        num_ended += 1
        rest, calls = calls_of(walk["ids"][:-1])
        assert rest == []
        assert 1 <= len(calls) <= most
        for call in calls:
            function = call["function"]
            assert function["name"] in names
            arguments = json.loads(function["arguments"])
            if function["name"] == "weather":
                validator.validate(arguments)
            else:
                assert arguments == {}
    assert num_ended > 5


def test_only_strict_tools_constrain_a_model_that_is_free_to_call() -> None:
    assert tools().constraint() is None
    assert tools(tool_choice="none").constraint() is None
    assert tools(tool_choice="none").for_template() == []
    strict = {**WEATHER, "function": {**WEATHER["function"], "strict": True}}
    constraint = tools(tools=[strict]).constraint()
    assert constraint is not None
    validator = Draft202012Validator(WEATHER["function"]["parameters"])
    for walk in v8_walks(constraint.ebnf, range(8), 600):
        if walk["isFinished"]:
            for call in calls_of(walk["ids"][:-1])[1]:
                validator.validate(json.loads(call["function"]["arguments"]))


# ---- what clients get ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{city:<|"|>Bern<|"|>,days:2}', {"city": "Bern", "days": 2}),
        ("{}", {}),
        ('{a:<|"|>"x" \\ {y},\n[é]<|"|>}', {"a": '"x" \\ {y},\n[é]'}),
        (
            "{a:[1,-2.5e3,[true]],b:{c:null,d:None}}",
            {"a": [1, -2500, [True]], "b": {"c": None, "d": None}},
        ),
        ('{<|"|>a key<|"|>:<|"|><|"|>}', {"a key": ""}),
        ('{"city": "Be\\"rn\\u00e9", "n": [1, 2]}', {"city": 'Be"rné', "n": [1, 2]}),
        ("{city:New York,n:12 }", {"city": "New York", "n": 12}),
        ('{a:<|"|>ends within', {"a": "ends within"}),
        ('{a:[1,2,{b:<|"|>x', {"a": [1, 2, {"b": "x"}]}),
        ("{a", {"a": None}),
        ("{a:", {"a": None}),
        ("{a:1,}", {"a": 1, "": None}),
        ("{a:1}} and more", {"a": 1}),
        ("{a:]1}", {"a": 1}),
        ("", {}),
    ],
)
def test_arguments_become_json_however_they_are_cut(text: str, wanted: dict[str, Any]) -> None:
    assert json.loads(read(text)) == wanted
    rng = random.Random(3)
    for _ in range(10):
        reader, out, at = ArgumentsReader(), "", 0
        while at < len(text):
            size = rng.randint(1, 4)
            out += reader.push(text[at : at + size])
            at += size
        assert json.loads(out + reader.close()) == wanted


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='{}[],:"\\<|>a1- \nu', max_size=25))
def test_whatever_a_model_writes_its_arguments_are_one_json_object(text: str) -> None:
    found = read("{" + text)
    assert isinstance(json.loads(found), dict), found


def test_calls_stream_as_deltas_and_text_around_them_stays() -> None:
    mark = {name: tokenizer().id_of(name) for name in MARKS}
    call = [mark["<|tool_call>"], *tokenizer().encode("call:weather{city:")]
    call += [mark['<|"|>'], *tokenizer().encode("日本 é"), mark['<|"|>']]
    call += [*tokenizer().encode(",days:2}"), mark["<tool_call|>"]]
    other = [mark["<|tool_call>"], *tokenizer().encode("call:time{}"), mark["<tool_call|>"]]
    before, after = tokenizer().encode("the "), tokenizer().encode("capital")
    ids = [id_ for id_ in [*before, *call, *other, *after] if id_ is not None]
    numbers = iter(range(9))
    stream = CallStream(tokenizer(), None, lambda: f"call_{next(numbers)}")
    rest: list[int] = []
    deltas: list[dict[str, Any]] = []
    for id_ in ids:
        more, found = stream.push([id_])
        rest += more
        deltas += [delta.to_json() for delta in found]
    assert stream.flush() == ([], [])
    assert rest == before + after
    assert deltas[0] == {
        "index": 0,
        "id": "call_0",
        "type": "function",
        "function": {"name": "weather", "arguments": ""},
    }
    assert [delta["index"] for delta in deltas] == sorted(delta["index"] for delta in deltas)
    assert len([delta for delta in deltas if delta["index"] == 0]) > 4
    joined = [
        "".join(d["function"]["arguments"] for d in deltas if d["index"] == n) for n in (0, 1)
    ]
    assert [json.loads(text) for text in joined] == [{"city": "日本 é", "days": 2}, {}]
    assert [call["function"]["arguments"] for call in stream.calls] == joined
    assert [call["id"] for call in stream.calls] == ["call_0", "call_1"]


def test_what_is_no_call_after_all_is_text_and_an_open_one_is_closed() -> None:
    open_id, close_id = tokenizer().id_of(MARKS[0]), tokenizer().id_of(MARKS[1])
    assert open_id is not None
    assert close_id is not None
    words = tokenizer().encode("the capital")
    stream = CallStream(tokenizer(), None, call_ids([1]))
    assert stream.push([open_id, *words, close_id]) == (words, [])
    rest, deltas = stream.push([open_id, *tokenizer().encode("call:time{a:[1")])
    assert rest == []
    assert stream.is_inside
    rest, more = stream.flush()
    assert json.loads(stream.calls[0]["function"]["arguments"]) == {"a": [1]}
    assert "".join(delta.arguments for delta in deltas + more) == '{"a":[1]}'
    assert stream.num_malformed == 1


# ---- the way back ----------------------------------------------------------------------------

CONVERSATION: list[dict[str, Any]] = [
    {"role": "user", "content": "And in Bern?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city": "Bern", "days": 2}'},
            },
            {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    {"role": "tool", "tool_call_id": "call_2", "content": "noon"},
]


async def test_calls_and_results_go_back_through_the_chat_template() -> None:
    messages = messages_for_template(CONVERSATION)
    with closing(ChildTemplates()) as templates:
        template = ChatTemplate(GEMMA_4_TOOLS, "<bos>", "<eos>", templates)
        text = await template.render(messages, tools=tools(tools=[WEATHER]).for_template())
    assert "declaration:weather{" in text
    assert "<|tool_call>call:weather{city:Bern,days:2}<tool_call|>" in text
    assert "<|tool_call>call:time{}<tool_call|>" in text
    assert text.index("rain") < text.index("noon")
    assert [message.get("name") for message in messages] == [None, None, "weather", "time"]
    # What the template writes of a call is read as the same call.
    start = text.index("call:weather{") + len("call:weather")
    assert json.loads(read(text[start : text.index("<tool_call|>", start)])) == {
        "city": "Bern",
        "days": 2,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m[2].update(tool_call_id="call_9"), "message 2 has tool_call_id 'call_9'"),
        (lambda m: m[2].pop("tool_call_id"), "message 2 has tool_call_id None"),
        (lambda m: m[1]["tool_calls"][0].pop("id"), "without an id"),
        (lambda m: m[1]["tool_calls"][0].pop("function"), "without a function"),
        (lambda m: m[1]["tool_calls"][0]["function"].update(arguments="{"), "are not JSON"),
        (lambda m: m[1]["tool_calls"][0]["function"].update(arguments="[]"), "are not an object"),
        (lambda m: m[1].update(tool_calls="call"), "tool_calls is a str"),
    ],
)
def test_calls_that_no_template_could_take_are_refused(change: Any, message: str) -> None:
    messages = json.loads(json.dumps(CONVERSATION))
    change(messages)
    with pytest.raises(RequestError) as caught:
        messages_for_template(messages)
    assert message in str(caught.value)


def test_messages_without_calls_come_back_as_they_are() -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert messages_for_template(messages) == messages
    assert EOS not in tokenizer().encode("a")
