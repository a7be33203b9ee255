"""Masks: exact, the same in CPython and Node, and the same however one came to a place."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from grammar_reference import Reference
from grammar_walks import (
    END_OF_TURN,
    GLUE,
    MARKS,
    grammars,
    mark_ids,
    node_walks,
    tokenizer,
    v8_walks,
    vocab_size,
)
from leadout.errors import RequestError
from leadout.grammar.after_reasoning import AfterReasoning
from leadout.grammar.constraint import Constraint
from leadout.grammar.ebnf import ebnf_rules
from leadout.grammar.expressions import FIRST_MARK, Rules
from leadout.grammar.matcher import MAX_COMPILED, Grammars, Matcher
from leadout.grammar.printed import to_ebnf
from leadout.grammar.schema import schema_rules
from leadout.tokenizer import SPACE
from node_script import ask_node
from tiny_vocabulary import EOS

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 4},
        "age": {"type": "integer", "minimum": 3, "maximum": 120},
        "capital": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["name"],
}

GRAMMARS: dict[str, Rules] = {
    "schema": schema_rules(SCHEMA),
    "any object": schema_rules({"type": "object"}),
    "letters of scripts": ebnf_rules('root ::= [à-ÿ]+ | [ا-ي日-語]{1,2} " " . | [^a-z\\n]{3}'),
    "nested": ebnf_rules('root ::= "(" root* ")" | [ab]{2,} "\\n"?'),
    "words": ebnf_rules('root ::= "the capital of France is " ("here" | "the" "re"?) | "日本語"'),
}

STOPS = (EOS, END_OF_TURN)


def token_bytes() -> list[bytes]:
    """Return the bytes of each token's text, b"" where it has none."""
    found = []
    for piece in tokenizer().pieces():
        is_byte = len(piece) == 6 and piece.startswith("<0x")
        found.append(
            bytes([int(piece[3:5], 16)]) if is_byte else piece.replace(SPACE, " ").encode()
        )
    return found


