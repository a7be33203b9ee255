"""The engine: a checkpoint on a device, ready to continue text.

load       headers -> model -> LoadPlan -> weights on the device -> Plans compiled -> warmed up
generate   request -> ids -> cycles -> text, one request at a time
score      ids -> logits, for evaluation
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from leadout import kv_cache
from leadout.chat import ChatTemplate
from leadout.checkpoint import Checkpoint
from leadout.checkpoint.json_file import read_text
from leadout.checkpoint.load_plan import LoadPlanBuilder
from leadout.devices.base import Device, Progress
from leadout.errors import ContextLengthError, RequestError, TokenizerError
from leadout.id_stream import IdStream
from leadout.models.registry import Config, place_model, read_config
from leadout.passes import PREFILL_ROWS, build_passes
from leadout.request import GenerateRequest
from leadout.sampling import Sampling
from leadout.speculative import Decoder
from leadout.stats import Clock, Stats
from leadout.text_stream import TextStream, byte_tokens_of
from leadout.tokenizer import Tokenizer, tokenizer_json_from_gguf

DEFAULT_CONTEXT_LENGTH = 4096

#: Called with the name of the boot phase that begins; see `Phase` in web/messages.js.
OnPhase = Callable[[str], None]

#: Called with text that is final, the ids behind it, and the tokens per second so far.
OnDelta = Callable[[str, list[int], float], None]

#: Makes a tokenizer from a tokenizer.json.
TokenizerFactory = Callable[[str], Awaitable[Tokenizer]]


@dataclass(frozen=True)
class LoadOptions:
    """How to load; see `LoadOptions` in web/messages.js.

    Attributes:
        context_length: positions of the KV cache; None takes the model's, at most 4096.
        kv_dtype: "f32" or "f16".
        num_lanes: sequences kept at once.
    """

    context_length: int | None = None
    kv_dtype: str = "f32"
    num_lanes: int = 1

    def __post_init__(self) -> None:
        if self.kv_dtype not in kv_cache.KV_BYTES:
            raise RequestError(f"kv_dtype is {self.kv_dtype!r}; wanted 'f32' or 'f16'.")
        length = self.context_length
        if length is not None and (not isinstance(length, int) or length < 2):
            raise RequestError(f"context_length is {length!r}; wanted a whole number from 2.")

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> LoadOptions:
        """Check options that crossed a boundary.

        Raises:
            RequestError: an option is unknown or out of its range.
        """
        unknown = sorted(set(fields) - set(cls.__dataclass_fields__))
        if unknown:
            raise RequestError(
                f"Unknown load options {unknown}; known are {sorted(cls.__dataclass_fields__)}."
            )
        return cls(**fields)


@dataclass(frozen=True)
class Generated:
    """The result of a generation; keep in step with `Generated` in web/messages.js."""

    prompt_tokens: list[int]
    tokens: list[int]
    text: str
    finish_reason: str
    stats: Stats

    def to_json(self) -> dict[str, object]:
        """Return the fields by name."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "tokens": self.tokens,
            "text": self.text,
            "finish_reason": self.finish_reason,
            "stats": self.stats.to_json(),
        }


