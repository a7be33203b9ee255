"""Answers that keep to a grammar: valid, and with the same ids whatever drafts or runs beside."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from jsonschema import Draft202012Validator

from drawn_schemas import SCHEMAS_DRAWN
from leadout.engine import Delta, Engine, Generated, LoadOptions
from leadout.errors import RequestError
from leadout.grammar.constraint import Constraint
from leadout.request import GenerateRequest
from leadout.tokenizer import Tokenizer
from leadout_build.cli.native import load_engine
from leadout_build.store.built_in import NANO, NANO_DRAFTER, built_in_files
from stand_in_nano import write_stand_in
from thoroughness import IS_THOROUGH

SUITE = Path(__file__).parents[1] / "vectors/json-schema-test-suite.json"

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 99},
        "tags": {"type": "array", "items": {"enum": ["red", "green"]}, "maxItems": 3},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}

WARM = {"temperature": 1.5, "seed": 11}
SAMPLINGS: tuple[dict[str, Any], ...] = (
    {},
    WARM,
    {"temperature": 1.0, "top_k": 64, "top_p": 0.95, "seed": 3},
    {"temperature": 0.8, "min_p": 0.1, "frequency_penalty": 0.4, "seed": 4},
)

#: What ends answers, made likelier, so that most of them end.
ENDS = ('"', "}", "]", "<turn|>")


@pytest.fixture(scope="module")
def get(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Engine]:
    folder = write_stand_in(tmp_path_factory.mktemp("constrained") / "models")

    @cache
    def load(drafter: str = "mtp", parallel: int = 1, is_nano: bool = False) -> Engine:
        files: list[dict[str, Path]] = [
            {f"{name}.gguf": folder / f"{name}.gguf"} for name in ("nano", "nano-assistant")
        ]
        if is_nano:
            files = [dict(built_in_files(name)) for name in (NANO, NANO_DRAFTER)]
        options = LoadOptions(drafter=drafter, parallel=parallel)
        beside = files[1] if drafter == "mtp" else None
        return asyncio.run(load_engine(files[0], options, drafter_files=beside))

    return load


def schema_format(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def run(engine: Engine, on_delta: Callable[[Delta], None] = lambda delta: None, **fields: Any):
    request = {"prompt": "the capital", "max_tokens": 120, **fields}
    return asyncio.run(engine.generate(GenerateRequest.from_json(request), on_delta))


def likely_ends(tokenizer: Tokenizer) -> dict[int, float]:
    found = (tokenizer.id_of(piece) for piece in ENDS)
    return {id_: 6.0 for id_ in found if id_ is not None}


#: Drafters, and how many tokens they draft.
WAYS = (("mtp", 1), ("mtp", 7), ("mtp", "auto"), ("ngram", 3))


def check_ways(get: Callable[..., Engine], fields: dict[str, Any], **which: Any) -> Generated:
    """Return what a request brings; with drafts of all kinds it is the same."""
    plain = run(get(**which), draft_tokens=0, **fields)
    check_drafted(get, fields, plain, **which)
    return plain


def check_drafted(
    get: Callable[..., Engine], fields: dict[str, Any], plain: Generated, **which: Any
) -> None:
    assert plain.stats.drafted_tokens == 0
    for drafter, draft_tokens in WAYS:
        found = run(get(drafter, **which), draft_tokens=draft_tokens, **fields)
        assert found.tokens == plain.tokens, (drafter, draft_tokens, fields)
        assert found.finish_reason == plain.finish_reason


def check_unwritable(get: Callable[..., Engine], fields: dict[str, Any]) -> None:
    """Nano refuses it, with drafts of all kinds."""
    for drafter, draft_tokens in (("mtp", 0), *WAYS):
        with pytest.raises(RequestError, match=NO_TOKEN):
            run(get(drafter, is_nano=True), draft_tokens=draft_tokens, **fields)


def check_valid(schema: Any, found: Generated) -> bool:
    """Return whether an answer ended by itself, and then it is valid."""
    if found.finish_reason != "stop":
        return False
    checker = Draft202012Validator.FORMAT_CHECKER
    Draft202012Validator(schema, format_checker=checker).validate(json.loads(found.text))
    return True


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_an_answer_keeps_to_its_schema_with_the_same_ids_whatever_drafts(get, sampling) -> None:
    found = check_ways(get, {"response_format": schema_format(PERSON), **sampling})
    assert check_valid(PERSON, found)
    free = run(get(), **sampling)
    assert free.tokens[: len(found.tokens)] != found.tokens
    assert free.stats.constraint is None


@pytest.mark.parametrize(
    ("fields", "pattern"),
    [
        ({"regex": r"\d{3}-[a-f]{2,9}!"}, r"\d{3}-[a-f]{2,9}!"),
        ({"grammar": 'root ::= ("the capital " | "of ")+ "."'}, r"(the capital |of )+\."),
        ({"response_format": {"type": "json_object"}}, r"(?s)\{.*\}"),
    ],
)
def test_answers_keep_to_expressions_and_grammars(get, fields, pattern) -> None:
    for sampling in SAMPLINGS[:2]:
        bias = likely_ends(get().tokenizer)
        found = check_ways(get, {**fields, **sampling, "logit_bias": bias})
        if found.finish_reason == "stop":
            assert re.fullmatch(pattern, found.text), found.text
        assert "regex" not in fields or found.finish_reason == "stop"


def test_text_without_a_choice_costs_no_drafting_and_is_told_of(get) -> None:
    schema = {"const": "the capital of France is the capital of France"}
    found = run(get(), response_format=schema_format(schema), draft_tokens=7)
    assert json.loads(found.text) == schema["const"]
    told = found.stats.constraint
    assert told["kind"] == "json_schema"
    assert told["accepted_forced_tokens"] > 0
    assert told["accepted_forced_tokens"] <= told["forced_tokens"]
    assert told["masks"] >= len(found.tokens)
    assert found.stats.cycles < len(found.tokens) - 1


def test_log_probabilities_are_those_of_the_free_model(get) -> None:
    """The first token's distribution is that of the same prompt without a grammar."""
    fields: dict[str, Any] = {"logprobs": True, "top_logprobs": 5, "max_tokens": 6}
    free = run(get(), **fields)
    for draft_tokens in (0, 3):
        kept = run(
            get(), **fields, draft_tokens=draft_tokens, response_format=schema_format(PERSON)
        )
        assert kept.logprobs[0]["top_logprobs"] == free.logprobs[0]["top_logprobs"]
        assert kept.logprobs[0]["logprob"] < free.logprobs[0]["logprob"]
        assert [entry["id"] for entry in kept.logprobs] == kept.tokens


