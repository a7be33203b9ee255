"""The output of one request while its tokens come: text, reasoning, calls, figures, the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from leadout.reasoning import ReasoningStream
from leadout.resumption import Resumption
from leadout.session.stream import Cycle
from leadout.state import TokenLogprobs
from leadout.stats import Clock, Stats
from leadout.token_logprobs import Entry, LogprobTexts


@dataclass(frozen=True)
class Delta:
    """A piece of output that is final.

    Attributes:
        text: of the answer; it may be empty, where text waits for what comes next.
        reasoning: of the thoughts before it; it may be empty for the same reason.
        tokens: the ids that came with it.
        is_draft: whether these were drafted and accepted.
        decode_tokens_per_s: so far.
        num_drafted: how many drafts were verified in the cycle that ends here; 0 where none does.
        logprobs: of the tokens, where the request asks for them.
        num_settled: how many of all tokens so far no stop string can take back.
        tool_calls: more of the calls, as OpenAI has it in chunks.
    """

    text: str
    reasoning: str
    tokens: list[int]
    is_draft: bool
    decode_tokens_per_s: float
    num_drafted: int = 0
    logprobs: list[Entry] | None = None
    num_settled: int = 0
    tool_calls: list[dict[str, object]] | None = None


#: Called with every piece of output, in order, as it becomes final.
OnDelta = Callable[[Delta], None]


@dataclass(frozen=True)
class Generated:
    """The result of a generation; keep in step with `Generated` in web/messages.js.

    `logprobs` are those of `tokens`, but of what another engine brought; None: nobody asked.
    `tool_calls` are as OpenAI has them in messages; None: the request has no tools.
    """

    prompt_tokens: list[int]
    tokens: list[int]
    text: str
    reasoning: str
    finish_reason: str
    stats: Stats
    logprobs: list[Entry] | None = None
    tool_calls: list[dict[str, object]] | None = None

    def to_json(self) -> dict[str, object]:
        """Return the fields by name."""
        told = {"logprobs": self.logprobs, "tool_calls": self.tool_calls}
        return {
            "prompt_tokens": self.prompt_tokens,
            "tokens": self.tokens,
            "text": self.text,
            "reasoning": self.reasoning,
            "finish_reason": self.finish_reason,
            **{name: value for name, value in told.items() if value is not None},
            "stats": self.stats.to_json(),
        }


class Generation:
    """See the module's docstring.

    Args:
        stream: what text the tokens make.
        texts: of tokens, for log-probabilities; None where nobody asked.
        stats: filled in.
        on_delta: told of every piece of output.

    Attributes:
        stopped: whether an end-of-sequence id or a stop string has come.
    """

    def __init__(
        self, stream: ReasoningStream, texts: LogprobTexts | None, stats: Stats, on_delta: OnDelta
    ) -> None:
        self._stream = stream
        self._texts = texts
        self._stats = stats
        self._clock = Clock(stats)
        self._on_delta = on_delta
        self._entries: list[Entry] = []
        self._is_thought: list[bool] = []  # of all tokens, in order
        self._resumption: Resumption | None = None

    @property
    def stopped(self) -> bool:
        """Whether an end-of-sequence id or a stop string has come."""
        return self._stream.stopped

    def resume(self, resumption: Resumption) -> None:
        """Take what another engine brought; it is not told again."""
        self._resumption = resumption
        for i, known in enumerate(resumption.cycles):
            self._clock.tokens(self._push(known.tokens)[0], i == 0, known.num_drafted)
        self._clock.resume(resumption.ttft_ms, resumption.decode_ms)
        self._stream.take_calls()

    def take(self, cycle: Cycle) -> None:
        """Take what a cycle brought."""
        if cycle.is_prefill:
            self._stats.cached_tokens = cycle.num_reused
            if self._resumption is not None:
                self._clock.resume(self._resumption.ttft_ms, self._resumption.decode_ms)
                return
        count = self._tell(cycle.tokens[:-1], None, cycle.logprobs[:-1])
        place = max(len(cycle.tokens) - 1, 0)
        count += self._tell(cycle.tokens[-1:], cycle.num_drafted, cycle.logprobs[place:])
        self._clock.tokens(count, cycle.is_prefill, cycle.num_drafted)
        for time in cycle.times:
            self._clock.cycle(time.num_drafts, time.ms, time.idle_ms)

    def finish(self, prompt: list[int], finish_reason: str) -> Generated:
        """Tell what is left, and return the whole."""
        stream, stats = self._stream, self._stats
        text, reasoning = stream.flush()
        stats.reasoning_tokens = stream.num_reasoning_tokens
        self._clock.finish()
        calls = stream.take_calls()
        if text or reasoning or calls:
            rate = stats.decode_tokens_per_s
            self._on_delta(Delta(text, reasoning, [], False, rate, tool_calls=calls))
        entries = None
        if self._texts is not None:
            num_resumed = stats.resumed_tokens
            entries = self._entries[: max(len(stream.tokens) - num_resumed, 0)]
        if stream.calls and finish_reason == "stop":
            finish_reason = "tool_calls"
        whole = (stream.tokens, stream.text, stream.reasoning)
        return Generated(prompt, *whole, finish_reason, stats, entries, stream.calls)

    def _push(self, tokens: Sequence[int]) -> tuple[int, str, str]:
        """Take tokens up to a stop; return how many these were, and what they gave."""
        stream = self._stream
        text = reasoning = ""
        num_pushed = 0
        for token in tokens:
            if stream.stopped:
                break
            num_pushed += 1
            before = stream.num_reasoning_tokens
            more_text, more_reasoning = stream.push([token])
            self._is_thought.append(stream.num_reasoning_tokens > before)
            text += more_text
            reasoning += more_reasoning
        return num_pushed, text, reasoning

    def _tell(
        self, tokens: list[int], num_drafted: int | None, logprobs: Sequence[TokenLogprobs]
    ) -> int:
        """Push tokens and pass on what they give; None: they are drafts."""
        count, text, reasoning = self._push(tokens)
        if count:
            rate, is_draft = self._stats.decode_tokens_per_s, num_drafted is None
            calls = self._stream.take_calls()
            delta = Delta(
                text, reasoning, tokens[:count], is_draft, rate, num_drafted or 0, tool_calls=calls
            )
            if self._texts is not None:
                is_thought = self._is_thought[-count:]
                told = self._texts.entries(delta.tokens, logprobs[:count], is_thought)
                self._entries.extend(told)
                delta = replace(delta, logprobs=told, num_settled=self._stream.num_settled)
            self._on_delta(delta)
        return count
