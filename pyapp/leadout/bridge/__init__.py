"""Python's door to JavaScript: the only package that imports js or pyodide.

    values.py        plain data, errors, and JavaScript's objects as Python's protocols
    webgpu.py        the device
    grammars.py      what keeps answers to grammars
    model_loader.py  from files to an engine
    own_pyodide.py   the other door: in a Pyodide of somebody's own, see web/own_pyodide.js

web/worker.js boots Pyodide, imports this package, and hands every message of web/messages.js but
"boot" to `Bridge.handle`. What JavaScript offers in return is the host object that worker.js
passes to `start`: `createRuntime`, `readTokenizer`, `makeGrammars`, `renderTemplate`, `openSource`,
`settle` and `post`.

Who owns a proxy: Python objects that JavaScript gets to call are made with `create_proxy` and
destroyed by the same function. JavaScript objects seen from Python are counted by Pyodide and go
with the Python objects that wrap them here.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import js
from pyodide.ffi import JsException, to_js

from leadout.beside import SharedLock
from leadout.bridge.model_loader import ModelLoader
from leadout.bridge.values import parsed, plain
from leadout.bridge.webgpu import WebGpuDevice
from leadout.engine import Engine, LoadOptions
from leadout.errors import LeadoutError, OutOfMemoryError, RequestError
from leadout.forecast import forecast
from leadout.probe import is_wanted, probe
from leadout.profiling import ProfileRequest
from leadout.request import GenerateRequest
from leadout.resumption import Resumption

#: How often "progress" messages are sent at most, by share of the whole.
PROGRESS_STEPS = 200


@dataclass
class Bridge:
    """Serves one worker: one device, at most one model.

    Attributes:
        host: the host object of web/worker.js.
    """

    host: Any
    _device: WebGpuDevice | None = None
    _engine: Engine | None = None
    _defaults: dict[str, Any] = field(default_factory=dict)
    _aborted: set[int] = field(default_factory=set)
    _controllers: dict[int, Any] = field(default_factory=dict)
    _serving: SharedLock = field(default_factory=SharedLock)
    _loader: ModelLoader = field(init=False)

    def __post_init__(self) -> None:
        self._loader = ModelLoader(self.host)

    async def handle(self, message: Any) -> None:
        """Serve one message of web/messages.js; answers go through `host.post`."""
        request = plain(message)
        number = int(request["id"])
        if request["type"] == "abort":
            self._abort(int(request["target"]))
            return
        try:
            is_quick = request["type"] == "tokenize" and self._engine is not None
            beside_others = request["type"] == "generate"
            lock = self._serving.shared() if beside_others else self._serving.alone()
            async with nullcontext() if is_quick else lock:
                value = await self._serve(request, number)
            self._post(type="result", id=number, value=value)
        except LeadoutError as error:
            self._post(type="error", id=number, error=error.to_json())
        except JsException as error:
            self._post(
                type="error",
                id=number,
                error={"name": str(error.name), "message": str(error.message)},
            )
        finally:
            self._aborted.discard(number)
            self._controllers.pop(number, None)

    async def _serve(self, request: dict[str, Any], number: int) -> object:
        match request["type"]:
            case "load":
                return await self._load(request, number)
            case "generate":
                return await self._generate(request, number)
            case "score":
                return await self._score(request, number)
            case "tokenize":
                return await self._loaded().prompt_tokens(GenerateRequest(prompt=request["text"]))
            case "assume":
                self._loaded().assume([int(token) for token in request["ids"]])
                return None
            case "profile":
                return await self._loaded().profile(ProfileRequest.from_json(request["request"]))
            case "estimate":
                return await self._estimate(request, number)
            case "unload":
                self._unload()
                return None
        raise RequestError(f"Unknown message type {request['type']!r}.")

    async def _generate(self, request: dict[str, Any], number: int) -> object:
        resumption = request.get("resumption")
        generated = await self._loaded().generate(
            GenerateRequest.from_json(self._defaults | request["request"]),
            lambda delta: self._post(
                type="delta",
                id=number,
                text=delta.text,
                reasoning=delta.reasoning,
                tokens=delta.tokens,
                is_draft=delta.is_draft,
                num_drafted=delta.num_drafted,
                decode_tokens_per_s=round(delta.decode_tokens_per_s, 3),
                **({} if delta.tool_calls is None else {"tool_calls": delta.tool_calls}),
                **(
                    {}
                    if delta.logprobs is None
                    else {"logprobs": delta.logprobs, "num_settled": delta.num_settled}
                ),
            ),
            lambda: number in self._aborted,
            lambda prompt: self._post(
                type="prompt",
                id=number,
                tokens=prompt.ids,
                dropped_messages=prompt.dropped_messages,
            ),
            None if resumption is None else Resumption.from_json(resumption),
        )
        return replace(generated, logprobs=None).to_json()  # they have been told

    async def _load(self, request: dict[str, Any], number: int) -> object:
        self._unload()
        options = dict(request["options"] or {})
        self._defaults = {name: options.pop(name) for name in ("run_ahead",) if name in options}
        GenerateRequest.from_json({"prompt": "", **self._defaults})  # refused here if at all
        max_binding_bytes = options.pop("max_binding_bytes", None)
        load_options = LoadOptions.from_json(options)
        controller = js.AbortController.new()
        self._controllers[number] = controller
        if number in self._aborted:
            controller.abort()
        device = await self._get_device(max_binding_bytes)
        device.abort_signal = controller.signal
        model, drafter = request["model"], request.get("drafter")
        last_step = -1

        def on_phase(phase: str) -> None:
            self.host.mark(phase)
            self._post(type="phase", id=number, phase=phase)

        def on_progress(loaded: int, total: int) -> None:
            nonlocal last_step
            step = PROGRESS_STEPS * loaded // max(total, 1)
            if step != last_step:
                last_step = step
                self._post(
                    type="progress",
                    id=number,
                    phase="loading_weights",
                    loaded_bytes=int(loaded),
                    total_bytes=int(total),
                )

        self._engine = await self._loader.load(
            device, model, drafter, load_options, on_phase, on_progress
        )
        info = self._engine.info()
        return {"name": model["name"], **info, "peak_bytes": device.peak_bytes}

    async def _estimate(self, request: dict[str, Any], number: int) -> object:
        options = LoadOptions.from_json(request["options"] or {})
        if request["probe"] and self._engine is not None:
            raise RequestError("A model is loaded here; ask for a probe before that.")
        device = await self._get_device()
        target = await self._loader.open(request["model"], "target")
        drafter = request.get("drafter")
        drafter = await self._loader.open(drafter, "drafter") if drafter else None
        found = await forecast(device, target, drafter, options)
        if found.fits and is_wanted(request["probe"], device.info, found.memory):
            self._post(type="forecast", id=number, forecast=found.to_json())
            device.abort_signal = None
            options = found.as_planned(options)
            try:
                found = replace(found, probe=await probe(device, target, drafter, options))
            except OutOfMemoryError as error:  # now somebody knows
                found = replace(found, problem=error.message)
        return found.to_json()

    async def _get_device(self, max_binding_bytes: int | None = None) -> WebGpuDevice:
        if self._device is None:
            self._device = await self._loader.new_device(max_binding_bytes)
        return self._device

    async def _score(self, request: dict[str, Any], number: int) -> object:
        start = 0
        engine = self._loaded()
        async for logits in engine.score([int(token) for token in request["ids"]]):
            self.host.post(parsed({"type": "logits", "id": number, "start": start}), to_js(logits))
            start += len(logits) // (4 * engine.decoder.tables.vocab_size)
        return {"rows": start, "vocab_size": engine.decoder.tables.vocab_size}

    def _unload(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _loaded(self) -> Engine:
        if self._engine is None:
            raise RequestError("No model is loaded; load one first.")
        return self._engine

    def _abort(self, number: int) -> None:
        self._aborted.add(number)
        if number in self._controllers:
            self._controllers[number].abort()

    def _post(self, **message: object) -> None:
        self.host.post(parsed(message))


def start(host: Any) -> Bridge:
    """Return the bridge of a worker; called once by web/worker.js."""
    return Bridge(host)