class Engine:
    """One loaded model. Make it with `Engine.load`; `close` gives the memory back."""

    def __init__(
        self,
        device: Device,
        checkpoint: Checkpoint,
        config: Config,
        tokenizer: Tokenizer | None,
        decoder: Decoder,
        buffers: Sequence[str],
        weights_bytes: int,
    ) -> None:
        self.device = device
        self.checkpoint = checkpoint
        self.config = config
        self.tokenizer = tokenizer
        self.decoder = decoder
        self.weights_bytes = weights_bytes
        self.load_ms = 0.0
        self._buffers = list(buffers)
        self._busy = asyncio.Lock()
        self._byte_tokens: dict[int, int] | None = None

    @classmethod
    async def load(
        cls,
        device: Device,
        checkpoint: Checkpoint,
        options: LoadOptions,
        make_tokenizer: TokenizerFactory,
        on_phase: OnPhase,
        on_progress: Progress,
    ) -> Engine:
        """Load a checkpoint.

        Args:
            device: gets all buffers; on failure it is left without any of them.
            checkpoint: opened.
            options: context and KV cache.
            make_tokenizer: see `TokenizerFactory`.
            on_phase: told of every phase.
            on_progress: told of the weights' bytes.

        Raises:
            LeadoutError: one of its children, named by what failed.
        """
        started = time.perf_counter()
        on_phase("loading_weights")
        config = read_config(checkpoint)
        tokenizer = await load_tokenizer(checkpoint, make_tokenizer)
        limit = config.max_position_embeddings
        context_length = options.context_length or min(limit, DEFAULT_CONTEXT_LENGTH)
        if context_length > limit:
            raise RequestError(
                f"context_length is {context_length}; the model allows at most {limit}."
            )
        load = LoadPlanBuilder(device.info.max_binding_bytes)
        model = place_model(
            checkpoint,
            config,
            load,
            num_lanes=options.num_lanes,
            context_length=context_length,
            max_rows=PREFILL_ROWS[-1],
            kv_dtype=options.kv_dtype,
        )
        load_plan = load.build()
        passes = build_passes(model, options.num_lanes, context_length)
        buffers = {**load_plan.buffers, **passes.buffers}
        decoder = Decoder(device, passes, context_length, model.vocab_size)
        weights_bytes = sum(spec.bytes for spec in load_plan.buffers.values())
        await device.allocate(buffers)
        engine = cls(device, checkpoint, config, tokenizer, decoder, list(buffers), weights_bytes)
        try:
            await device.load(load_plan, checkpoint.sources, on_progress)
            for name, data in model.constants().items():
                device.write(name, 0, data)
            on_phase("compiling_kernels")
            await decoder.compile()
            on_phase("warming_up")
            first = checkpoint.bos_token_id or 0
            async for _ in decoder.run([first], Sampling(), 2, 1, lambda: False):
                pass
        except BaseException:
            engine.close()
            raise
        engine.load_ms = 1000 * (time.perf_counter() - started)
        on_phase("ready")
        return engine

    def info(self) -> dict[str, object]:
        """Return what a page shows of a model; `ModelInfo` in web/messages.js."""
        return {
            "architecture": self.config.model_type,
            "num_parameters": self.checkpoint.num_parameters,
            "context_length": self.decoder.context_length,
            "has_chat_template": self.checkpoint.chat_template is not None,
            "weights_bytes": self.weights_bytes,
            "allocated_bytes": self.device.allocated_bytes,
            "device": self.device.info.name,
            "load_ms": round(self.load_ms, 3),
            "dispatches_per_step": len(self.decoder.passes.decode.dispatches),
        }

    def prompt_tokens(self, request: GenerateRequest) -> list[int]:
        """Return the request's prompt as ids.

        Raises:
            RequestError: an id is outside of the vocabulary, or there is nothing to continue.
            TokenizerError: text was given, but the checkpoint has no tokenizer.
            ChatTemplateError: the template is missing or refused the messages.
            ContextLengthError: too long.
        """
        if request.prompt_ids is not None:
            ids = list(request.prompt_ids)
        else:
            tokenizer = self._tokenizer()
            if request.messages is not None:
                ids = self._chat_template().prompt_ids(tokenizer, request.messages)
            else:
                assert request.prompt is not None
                ids = tokenizer.encode(request.prompt, add_special_tokens=True)
        if not ids:
            raise RequestError("The prompt is empty; give at least one token.")
        for token in ids:
            if not 0 <= token < self.decoder.vocab_size:
                raise RequestError(
                    f"Token id {token} is outside of the vocabulary of {self.decoder.vocab_size}.",
                    token=token,
                )
        if len(ids) >= self.decoder.context_length:
            raise ContextLengthError(
                f"The prompt has {len(ids)} tokens; the context holds "
                f"{self.decoder.context_length} with the answer. Shorten the prompt, or load the "
                "model with a longer context.",
                prompt_tokens=len(ids),
                context_length=self.decoder.context_length,
            )
        return ids

    async def generate(
        self,
        request: GenerateRequest,
        on_delta: OnDelta = lambda text, tokens, rate: None,
        is_aborted: Callable[[], bool] = lambda: False,
    ) -> Generated:
        """Continue a prompt. Requests wait for one another.

        Args:
            request: checked.
            on_delta: told of every piece of text, in order, as it becomes final.
            is_aborted: asked between passes; ends the generation with what there is.

        Raises:
            see `prompt_tokens`; DeviceLostError.
        """
        async with self._busy:
            prompt = self.prompt_tokens(request)
            stats = Stats(
                self.device.info.name,
                request.run_ahead,
                load_ms=self.load_ms,
                prefill_tokens=len(prompt),
            )
            clock = Clock(stats)
            eos = () if request.ignore_eos else self.checkpoint.eos_token_ids
            stream = self._text_stream(request.stop, eos)
            finish_reason = "length"
            cycles = self.decoder.run(
                prompt, request.sampling, request.max_tokens, request.run_ahead, is_aborted
            )
            async with aclosing(cycles):
                async for cycle in cycles:
                    clock.tokens(len(cycle.tokens), cycle.is_prefill)
                    delta = stream.push(cycle.tokens)
                    if delta:
                        on_delta(delta, cycle.tokens, stats.decode_tokens_per_s)
                    if stream.stopped:
                        finish_reason = "stop"
                        break
            if is_aborted():
                finish_reason = "abort"
            rest = stream.flush()
            if rest:
                on_delta(rest, [], stats.decode_tokens_per_s)
            return Generated(prompt, stream.tokens, stream.text, finish_reason, stats)

    async def score(self, ids: Sequence[int]) -> AsyncIterator[bytes]:
        """Yield logits of consecutive ids; see `Decoder.score`."""
        async with self._busy, aclosing(self.decoder.score(ids)) as chunks:
            async for logits in chunks:
                yield logits

    def close(self) -> None:
        """Give the device's memory back; the engine cannot be used afterwards."""
        self.decoder.release()
        self.device.free(self._buffers)
        self._buffers = []

    def _text_stream(self, stop: Sequence[str], eos: Collection[int]) -> TextStream | IdStream:
        if self.tokenizer is None:
            if stop:
                self._tokenizer()
            return IdStream(eos)
        if self._byte_tokens is None:
            self._byte_tokens = byte_tokens_of(self.tokenizer)
        return TextStream(self.tokenizer, stop, eos, self._byte_tokens)

    def _tokenizer(self) -> Tokenizer:
        if self.tokenizer is None:
            raise TokenizerError(
                "This checkpoint has no tokenizer; put its tokenizer.json beside it, or give "
                "prompt_ids."
            )
        return self.tokenizer

    def _chat_template(self) -> ChatTemplate:
        source = self.checkpoint.chat_template
        if source is None:
            raise RequestError(
                "This model has no chat template (it is a base model); give a prompt instead of "
                "messages."
            )
        eos = self.checkpoint.eos_token_ids
        return ChatTemplate(
            source,
            bos_token=self._token_text(self.checkpoint.bos_token_id),
            eos_token=self._token_text(eos[0] if eos else None),
        )

    def _token_text(self, token: int | None) -> str:
        return "" if token is None else self._tokenizer().decode([token], False)


async def load_tokenizer(checkpoint: Checkpoint, make: TokenizerFactory) -> Tokenizer | None:
    """Return the checkpoint's tokenizer, or None if it has none (ids only).

    A GGUF without a tokenizer.json gets one made from its vocabulary.
    """
    if checkpoint.tokenizer_json is not None:
        return await make(await read_text(checkpoint.tokenizer_json))
    if "tokenizer.ggml.tokens" in checkpoint.metadata:
        return await make(
            json.dumps(
                tokenizer_json_from_gguf(checkpoint.metadata),
                ensure_ascii=False,
                separators=(",", ":"),
            )
        )
    return None
