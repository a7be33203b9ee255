"""The grammar library of CPython: web/grammar.js and xgrammar's WebAssembly, run by V8.

The PyPI package of xgrammar wants torch and transformers, and is of another version. So CPython
runs the same code as the worker, in the V8 of `mini-racer` (the extra leadout[grammar]). Never
imported in the browser.
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
import json
import re
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadout.errors import RequestError

if TYPE_CHECKING:
    from leadout.grammar.matcher import MakeLibrary

#: What the library asks of a host that is neither a browser nor Node.
_HOST = """
globalThis.location = { href: "file:///xgrammar.js" };
globalThis.atob = (text) => {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const values = new Map([...letters].map((letter, value) => [letter, value]));
  const bytes = [];
  let bits = 0, numBits = 0;
  for (const letter of text) {
    if (letter === "=") break;
    bits = ((bits << 6) | values.get(letter)) & 0xffff;
    numBits += 6;
    if (numBits >= 8) bytes.push(String.fromCharCode((bits >> (numBits -= 8)) & 255));
  }
  return bytes.join("");
};
"""

#: The verbs of web/grammar.js on objects by number: V8's objects stay on its side.
_VERBS = """
const held = new Map();
let last = 0;
const hold = (object) => (held.set(++last, object), last);
const drop = (number) => (held.get(number).dispose(), held.delete(number));
"""


class _Thread:
    """The one thread that V8 begins and ends in, all of it: it crashes where they are several.

    Everything is evaluated in its event loop, which mini-racer then takes for its own. From outside
    of it mini-racer makes every evaluation one that can be cancelled, and now and then cancels the
    next one instead of the one that has ended: whoever waits for that waits for ever.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True, name="leadout-v8").start()

    def call(self, job: Callable[[], Any]) -> Any:
        """Do something in the thread; return what it returns, or what that promises."""

        async def run() -> Any:
            found = job()
            return await found if inspect.isawaitable(found) else found

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()


@cache
def _thread() -> _Thread:
    return _Thread()


class V8Grammars:
    """`Grammars` of web/grammar.js in V8. See `leadout.grammar.matcher.GrammarLibrary`."""

    def __init__(self, context: Any) -> None:
        self.context = context
        # V8's threads must be gone before Python's are.
        atexit.register(self.close)

    @classmethod
    def make(
        cls,
        glue: Path,
        library: Path,
        pieces: Sequence[str],
        vocab_size: int,
        stop_ids: Sequence[int],
        mark_ids: Sequence[int] = (),
    ) -> V8Grammars:
        """Start V8 with the library.

        Args:
            glue: web/grammar.js.
            library: lib/index.js of @mlc-ai/web-xgrammar.
            pieces: what `HuggingFaceTokenizer.pieces` returns.
            vocab_size: of the model's logits.
            stop_ids: tokens that end an answer.
            mark_ids: tokens that grammars may name as such.

        Raises:
            RequestError: the package that has V8 is not installed.
        """
        try:
            from py_mini_racer import MiniRacer
        except ImportError as error:
            raise RequestError(
                "Answers that keep to a schema or a grammar need V8 here; install it with "
                "pip install 'leadout[grammar]'."
            ) from error
        # Waiting for V8's thread holds up the caller's loop: masks are computed, not awaited.
        context = _thread().call(MiniRacer)
        _evaluate(context, _HOST)
        _evaluate(context, library.read_text("utf-8"))
        # V8 alone knows scripts, not modules; the glue imports nothing.
        _evaluate(context, re.sub(r"^export ", "", glue.read_text("utf-8"), flags=re.MULTILINE))
        _evaluate(context, _VERBS)
        vocabulary = {
            "pieces": list(pieces),
            "vocab_size": vocab_size,
            "stop_ids": list(stop_ids),
            "mark_ids": list(mark_ids),
        }
        _evaluate(context, f"const grammars = new Grammars({json.dumps(vocabulary)}, xgrammar); 0")
        return cls(context)

    def evaluate(self, code: str) -> Any:
        """Return what code gives beside the library, or what its promise does; for tests."""
        return _evaluate(self.context, code)

    async def compile(self, ebnf: str) -> V8Grammar:
        """Compile a grammar.

        Raises:
            RequestError: the library refuses it.
        """
        made = _evaluate(
            self.context,
            f"grammars.compile({json.dumps(ebnf)}).then(hold, (error) => String(error.message))",
        )
        if isinstance(made, str):
            raise RequestError(made)
        return V8Grammar(self.context, int(made))

    def close(self) -> None:
        """End V8; nothing of it can be used any more."""
        atexit.unregister(self.close)
        _thread().call(self.context.close)


class V8Grammar:
    """`CompiledGrammar` of web/grammar.js."""

    def __init__(self, context: Any, number: int) -> None:
        self._context = context
        self._number = number

    async def start(self) -> V8Matcher:
        """Return a matcher at the beginning of an answer."""
        made = _evaluate(self._context, f"held.get({self._number}).start().then(hold)")
        return V8Matcher(self._context, int(made))

    def dispose(self) -> None:
        """Free it; matchers live on."""
        _evaluate(self._context, f"drop({self._number}); 0")


class V8Matcher:
    """`GrammarMatcher` of web/grammar.js."""

    def __init__(self, context: Any, number: int) -> None:
        self._context = context
        self._number = number

    @property
    def is_finished(self) -> bool:
        """Whether a stop token was accepted."""
        return bool(_evaluate(self._context, f"held.get({self._number}).isFinished"))

    @property
    def forced_text(self) -> str:
        """The text that must come next, as far as it is certain."""
        return str(_evaluate(self._context, f"held.get({self._number}).forcedText"))

    async def masks(self, drafts: Sequence[int]) -> bytes:
        """Return the masks of the next position and behind each allowed draft, in a row."""
        ids = json.dumps([int(draft) for draft in drafts])
        return bytes(_evaluate(self._context, f"held.get({self._number}).masks({ids})"))

    def accept(self, token: int) -> bool:
        """Take a token; return whether it was allowed."""
        return bool(_evaluate(self._context, f"held.get({self._number}).accept({int(token)})"))

    def rollback(self, num_tokens: int) -> None:
        """Take back the last tokens."""
        _evaluate(self._context, f"held.get({self._number}).rollback({int(num_tokens)})")

    def dispose(self) -> None:
        """Free it."""
        _evaluate(self._context, f"drop({self._number}); 0")


def _evaluate(context: Any, code: str) -> Any:
    """Return what code gives, or what its promise does."""
    return _thread().call(lambda: context.eval(code))


def v8_library(
    glue: Path, library: Path, pieces: Sequence[str], vocab_size: int, stop_ids: Sequence[int]
) -> MakeLibrary:
    """Return what makes the library, for `Grammars`. Arguments are those of `V8Grammars.make`."""

    async def make(mark_ids: Sequence[int]) -> V8Grammars:
        return V8Grammars.make(glue, library, pieces, vocab_size, stop_ids, mark_ids)

    return make
