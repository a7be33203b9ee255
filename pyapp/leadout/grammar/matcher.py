"""Which tokens may come next: masks for one position, and for the rows of a verify pass.

A mask has one bit for each id of the model's vocabulary: words of 32 bits, little-endian, padded
to a whole number of words. Bit i % 32 of word i // 32 is set where token i is allowed. Tokens that
end an answer are allowed exactly where the grammar may end, other special tokens only where it
names them.

Masks do not depend on drafts: the mask of a row is that of its position after the tokens before it,
so that a constrained request has the same ids with drafts and without.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final, Protocol

from leadout.errors import RequestError
from leadout.grammar.constraint import Constraint
from leadout.grammar.expressions import FIRST_MARK
from leadout.grammar.shared import Shared
from leadout.tokenizer import Tokenizer

#: Compiled grammars that are kept. A large one has some MB of tables.
MAX_COMPILED: Final = 16


class LibraryMatcher(Protocol):
    """`GrammarMatcher` of web/grammar.js."""

    @property
    def is_finished(self) -> bool:
        """Whether a stop token was accepted."""

    @property
    def forced_text(self) -> str:
        """The text that must come next, as far as it is certain."""

    async def masks(self, drafts: Sequence[int]) -> bytes:
        """Return the masks of the next position and behind each allowed draft, in a row."""

    def accept(self, token: int) -> bool:
        """Take a token; return whether it was allowed."""

    def rollback(self, num_tokens: int) -> None:
        """Take back the last tokens."""

    def dispose(self) -> None:
        """Free it."""


class LibraryGrammar(Protocol):
    """`CompiledGrammar` of web/grammar.js."""

    async def start(self) -> LibraryMatcher:
        """Return a matcher at the beginning of an answer."""

    def dispose(self) -> None:
        """Free it; matchers live on."""


class GrammarLibrary(Protocol):
    """`Grammars` of web/grammar.js: the library, for one model's vocabulary."""

    async def compile(self, ebnf: str) -> LibraryGrammar:
        """Compile a grammar.

        Raises:
            RequestError: the library refuses it.
        """

    def close(self) -> None:
        """Free it; nothing of it can be used any more."""


class TokenMatcher(Protocol):
    """What decodes under a constraint asks; see `Matcher` for each."""

    @property
    def is_finished(self) -> bool:
        """Whether a token that ends the answer was accepted."""

    async def mask(self) -> bytes:
        """Return the mask of the next position."""

    async def masks_for(self, drafts: Sequence[int]) -> list[bytes]:
        """Return the masks for the rows of a verify pass."""

    def accept(self, token: int) -> bool:
        """Take the next token; return whether it was allowed."""

    def rollback(self, num_tokens: int) -> None:
        """Take back the last tokens."""

    def forced(self) -> list[int]:
        """Return ids of the text that must come next."""

    async def fork(self) -> TokenMatcher:
        """Return a matcher at the same place that goes its own way."""

    def close(self) -> None:
        """Free it."""


#: Makes the library for a vocabulary, given the ids of `marks` in their order.
MakeLibrary = Callable[[Sequence[int]], Coroutine[Any, Any, GrammarLibrary]]


