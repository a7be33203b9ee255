"""Tools that a model may call, and whether it must: `tools` and `tool_choice`, checked.

A model that was told of tools answers with calls in Gemma 4's own notation

    <|tool_call>call:weather{city:<|"|>Bern<|"|>,days:2}<tool_call|>

where the marks are tokens of their own. What it must keep to is a grammar over these tokens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from leadout.errors import RequestError
from leadout.grammar.constraint import Constraint
from leadout.grammar.expressions import (
    ANY_RANGES,
    ROOT,
    Chars,
    Expression,
    Mark,
    Ref,
    Repeat,
    Text,
    checked,
    choice,
    concat,
)
from leadout.grammar.notation import QUOTE, CallNotation
from leadout.grammar.schema import SchemaTranslation
from leadout.grammar.schema_keywords import KEYWORDS_OF, check_schemas
from leadout.grammar.values import type_of
from leadout.shown import shown

CALL_OPEN: Final = "<|tool_call>"
CALL_CLOSE: Final = "<tool_call|>"

#: The tokens that calls are made of; what `Grammars` is made with.
TOOL_MARKS: Final = (CALL_OPEN, CALL_CLOSE, QUOTE)

MAX_TOOLS: Final = 128
MAX_CALLS: Final = 16  # in one answer that must have some

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_CHOICES: Final = ("auto", "none", "required")
_NO_PARAMETERS: Final[dict[str, object]] = {"type": "object", "additionalProperties": False}


@dataclass(frozen=True)
class Tool:
    """A function that the model may call.

    Attributes:
        parameters: JSON Schema of its arguments, an object.
        is_strict: its calls keep to `parameters` even where the model is free to call it.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    is_strict: bool = False


@dataclass(frozen=True)
class Tools:
    """The tools of a request.

    Attributes:
        tools: by the order they were given in; each name once.
        choice: "auto", "none" or "required".
        only: the name of the one tool that must be called, or None.
        is_parallel: whether an answer may have several calls.
    """

    tools: tuple[Tool, ...]
    choice: str = "auto"
    only: str | None = None
    is_parallel: bool = True

    @classmethod
    def from_request(cls, fields: Mapping[str, object]) -> Tools | None:
        """Return a request's tools; None where it has none.

        Args:
            fields: `tools`, `tool_choice` and `parallel_tool_calls` as OpenAI has them; others
                are not looked at.

        Raises:
            RequestError: a tool has no valid name or one that is taken, its parameters are no
                schema of an object or malformed anywhere, there are too many, or the choice is
                none of them.
        """
        given = fields.get("tools")
        wanted = fields.get("tool_choice")
        is_parallel = fields.get("parallel_tool_calls")
        if given is None or given == []:
            if wanted not in (None, "none", "auto"):
                raise RequestError("tool_choice is given without tools; add them.")
            return None
        if not isinstance(given, Sequence) or isinstance(given, str):
            raise RequestError(f"tools is a {type(given).__name__}; wanted a list.")
        if len(given) > MAX_TOOLS:
            raise RequestError(
                f"tools has {len(given):,} tools; wanted at most {MAX_TOOLS}.",
                found=len(given),
                limit=MAX_TOOLS,
            )
        if is_parallel is not None and not isinstance(is_parallel, bool):
            raise RequestError(
                f"parallel_tool_calls is {shown(is_parallel)}; wanted true or false."
            )
        tools: dict[str, Tool] = {}
        for number, tool in enumerate(given):
            one = _tool(tool, number)
            if one.name in tools:
                raise RequestError(f"tools has two tools named {one.name!r}.", name=one.name)
            tools[one.name] = one
        kind, only = _choice(wanted, tools)
        found = cls(tuple(tools.values()), kind, only, is_parallel is not False)
        found.constraint()  # refused here if at all
        return found

    def for_template(self) -> list[dict[str, object]]:
        """Return the tools as chat templates take them, none where none may be called."""
        if self.choice == "none":
            return []
        return [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": {"properties": {}, "required": [], **_typed(tool.parameters)},
                },
            }
            for tool in self.tools
        ]

    def constraint(self) -> Constraint | None:
        """Return what the answer must keep to; None where it is free.

        "required" and a named tool: one call, or several where they may be parallel, and nothing
        else. "auto" with a strict tool: any text, then calls or none. The answer begins behind
        the reasoning, if there is some.

        Raises:
            RequestError: parameters have a keyword that is not supported, or contradict
                themselves; says of which tool.
        """
        must_call = self.choice == "required"
        if not must_call and not (self.choice == "auto" and any(t.is_strict for t in self.tools)):
            return None
        rules: dict[str, Expression] = {}
        options: list[Expression] = []
        for number, tool in enumerate(self.tools):
            if self.only not in (None, tool.name):
                continue
            name = f"t{number}"
            schema = tool.parameters if must_call or tool.is_strict else {"type": "object"}
            rules |= _argument_rules(tool.name, schema, name)
            options.append(concat(Text(f"{tool.name}"), Ref(name)))
        call = concat(Mark(CALL_OPEN), Text("call:"), choice(*options), Mark(CALL_CLOSE))
        most = MAX_CALLS if self.is_parallel else 1
        root: Expression = Repeat(call, 1, most)
        if not must_call:
            root = concat(Repeat(Chars(ANY_RANGES), 0, None), Repeat(call, 0, most))
        return Constraint.from_rules("tools", checked({ROOT: root, **rules}, "tools"), TOOL_MARKS)


