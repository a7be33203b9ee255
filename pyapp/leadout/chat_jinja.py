"""Chat templates in CPython: Jinja2 in its immutable sandbox. Runs in a child; see chat_child.py.

A template comes with the checkpoint and is as hostile as the rest of it. It gets the names that
Hugging Face templates rely on; the size of its output, the number of its loop rounds and calls,
and the results of its operators are bounded. That is not enough for one that wants to do harm,
so whoever runs it can also end it.

Keep in step with web/template/interpreter.js, which does the same work in a browser.

Source: transformers, utils/chat_template_utils.py (names, filters and extensions).
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from jinja2 import Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.ext import Extension
from jinja2.ext import loopcontrols as LoopControls  # noqa: N812
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from leadout.chat import MAX_OUTPUT_CHARS
from leadout.errors import ChatTemplateError

MAX_STEPS = 1_000_000  # a chat of 1,000 turns takes some 50,000
STEPS_PER_CALL = 10  # a macro's call takes that much longer than a loop's round
MAX_INT_BITS = 4096

_TEMPLATE_FILE = "<template>"  # how Jinja2 names a template that was made from a string


class JinjaTemplate:
    """A compiled chat template.

    Args:
        source: the template's Jinja2 source.
        now: the time that `strftime_now` shows.

    Raises:
        ChatTemplateError: the source is no valid Jinja2.
    """

    def __init__(
        self, source: str, now: Callable[[], datetime] = lambda: datetime.now().astimezone()
    ) -> None:
        self._budget = _Budget()
        environment = _ChatEnvironment(self._budget)
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = lambda format_: now().strftime(format_)
        environment.filters["tojson"] = _to_json
        try:
            self._template: Template = environment.from_string(source)
        except TemplateSyntaxError as error:
            raise _failure(error.message or "syntax error", error.lineno) from error
        except Exception as error:  # what Python makes of the compiled template, nested too deeply
            raise _failure(f"{type(error).__name__}: {error}", None) from error

    def render(self, names: Mapping[str, object]) -> str:
        """Return the template's text.

        Args:
            names: what it may use.

        Raises:
            ChatTemplateError: the template refused (`raise_exception`), failed, or went past a
                limit; with the line in the template.
        """
        self._budget.start()
        chunks: list[str] = []
        num_chars = 0
        try:
            for chunk in self._template.generate(names):
                num_chars += len(chunk)
                _check_size(num_chars)
                chunks.append(chunk)
        # A template can call what it was handed, so that anything may come out of it.
        except Exception as error:
            if isinstance(error, TemplateError):
                reason = error.message or type(error).__name__
            elif isinstance(error, MemoryError):
                reason = "it takes too much memory"
            else:
                reason = f"{type(error).__name__}: {error}"
            raise _failure(reason, _line_of(error)) from error
        return "".join(chunks)


def _failure(reason: str, line: int | None) -> ChatTemplateError:
    where = "" if line is None else f", line {line}"
    reason = " ".join(reason[:500].split())
    return ChatTemplateError(f"the chat template{where}: {reason}", line=line)


def _line_of(error: BaseException) -> int | None:
    """Return the line of the template that an error came from, the innermost of several."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == _TEMPLATE_FILE
    ]
    return lines[-1] if lines else None


def _check_size(num_chars: int) -> None:
    if num_chars > MAX_OUTPUT_CHARS:
        raise TemplateError(f"a text of more than {MAX_OUTPUT_CHARS:,} characters")


def _check_bits(num_bits: int) -> None:
    if num_bits > MAX_INT_BITS:
        raise TemplateError(f"an integer of more than {MAX_INT_BITS:,} bits")


# ---- what a template may call -------------------------------------------------------------


def _raise_exception(message: str) -> None:
    raise TemplateError(message)


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Write JSON as it is: Jinja2's own filter escapes for HTML."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


class _Budget:
    """How much of MAX_STEPS one rendering has used."""

    def __init__(self) -> None:
        self._num_left = 0

    def start(self) -> None:
        self._num_left = MAX_STEPS

    def spend(self, num_steps: int) -> None:
        self._num_left -= num_steps
        if self._num_left < 0:
            raise TemplateError(f"more than {MAX_STEPS:,} steps (loop rounds and calls)")

    def count(self, items: Iterable[object]) -> Iterator[object]:
        for item in items:
            self.spend(1)
            yield item


class _ChatEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox, with rounds and calls counted and with operators that cannot explode."""

    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self, budget: _Budget) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, LoopControls]
        )
        self._budget = budget
        del self.globals["lipsum"]  # writes as much as it is asked to
        self.filters["counted"] = budget.count
        self.filters["concatenated"] = _concatenated

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Bounds().visit(super()._parse(source, name, filename))
        return tree

    def call(self, context: object, obj: object, *args: object, **kwargs: object) -> object:
        self._budget.spend(STEPS_PER_CALL)
        for number in (*args, *kwargs.values()):  # widths of str.ljust and the like
            if isinstance(number, int):
                _check_size(number)
        result = super().call(context, obj, *args, **kwargs)  # type: ignore[arg-type]
        if isinstance(result, str):
            _check_size(len(result))
        return result

    def call_binop(self, context: object, operator: str, left: object, right: object) -> object:
        if operator == "*":
            for sequence, factor in ((left, right), (right, left)):
                if isinstance(sequence, str | list | tuple) and isinstance(factor, int):
                    _check_size(len(sequence) * factor)
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            _check_bits(left.bit_length() * right)
        result = super().call_binop(context, operator, left, right)  # type: ignore[arg-type]
        if isinstance(result, str | list | tuple):
            _check_size(len(result))
        elif isinstance(result, int):
            _check_bits(result.bit_length())
        return result


def _concatenated(values: Sequence[object]) -> str:
    text = "".join([str(value) for value in values])
    _check_size(len(text))
    return text


class _Bounds(NodeTransformer):
    """Rewrites a template: its loops count their rounds, and "~" checks its result."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802
        self.generic_visit(node)
        node.iter = _filtered(node.iter, "counted")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), "concatenated")


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


class _GenerationTag(Extension):
    """{% generation %} … {% endgeneration %}: marks what training learns from. Here it is text."""

    tags = {"generation"}  # noqa: RUF012  # Jinja2 declares it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Return the body of the block."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)
