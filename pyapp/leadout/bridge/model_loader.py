"""Loads models with what JavaScript offers: devices, files, tokenizers, templates, grammars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leadout.bridge.grammars import js_library
from leadout.bridge.values import JsSource, JsTemplates, JsTokenizer, js_errors
from leadout.bridge.webgpu import WebGpuDevice
from leadout.checkpoint import Checkpoint, open_checkpoint
from leadout.checkpoint.json_file import parse_json_object
from leadout.checkpoint.synthetic import synthetic_checkpoint
from leadout.devices.base import Progress
from leadout.engine import Engine, LoadOptions, OnPhase
from leadout.tokenizer_parts import check_parts


@dataclass(frozen=True)
class ModelLoader:
    """Loads models.

    Attributes:
        host: the host object of web/host.js.
    """

    host: Any

    async def new_device(self, max_binding_bytes: int | None = None) -> WebGpuDevice:
        """Return a device.

        Raises:
            DeviceUnavailableError: there is no WebGPU here, or no adapter.
        """
        with js_errors():
            return WebGpuDevice(await self.host.createRuntime(max_binding_bytes))

    async def open(self, model: Mapping[str, Any], role: str) -> Checkpoint:
        """Open the checkpoint of a `ModelRef`, or make one up for a shape."""
        if "shape" in model:
            has_vocabulary = bool(model.get("has_vocabulary"))
            return synthetic_checkpoint(model["shape"], role, has_vocabulary)
        return await open_checkpoint(
            {
                ref["name"]: JsSource(
                    self.host.openSource(
                        *(ref.get(key) for key in ("name", "url", "file", "size", "token"))
                    )
                )
                for ref in model["files"]
            }
        )

    async def load(
        self,
        device: WebGpuDevice,
        model: Mapping[str, Any],
        drafter: Mapping[str, Any] | None,
        options: LoadOptions,
        on_phase: OnPhase,
        on_progress: Progress,
    ) -> Engine:
        """Load a `ModelRef`, and its drafter's where there is one.

        Raises:
            LeadoutError: see `Engine.load`; the device is left without any of its buffers.
        """
        engine = await Engine.load(
            device,
            await self.open(model, "target"),
            options,
            self._make_tokenizer,
            on_phase,
            on_progress,
            await self.open(drafter, "drafter") if drafter else None,
            JsTemplates(self.host),
            lambda *facts: js_library(self.host, *facts),
        )
        try:
            # What was loaded while it was fetched is checked as a whole only now.
            with js_errors():
                await self.host.settle()
        except BaseException:
            engine.close()
            raise
        return engine

    async def _make_tokenizer(self, text: str) -> JsTokenizer:
        with js_errors():
            file = self.host.readTokenizer(text)
            check_parts(parse_json_object(str(file.parts()), "tokenizer.json"))
            return JsTokenizer(await file.make())
