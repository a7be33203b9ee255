"""Leadout for a person's own Python: in a notebook, a script, or a page with a Pyodide of its own.

    from leadout import load

    async with await load("nano") as engine:
        async for piece in engine.stream([{"role": "user", "content": "Hello"}], max_tokens=80):
            print(piece, end="")
        answer = await engine.generate("BTC gained", max_tokens=5)
        print(answer.text, answer.stats.decode_tokens_per_s)

The same code runs in two places. In a browser's Pyodide the model runs on WebGPU, once the page has
called `installLeadout(pyodide)` of python.js. In CPython it runs on the CPU, with NumPy.

A prompt is text to go on with, a list of token ids, or a list of chat messages. Settings are those
of `leadout.request.GenerateRequest` and `leadout.sampling.Sampling`: max_tokens, temperature,
top_k, top_p, min_p, seed, stop, logprobs, tools, response_format, regex, grammar, and so on.

Two kinds of functions of one's own can take part in a request; see `leadout.session.own_code`:

    def processor(ids, logits):     # changes `logits` in place, or returns others
        logits[13] = -math.inf      # never token 13

    def drafter(ids):               # proposes ids that may come next
        return ids[-3:]

Ids do not depend on what drafts, or whether anything does: `drafter` changes the speed alone.

A list of token ids can have embeddings in the place of some tokens': parts of an image that a
vision model has read, for example; see `leadout.embedded`.

    image = Embeddings(start=5, rows=rows, sees_all=True)    # [n, hidden_size] float32
    answer = await engine.generate(ids, embeddings=[image])
"""

from __future__ import annotations

import asyncio
import importlib
import operator
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from leadout import engine as core
from leadout.embedded import Embeddings
from leadout.errors import LeadoutError, RequestError
from leadout.generation import Delta, Generated
from leadout.logits import FLOAT_BYTES, as_rows
from leadout.planning import LoadOptions
from leadout.request import GenerateRequest
from leadout.session.own_code import DraftFunction, LogitsProcessor

__all__ = [
    "DraftFunction",
    "Embeddings",
    "Engine",
    "Generated",
    "LeadoutError",
    "LogitsProcessor",
    "Piece",
    "Prompt",
    "Stream",
    "load",
]

#: Text to go on with; token ids; or messages such as {"role": "user", "content": "Hello"}.
Prompt = str | Sequence[int] | Sequence[Mapping[str, object]]

#: Where CPython's side is. It belongs to the command line, which this package knows nothing of.
_CPYTHON_HOST = "leadout_build.cli.native"


