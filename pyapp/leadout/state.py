"""What stays on the device between passes, word by word.

Keep in step with the kernels named behind each table.

    rows        the row table of a prefill pass, written by the host
    last_row    one row: the prompt's last token, written by the host
    turns       one word a group of a cycle's rows: the lane that they are of, or NO_LANE; written
                by the host
    lane_rows   one row a group: its lane's last known token; as a drafter goes on, at the same
                position, the token drafted last (begin_cycle, place_draft)
    cycle_rows  the rows of a verify pass, 1 + k of each group one behind the other (begin_cycle,
                place_draft, ngram_draft)

                All of these: one vec4<u32> a row: (lane, position, token, flags), which kernels
                read through shared/row.wgsl. The bits of the flags:
                0       valid. A row that is not is padding: it writes nothing to the KV cache and
                        is not attended to
                1       a drafter's: all of lane_rows, which masks do not hold for
                2       embedded: its embedding is given by the host (`rows.Rows.embeddings`), not
                        its token's. A token it has all the same, for per-layer inputs
                8-15    ahead: how many places its token stands behind its position, which is 0
                        but for drafts in lane_rows
                16-31   reach: how many positions behind its own it sees, in layers that have it
                        so. 0 but in prompts, where rows of one pass may see one another, as the
                        parts of an image do

    state       one vec4<u32> a lane: (length, last token, is active, counts). `length` counts the
                known tokens, prompt and generated; the last of them is not in the KV cache yet.
                `counts` is 1 where `seen` counts what is generated (accept).
    results     12 words a lane: (tokens of this pass, drafts verified, rows missing, 0, the tokens,
                the ids of those rows), read back. All tokens but the last are accepted drafts.
                Missing are rows whose ids have no row of a paged table here (accept).
                Behind all lanes' there are, of each lane, 42 words for each of the tokens: how many
                likeliest ids are listed, the token's log-probability, 20 ids, their
                log-probabilities (logprobs_final), for lanes that ask for them.
    history     one word per lane and position: the lane's known tokens (accept).
    seen        of each lane, one bit per id of the vocabulary: which ids the lane's tokens include
                (accept); then one word per id: in its low half how often the lane generated it, up
                to 65,535 (accept), in its high half its bias, see `sampling.py`. The words are
                written, counted and read only for lanes whose settings move logits. Then MASK_SLOTS
                masks of one bit per id, written by the host: the one at position % MASK_SLOTS says
                which ids may stand at that position. They are read only for lanes whose answers
                keep to a grammar (shared/candidates.wgsl).
    given       8 words a lane: (how many, the ids), drafts that the host gives (place_given).
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from leadout.plan import Binding, BufferSpec
from leadout.sampling import MAX_TOP_LOGPROBS

ROW_VALID = 1
ROW_OF_DRAFTER = 2
ROW_EMBEDDED = 4
AHEAD_BIT = 8
REACH_BIT = 16
ROW_BYTES = 16

#: Of a group whose rows are computed for nobody.
NO_LANE = 2**32 - 1
STATE_BYTES = 16

#: The most tokens that one cycle can propose; with the bonus token they fill a result.
MAX_DRAFT_TOKENS = 7

#: Masks that a lane has room for: of the positions that one cycle chooses for.
MASK_SLOTS = MAX_DRAFT_TOKENS + 1

#: Words of a lane's given drafts.
GIVEN_WORDS = 1 + MAX_DRAFT_TOKENS

#: The buffer of the logits, which a row behind the other lie in.
LOGITS = "logits"

#: The longest context: positions have 24 bits in ngram_draft.wgsl, and as many in a float32, of
#: which ropes make angles.
MAX_CONTEXT_LENGTH = 1 << 24

#: How often an id is counted at most.
MAX_COUNT = 0xFFFF

RESULT_HEAD_WORDS = 4
RESULT_WORDS = RESULT_HEAD_WORDS + MAX_DRAFT_TOKENS + 1
RESULT_BYTES = 4 * RESULT_WORDS

#: Words of a token's log-probabilities; keep in step with logprobs_final.wgsl.
LOGPROB_WORDS = 2 + 2 * MAX_TOP_LOGPROBS
LANE_LOGPROB_WORDS = (MAX_DRAFT_TOKENS + 1) * LOGPROB_WORDS


@dataclass(frozen=True)
class Tables:
    """The tables' sizes.

    Attributes:
        num_lanes: sequences kept at once.
        vocab_size: ids, a multiple of 32.
        context_length: positions a lane can hold.
    """

    num_lanes: int
    vocab_size: int
    context_length: int

    @property
    def seen_bytes(self) -> int:
        """Bytes of one lane in `seen`."""
        return self.masks_offset + MASK_SLOTS * self.mask_bytes

    @property
    def mask_bytes(self) -> int:
        """Bytes of one bit per id."""
        return self.vocab_size // 8

    @property
    def moves_offset(self) -> int:
        """Where a lane's words in `seen` begin, behind its bits."""
        return self.mask_bytes

    @property
    def masks_offset(self) -> int:
        """Where a lane's masks begin, behind these."""
        return self.moves_offset + 4 * self.vocab_size

    def mask_offset(self, lane: int, position: int) -> int:
        """Return where in `seen` the mask of the id at a position lies."""
        slot = position % MASK_SLOTS
        return lane * self.seen_bytes + self.masks_offset + slot * self.mask_bytes

    @property
    def history_bytes(self) -> int:
        """Bytes of one lane's history."""
        return 4 * self.context_length

    @property
    def state(self) -> Binding:
        """The binding of all lanes' state."""
        return Binding("state", 0, STATE_BYTES * self.num_lanes)

    @property
    def turns(self) -> Binding:
        """The binding of the groups' lanes."""
        return Binding("turns", 0, 4 * self.num_lanes)

    @property
    def results(self) -> Binding:
        """The binding of all lanes' results."""
        return Binding("results", 0, RESULT_BYTES * self.num_lanes)

    @property
    def results_and_logprobs(self) -> Binding:
        """The binding of all lanes' results, with what stands behind them."""
        return Binding("results", 0, self.results.bytes + 4 * LANE_LOGPROB_WORDS * self.num_lanes)

    @property
    def seen(self) -> Binding:
        """The binding of what is known of the ids of all lanes."""
        return Binding("seen", 0, self.num_lanes * self.seen_bytes)

    def logits(self, num_rows: int) -> Binding:
        """Return the binding of a pass's logits, [num_rows, vocab_size] float32."""
        return Binding(LOGITS, 0, 4 * self.vocab_size * num_rows)

    @property
    def given(self) -> Binding:
        """The binding of the drafts that the host gives."""
        return Binding("given", 0, 4 * GIVEN_WORDS * self.num_lanes)

    @property
    def history(self) -> Binding:
        """The binding of all lanes' known tokens."""
        return Binding("history", 0, self.num_lanes * self.history_bytes)

    def buffers(self, num_rows: dict[str, int]) -> dict[str, BufferSpec]:
        """Return all buffers; `num_rows` has the rows of each row table."""
        fixed = (
            self.state,
            self.turns,
            self.results_and_logprobs,
            self.seen,
            self.given,
            self.history,
        )
        tables = {name: BufferSpec(ROW_BYTES * rows) for name, rows in num_rows.items()}
        return {**tables, **{binding.buffer: BufferSpec(binding.bytes) for binding in fixed}}

    def pack_seen(self, tokens: Sequence[int]) -> bytes:
        """Return a lane's bits of seen ids."""
        bits = bytearray(self.moves_offset)
        for token in tokens:
            bits[token // 8] |= 1 << token % 8
        return bytes(bits)

    def pack_moves(self, biases: Mapping[int, int], generated: Sequence[int]) -> bytes:
        """Return a lane's words in `seen`.

        Args:
            biases: by id, signed, of 16 bits.
            generated: the ids so far.
        """
        words = bytearray(4 * self.vocab_size)
        for token, count in Counter(generated).items():
            struct.pack_into("<H", words, 4 * token, min(count, MAX_COUNT))
        for token, bias in biases.items():
            struct.pack_into("<h", words, 4 * token + 2, bias)
        return bytes(words)


def pack_rows(
    lane: int,
    start: int,
    tokens: Sequence[int],
    num_rows: int,
    flags: Sequence[int] | None = None,
) -> bytes:
    """Return a row table for consecutive tokens of one lane.

    The tokens stand at the end of the table, so that the last token is always the last row; the
    rows before them are not valid.

    Args:
        lane: the sequence.
        start: position of the first token.
        tokens: at most `num_rows` ids.
        num_rows: rows of the pass.
        flags: a number for each token, beside that its row is valid; None: nothing else.
    """
    padding = num_rows - len(tokens)
    assert padding >= 0
    words = [0] * (4 * padding)
    for i, token in enumerate(tokens):
        words += (lane, start + i, token, ROW_VALID | (flags[i] if flags else 0))
    return struct.pack(f"<{len(words)}I", *words)


def pack_turns(lanes: Sequence[int], num_groups: int) -> bytes:
    """Return whose turn it is in a cycle: at most `num_groups` lanes."""
    turns = [*lanes, *[NO_LANE] * (num_groups - len(lanes))]
    return struct.pack(f"<{num_groups}I", *turns)


def pack_given(drafts: Sequence[int]) -> bytes:
    """Return a lane's words in `given`: at most MAX_DRAFT_TOKENS ids."""
    padding = MAX_DRAFT_TOKENS - len(drafts)
    return struct.pack(f"<{GIVEN_WORDS}I", len(drafts), *drafts, *[0] * padding)


def pack_state(length: int, counts: bool = False) -> bytes:
    """Return a lane's state before its prompt's last pass: inactive until a token is chosen."""
    return struct.pack("<4I", length, 0, 0, counts)


def pack_tokens(tokens: Sequence[int]) -> bytes:
    """Return tokens as they lie in a lane's history."""
    return struct.pack(f"<{len(tokens)}I", *tokens)


@dataclass(frozen=True)
class Result:
    """What one pass did for a lane.

    Attributes:
        tokens: new ids in order; all but the last are accepted drafts. Empty when the context is
            full or the lane idle.
        num_drafted: drafts that were verified.
        missing: ids, drafts among them, that lacked their row of a paged table. Where the last
            known token did, there are no new tokens, and the lane is as it was before.
    """

    tokens: list[int]
    num_drafted: int
    missing: list[int]


def read_result(words: Sequence[int], lane: int) -> Result:
    """Return a lane's result from the words read back."""
    start = lane * RESULT_WORDS
    count, drafted, num_missing = (int(word) for word in words[start : start + 3])
    first = start + RESULT_HEAD_WORDS
    listed = [int(word) for word in words[first : first + count + num_missing]]
    return Result(listed[:count], drafted, listed[count:])


def read_drafts(words: Sequence[int], group: int, num_drafts: int) -> list[int]:
    """Return a group's drafts from the row table of a verify pass."""
    first = 4 * group * (1 + num_drafts) + 4
    rows = [words[at : at + 4] for at in range(first, first + 4 * num_drafts, 4)]
    return [int(row[2]) for row in takewhile(lambda row: row[3] & ROW_VALID, rows)]


@dataclass(frozen=True)
class TokenLogprobs:
    """How likely the model found a token, and others in its place.

    Attributes:
        logprob: the token's own, natural.
        top: (id, log-probability) of the likeliest, the first one first; of equals, the lower id.
    """

    logprob: float
    top: tuple[tuple[int, float], ...]


def read_logprobs(words: Sequence[int], lane: int, num_tokens: int) -> list[TokenLogprobs]:
    """Return the log-probabilities of a lane's tokens from the words read back.

    Args:
        words: `Tables.results_and_logprobs`.
        lane: that asked for them.
        num_tokens: as its result says.
    """
    num_lanes = len(words) // (RESULT_WORDS + LANE_LOGPROB_WORDS)
    start = num_lanes * RESULT_WORDS + lane * LANE_LOGPROB_WORDS
    found = []
    for place in range(start, start + num_tokens * LOGPROB_WORDS, LOGPROB_WORDS):
        num_top, logprob = int(words[place]), _float(words[place + 1])
        ids = range(place + 2, place + 2 + num_top)
        top = ((int(words[i]), _float(words[i + MAX_TOP_LOGPROBS])) for i in ids)
        found.append(TokenLogprobs(logprob, tuple(top)))
    return found


def _float(word: int) -> float:
    value: float = struct.unpack("<f", struct.pack("<I", int(word)))[0]
    return value


def pack_active(length: int, token: int, counts: bool = False) -> bytes:
    """Return the state of a lane that decodes: its known tokens, and the last of them."""
    return struct.pack("<4I", length, token, 1, counts)
