"""Nano's tokenizer as it ships, and its chat template: the ids that it was trained on."""

from __future__ import annotations

import asyncio
import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from leadout.chat_jinja import JinjaTemplate
from leadout.checkpoint.gguf import read_gguf_header
from leadout.checkpoint.source import FileSource
from leadout.tokenizer import tokenizer_json_from_gguf
from leadout.tokenizer_native import HuggingFaceTokenizer
from leadout_build.store.built_in import NANO, NANO_DRAFTER, built_in_files
from nano.dialogues import Dialogue, make_dialogue
from nano.encoding import chat_text, encode
from nano.gemma4_gguf import BYTE, CONTROL, NORMAL, UNKNOWN, USER_DEFINED
from nano.saving import CHAT_TEMPLATE
from nano.shapes import CONTEXT, VOCAB_SIZE
from nano.tokenizer import (
    BOS,
    END_OF_TURN,
    MARKS,
    STOP_IDS,
    TURN,
    UNK,
    train_tokenizer,
)
from nano.vocabulary import tokenizer_of, vocabulary_of
from node_tokenizer import node_values
from varied_text import varied_texts

ODD = (
    *("", " ", "  ", "   \n\n  ", "\t", "a\tb", "BTC   ETH", "\r\n", " leading", "trailing "),
    *(
        "😀",
        "👩‍👩‍👧‍👦 is up",
        "Ünïcödé",
        "現在の価格",
        "Сколько стоит BTC?",
        "مرحبا",
        "e\u0301",
        "\u00a0",
    ),
    *("▁", "a▁b", "<|turn>", "<|turn>user\nhi<turn|>\n", "<bos>x<eos>", "<0x41>", "<unused7>"),
    *("<unused2047>", "<|channel>thought", '<|"|>', "x" * 500, "A1B2.C-D", "\x00\x7f", "1e-8%"),
)

FILE = built_in_files(NANO)[f"{NANO}.gguf"]


@cache
def dialogues() -> list[Dialogue]:
    """Return a thousand dialogues, of both splits by turns."""
    splits = ("train", "test")
    return [make_dialogue(random.Random(f"ids {i}"), split=splits[i % 2]) for i in range(1000)]


@cache
def texts() -> list[str]:
    return [*(chat_text(dialogue) for dialogue in dialogues()), *ODD, *varied_texts(300)]


@cache
def metadata(name: str = NANO) -> dict[str, Any]:
    path = built_in_files(name)[f"{name}.gguf"]
    return dict(asyncio.run(read_gguf_header(FileSource(path))).metadata)


@cache
def nanos() -> Tokenizer:
    """Return the tokenizer that Nano was trained with, from the pieces in its file."""
    return tokenizer_of(FILE)


@cache
def leadouts() -> HuggingFaceTokenizer:
    """Return the tokenizer that Leadout makes of the same file."""
    return HuggingFaceTokenizer.from_gguf(metadata())


def ids_of(text: str) -> list[int]:
    ids: list[int] = nanos().encode(text, add_special_tokens=False).ids
    return ids


def tokens_of(text: str) -> list[str]:
    tokens: list[str] = nanos().encode(text, add_special_tokens=False).tokens
    return tokens


def test_leadout_makes_the_same_ids_as_training_did() -> None:
    built = leadouts()
    for text in texts():
        assert built.encode(text) == ids_of(text), text
    for text in ODD:
        assert built.encode(text, add_special_tokens=True) == [BOS, *ids_of(text)], text


def test_leadout_makes_the_same_texts_of_ids() -> None:
    built, made = leadouts(), nanos()
    rng = random.Random(5)
    lists = [[rng.randrange(VOCAB_SIZE) for _ in range(i % 20)] for i in range(300)]
    for ids in [*(ids_of(text) for text in texts()[-300:]), *lists]:
        assert built.decode(ids, skip_special_tokens=False) == made.decode(
            ids, skip_special_tokens=False
        )


def test_ids_in_node_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    built = tokenizer_json_from_gguf(metadata())
    path.write_text(json.dumps(built, ensure_ascii=False), encoding="utf-8")
    chosen = [*texts()[:40], *ODD]
    found = node_values(path, [["encode", text] for text in chosen])
    assert found == [ids_of(text) for text in chosen]


def test_decoding_gives_the_text_back() -> None:
    for text in texts():
        if "▁" not in text and "<0x" not in text:  # spelled as a space and as a byte are
            assert nanos().decode(ids_of(text), skip_special_tokens=False) == text
    shown = "<|turn>user\nUp today?<turn|>\n"
    assert leadouts().decode(ids_of(shown)) == "user\nUp today?\n"


