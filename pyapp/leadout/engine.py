"""The engine: a model on a device, ready to continue text.

load       see loading.py
generate   request -> ids -> cycles -> text, several requests at a time
score      ids -> logits, for evaluation
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Sequence,
)
from contextlib import aclosing

from leadout.beside import beside
from leadout.chat import ChatTemplate, TemplateRunner
from leadout.checkpoint import Checkpoint
from leadout.context_end import Messages, Prompt, fitted
from leadout.devices.base import Device, Progress
from leadout.errors import ContextLengthError, DrafterError, RequestError, TokenizerError
from leadout.generation import Delta, Generated, Generation, OnDelta
from leadout.grammar.after_reasoning import AfterReasoning
from leadout.grammar.matcher import Grammars, MakeLibrary, TokenMatcher
from leadout.grammar.tool_calls import CallStream, call_ids, messages_for_template
from leadout.grammar.tools import TOOL_MARKS
from leadout.loading import LoadedModel, OnPhase, load_model
from leadout.planning import LoadOptions
from leadout.profiling import ProfileRequest, profile_pass
from leadout.reasoning import CHANNEL_CLOSE, CHANNEL_OPEN, ReasoningStream
from leadout.request import GenerateRequest
from leadout.resumption import Resumption
from leadout.scheduler import FixedSchedule, Schedule
from leadout.session.guide import Guide
from leadout.session.own_code import DraftFunction, LogitsProcessor, OwnCode
from leadout.speculative import Decoder
from leadout.stats import Stats, rounded
from leadout.text_stream import byte_tokens_of
from leadout.token_logprobs import LogprobTexts
from leadout.tokenizer import Tokenizer
from leadout.tokenizer_choice import TokenizerFactory, load_tokenizer

__all__ = [
    "Delta",
    "Engine",
    "Generated",
    "GrammarFactory",
    "LoadOptions",
    "OnDelta",
    "OnPhase",
    "TokenizerFactory",
]


#: Makes what grammars are compiled with, for a tokenizer, the number of logits and the ids that end
#: answers.
GrammarFactory = Callable[[Tokenizer, int, Sequence[int]], MakeLibrary]


class Engine:
    """One loaded model. Make it with `Engine.load`; `close` gives the memory back."""

    def __init__(
        self,
        device: Device,
        checkpoint: Checkpoint,
        tokenizer: Tokenizer | None,
        model: LoadedModel,
        load_ms: float,
        templates: TemplateRunner | None = None,
        grammars: GrammarFactory | None = None,
    ) -> None:
        self.device = device
        self.checkpoint = checkpoint
        self.tokenizer = tokenizer
        self.model = model
        self.load_ms = load_ms
        self._templates = templates
        self._make_grammars = grammars
        self._grammars: Grammars | None = None
        self._byte_tokens: dict[int, int] | None = None

    @property
    def decoder(self) -> Decoder:
        """What runs the model's Plans."""
        return self.model.decoder

    @classmethod
    async def load(
        cls,
        device: Device,
        checkpoint: Checkpoint,
        options: LoadOptions,
        make_tokenizer: TokenizerFactory,
        on_phase: OnPhase,
        on_progress: Progress,
        drafter: Checkpoint | None = None,
        templates: TemplateRunner | None = None,
        grammars: GrammarFactory | None = None,
    ) -> Engine:
        """Load a checkpoint.

        Args:
            device: gets all buffers; on failure it is left without any of them.
            checkpoint: opened.
            options: context, KV cache, drafts.
            make_tokenizer: see `TokenizerFactory`.
            on_phase: told of every phase.
            on_progress: told of the weights' bytes.
            drafter: the checkpoint of the drafter that was made for the model.
            templates: runs chat templates; messages are refused without it.
            grammars: see `GrammarFactory`; constraints are refused without it.

        Raises:
            LeadoutError: one of its children, named by what failed.
        """
        started = time.perf_counter()
        on_phase("loading_weights")
        under_way = asyncio.Event()
        model: LoadedModel | None = None

        async def load() -> LoadedModel:
            nonlocal model
            model = await load_model(
                device, checkpoint, drafter, options, on_phase, on_progress, under_way
            )
            return model

        async def prepare_text() -> Tokenizer | None:
            await under_way.wait()  # making a tokenizer keeps the host busy
            tokenizer = await load_tokenizer(checkpoint, make_tokenizer)
            if checkpoint.chat_template is not None and templates is not None:
                templates.prepare()
            return tokenizer

        try:
            model, tokenizer = await beside(load(), prepare_text())
        except BaseException:
            if model is not None:
                model.decoder.release()
                device.free(model.buffers)
            raise
        load_ms = 1000 * (time.perf_counter() - started)
        on_phase("ready")
        return cls(device, checkpoint, tokenizer, model, load_ms, templates, grammars)

    def info(self) -> dict[str, object]:
        """Return what a page shows of a model; `ModelInfo` in web/messages.js."""
        model = self.model
        return {
            "architecture": model.config.model_type,
            "num_parameters": self.checkpoint.num_parameters,
            "context_length": self.decoder.tables.context_length,
            "hidden_size": self.decoder.passes.hidden_size,
            "has_chat_template": self.checkpoint.chat_template is not None,
            "weights_bytes": model.weights_bytes,
            "allocated_bytes": self.device.allocated_bytes,
            "device": self.device.info.name,
            "load_ms": round(self.load_ms, 3),
            "dispatches_per_step": self.decoder.passes.cycles[0].num_steps,
            "drafter": dataclasses.asdict(model.drafter) if model.drafter is not None else None,
            "max_draft_tokens": model.max_draft_tokens,
            "self_test": model.self_test,
            "parallel": self.decoder.tables.num_lanes,
            "placement": model.placement,
            "precision": model.precision,
            "cycle_ms": rounded(model.cycle_ms),
        }

    async def prompt_tokens(self, request: GenerateRequest) -> list[int]:
        """Return the request's prompt as ids; see `prompt`."""
        return (await self.prompt(request)).ids

    async def prompt(self, request: GenerateRequest) -> Prompt:
        """Return the request's prompt.

        Raises:
            RequestError: an id is outside of the vocabulary, or there is nothing to continue.
            TokenizerError: text was given, but the checkpoint has no tokenizer.
            ChatTemplateError: the template is missing or refused the messages.
            ContextLengthError: too long.
        """
        tables, dropped = self.decoder.tables, 0
        if request.prompt_ids is not None:
            ids = list(request.prompt_ids)
        else:
            tokenizer = self.require_tokenizer()
            if request.messages is not None:

                async def render(messages: Messages) -> list[int]:
                    return await self._chat_ids(tokenizer, messages, request)

                if request.context_overflow == "drop_oldest":
                    room = (tables.context_length, request.max_tokens)
                    prompt = await fitted(render, request.messages, *room)
                    ids, dropped = prompt.ids, prompt.dropped_messages
                else:
                    ids = await render(request.messages)
            else:
                assert request.prompt is not None
                ids = tokenizer.encode(request.prompt, add_special_tokens=True)
        if not ids:
            raise RequestError("The prompt is empty; give at least one token.")
        self._check_ids(ids)
        if len(ids) >= tables.context_length:
            raise ContextLengthError(
                f"The prompt has {len(ids)} tokens; the context holds "
                f"{tables.context_length} with the answer. Shorten the prompt, or load the "
                "model with a longer context.",
                prompt_tokens=len(ids),
                context_length=tables.context_length,
            )
        return Prompt(ids, dropped)

    async def generate(
        self,
        request: GenerateRequest,
        on_delta: OnDelta = lambda delta: None,
        is_aborted: Callable[[], bool] = lambda: False,
        on_prompt: Callable[[Prompt], None] = lambda prompt: None,
        resumption: Resumption | None = None,
        own_code: OwnCode | None = None,
    ) -> Generated:
        """Continue a prompt; several can run at once, see session/loop.py.

        Args:
            request: checked.
            on_delta: called with every piece of output.
            is_aborted: asked between passes. True ends the generation with what there is.
            on_prompt: called with the prompt, before any output.
            resumption: what another engine already wrote for this request. It is part of the
                result, but is not passed to `on_delta` again.
            own_code: a person's functions, of this request alone.

        Raises:
            see `prompt`; RequestError: embeddings do not fit the prompt; DrafterError: another
                drafter was asked for than was loaded, or there is no room for drafts, or a person's
                drafter failed; ProcessorError; DeviceLostError.
        """
        found = await self.prompt(request)
        on_prompt(found)
        prompt = found.ids
        written = resumption.tokens if resumption is not None else []
        self._check_ids(written)
        self._check_ids(request.sampling.logit_bias)
        if not written:
            resumption = None
        has_own_drafter = own_code is not None and own_code.drafts
        schedule = await self._schedule(request, has_own_drafter)
        is_drafting = not isinstance(schedule, FixedSchedule) or schedule.num_drafts > 0
        drafter = self.model.drafter.kind if self.model.drafter is not None else "none"
        stats = Stats(
            self.device.info.name,
            self.decoder.depth(request.run_ahead),
            load_ms=self.load_ms,
            prefill_tokens=len(prompt),
            dropped_messages=found.dropped_messages,
            resumed_tokens=len(written),
            drafter="given" if has_own_drafter else drafter if is_drafting else "none",
            draft_tokens=request.draft_tokens if is_drafting else 0,
            self_test=self.model.self_test,
            placement=self.model.placement,
        )
        pager = self.decoder.pager
        paged_before = None if pager is None else dataclasses.replace(pager.counts)
        eos = () if request.ignore_eos else self.checkpoint.eos_token_ids
        stream = self._stream(request, eos, prompt)
        texts = None
        if request.sampling.logprobs:
            texts = LogprobTexts(self.tokenizer, self._byte_tokens)
        generation = Generation(stream, texts, stats, on_delta)
        guide = await self._guide(request, stream.is_thinking)
        if guide is not None or own_code is not None:
            stats.run_ahead = 1  # see Decoder.run
        try:
            if resumption is not None:
                generation.resume(resumption)
                if guide is not None:
                    guide.take(written)
            is_over = generation.stopped or (guide is not None and guide.is_complete)
            cycles = self.decoder.run(
                prompt,
                request.sampling,
                0 if is_over else request.max_tokens,
                request.run_ahead,
                is_aborted,
                schedule,
                written=written,
                guide=guide,
                own_code=own_code,
                embeddings=request.embeddings,
            )
            async with aclosing(cycles):
                async for cycle in cycles:
                    generation.take(cycle)
                    if generation.stopped:
                        break
        finally:
            if guide is not None:
                stats.constraint = guide.to_json()
                guide.close()
        is_over = generation.stopped or (guide is not None and guide.is_complete)
        finish_reason = "abort" if is_aborted() else "stop" if is_over else "length"
        stats.cycle_ms = rounded(self.model.cycle_ms)
        if guide is None and own_code is None:
            stats.run_ahead = self.decoder.depth(request.run_ahead)
        if pager is not None and paged_before is not None:
            stats.paging = pager.counted_since(paged_before)
        return generation.finish(prompt, finish_reason)

    async def score(self, ids: Sequence[int]) -> AsyncIterator[bytes]:
        """Yield logits of consecutive ids; see `Decoder.score`."""
        async with self.decoder.loop.alone(), aclosing(self.decoder.score(ids)) as chunks:
            async for logits in chunks:
                yield logits

    async def profile(self, request: ProfileRequest) -> dict[str, object]:
        """Time a pass, op by op; see `profiling.profile_pass`."""
        self._check_ids(request.sampling.logit_bias)
        async with self.decoder.loop.alone():
            if request.kind == "cycle" and request.draft_tokens in self.decoder.passes.cycles:
                await self.decoder.prepare(request.draft_tokens)
            return await profile_pass(self.decoder, request)

    def assume(self, ids: Sequence[int]) -> None:
        """Treat ids as already read, so that decoding after them can be timed at once.

        Raises:
            RequestError: the weights are real, so that the text would be wrong; or there are too
                many ids.
        """
        if self.checkpoint.sources:
            raise RequestError("Only a model whose weights are made up takes ids as prefilled.")
        if len(ids) >= self.decoder.tables.context_length:
            raise RequestError(
                f"{len(ids)} tokens do not fit into the context of "
                f"{self.decoder.tables.context_length}."
            )
        self.decoder.assume(ids)

    def close(self) -> None:
        """Give the device's memory back; the engine cannot be used afterwards."""
        if self._grammars is not None:
            self._grammars.close()
        self.decoder.release()
        self.device.free(self.model.buffers)
        self.model.buffers = []

    def _check_ids(self, ids: Iterable[int]) -> None:
        vocab_size = self.decoder.tables.vocab_size
        for token in ids:
            if not 0 <= token < vocab_size:
                raise RequestError(
                    f"Token id {token} is outside of the vocabulary of {vocab_size}.", token=token
                )

    def own_code(
        self,
        processors: Sequence[LogitsProcessor] = (),
        drafter: DraftFunction | None = None,
    ) -> OwnCode | None:
        """Return what runs a person's functions in one request; None where there are none."""
        if not processors and drafter is None:
            return None
        return OwnCode(self.decoder.tables.vocab_size, processors, drafter)

    async def _schedule(self, request: GenerateRequest, has_own_drafter: bool) -> Schedule:
        """Return what decides on the drafts that are not a person's own."""
        model, wanted = self.model, request.draft_tokens
        if has_own_drafter:
            if model.max_draft_tokens == 0:
                raise DrafterError(
                    "A drafter in Python was given, and the model was loaded without room for "
                    'drafts; load it with drafter="given", or with any other.'
                )
            return FixedSchedule(0)
        loaded = model.drafter.kind if model.drafter is not None else "none"
        if request.drafter not in ("auto", "none", loaded):
            raise DrafterError(
                f"The request wants the drafter {request.drafter!r}, and the model was loaded with "
                f"{loaded!r}; load it with that drafter, or leave the choice to it.",
                wanted=request.drafter,
                loaded=loaded,
            )
        if request.drafter == "none" or loaded in ("none", "given") or wanted == 0:
            return FixedSchedule(0)
        if wanted == "auto":
            self.decoder.throw_if_refused()
            return model.schedule()
        assert isinstance(wanted, int)
        if wanted > model.max_draft_tokens:
            raise RequestError(
                f"draft_tokens is {wanted}; the model was loaded for at most "
                f"{model.max_draft_tokens} (max_draft_tokens)."
            )
        await self.decoder.prepare(wanted)
        return FixedSchedule(wanted)

    def _stream(
        self, request: GenerateRequest, eos: Collection[int], prompt: Sequence[int]
    ) -> ReasoningStream:
        if self.tokenizer is None:
            if request.stop:
                self.require_tokenizer()
            return ReasoningStream(None, eos_ids=eos)
        if self._byte_tokens is None:
            self._byte_tokens = byte_tokens_of(self.tokenizer)
        calls = None
        if request.tools is not None and request.tools.choice != "none":
            calls = CallStream(self.tokenizer, self._byte_tokens, call_ids(prompt))
        return ReasoningStream(self.tokenizer, request.stop, eos, self._byte_tokens, prompt, calls)

    async def _guide(self, request: GenerateRequest, is_thinking: bool) -> Guide | None:
        """Return what keeps the request's answer to its grammar, if it has one.

        Raises:
            RequestError: this engine has no grammars; or see `Grammars.matcher`.
        """
        constraint = request.constraint
        if constraint is None and request.tools is not None:
            constraint = request.tools.constraint()
        if constraint is None:
            return None
        tokenizer, vocab_size = self.require_tokenizer(), self.decoder.tables.vocab_size
        stop_ids = self.checkpoint.eos_token_ids
        if self._grammars is None:
            if self._make_grammars is None:
                raise RequestError(
                    f"This engine cannot make answers follow a grammar ({constraint.kind})."
                )
            make = self._make_grammars(tokenizer, vocab_size, stop_ids)
            self._grammars = Grammars(make, tokenizer, vocab_size, TOOL_MARKS)
        matcher: TokenMatcher = await self._grammars.matcher(constraint)
        open_id, close_id = tokenizer.id_of(CHANNEL_OPEN), tokenizer.id_of(CHANNEL_CLOSE)
        # Who did not ask for thoughts gets the answer at once.
        may_think = request.enable_thinking or is_thinking
        if may_think and open_id is not None and close_id is not None:
            marks = (open_id, close_id)
            matcher = AfterReasoning(matcher, *marks, stop_ids, vocab_size, is_thinking)
        return Guide(matcher, constraint.kind, has_ends=bool(stop_ids))

    def require_tokenizer(self) -> Tokenizer:
        """Return the tokenizer.

        Raises:
            TokenizerError: the checkpoint has none.
        """
        if self.tokenizer is None:
            raise TokenizerError(
                "This checkpoint has no tokenizer; put its tokenizer.json beside it, or give "
                "prompt_ids."
            )
        return self.tokenizer

    async def _chat_ids(
        self,
        tokenizer: Tokenizer,
        messages: Messages,
        request: GenerateRequest,
    ) -> list[int]:
        template, tools = self._chat_template(), request.tools
        if tools is not None and not template.knows("tools"):
            raise RequestError(
                "This model's chat template knows no tools; take a model that was trained to call "
                "some, such as Gemma 4."
            )
        return await template.prompt_ids(
            tokenizer,
            messages_for_template(messages),
            enable_thinking=request.enable_thinking,
            tools=(tools.for_template() or None) if tools is not None else None,
        )

    def _chat_template(self) -> ChatTemplate:
        source = self.checkpoint.chat_template
        if source is None:
            raise RequestError(
                "This model has no chat template (it is a base model); give a prompt instead of "
                "messages."
            )
        if self._templates is None:
            raise RequestError("This engine runs no chat templates; give a prompt, or prompt_ids.")
        eos = self.checkpoint.eos_token_ids
        return ChatTemplate(
            source,
            bos_token=self._token_text(self.checkpoint.bos_token_id),
            eos_token=self._token_text(eos[0] if eos else None),
            runner=self._templates,
        )

    def _token_text(self, token: int | None) -> str:
        return "" if token is None else self.require_tokenizer().decode([token], False)
