from typing import Any

import pytest

from leadout.errors import RequestError
from leadout.planning import LoadOptions
from leadout.profiling import ProfileRequest
from leadout.request import GenerateRequest
from leadout.sampling import BANNED, Sampling

REQUEST_FIELDS = {*GenerateRequest.__dataclass_fields__, *Sampling.__dataclass_fields__}
OTHER_FIELDS = {"response_format", "grammar", "regex", "tool_choice", "parallel_tool_calls"}


def test_a_full_request_is_read() -> None:
    request = GenerateRequest.from_json(
        {"prompt": "Once", "temperature": 0.5, "top_k": 3, "seed": 9, "stop": "\n", "run_ahead": 2}
    )
    assert request.prompt == "Once"
    assert (request.sampling.temperature, request.sampling.top_k, request.sampling.seed) == (
        0.5,
        3,
        9,
    )
    assert request.stop == ("\n",)
    assert request.run_ahead == 2


def test_biases_are_read_by_id_and_rounded_for_the_device() -> None:
    request = GenerateRequest.from_json({"prompt": "a", "logit_bias": {"7": -100, "9": 0.1}})
    assert request.sampling.logit_bias == {7: -100, 9: 0.1}
    assert request.sampling.biases() == {7: BANNED, 9: 26}
    assert request.sampling.moves
    assert not GenerateRequest.from_json({"prompt": "a"}).sampling.moves


def test_null_means_not_given() -> None:
    request = GenerateRequest.from_json({"prompt": "a", "prompt_ids": None, "top_k": None})
    assert request.sampling.top_k == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "exactly one"),
        ({"prompt": "a", "prompt_ids": [1]}, "exactly one"),
        ({"prompt": 3}, "wanted text"),
        ({"prompt_ids": "1 2"}, "wanted a list"),
        ({"prompt_ids": [1, "2"]}, "int items"),
        ({"prompt_ids": [True]}, "int items"),
        ({"prompt": "a", "max_tokens": 0}, "max_tokens"),
        ({"prompt": "a", "max_tokens": 2.5}, "max_tokens"),
        ({"prompt": "a", "run_ahead": 9}, "run_ahead"),
        ({"prompt": "a", "temperature": -1}, "temperature"),
        ({"prompt": "a", "temperature": float("nan")}, "temperature"),
        ({"prompt": "a", "temperature": "hot"}, "temperature"),
        ({"prompt": "a", "top_p": 0}, "top_p"),
        ({"prompt": "a", "top_k": 1.5}, "top_k"),
        ({"prompt": "a", "min_p": 2}, "min_p"),
        ({"prompt": "a", "repetition_penalty": 0}, "repetition_penalty"),
        ({"prompt": "a", "seed": 2**32}, "seed"),
        ({"prompt": "a", "presence_penalty": 2.5}, "presence_penalty"),
        ({"prompt": "a", "frequency_penalty": "much"}, "frequency_penalty"),
        ({"prompt": "a", "logit_bias": [3]}, "logit_bias is a list"),
        ({"prompt": "a", "logit_bias": {"the": 1}}, "key 'the'"),
        ({"prompt": "a", "logit_bias": {"-1": 1}}, "key '-1'"),
        ({"prompt": "a", "logit_bias": {"7": 101}}, "logit_bias of token 7"),
        ({"prompt": "a", "logit_bias": {"7": None}}, "logit_bias of token 7"),
        ({"prompt": "a", "logit_bias": {str(i): 1 for i in range(1025)}}, "at most 1024"),
        ({"prompt": "a", "stop": [""]}, "stop string"),
        ({"prompt": "a", "stop": ["x"] * 17}, "at most 16"),
        ({"prompt": "a", "tempreature": 1}, "tempreature"),
    ],
)
def test_a_wrong_field_is_named(fields, message) -> None:
    with pytest.raises(RequestError, match=message):
        GenerateRequest.from_json(fields)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *[
            (GenerateRequest, name)
            for name in sorted(REQUEST_FIELDS | OTHER_FIELDS)
            if name not in ("sampling", "constraint")
        ],
        *[(LoadOptions, name) for name in LoadOptions.__dataclass_fields__],
        *[(ProfileRequest, name) for name in ProfileRequest.__dataclass_fields__],
    ],
)
def test_a_number_that_is_too_long_to_write_is_refused_by_the_fields_name(kind, name) -> None:
    """Python makes no float and no text of it: it refuses more than 4,300 digits."""
    huge = 10**5000
    needed: dict[str, Any] = {}
    if kind is GenerateRequest and name not in ("prompt", "prompt_ids", "messages"):
        needed = {"prompt": "a"}
    if name in ("tool_choice", "parallel_tool_calls"):
        needed = {"messages": [], "tools": [{"type": "function", "function": {"name": "a"}}]}
    for value in (huge, -huge, [huge], {"7": huge}, {huge: 1}):
        with pytest.raises(RequestError) as caught:
            kind.from_json({**needed, name: value})
        assert name in str(caught.value)