def test_digits_and_capitals_are_one_by_one() -> None:
    row = "BRK.B,97412.50,+1.84%,0.97x,63.4"
    assert tokens_of(row) == list(row)
    for text in ("BTC", "QXVTZW", "1INCH"):
        ids = ids_of(text)
        assert len(ids) == len(text)
        # The same in a sentence as in a table, at its beginning as in its midst.
        sentence = f"{text} is ahead of {text}, and {text}."
        joined = " ".join(map(str, ids_of(sentence)))
        assert joined.count(" ".join(map(str, ids))) == 3
        assert ids_of(f"|{text}|")[1:-1] == ids
    used = {token for d in dialogues()[:200] for token in tokens_of(chat_text(d))}
    assert not [t for t in used if sum(c.isdigit() or c.isupper() for c in t) > 1 and t[0] != "<"]


def test_the_vocabulary_is_gemma_4s_marks_then_bytes_then_pieces(tmp_path: Path) -> None:
    file, drafters = metadata(), metadata(NANO_DRAFTER)
    pieces, types = file["tokenizer.ggml.tokens"], file["tokenizer.ggml.token_type"]
    assert len(pieces) == VOCAB_SIZE
    assert tuple(pieces[: len(MARKS)]) == MARKS
    at = len(MARKS)
    assert pieces[at : at + 256] == [f"<0x{byte:02X}>" for byte in range(256)]
    assert set(types[at : at + 256]) == {BYTE}
    assert types[UNK] == UNKNOWN
    assert {types[pieces.index(mark)] for mark in ("<bos>", "<|turn>", "<turn|>")} == {CONTROL}
    assert types[pieces.index("<|channel>")] == USER_DEFINED
    assert set(types[at + 256 :]) == {NORMAL, CONTROL}
    for key in ("tokens", "merges", "token_type"):
        assert drafters[f"tokenizer.ggml.{key}"] == file[f"tokenizer.ggml.{key}"]
    assert [MARKS[id_] for id_ in STOP_IDS] == ["<eos>", "<turn|>", "<|tool_response>"]

    # What the exporter reads out of a tokenizer.json is what lies in the file.
    nanos().save(str(tmp_path / "tokenizer.json"))
    vocabulary = vocabulary_of(tmp_path / "tokenizer.json")
    assert vocabulary.tokens == list(pieces)
    assert vocabulary.types == list(types)
    assert vocabulary.merges == list(file["tokenizer.ggml.merges"])


def test_a_tokenizer_can_be_learned_and_knows_every_character_of_ascii() -> None:
    learned = train_tokenizer(chat_text(dialogue) for dialogue in dialogues()[:100])
    assert learned.get_vocab_size() == VOCAB_SIZE
    text = "".join(map(chr, range(32, 127)))
    assert UNK not in learned.encode(text).ids
    tokens = learned.encode("Which asset fell most? BONK and  BONK.").tokens
    assert "".join(tokens).replace("▁", " ") == "Which asset fell most? BONK and  BONK."
    assert [t for t in tokens if "O" in t or "K" in t] == ["O", "K", "O", "K"]


# ---- chats -------------------------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["repository's", "file's"])
def test_the_chat_template_writes_what_training_read(whose: str) -> None:
    source = CHAT_TEMPLATE.read_text("utf-8")
    if whose == "file's":
        source = metadata()["tokenizer.chat_template"]
        assert metadata(NANO_DRAFTER)["tokenizer.chat_template"] == source
    chat = JinjaTemplate(source)
    for dialogue in dialogues()[:150]:
        roles = ("assistant", "model")
        messages = [
            {"role": roles[0] if turn.role == roles[1] else turn.role, "content": turn.text}
            for turn in dialogue.turns
        ]
        names = {"bos_token": "<bos>", "eos_token": "<eos>"}
        rendered = chat.render(names | {"messages": messages})
        assert rendered == f"<bos>{chat_text(dialogue)}"
        # A prompt is the beginning of the whole.
        begun = {"messages": messages[:-1], "add_generation_prompt": True}
        asked = chat.render(names | begun)
        assert rendered.startswith(asked)
        assert rendered[len(asked) :] == f"{messages[-1]['content']}<turn|>\n"


def test_nano_learns_its_own_turns_up_to_their_ends() -> None:
    for dialogue in dialogues()[:200]:
        ids, is_own = encode(nanos(), dialogue)
        assert len(ids) == len(is_own)
        assert ids[0] == BOS
        assert ids.count(TURN) == ids.count(END_OF_TURN) == len(dialogue.turns)
        own: list[list[int]] = [[]]
        for id_, is_nanos in zip(ids, is_own, strict=True):
            if is_nanos:
                own[-1].append(id_)
                if id_ == END_OF_TURN:
                    own.append([])
        assert own.pop() == []
        written = [turn.text for turn in dialogue.turns if turn.role == "model"]
        assert [nanos().decode(part[:-1]) for part in own] == written


def test_every_dialogue_fits_into_the_context() -> None:
    sizes = [len(encode(nanos(), dialogue)[0]) for dialogue in dialogues()]
    assert max(sizes) <= CONTEXT
