"""The grammar library of the worker: web/grammar.js as Python's protocols (grammar/matcher.py)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyodide.ffi import to_js

from leadout.bridge.values import JsTokenizer, js_errors
from leadout.tokenizer import Tokenizer

if TYPE_CHECKING:
    from leadout.grammar.matcher import MakeLibrary


class JsGrammars:
    """`Grammars` of web/grammar.js."""

    def __init__(self, proxy: Any) -> None:
        self._proxy = proxy

    async def compile(self, ebnf: str) -> JsGrammar:
        """Compile a grammar."""
        with js_errors():
            return JsGrammar(await self._proxy.compile(ebnf))

    def close(self) -> None:
        """Free it."""
        self._proxy.close()


class JsGrammar:
    """`CompiledGrammar` of web/grammar.js."""

    def __init__(self, proxy: Any) -> None:
        self._proxy = proxy

    async def start(self) -> JsMatcher:
        """Return a matcher at the beginning of an answer."""
        with js_errors():
            return JsMatcher(await self._proxy.start())

    def dispose(self) -> None:
        """Free it; matchers live on."""
        self._proxy.dispose()


class JsMatcher:
    """`GrammarMatcher` of web/grammar.js."""

    def __init__(self, proxy: Any) -> None:
        self._proxy = proxy

    @property
    def is_finished(self) -> bool:
        """Whether a stop token was accepted."""
        return bool(self._proxy.isFinished)

    @property
    def forced_text(self) -> str:
        """The text that must come next, as far as it is certain."""
        return str(self._proxy.forcedText)

    async def masks(self, drafts: Sequence[int]) -> bytes:
        """Return the masks of the next position and behind each allowed draft, in a row."""
        with js_errors():
            array = await self._proxy.masks(to_js([int(draft) for draft in drafts]))
        return bytes(array.to_bytes())

    def accept(self, token: int) -> bool:
        """Take a token; return whether it was allowed."""
        return bool(self._proxy.accept(token))

    def rollback(self, num_tokens: int) -> None:
        """Take back the last tokens."""
        self._proxy.rollback(num_tokens)

    def dispose(self) -> None:
        """Free it."""
        self._proxy.dispose()


def js_library(
    host: Any, tokenizer: Tokenizer, vocab_size: int, stop_ids: Sequence[int]
) -> MakeLibrary:
    """Return what makes the library, for `Grammars`.

    Args:
        host: the host object of web/worker.js.
        tokenizer: the model's.
        vocab_size: of the model's logits.
        stop_ids: tokens that end an answer.
    """

    async def make(mark_ids: Sequence[int]) -> JsGrammars:
        facts = {"vocab_size": vocab_size, "stop_ids": [*stop_ids], "mark_ids": [*mark_ids]}
        assert isinstance(tokenizer, JsTokenizer)
        with js_errors():
            return JsGrammars(await host.makeGrammars(tokenizer.proxy, json.dumps(facts)))

    return make