async def load(
    model: str = "nano",
    *,
    drafter: str = "auto",
    on_phase: Callable[[str], None] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Engine:
    """Load a model.

    Args:
        model: a short name ("nano"), a model on the hub ("hf:owner/name[@revision][:file]"), or in
            a browser a URL, in CPython a path. What comes from the hub is kept for the next time.
        drafter: what proposes tokens for the model to check: "auto" is the drafter that belongs to
            the model, if there is one; "ngram" looks in the text itself; "none"; "given" leaves
            room for a function of one's own, which "auto" and "ngram" do as well; or the name of a
            drafter's model. It changes the speed, never the text.
        on_phase: told what begins: "loading_weights", "compiling_kernels", "warming_up", "ready".
        on_progress: told of the weights' bytes: those that are there, and all.
        options: of `leadout.planning.LoadOptions`: context_length, parallel, kv_dtype, …

    Raises:
        LeadoutError: one of its children: ModelNotFoundError, DeviceUnavailableError,
            OutOfMemoryError, SourceError, …
    """
    if not isinstance(model, str) or not isinstance(drafter, str):
        raise RequestError("model and drafter are names, addresses or paths; wanted text.")
    if sys.platform == "emscripten":
        from leadout.bridge.own_pyodide import open_engine
    else:
        open_engine = importlib.import_module(_CPYTHON_HOST).open_engine
    checked = LoadOptions.from_json(options)
    loaded, release = await open_engine(
        model,
        drafter,
        checked,
        on_phase or (lambda phase: None),
        on_progress or (lambda loaded_bytes, total_bytes: None),
    )
    return Engine(loaded, release)


class Engine:
    """A loaded model; made by `load`.

    As many requests as it was loaded for (`parallel`) run at once, others wait. `close` it when it
    is not needed any more, or use it with `async with`: it holds the device's memory until then.
    """

    def __init__(self, loaded: core.Engine, release: Callable[[], None]) -> None:
        self._loaded: core.Engine | None = loaded
        self._release = release
        self._running: set[_Running] = set()

    @property
    def info(self) -> dict[str, object]:
        """What the model is, and what it takes: architecture, drafter, device, bytes."""
        return self._engine.info()

    @property
    def vocab_size(self) -> int:
        """How many logits a row has; ids lie below."""
        return self._engine.decoder.tables.vocab_size

    @property
    def hidden_size(self) -> int:
        """How many numbers an embedding has."""
        return self._engine.decoder.passes.hidden_size

    @property
    def context_length(self) -> int:
        """How many tokens a prompt and its answer can have together."""
        return self._engine.decoder.tables.context_length

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """The ids that end an answer."""
        return tuple(self._engine.checkpoint.eos_token_ids)

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        """Return the ids of a text.

        Raises:
            TokenizerError: the model has no tokenizer.
        """
        return self._engine.require_tokenizer().encode(text, add_special_tokens)

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """Return the text of ids.

        Raises:
            TokenizerError: the model has no tokenizer.
        """
        return self._engine.require_tokenizer().decode([*ids], skip_special_tokens)

    async def tokenize(self, prompt: Prompt, **settings: Any) -> list[int]:
        """Return a prompt's ids as a request has them: with the chat template, if it is a chat."""
        return await self._engine.prompt_tokens(_request(prompt, "auto", settings))

    async def generate(
        self,
        prompt: Prompt,
        *,
        processors: Sequence[LogitsProcessor] = (),
        drafter: str | DraftFunction = "auto",
        **settings: Any,
    ) -> Generated:
        """Return the whole answer.

        Args:
            prompt: see `Prompt`.
            processors: change the logits of every row, one behind the other. They are part of the
                request, as settings are: other processors, other text.
            drafter: "auto": what was loaded; "none"; or a function.
            settings: of the request; see the module's docstring.

        Raises:
            RequestError: a setting is unknown or out of its range, or embeddings do not fit the
                prompt or the model.
            ProcessorError: a processor raised something, which is its cause, or gave back something
                else than logits.
            DrafterError: a function that drafts raised something, which is its cause, or proposed
                what is no id.
            LeadoutError: another of its children.
        """
        return await self._run(prompt, processors, drafter, settings, _Running())

    def stream(
        self,
        prompt: Prompt,
        *,
        processors: Sequence[LogitsProcessor] = (),
        drafter: str | DraftFunction = "auto",
        **settings: Any,
    ) -> Stream:
        """Return the pieces of an answer, for `async for`; see `generate` for the arguments.

        Leaving the loop, by `break` too, ends the request. Errors are raised in the loop.
        """
        return Stream(
            lambda running: self._run(prompt, processors, drafter, settings, running),
        )

    async def logits(
        self, prompt: Prompt, *, last_only: bool = False, as_bytes: bool = False
    ) -> Any:
        """Return what the model says behind every id of a prompt.

        A row has 4 bytes for each id of the vocabulary: a megabyte for a large Gemma. They are the
        model's own: no processor, no penalty and no temperature has changed them.

        Args:
            prompt: see `Prompt`.
            last_only: the last row alone.
            as_bytes: even where NumPy is there.

        Returns:
            [ids, vocab_size] float32 as a NumPy array that cannot be written to; bytes, where there
            is no NumPy, the rows one behind the other.
        """
        engine = self._engine
        ids = await engine.prompt_tokens(_request(prompt, "auto", {}))
        row_bytes = FLOAT_BYTES * self.vocab_size
        chunks: list[bytes] = []
        async for chunk in engine.score(ids):
            chunks = [chunk[-row_bytes:]] if last_only else [*chunks, chunk]
        data = b"".join(chunks)
        return data if as_bytes else as_rows(data, self.vocab_size)

    async def close(self) -> None:
        """End what runs, and give the device's memory back. Closing it twice does no harm."""
        loaded, self._loaded = self._loaded, None
        for running in self._running:
            running.is_aborted = True
        for running in [*self._running]:
            await running.has_ended.wait()
        if loaded is not None:
            await _give_back(loaded, self._release)

    def __del__(self) -> None:
        """Give the memory back where nobody closed it; what runs keeps the engine alive."""
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            with suppress(RuntimeError):  # no loop runs: then nothing is under way
                ending = asyncio.get_running_loop().create_task(_give_back(loaded, self._release))
                _endings.add(ending)
                ending.add_done_callback(_endings.discard)
                return
            loaded.close()
            self._release()

    async def __aenter__(self) -> Self:
        """Return the engine."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        await self.close()

    @property
    def _engine(self) -> core.Engine:
        if self._loaded is None:
            raise RequestError("The engine was closed; load the model again.")
        return self._loaded

    async def _run(
        self,
        prompt: Prompt,
        processors: Sequence[LogitsProcessor],
        drafter: str | DraftFunction,
        settings: Mapping[str, Any],
        running: _Running,
    ) -> Generated:
        engine = self._engine
        function = drafter if callable(drafter) else None
        request = _request(prompt, "auto" if callable(drafter) else drafter, settings)
        own_code = engine.own_code(tuple(processors), function)
        self._running.add(running)
        try:
            return await engine.generate(
                request, running.take, lambda: running.is_aborted, own_code=own_code
            )
        finally:
            self._running.discard(running)
            running.has_ended.set()


class Piece(str):  # noqa: SLOT000  # what came with the text is an attribute
    """A piece of an answer: its text, as a string, and what came with it.

    Attributes:
        ids: the tokens. One piece may have several that were drafted together, and text may come
            with a later piece than its tokens.
        reasoning: what the model thinks, which is no part of the answer.
        is_draft: whether its tokens were drafted.
        logprobs: of the tokens, where the request asks for them; else None.
        tool_calls: more of the calls, as OpenAI has it in chunks; else None.
    """

    ids: list[int]
    reasoning: str
    is_draft: bool
    logprobs: list[dict[str, object]] | None
    tool_calls: list[dict[str, object]] | None

    @classmethod
    def of(cls, delta: Delta) -> Piece:
        """Return what came."""
        piece = cls(delta.text)
        piece.ids, piece.reasoning, piece.is_draft = delta.tokens, delta.reasoning, delta.is_draft
        piece.logprobs, piece.tool_calls = delta.logprobs, delta.tool_calls
        return piece


@dataclass(eq=False)
class _Running:
    """A request that runs."""

    is_aborted: bool = False
    has_ended: asyncio.Event = field(default_factory=asyncio.Event)
    pieces: asyncio.Queue[Piece | None] | None = None

    def take(self, delta: Delta) -> None:
        """Take what came."""
        if self.pieces is not None:
            self.pieces.put_nowait(Piece.of(delta))


@dataclass(eq=False)
class Stream:
    """The pieces of one answer; read it once, with `async for`."""

    _start: Callable[[_Running], Awaitable[Generated]]
    _running: _Running = field(default_factory=_Running)
    _result: Generated | None = None

    def __aiter__(self) -> _Pieces:
        """Begin.

        Raises:
            RequestError: it was begun before.
        """
        if self._running.pieces is not None:
            raise RequestError("A stream is read once; ask the engine for another one.")
        self._running.pieces = asyncio.Queue()
        return _Pieces(self._running, asyncio.ensure_future(self._serve()))

    @property
    def result(self) -> Generated:
        """The whole answer with its figures, once the loop has ended.

        Raises:
            RequestError: it has not.
        """
        if self._result is None:
            raise RequestError("The answer is not there yet; read the stream to its end.")
        return self._result

    def cancel(self) -> None:
        """End the request with what there is; the loop ends, too."""
        self._running.is_aborted = True

    async def _serve(self) -> None:
        pieces = self._running.pieces
        assert pieces is not None
        try:
            self._result = await self._start(self._running)
        finally:
            pieces.put_nowait(None)


class _Pieces:
    """What `async for` holds. When it lets go, nobody reads any more, and the request ends."""

    def __init__(self, running: _Running, serving: asyncio.Future[None]) -> None:
        self._running = running
        self._serving = serving
        # Whoever left the loop does not hear of a failure; it is not forgotten by mistake.
        serving.add_done_callback(lambda done: done.cancelled() or done.exception())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Piece:
        assert self._running.pieces is not None
        piece = (
            None
            if self._serving.done() and self._running.pieces.empty()
            else (await self._running.pieces.get())
        )
        if piece is None:
            await self._serving
            raise StopAsyncIteration
        return piece

    def __del__(self) -> None:
        self._running.is_aborted = True


#: Engines that nobody closed, on their way out.
_endings: set[asyncio.Task[None]] = set()


async def _give_back(loaded: core.Engine, release: Callable[[], None]) -> None:
    """Close an engine, once passes have ended that were queued for requests which are over."""
    async with loaded.decoder.loop.alone():
        loaded.close()
        release()


def _request(prompt: Prompt, drafter: str, settings: Mapping[str, Any]) -> GenerateRequest:
    """Check a request."""
    for name in ("prompt", "prompt_ids", "messages"):
        if name in settings:
            raise RequestError(f"{name} is given as a setting; the prompt is the first argument.")
    if isinstance(prompt, str):
        fields: dict[str, object] = {"prompt": prompt}
    elif not isinstance(prompt, Sequence) and not hasattr(prompt, "__array__"):
        raise RequestError(
            f"The prompt is a {type(prompt).__name__}; wanted text, a list of token ids, or a list "
            "of messages."
        )
    elif len(prompt) and isinstance(prompt[0], Mapping):
        fields = {"messages": [*prompt]}
    else:
        fields = {"prompt_ids": [_id(one) for one in prompt]}
    return GenerateRequest.from_json({**fields, "drafter": drafter, **settings})


def _id(value: object) -> int:
    try:
        return operator.index(value)  # type: ignore[arg-type]  # refused below
    except TypeError as error:
        raise RequestError(
            f"The prompt holds a {type(value).__name__}; wanted token ids, or messages alone."
        ) from error
