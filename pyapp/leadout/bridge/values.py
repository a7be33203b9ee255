"""What crosses the bridge: plain data, errors, and JavaScript's objects as Python's protocols."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import js
from pyodide.ffi import JsException, to_js

from leadout import errors
from leadout.chat import Rendering
from leadout.errors import LeadoutError

#: What Pyodide makes of null: an object of its own; in old versions None.
_NULL: Final = js.JSON.parse("null")


@contextmanager
def js_errors() -> Iterator[None]:
    """Turn the runtime's named JavaScript errors into their Python classes."""
    try:
        yield
    except JsException as error:
        kind = getattr(errors, str(error.name), None)
        if isinstance(kind, type) and issubclass(kind, LeadoutError):
            detail: Any = getattr(error, "detail", None)
            facts = plain(detail) if hasattr(detail, "to_py") else {}
            raise kind(str(error.message), **facts) from error
        raise


def parsed(value: object) -> Any:
    """Return plain data as a JavaScript object; one call, however deep."""
    return js.JSON.parse(json.dumps(value))


def plain(proxy: Any) -> Any:
    """Return a JavaScript object as plain data of Python's, with None where it has null."""
    found = proxy.to_py()
    ahead, seen = [found], {id(found)}
    while ahead:
        inside = ahead.pop()
        items = inside.items() if isinstance(inside, dict) else enumerate(inside)
        for key, item in [*items]:
            if item is _NULL:
                inside[key] = None
            elif isinstance(item, dict | list) and id(item) not in seen:
                seen.add(id(item))
                ahead.append(item)
    return found


class JsSource:
    """A source of web/runtime/sources.js; implements `checkpoint.source.Source`."""

    def __init__(self, proxy: Any) -> None:
        self.proxy = proxy
        self.name: str = proxy.name

    async def size(self) -> int:
        """Return the length in bytes."""
        with js_errors():
            return int(await self.proxy.size())

    async def read(self, offset: int, length: int) -> bytes:
        """Return a copy of a range."""
        with js_errors():
            array = await self.proxy.read(offset, length)
        return bytes(array.to_bytes())


class JsTokenizer:
    """A tokenizer of web/tokenizer.js; implements `tokenizer.Tokenizer`."""

    def __init__(self, proxy: Any) -> None:
        self.proxy = proxy
        self.vocab_size: int = proxy.vocabSize

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """Return the ids of a text."""
        with js_errors():
            return numbers(self.proxy.encode(text, add_special_tokens))

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """Return the text of ids."""
        with js_errors():
            return str(self.proxy.decode(to_js(list(ids)), skip_special_tokens))

    def id_of(self, token: str) -> int | None:
        """Return the id of exactly this token, or None."""
        found = self.proxy.idOf(token)
        return found if isinstance(found, int) else None


class JsTemplates:
    """The worker of web/template/; implements `chat.TemplateRunner`."""

    def __init__(self, host: Any) -> None:
        self._host = host

    def prepare(self) -> None:
        """Start the worker."""
        self._host.prepareTemplates()

    async def render(self, rendering: Rendering) -> str:
        """Return the template's text."""
        with js_errors():
            return str(await self._host.renderTemplate(json.dumps(vars(rendering))))


def numbers(array: Any) -> list[int]:
    """Copy an array of whole numbers out of JavaScript."""
    return [int(value) for value in array.to_py()]
