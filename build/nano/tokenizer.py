"""Nano's tokenizer: a byte-pair vocabulary built as Gemma's is, with digits one by one.

Capitals that begin no word are one by one too: a ticker has the same ids in a table as in a
sentence, and one that was never seen is copied as any other. No merge crosses from a word into a
digit, a mark or a line's end, so a text's ids do not depend on what follows it.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from nano.shapes import VOCAB_SIZE

PAD, EOS, BOS, UNK, MASK, TURN, END_OF_TURN = range(7)

#: Gemma 4's marks, of which Nano uses the turns; what renders tools and thoughts finds its own.
MARKS = (
    *("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<|turn>", "<turn|>", "<|think|>"),
    *("<|channel>", "<channel|>", "<|tool>", "<tool|>", "<|tool_call>", "<tool_call|>"),
    *("<|tool_response>", "<tool_response|>", '<|"|>'),
)
TOOL_RESPONSE = MARKS.index("<|tool_response>")

#: After which ids a text ends, as Gemma 4's generation_config.json has them.
STOP_IDS = [EOS, END_OF_TURN, TOOL_RESPONSE]

_BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))

#: What a token may be part of. Only what is no capital takes in the space before it: a merge of a
#: space with a capital would take it from tickers as well.
_WORD = r"▁?\p{Ll}+|\p{Lu}\p{Ll}+|\p{L}|\p{N}|\n|▁?[^\p{L}\p{N}\s▁]|▁"

#: A piece seen less often is no part of the language, but of a ticker that happened to come up.
_MIN_FREQUENCY = 30


def train_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Learn the vocabulary from texts; the rest up to VOCAB_SIZE is `<unused…>`."""
    learner = Tokenizer(BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    learner.normalizer = normalizers.Replace(" ", "▁")
    learner.pre_tokenizer = pre_tokenizers.Split(Regex(_WORD), "isolated")
    trainer = BpeTrainer(
        vocab_size=VOCAB_SIZE,
        min_frequency=_MIN_FREQUENCY,
        special_tokens=[*MARKS, *_BYTES],
        initial_alphabet=["▁", "\n", *(chr(code) for code in range(33, 127))],
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    learned = learner.get_vocab()
    merges = [(left, right) for left, right in _merges(learner) if left + right in learned]
    return build_tokenizer(sorted(learned, key=learned.__getitem__), merges)


def build_tokenizer(pieces: list[str], merges: list[tuple[str, str]]) -> Tokenizer:
    """Return the tokenizer of pieces in the order of their ids."""
    pieces = [*pieces, *(f"<unused{i}>" for i in range(VOCAB_SIZE - len(pieces)))]
    vocabulary = {piece: id_ for id_, piece in enumerate(pieces)}
    tokenizer = Tokenizer(
        BPE(vocabulary, merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True)
    )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_special_tokens([AddedToken(mark, special=True) for mark in MARKS])
    # As in Gemma's own file: written out in a text, a reserve is that token.
    reserves = [piece for piece in pieces if piece.startswith("<unused")]
    tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in reserves])
    return tokenizer


def _merges(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    import json

    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(left, right) for left, right in merges]