def ids_of(mask: bytes) -> set[int]:
    return {id_ for id_ in range(8 * len(mask)) if mask[id_ // 8] >> (id_ % 8) & 1}


@pytest.fixture(scope="module")
def library() -> Iterator[Grammars]:
    found = grammars()
    yield found
    found.close()


async def start(library: Grammars, rules: Rules) -> Matcher:
    return await library.matcher(Constraint.from_rules("grammar", rules))


@pytest.mark.parametrize("name", GRAMMARS)
async def test_masks_are_what_the_rules_allow_token_by_token(library: Grammars, name: str) -> None:
    rules, rng = GRAMMARS[name], random.Random(name)
    texts = token_bytes()
    matcher, reference = await start(library, rules), Reference(rules, has_borders=True)
    for _ in range(25):
        wanted = {
            id_ for id_, text in enumerate(texts) if text and reference.after(reference.ways, text)
        }
        if reference.may_end:
            wanted |= set(STOPS)
        mask = await matcher.mask()
        assert len(mask) == 4 * -(-vocab_size() // 32)
        assert ids_of(mask) == wanted
        going_on = sorted(wanted - set(STOPS))
        if not going_on:
            break
        id_ = rng.choice(going_on)
        assert matcher.accept(id_)
        assert reference.advance(texts[id_])
    matcher.close()


def test_node_and_cpython_make_the_same_masks() -> None:
    names = list(GRAMMARS)
    ebnf = [to_ebnf(GRAMMARS[name]) for name in names]
    reply = node_walks([(one, [1, 2, 3], 60) for one in ebnf])
    assert reply["pieces"] == tokenizer().pieces()
    for one, answer in zip(ebnf, reply["answers"], strict=True):
        assert answer == v8_walks(one, [1, 2, 3], 60)


async def test_rows_of_a_verify_pass_have_the_masks_of_their_positions(library: Grammars) -> None:
    matcher = await start(library, GRAMMARS["schema"])
    ids = tokenizer().encode('{"name": "the"}')
    one_by_one = []
    for id_ in ids:
        one_by_one.append(await matcher.mask())
        assert matcher.accept(id_)
    one_by_one.append(await matcher.mask())
    matcher.rollback(len(ids))
    assert await matcher.masks_for(ids) == one_by_one
    assert await matcher.masks_for([*ids, EOS, 9]) == one_by_one  # nothing comes behind an end
    wrong = next(id_ for id_ in range(vocab_size()) if id_ not in ids_of(one_by_one[2]))
    assert await matcher.masks_for([*ids[:2], wrong, *ids[2:]]) == one_by_one[:3]
    assert matcher.tokens == []
    assert await matcher.masks_for([]) == one_by_one[:1]


async def test_an_answer_ends_only_where_the_grammar_may(library: Grammars) -> None:
    matcher = await start(library, GRAMMARS["words"])
    assert not matcher.accept(EOS)
    for id_ in tokenizer().encode("the capital of France is the"):
        assert not ids_of(await matcher.mask()) & set(STOPS)
        assert matcher.accept(id_)
    assert set(STOPS) <= ids_of(await matcher.mask())
    assert not matcher.is_finished
    assert matcher.accept(END_OF_TURN)
    assert matcher.is_finished
    assert await matcher.mask() == b""
    assert await matcher.masks_for([1, 2]) == []
    assert not matcher.accept(END_OF_TURN)
    matcher.rollback(1)
    assert not matcher.is_finished
    assert set(STOPS) <= ids_of(await matcher.mask())


async def test_a_fork_goes_its_own_way_even_when_its_grammar_is_no_longer_kept(
    library: Grammars,
) -> None:
    matcher = await start(library, GRAMMARS["words"])
    ids = tokenizer().encode("the capital")
    for id_ in ids:
        matcher.accept(id_)
    for number in range(MAX_COMPILED + 1):
        (await start(library, ebnf_rules(f'root ::= "{number}"'))).close()
    twin = await matcher.fork()
    assert twin.tokens == ids
    before = await matcher.mask()
    assert await twin.mask() == before
    assert twin.accept(next(iter(ids_of(before))))
    assert await matcher.mask() == before
    matcher.close()
    twin.close()


async def test_forced_text_that_ends_in_half_a_character_is_cut_there(library: Grammars) -> None:
    """Two texts part in the midst of a character: its first bytes are certain, and no text."""
    for texts in (["0\u0bc4"], ["\u0bc4", "\u0bc5"], ["\u65e5a", "\u65e6b"], ["a\U0001f600"]):
        matcher = await library.matcher(Constraint.from_schema({"enum": texts}))
        for id_ in tokenizer().encode('"') + tokenizer().encode(texts[0])[:-1]:
            for forced in matcher.forced():
                assert isinstance(forced, int)
            assert matcher.accept(id_)
        assert len(await matcher.masks_for(matcher.forced())) == len(matcher.forced()) + 1
        matcher.close()


async def test_what_is_forced_is_allowed_and_spells_what_must_come(library: Grammars) -> None:
    matcher = await start(library, GRAMMARS["words"])
    assert matcher.forced() == []
    matcher.accept(tokenizer().encode("the")[0])
    forced = matcher.forced()
    assert tokenizer().decode(forced) == " capital of France is "
    assert len(await matcher.masks_for(forced)) == len(forced) + 1
    assert matcher.tokens == tokenizer().encode("the")[:1]


@pytest.mark.parametrize("is_thinking", [False, True])
async def test_a_constraint_begins_behind_the_reasoning(
    library: Grammars, is_thinking: bool
) -> None:
    open_id, close_id = mark_ids()[:2]
    rules = ebnf_rules('root ::= "the"')
    inner = await start(library, rules)
    matcher = AfterReasoning(inner, open_id, close_id, STOPS, vocab_size(), is_thinking)
    begin = await inner.mask()
    thought = tokenizer().encode("é and in")
    ids = [*([] if is_thinking else [open_id]), *thought, close_id]
    answer = tokenizer().encode("the")
    masks = []
    for id_ in [*ids, *answer, EOS]:
        mask = await matcher.mask()
        masks.append(mask)
        assert id_ in ids_of(mask)
        assert matcher.accept(id_)
    assert matcher.is_finished
    assert matcher.tokens == [*ids, *answer, EOS]
    assert masks[len(ids)] == begin
    free = masks[len(ids) - 1]
    assert ids_of(free) == set(range(vocab_size())) - set(STOPS)
    if not is_thinking:
        assert ids_of(masks[0]) == ids_of(begin) | {open_id}
    # The same in one go, from everywhere, and after coming back.
    for place in reversed(range(len(masks))):
        matcher.rollback(1)
        rest = [*ids, *answer, EOS][place:]
        assert await matcher.masks_for(rest) == masks[place:]
        twin = await matcher.fork()
        assert await twin.masks_for(rest) == masks[place:]
        twin.close()
        assert len(matcher.tokens) == place
    assert not matcher.accept(EOS)
    if not is_thinking:
        assert matcher.forced() == []
        assert matcher.accept(answer[0])
        assert not matcher.accept(open_id)
        matcher.rollback(1)
        assert ids_of(await matcher.mask()) == ids_of(begin) | {open_id}
    matcher.close()


async def test_special_tokens_are_never_text(library: Grammars) -> None:
    matcher = await start(library, ebnf_rules("root ::= .*"))
    special = {0, 2, 3, *mark_ids()}
    assert not ids_of(await matcher.mask()) & special


async def test_a_grammar_that_no_token_can_begin_is_refused(library: Grammars) -> None:
    # The byte tokens of the tiny vocabulary spell everything but what begins with no byte of text.
    constraint = Constraint("grammar", f'root ::= "\\U{FIRST_MARK + 100:08x}"\n')
    with pytest.raises(RequestError, match="none of the model's tokens can begin"):
        await library.matcher(constraint)


async def test_a_tokenizer_without_the_marks_cannot_call_tools(library: Grammars) -> None:
    assert library.marks == MARKS
    constraint = Constraint("tools", 'root ::= "a"\n', (*MARKS, "<|none>"))
    with pytest.raises(RequestError, match=r"lacks <\|none>"):
        await library.matcher(constraint)


# ---- requests that begin together ------------------------------------------------------------

WORD = Constraint.from_request({"regex": "abc"})
assert WORD is not None


class FakeLibrary:
    """The library. As with JavaScript's promises, what it began it ends, though nobody waits.

    Attributes:
        made, freed: how many, by "library", "grammar" and "matcher".
        failures: what the next part of a kind fails with.
        goes_on: what is begun of `slow`, a kind or "mask", waits for it.
    """

    def __init__(self, slow: str = "library") -> None:
        self.made: Counter[str] = Counter()
        self.freed: Counter[str] = Counter()
        self.failures: dict[str, Exception] = {}
        self.slow = slow
        self.goes_on = asyncio.Event()
        self.grammars = Grammars(self._make_library, tokenizer(), vocab_size(), MARKS)

    async def _make_library(self, mark_ids: Sequence[int]) -> FakePart:
        return await self.make("library")

    async def make(self, kind: str) -> FakePart:
        return await asyncio.shield(asyncio.ensure_future(self._make(kind)))

    async def _make(self, kind: str) -> FakePart:
        await self.wait(kind)
        if kind in self.failures:
            raise self.failures.pop(kind)
        self.made[kind] += 1
        return FakePart(self, kind)

    async def wait(self, kind: str) -> None:
        await (self.goes_on.wait() if kind == self.slow else asyncio.sleep(0))

    async def begin(self, num_requests: int) -> list[asyncio.Task[Matcher]]:
        """Return requests that have begun and wait."""
        tasks = [asyncio.ensure_future(self.grammars.matcher(WORD)) for _ in range(num_requests)]
        await settle()
        assert not any(task.done() for task in tasks)
        return tasks


async def settle() -> None:
    """Let everything run that can run."""
    for _ in range(50):
        await asyncio.sleep(0)


class FakePart:
    """A library, a compiled grammar or a matcher."""

    is_finished = False
    forced_text = ""

    def __init__(self, library: FakeLibrary, kind: str) -> None:
        self._library = library
        self._kind = kind

    async def compile(self, ebnf: str) -> FakePart:
        return await self._library.make("grammar")

    async def start(self) -> FakePart:
        return await self._library.make("matcher")

    async def masks(self, drafts: Sequence[int]) -> bytes:
        await self._library.wait("mask")
        return b"\1"

    def accept(self, token: int) -> bool:
        return True

    def rollback(self, num_tokens: int) -> None:
        pass

    def dispose(self) -> None:
        self._library.freed[self._kind] += 1

    close = dispose


async def test_requests_that_begin_together_share_a_library_and_a_grammar() -> None:
    fake = FakeLibrary()
    requests = await fake.begin(4)
    fake.goes_on.set()
    for matcher in await asyncio.gather(*requests):
        matcher.close()
    assert fake.made == {"library": 1, "grammar": 1, "matcher": 4}
    assert fake.freed == {"matcher": 4}
    fake.grammars.close()
    assert fake.freed == fake.made


@pytest.mark.parametrize("kind", ["library", "grammar"])
async def test_a_failure_is_everyones_who_waits_and_is_not_kept(kind: str) -> None:
    fake = FakeLibrary()
    fake.failures[kind] = RequestError("refused")
    requests = await fake.begin(3)
    fake.goes_on.set()
    failures = await asyncio.gather(*requests, return_exceptions=True)
    assert [str(failure) for failure in failures] == ["refused"] * 3
    (await fake.grammars.matcher(WORD)).close()
    fake.grammars.close()
    assert fake.freed == fake.made == {"library": 1, "grammar": 1, "matcher": 1}


async def test_a_request_that_is_cancelled_ends_nothing_that_others_wait_for() -> None:
    fake = FakeLibrary()
    cancelled, other = await fake.begin(2)
    cancelled.cancel()
    await asyncio.wait([cancelled])
    assert not other.done()
    fake.goes_on.set()
    (await other).close()
    fake.grammars.close()
    assert fake.freed == fake.made == {"library": 1, "grammar": 1, "matcher": 1}


@pytest.mark.parametrize("slow", ["library", "grammar", "matcher", "mask"])
async def test_what_is_made_for_a_cancelled_request_is_freed(slow: str) -> None:
    fake = FakeLibrary(slow)
    (request,) = await fake.begin(1)
    request.cancel()
    await asyncio.wait([request])
    assert request.cancelled()
    fake.grammars.close()
    fake.goes_on.set()
    await settle()
    assert fake.freed == fake.made
    assert fake.made["library"] == 1


def test_libraries_load_in_node_beside_one_another_and_no_failure_is_kept() -> None:
    answer = ask_node("grammar_loads.mjs", str(GLUE))
    assert answer["loads"] == ["loaded", "broken", "loaded", "loaded"]
    refused, compiled = answer["compiled"]
    assert "no memory" in refused
    assert compiled == "loaded"
    assert not answer["has_address"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"response_format": {"type": "xml"}}, "wanted one of text, json_object, json_schema"),
        ({"response_format": "json_object"}, "response_format is a str"),
        ({"response_format": {"type": "json_schema"}}, "has no schema"),
        ({"response_format": {"type": "json_object", "schema": {}}}, "unknown fields ['schema']"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": 3}}},
            "is 3; wanted",
        ),
        ({"grammar": 'root ::= "a"', "regex": "a"}, "grammar and regex are given together"),
        ({"grammar": 3}, "grammar is a int"),
        ({"grammar": 'root ::= "a'}, "grammar, line 1"),
        ({"grammar": 'a ::= "a"'}, "no rule root"),
        ({"grammar": 'root ::= root "a" | "b"'}, "begins with itself"),
        ({"grammar": 'root ::= a\na ::= b\nb ::= "x"? a'}, "allows no answer"),
        ({"grammar": 'root ::= "a" root'}, "allows no answer"),
        ({"grammar": "root ::= nowhere"}, "uses nowhere, which is not there"),
        ({"grammar": "root ::= " + "(" * 100}, "nested deeper"),
        ({"grammar": "# " + "x" * 70_000}, "at most 65,536 are allowed"),
        ({"regex": "a(?<!b)c"}, "a lookaround"),
        ({"regex": "(?i)a"}, "flags"),
        ({"regex": r"\bword\b"}, "an anchor inside"),
        ({"regex": "[a"}, "not a regular expression"),
        ({"regex": ".{300}"}, "counts 1,200 characters"),
        ({"regex": "[a-z]{0,100}"}, "counts 100 characters"),
        ({"regex": "." * 1000}, "has 1,000 places"),
    ],
)
def test_what_is_wrong_with_a_request_is_said_before_anything_runs(
    fields: dict[str, object], message: str
) -> None:
    with pytest.raises(RequestError) as caught:
        Constraint.from_request(fields)
    assert message in str(caught.value)


def test_a_free_answer_has_no_constraint() -> None:
    assert Constraint.from_request({"response_format": {"type": "text"}, "grammar": None}) is None
    assert Constraint.from_request({}) is None