class Grammars:
    """Matchers for one model, and the grammars that were compiled for it.

    Requests that begin together wait for the same library, and for the same grammar where they
    want the same. Failures are not kept.

    Args:
        make_library: makes the library; called when the first constraint comes.
        tokenizer: the model's.
        vocab_size: of the model's logits.
        marks: all tokens that grammars may name as such; those that the tokenizer lacks are left
            out.
    """

    def __init__(
        self,
        make_library: MakeLibrary,
        tokenizer: Tokenizer,
        vocab_size: int,
        marks: Sequence[str] = (),
    ) -> None:
        self._make_library = make_library
        self._tokenizer = tokenizer
        self._num_words = -(-vocab_size // 32)
        found = ((mark, tokenizer.id_of(mark)) for mark in marks)
        self._mark_ids = {mark: id_ for mark, id_ in found if id_ is not None}
        self._library: Shared[GrammarLibrary] | None = None
        self._compiled: OrderedDict[str, Shared[LibraryGrammar]] = OrderedDict()

    @property
    def marks(self) -> tuple[str, ...]:
        """The tokens that grammars may name as such, in the order that `to_ebnf` wants."""
        return tuple(self._mark_ids)

    async def matcher(self, constraint: Constraint) -> Matcher:
        """Return a matcher at the beginning of an answer; its `close` frees it.

        Raises:
            RequestError: the grammar names tokens that the tokenizer lacks, or allows none of the
                vocabulary's tokens to begin with.
        """
        if constraint.marks and constraint.marks != self.marks:
            lacking = sorted(set(constraint.marks) - set(self.marks))
            raise RequestError(
                f"this model's tokenizer lacks {', '.join(lacking) or 'marks'}; tools need a model "
                "that knows them, such as Gemma 4",
                lacking=lacking,
            )
        characters = {chr(FIRST_MARK + at): id_ for at, id_ in enumerate(self._mark_ids.values())}
        compiled = self._compiled_from(constraint.ebnf)
        matcher = await Matcher.start(compiled, self._tokenizer, self._num_words, characters)
        with ExitStack() as undoing:
            undoing.callback(matcher.close)
            if not any(await matcher.mask()):
                raise RequestError(
                    f"{constraint.kind}: none of the model's tokens can begin an answer; loosen it"
                )
            undoing.pop_all()
        return matcher

    def close(self) -> None:
        """Free the library and all that it made; close matchers before."""
        for compiled in self._compiled.values():
            compiled.release()
        self._compiled.clear()
        if self._library is not None:
            self._library.release()
            self._library = None

    def _compiled_from(self, ebnf: str) -> Shared[LibraryGrammar]:
        """Return a grammar that is kept, or begin to compile it."""
        for key in [key for key, compiled in self._compiled.items() if compiled.has_failed]:
            del self._compiled[key]
        compiled = self._compiled.pop(ebnf, None)
        if compiled is None:
            if self._library is None or self._library.has_failed:
                making = self._make_library(tuple(self._mark_ids.values()))
                self._library = Shared(making, lambda library: library.close())
            self._library.take()
            compiled = Shared(_compile(self._library, ebnf), lambda grammar: grammar.dispose())
        self._compiled[ebnf] = compiled
        while len(self._compiled) > MAX_COMPILED:
            self._compiled.popitem(last=False)[1].release()
        return compiled


async def _compile(library: Shared[GrammarLibrary], ebnf: str) -> LibraryGrammar:
    """Compile a grammar, then release the library."""
    try:
        return await (await library.get()).compile(ebnf)
    finally:
        library.release()


class Matcher:
    """The place in its grammar that one answer has reached; made by `Grammars.matcher`.

    Args:
        compiled: its grammar.
        matcher: the library's, for this answer alone.
        tokenizer: the model's.
        num_words: of a mask.
        marks: ids of the tokens that the grammar may name as such, by the characters for them.
        free: frees the library's matcher, and lets the grammar go.

    Attributes:
        tokens: the ids accepted so far.
    """

    def __init__(
        self,
        compiled: Shared[LibraryGrammar],
        matcher: LibraryMatcher,
        tokenizer: Tokenizer,
        num_words: int,
        marks: Mapping[str, int],
        free: Callable[[], None],
    ) -> None:
        self.tokens: list[int] = []
        self._compiled = compiled
        self._matcher = matcher
        self._tokenizer = tokenizer
        self._num_words = num_words
        self._marks = marks
        self._free = free

    @classmethod
    async def start(
        cls,
        compiled: Shared[LibraryGrammar],
        tokenizer: Tokenizer,
        num_words: int,
        marks: Mapping[str, int],
    ) -> Matcher:
        """Return a matcher at the beginning of an answer."""
        with ExitStack() as undoing:
            compiled.take()
            undoing.callback(compiled.release)
            started = Shared((await compiled.get()).start(), lambda matcher: matcher.dispose())
            undoing.callback(started.release)
            matcher = await started.get()
            free = undoing.pop_all().close
        return cls(compiled, matcher, tokenizer, num_words, marks, free)

    @property
    def is_finished(self) -> bool:
        """Whether a token that ends the answer was accepted: nothing may follow."""
        return self._matcher.is_finished

    async def mask(self) -> bytes:
        """Return the mask of the next position; empty once the answer has ended."""
        return await self._matcher.masks(())

    async def masks_for(self, drafts: Sequence[int]) -> list[bytes]:
        """Return the masks for the rows of a verify pass.

        Args:
            drafts: the ids proposed for the next positions.

        Returns:
            The mask of the next position, then the one behind each draft as far as drafts are
            allowed: at most 1 + len(drafts). The draft that has no mask behind it, if any, is not
            allowed, or ends the answer. The place stays as it was.
        """
        rows = await self._matcher.masks(drafts)
        length = 4 * self._num_words
        return [rows[at : at + length] for at in range(0, len(rows), length)]

    def accept(self, token: int) -> bool:
        """Take the next token; return whether it was allowed. If not, nothing has changed."""
        if not self._matcher.accept(token):
            return False
        self.tokens.append(token)
        return True

    def rollback(self, num_tokens: int) -> None:
        """Take back the last tokens, at most all of `tokens`."""
        assert 0 <= num_tokens <= len(self.tokens), (num_tokens, len(self.tokens))
        self._matcher.rollback(num_tokens)
        del self.tokens[len(self.tokens) - num_tokens :]

    def forced(self) -> list[int]:
        """Return ids of the text that must come next, none where there is a choice.

        The text is certain, its ids are not: other ids may spell it, and the last one may grow
        together with what follows. They are drafts that cost nothing, to be verified as others.
        """
        ids: list[int] = []
        text = ""
        for char in [*self._matcher.forced_text, ""]:
            if char and char not in self._marks:
                text += char
                continue
            # Half a character is not text to tokenize.
            ids += self._tokenizer.encode(text.partition("\ufffd")[0]) if text else []
            if "\ufffd" in text:
                break
            ids += [self._marks[char]] if char else []
            text = ""
        num_allowed = 0
        while num_allowed < len(ids) and self._matcher.accept(ids[num_allowed]):
            num_allowed += 1
        self._matcher.rollback(num_allowed)
        return ids[:num_allowed]

    async def fork(self) -> Matcher:
        """Return a matcher at the same place that goes its own way; close it as well."""
        twin = await Matcher.start(self._compiled, self._tokenizer, self._num_words, self._marks)
        for token in self.tokens:
            is_accepted = twin.accept(token)
            assert is_accepted, token
        return twin

    def close(self) -> None:
        """Free it; once is enough."""
        self._free()
