"""Requests from a page or a command line, checked once, when they come in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from leadout.context_end import CONTEXT_OVERFLOWS
from leadout.embedded import Embeddings
from leadout.errors import RequestError
from leadout.grammar.constraint import CONSTRAINT_FIELDS, Constraint
from leadout.grammar.tools import Tools
from leadout.planning import DRAFTERS
from leadout.sampling import Sampling
from leadout.shown import shown
from leadout.speculative import MAX_RUN_AHEAD
from leadout.state import MAX_DRAFT_TOKENS

DEFAULT_MAX_TOKENS = 256

#: Stop strings are searched for on every token, so their number and length are bounded.
MAX_STOP_STRINGS = 16
MAX_STOP_CHARS = 256


@dataclass(frozen=True)
class GenerateRequest:
    """A checked request. `GenerateRequest` in web/messages.js says what the fields mean.

    Attributes:
        prompt: text, or None.
        prompt_ids: token ids, or None.
        messages: a chat, or None. Exactly one of the three is given.
        drafter: "auto": the one that the model was loaded with.
        run_ahead: cycles queued on the device; None: as many as keep it busy, see
            `Decoder.depth`.
        draft_tokens: per cycle; "auto": as many as pay.
        enable_thinking: asks the chat template for reasoning.
        constraint: what the answer has to fit, or None.
        tools: that the model may call, or None. A `prompt` has none.
        context_overflow: what happens to a chat that does not fit, see context_end.py. Nothing
            is dropped from other prompts.
        embeddings: in the place of some tokens' of `prompt_ids`, see embedded.py.
    """

    prompt: str | None = None
    prompt_ids: tuple[int, ...] | None = None
    messages: tuple[Mapping[str, object], ...] | None = None
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int = DEFAULT_MAX_TOKENS
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    run_ahead: int | None = None
    drafter: str = "auto"
    draft_tokens: int | str = "auto"
    enable_thinking: bool = False
    constraint: Constraint | None = None
    tools: Tools | None = None
    context_overflow: str = "error"
    embeddings: tuple[Embeddings, ...] = ()

    def __post_init__(self) -> None:
        given = [self.prompt, self.prompt_ids, self.messages]
        if sum(value is not None for value in given) != 1:
            raise RequestError("Give exactly one of prompt, prompt_ids and messages.")
        if self.embeddings and self.prompt_ids is None:
            raise RequestError("embeddings stand in the place of ids; give prompt_ids with them.")
        self._check_constraint()
        _whole("max_tokens", self.max_tokens, 1, 2**31 - 1)
        if self.run_ahead is not None:
            _whole("run_ahead", self.run_ahead, 1, MAX_RUN_AHEAD)
        if self.drafter not in DRAFTERS:
            raise RequestError(f"drafter is {shown(self.drafter)}; wanted one of {DRAFTERS}.")
        if self.draft_tokens != "auto":
            _whole("draft_tokens", self.draft_tokens, 0, MAX_DRAFT_TOKENS)
        for name in ("enable_thinking", "ignore_eos"):
            if not isinstance(getattr(self, name), bool):
                raise RequestError(
                    f"{name} is {shown(getattr(self, name))}; wanted true or false.", field=name
                )
        if self.context_overflow not in CONTEXT_OVERFLOWS:
            raise RequestError(
                f"context_overflow is {shown(self.context_overflow)}; wanted one of "
                f"{CONTEXT_OVERFLOWS}."
            )
        if len(self.stop) > MAX_STOP_STRINGS:
            raise RequestError(
                f"stop has {len(self.stop)} strings; wanted at most {MAX_STOP_STRINGS}."
            )
        for text in self.stop:
            if not isinstance(text, str) or not 0 < len(text) <= MAX_STOP_CHARS:
                raise RequestError(
                    f"A stop string is {shown(text)}; wanted text of 1 to {MAX_STOP_CHARS} "
                    "characters."
                )

    def _check_constraint(self) -> None:
        # Ids may come of a chat template that told of the tools: those of a resumed chat do.
        if self.tools is not None and self.prompt is not None:
            raise RequestError("tools need messages: a prompt does not tell the model of them.")
        if self.constraint is not None and self.tools is not None:
            raise RequestError(
                f"tools and {self.constraint.kind} are given together; an answer keeps to one of "
                "them. Leave tools out, or set tool_choice in the place of the other."
            )
        if self.ignore_eos and (self.constraint is not None or self.tools is not None):
            raise RequestError("ignore_eos is given with a grammar or tools, which say the end.")

    @classmethod
    def from_json(cls, fields: Mapping[str, object]) -> GenerateRequest:
        """Check a request that crossed a boundary.

        Raises:
            RequestError: a field is unknown, of the wrong type or out of its range.
        """
        unknown = sorted(set(fields) - _FIELDS)
        if unknown:
            raise RequestError(f"Unknown fields {unknown}; known are {sorted(_FIELDS)}.")
        given = {name: value for name, value in fields.items() if value is not None}
        sampling = {name: given.pop(name) for name in _SAMPLING_FIELDS if name in given}
        constraint, tools = Constraint.from_request(given), Tools.from_request(given)
        for name in _GRAMMAR_FIELDS:
            given.pop(name, None)
        prompt = given.pop("prompt", None)
        if prompt is not None and not isinstance(prompt, str):
            raise RequestError(f"prompt is a {type(prompt).__name__}; wanted text.")
        ids = given.pop("prompt_ids", None)
        messages = given.pop("messages", None)
        stop = given.pop("stop", ())
        embeddings = given.pop("embeddings", ())
        return cls(
            prompt=prompt,
            prompt_ids=None if ids is None else _ids(ids),
            messages=None if messages is None else tuple(_list("messages", messages, dict)),
            constraint=constraint,
            tools=tools,
            embeddings=tuple(
                Embeddings.from_json(one) for one in _list("embeddings", embeddings, object)
            ),
            sampling=Sampling(**sampling),  # type: ignore[arg-type]  # checked by Sampling
            stop=(stop,) if isinstance(stop, str) else tuple(_list("stop", stop, str)),
            **given,  # type: ignore[arg-type]  # checked by __post_init__
        )


T = TypeVar("T")

_SAMPLING_FIELDS = frozenset(Sampling.__dataclass_fields__)
_GRAMMAR_FIELDS = (*CONSTRAINT_FIELDS, "tools", "tool_choice", "parallel_tool_calls")
_OWN_FIELDS = frozenset(GenerateRequest.__dataclass_fields__) - {"sampling", "constraint"}
_FIELDS = _OWN_FIELDS | _SAMPLING_FIELDS | frozenset(_GRAMMAR_FIELDS)


def _list(name: str, values: object, kind: type[T]) -> list[T]:
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise RequestError(f"{name} is a {type(values).__name__}; wanted a list.")
    for value in values:
        if not isinstance(value, kind) or isinstance(value, bool):
            raise RequestError(f"{name} holds {shown(value)}; wanted {kind.__name__} items only.")
    return list(values)


def _ids(values: object) -> tuple[int, ...]:
    ids = tuple(_list("prompt_ids", values, int))
    for id_ in ids:
        _whole("an id of prompt_ids", id_, 0, 2**31 - 1)
    return ids


def _whole(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise RequestError(
            f"{name} is {shown(value)}; wanted a whole number from {low} to {high}.", field=name
        )
