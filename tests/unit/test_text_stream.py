"""TextStream: what it hands out is final, whole, and free of stop strings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain

import pytest
import tokenizers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadout.errors import RequestError
from leadout.text_stream import TextStream, byte_tokens_of
from leadout.tokenizer import BYTE_TOKENS
from leadout.tokenizer_native import HuggingFaceTokenizer
from tiny_vocabulary import BOS, EOS, gguf_metadata


@cache
def gemma_like() -> HuggingFaceTokenizer:
    return HuggingFaceTokenizer.from_gguf(gguf_metadata())


@cache
def llama_like() -> HuggingFaceTokenizer:
    """Like Gemma's, but the space before a text's first word is not part of it."""
    return HuggingFaceTokenizer.from_gguf(gguf_metadata(add_space_prefix=True))


@cache
def byte_level() -> HuggingFaceTokenizer:
    """A GPT-2-like tokenizer, where ordinary tokens hold any bytes, also across characters."""
    level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    vocab = {char: id_ for id_, char in enumerate(sorted(level.alphabet()))}
    vocab["<eos>"] = len(vocab)
    ((emoji, _),) = level.pre_tokenize_str("😀")
    merges = [(emoji[1], emoji[2]), (emoji[3], emoji[0]), ("h", "e")]
    for left, right in merges:
        vocab[left + right] = len(vocab)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab, merges))
    tokenizer.pre_tokenizer = level
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(["<eos>"])
    return HuggingFaceTokenizer(tokenizer)


# No limits of time: they would measure what else the machine is doing.
EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

TOKENIZERS = {"gemma": gemma_like, "llama": llama_like, "byte level": byte_level}


def ids_of(tokenizer: HuggingFaceTokenizer) -> st.SearchStrategy[list[int]]:
    """Lists of ids: any at all, bytes of whole and broken characters, and encoded text."""
    any_ids = st.lists(st.integers(0, tokenizer.vocab_size + 1), max_size=12)
    text_ids = st.text(st.sampled_from("abeht \n日😀é\ufffd🫠"), max_size=8).map(tokenizer.encode)
    byte_ids = [id_ for token in BYTE_TOKENS if (id_ := tokenizer.id_of(token)) is not None]
    pieces = [any_ids, text_ids]
    if byte_ids:
        pieces.append(st.lists(st.sampled_from(byte_ids), max_size=5))
        spelled = st.text(st.sampled_from("aé日😀🫠"), max_size=3)
        pieces.append(spelled.map(lambda text: [byte_ids[byte] for byte in text.encode()]))
    return st.lists(st.one_of(pieces), max_size=8).map(lambda lists: list(chain(*lists)))


stops = st.lists(
    st.one_of(
        st.text(st.sampled_from("aabeht \n日😀\ufffd"), min_size=1, max_size=4),
        st.sampled_from(["the", " the", "aa", "aaab", "日本", "\ufffd", "<table>", "\n\n"]),
    ),
    max_size=3,
)


def portions(data: st.DataObject, ids: Sequence[int]) -> list[Sequence[int]]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(ids)), max_size=8)))
    return [ids[start:end] for start, end in zip([0, *cuts], [*cuts, len(ids)], strict=True)]


def cut_by_definition(text: str, stop: Sequence[str]) -> tuple[str, str | None]:
    """Return the text before its first stop string, and that string."""
    for end in range(len(text) + 1):
        complete = [string for string in stop if text[:end].endswith(string)]
        if complete:
            longest = max(complete, key=len)
            return text[: end - len(longest)], longest
    return text, None


@pytest.mark.parametrize("kind", TOKENIZERS)
@settings(EXAMPLES)
@given(data=st.data())
def test_the_deltas_are_the_decoded_text_cut_at_the_stop(kind: str, data: st.DataObject) -> None:
    tokenizer = TOKENIZERS[kind]()
    eos = tokenizer.id_of("<eos>")
    assert eos is not None
    ids = data.draw(ids_of(tokenizer))
    stop = data.draw(stops)
    until_eos = ids[: ids.index(eos)] if eos in ids else ids
    wanted, stop_string = cut_by_definition(tokenizer.decode(until_eos), stop)

    stream = TextStream(tokenizer, stop, eos_ids=[eos])
    joined = ""
    for portion in portions(data, ids):
        joined += stream.push(portion)
        # Nothing is ever taken back: no half character, nothing of a stop string.
        assert wanted.startswith(joined)
        assert stream.text == joined
    joined += stream.flush()
    assert joined == wanted
    assert stream.text == wanted
    assert stream.stop_string == stop_string
    assert stream.stopped == (stop_string is not None or eos in ids)
    assert stream.tokens == until_eos[: len(stream.tokens)]
    if stop_string is None:
        assert stream.tokens == until_eos


@settings(EXAMPLES)
@given(data=st.data())
def test_the_tokens_kept_are_those_that_begin_before_the_cut(data: st.DataObject) -> None:
    tokenizer = gemma_like()
    first = 16 + len(BYTE_TOKENS)  # learned pieces, all of them text
    ids = data.draw(st.lists(st.integers(first, tokenizer.vocab_size - 1), max_size=30))
    stream = TextStream(tokenizer, data.draw(stops))
    stream.push(ids)
    stream.flush()
    begins_before_the_cut = [
        len(tokenizer.decode(ids[:at])) < len(stream.text) for at in range(len(ids))
    ]
    assert stream.tokens == ids[: sum(begins_before_the_cut)]


@settings(EXAMPLES)
@given(data=st.data())
def test_whole_characters_come_at_once_where_no_stop_string_is_possible(
    data: st.DataObject,
) -> None:
    tokenizer = gemma_like()
    byte_tokens = byte_tokens_of(tokenizer)
    ids = data.draw(ids_of(tokenizer))
    stream = TextStream(tokenizer, ["\0 is in no text"], byte_tokens=byte_tokens)
    for num_pushed, id_ in enumerate(ids, 1):
        stream.push([id_])
        if id_ not in byte_tokens and tokenizer.decode([id_]):
            assert stream.text == tokenizer.decode(ids[:num_pushed])


class CountingTokenizer:
    """Counts the ids that are decoded."""

    def __init__(self, tokenizer: HuggingFaceTokenizer) -> None:
        self.tokenizer = tokenizer
        self.num_decoded = 0
        self.vocab_size = tokenizer.vocab_size
        self.encode = tokenizer.encode
        self.id_of = tokenizer.id_of

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        self.num_decoded += len(ids)
        return self.tokenizer.decode(ids, skip_special_tokens)


@pytest.mark.parametrize(
    ("make", "unit"),
    [
        (gemma_like, "the capital of France is "),
        (gemma_like, "🫠"),  # bytes, and nothing else
        (gemma_like, "<bos>"),  # no text at all
        (gemma_like, "\ufffd"),
        (byte_level, "the 😀 "),
        (byte_level, "😀"),
        (byte_level, "\ufffd"),
    ],
)
def test_the_work_per_token_does_not_grow(
    make: Callable[[], HuggingFaceTokenizer], unit: str
) -> None:
    tokenizer = CountingTokenizer(make())
    ids = tokenizer.encode(unit)
    ids = ids * (3000 // len(ids))
    stream = TextStream(tokenizer, ["stop"])
    for id_ in ids:
        stream.push([id_])
    stream.flush()
    assert stream.text == tokenizer.tokenizer.decode(ids)
    assert tokenizer.num_decoded <= 16 * len(ids)


def test_endless_broken_characters_do_not_make_the_window_grow() -> None:
    tokenizer = CountingTokenizer(byte_level())
    begin_of_an_emoji = tokenizer.encode("😀")[0]
    stream = TextStream(tokenizer)
    ids = [begin_of_an_emoji] * 2000
    for id_ in ids:
        stream.push([id_])
    assert stream.text == "\ufffd" * 1999
    assert stream.flush() == "\ufffd"
    assert tokenizer.num_decoded <= 16 * len(ids)


def test_a_character_of_several_byte_tokens_comes_whole() -> None:
    tokenizer = gemma_like()
    ids = [*tokenizer.encode("a🫠"), *tokenizer.encode("b")]
    assert len(ids) == 1 + 4 + 1
    stream = TextStream(tokenizer)
    assert [stream.push([id_]) for id_ in ids] == ["a", "", "", "", "", "🫠b"]


def test_a_token_without_text_does_not_end_a_run_of_bytes() -> None:
    tokenizer = gemma_like()
    first, *rest = tokenizer.encode("🫠")
    stream = TextStream(tokenizer)
    assert stream.push([first, BOS, *rest]) == ""
    assert stream.flush() == "🫠"
    assert stream.tokens == [first, BOS, *rest]


def test_what_might_be_a_stop_string_waits_until_it_is_none() -> None:
    tokenizer = gemma_like()
    stream = TextStream(tokenizer, ["a1b"])
    assert [stream.push(tokenizer.encode(char)) for char in "xa1a1c"] == [
        *("x", "", "", "a1", "", "a1c"),
    ]


def test_flush_gives_what_waited_for_a_stop_string() -> None:
    tokenizer = gemma_like()
    stream = TextStream(tokenizer, ["</s>"])
    assert stream.push(tokenizer.encode("x</s")) == "x"
    assert stream.flush() == "</s"
    assert not stream.stopped


def test_eos_gives_what_waited_for_a_stop_string() -> None:
    tokenizer = gemma_like()
    stream = TextStream(tokenizer, ["</s>"], eos_ids=[EOS])
    assert stream.push([*tokenizer.encode("x</s"), EOS, *tokenizer.encode("y")]) == "x</s"
    assert stream.stopped
    assert stream.stop_string is None
    assert stream.tokens == tokenizer.encode("x</s")
    assert stream.flush() == ""


def test_without_eos_ids_the_text_goes_on() -> None:
    tokenizer = gemma_like()
    stream = TextStream(tokenizer)
    assert stream.push([*tokenizer.encode("x"), EOS, *tokenizer.encode("y")]) == "xy"
    assert not stream.stopped


def test_ids_after_the_stop_are_ignored() -> None:
    tokenizer = gemma_like()
    stream = TextStream(tokenizer, ["b"])
    assert stream.push(tokenizer.encode("ab")) == "a"
    assert stream.push(tokenizer.encode("cd")) == ""
    assert stream.text == "a"
    assert stream.tokens == tokenizer.encode("a")


def test_a_stop_string_inside_a_token_keeps_the_token() -> None:
    tokenizer = gemma_like()
    ids = tokenizer.encode("the capital of")
    stream = TextStream(tokenizer, ["pit"])
    stream.push(ids)
    assert stream.text == "the ca"
    assert tokenizer.decode(stream.tokens) == "the capital"


def test_a_stop_string_in_bytes_drops_the_bytes_from_there() -> None:
    tokenizer = gemma_like()
    before, cut = tokenizer.encode("🫠"), tokenizer.encode("🪿")
    stream = TextStream(tokenizer, ["🪿"])
    assert stream.push([*before, *cut, *tokenizer.encode("a")]) == "🫠"
    assert stream.tokens == before


def test_the_longest_of_two_stop_strings_that_end_together_counts() -> None:
    tokenizer = gemma_like()
    stream = TextStream(tokenizer, ["c", "abc"])
    stream.push(tokenizer.encode("xabcx"))
    assert stream.text == "x"
    assert stream.stop_string == "abc"


def test_the_stop_string_that_is_complete_first_counts() -> None:
    tokenizer = gemma_like()
    stream = TextStream(tokenizer, ["abcd", "bc"])
    stream.push(tokenizer.encode("xabcd"))
    assert stream.text == "xa"
    assert stream.stop_string == "bc"


def test_no_ids_give_no_text() -> None:
    stream = TextStream(gemma_like(), ["a"], eos_ids=[EOS])
    assert stream.push([]) == ""
    assert stream.flush() == ""
    assert stream.text == ""
    assert stream.tokens == []


@pytest.mark.parametrize("stop", ["abc", [""], ["a", ""], [None], [7]])
def test_a_bad_stop_is_a_request_error(stop: list[str]) -> None:
    with pytest.raises(RequestError, match="stop"):
        TextStream(gemma_like(), stop)