def test_a_stop_string_in_the_middle_of_forced_text_ends_the_answer(get) -> None:
    schema = {"const": "the capital of France"}
    for draft_tokens in (0, 7):
        found = run(
            get(),
            response_format=schema_format(schema),
            draft_tokens=draft_tokens,
            stop=["pital of F"],
        )
        assert (found.text, found.finish_reason) == ('"the ca', "stop")


def test_requests_beside_one_another_keep_each_to_its_own(get) -> None:
    """Guided and free ones, of several lengths: the ids of each are those of running alone."""
    requests: list[dict[str, Any]] = [
        {"response_format": schema_format(PERSON), **WARM},
        {"max_tokens": 40, "temperature": 1.0, "seed": 5},
        {"regex": "[a-z ]{30,60}", "draft_tokens": 3},
        {"prompt": "of the " * 30, "response_format": {"type": "json_object"}, **WARM},
        {"max_tokens": 70, "draft_tokens": 0},
        {"response_format": schema_format({"const": ["red", "green"]}), "draft_tokens": 7},
    ]
    alone = [run(get(), **{**fields, "draft_tokens": 0}) for fields in requests]

    async def all_of(engine: Engine) -> list[Generated]:
        made = [
            GenerateRequest.from_json({"prompt": "the capital", "max_tokens": 120, **fields})
            for fields in requests
        ]
        return await asyncio.gather(*(engine.generate(request) for request in made))

    for drafter, parallel in (("mtp", 4), ("ngram", 2), ("mtp", 8)):
        together = asyncio.run(all_of(get(drafter, parallel)))
        for wanted, found, fields in zip(alone, together, requests, strict=True):
            assert found.tokens == wanted.tokens, (drafter, parallel, fields)
            assert found.finish_reason == wanted.finish_reason