def _argument_rules(name: str, schema: Mapping[str, Any], rule: str) -> dict[str, Expression]:
    try:
        translation = SchemaTranslation(schema, CallNotation(), prefix=f"{rule}s")
        root = translation.rule_of({**schema, "type": "object"}, "#")
        rules = {ROOT: root, **translation.rules()}
        checked(rules, "the parameters")
    except RequestError as error:
        raise RequestError(f"tool {name!r}: {error.message}", **error.detail, tool=name) from error
    return {rule: rules.pop(ROOT), **rules}


def _typed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema whose properties all say a type: chat templates write it of each."""
    found = {"type": _type_named(schema), **schema}
    if isinstance(schema.get("properties"), Mapping):
        found["properties"] = {
            name: _typed(value) if isinstance(value, Mapping) else {"type": "any"}
            for name, value in schema["properties"].items()
        }
    if isinstance(schema.get("items"), Mapping):
        found["items"] = _typed(schema["items"])
    return found


def _type_named(schema: Mapping[str, Any]) -> str:
    for keyword in ("anyOf", "oneOf", "allOf"):
        parts = schema.get(keyword)
        for part in parts if isinstance(parts, list) else ():
            kind = part.get("type") if isinstance(part, Mapping) else None
            if isinstance(kind, str) and kind != "null":
                return kind
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if isinstance(values, list) and values:
        return type_of(values[0])
    meant = [kind for kind, keys in KEYWORDS_OF.items() if schema.keys() & set(keys)]
    return meant[-1] if meant else "any"


def _tool(tool: object, number: int) -> Tool:
    where = f"tools[{number}]"
    if not isinstance(tool, Mapping) or tool.get("type") != "function":
        raise RequestError(f'{where} is not {{"type": "function", "function": {{…}}}}.')
    function = tool.get("function")
    if not isinstance(function, Mapping):
        raise RequestError(f"{where} has no function.")
    unknown = sorted(str(key)[:40] for key in set(function) - _FUNCTION_FIELDS)
    if unknown:
        raise RequestError(f"{where}.function has unknown fields {unknown}.")
    name = function.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RequestError(
            f"{where}.function.name is {shown(name)}; wanted 1 to 64 letters, digits, _ or -."
        )
    description = function.get("description")
    if description is not None and not isinstance(description, str):
        raise RequestError(f"{where}.function.description is not text.")
    strict = function.get("strict")
    if strict is not None and not isinstance(strict, bool):
        raise RequestError(f"{where}.function.strict is {shown(strict)}; wanted true or false.")
    parameters = function.get("parameters")
    if parameters is None:
        parameters = _NO_PARAMETERS
    if not isinstance(parameters, Mapping) or parameters.get("type", "object") != "object":
        raise RequestError(f"{where}.function.parameters is not a schema of an object.")
    try:
        check_schemas(parameters)
    except RequestError as error:
        raise RequestError(f"tool {name!r}: {error.message}", **error.detail) from error
    return Tool(name, description or "", parameters, bool(strict))


_FUNCTION_FIELDS: Final = frozenset(("name", "description", "parameters", "strict"))


def _choice(wanted: object, tools: Mapping[str, Tool]) -> tuple[str, str | None]:
    if wanted is None:
        return "auto", None
    if isinstance(wanted, str) and wanted in _CHOICES:
        return wanted, None
    function = wanted.get("function") if isinstance(wanted, Mapping) else None
    if isinstance(wanted, Mapping) and wanted.get("type") == "function":
        name = function.get("name") if isinstance(function, Mapping) else None
        if isinstance(name, str) and name in tools:
            return "required", name
        raise RequestError(f"tool_choice names {shown(name)}, which is none of the tools.")
    raise RequestError(
        f"tool_choice is {shown(wanted)}; wanted one of {', '.join(_CHOICES)}, or "
        '{"type": "function", "function": {"name": …}}.'
    )