def test_a_request_that_is_cancelled_leaves_the_next_one_alone(get) -> None:
    engine = get("mtp", 4)
    fields = {"prompt": "the", "max_tokens": 90, "regex": "[a-z ]{50,60}", **WARM}
    request = GenerateRequest.from_json(fields)
    wanted = run(engine, **fields)

    async def abort_one(after: int) -> None:
        told: list[int] = []
        cut, whole = await asyncio.gather(
            engine.generate(
                request,
                lambda delta: told.extend(delta.tokens),
                lambda: len(told) >= after,
            ),
            engine.generate(request),
        )
        assert whole.tokens == wanted.tokens
        assert cut.tokens == wanted.tokens[: len(cut.tokens)]
        assert cut.finish_reason == "abort"

    async def cancel_three() -> None:
        tasks = [asyncio.ensure_future(engine.generate(request)) for _ in range(4)]
        await asyncio.sleep(0.05)
        for task in tasks[:3]:
            task.cancel()
        assert (await tasks[3]).tokens == wanted.tokens

    for after in (0, 1, 5, 20):
        asyncio.run(abort_one(after))
    asyncio.run(cancel_three())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"response_format": schema_format({"type": "strin"})}, "strin"),
        ({"response_format": schema_format({"not": {}})}, "'not' is not supported"),
        ({"response_format": schema_format(False)}, "allows no answer"),
        ({"grammar": "root ::= nowhere"}, "nowhere"),
        ({"regex": "(a"}, "regex"),
        ({"regex": "a", "grammar": 'root ::= "a"'}, "grammar and regex are given together"),
        ({"regex": "a", "ignore_eos": True}, "ignore_eos"),
        ({"tools": [], "tool_choice": "required"}, "tool_choice is given without tools"),
    ],
)
def test_what_cannot_be_kept_to_is_refused_before_anything_runs(get, fields, message) -> None:
    with pytest.raises(RequestError, match=re.escape(message)):
        run(get(), **fields)


NO_TOKEN = "no token of the model's begins what must come next"

#: Nano has no bytes for the first character, and for the second of the others.
UNWRITABLE = [{"enum": ["\U00102054"]}, {"enum": ["\U0005dc9d\U00102054\x9e"]}]


@pytest.mark.parametrize("schema", UNWRITABLE, ids=ascii)
@pytest.mark.parametrize("is_in_array", [False, True])
def test_text_that_no_tokens_write_is_a_named_error_whatever_drafts(
    get, schema, is_in_array
) -> None:
    if is_in_array:
        schema = {"type": "array", "prefixItems": [schema], "items": False, "minItems": 1}
    check_unwritable(get, {"response_format": schema_format(schema), **WARM})
    assert run(get(is_nano=True), max_tokens=4).tokens


def suite() -> list[dict[str, Any]]:
    """Return the schemas of the JSON Schema Test Suite that answers can keep to."""
    found = []
    for group in json.loads(SUITE.read_text("utf-8")):
        try:
            Constraint.from_schema(group["schema"])
        except RequestError:
            continue
        found.append(group)
    return found


def check_schemas(get: Callable[..., Engine], schemas: list[Any], is_nano: bool) -> int:
    """Return how many answers ended by themselves, all of them valid.

    Nano has no bytes for some characters, so that it cannot write all that is drawn.
    """
    bias = likely_ends(get(is_nano=is_nano).tokenizer)
    num_ended = 0
    for schema in schemas:
        fields = {"response_format": schema_format(schema), "logit_bias": bias, **WARM}
        try:
            plain = run(get(is_nano=is_nano), draft_tokens=0, **fields)
        except RequestError as error:
            if not is_nano or NO_TOKEN not in str(error):
                raise
            check_unwritable(get, fields)
            continue
        check_drafted(get, fields, plain, is_nano=is_nano)
        num_ended += check_valid(schema, plain)
    return num_ended


@pytest.mark.parametrize("is_nano", [False, True], ids=["stand-in", "nano"])
def test_the_suites_schemas_are_kept_to(get, is_nano) -> None:
    schemas = [group["schema"] for group in suite()]
    assert len(schemas) > 140
    if not IS_THOROUGH:
        schemas = schemas[7::48] if is_nano else schemas[::12]
    assert check_schemas(get, schemas, is_nano) >= len(schemas) / 2


@pytest.mark.parametrize("is_nano", [False, True], ids=["stand-in", "nano"])
def test_drawn_schemas_are_kept_to(get, is_nano) -> None:
    num_wanted = 500 if IS_THOROUGH else 2 if is_nano else 10
    schemas = drawn(num_wanted)
    assert len(schemas) == num_wanted
    assert check_schemas(get, schemas, is_nano) >= num_wanted / 2


def drawn(num_wanted: int) -> list[Any]:
    """Return schemas that answers can keep to, each another one."""
    found: dict[str, Any] = {}

    @settings(
        max_examples=num_wanted,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(SCHEMAS_DRAWN)
    def draw(schema: Any) -> None:
        try:
            Constraint.from_schema(schema)
        except RequestError:
            reject()  # drawn schemas contradict themselves at times; they do not count
        assume(json.dumps(schema) not in found)
        found[json.dumps(schema)] = schema

    draw()
    return list(found.values())
