"""Gemma 4 text models (`gemma4_text`, `gemma4_unified_text`): E2B, E4B, 12B, 26B-A4B, 31B.

    h = embed_tokens(token) * sqrt(hidden_size)
    p = (norm(per_layer_model_projection(h) / sqrt(hidden_size))            per-layer inputs, in
         + embed_tokens_per_layer(token) * sqrt(their size)) / sqrt(2)      E2B and E4B
    h = layers(h, p)                                                        see gemma4_layers.py
    logits = softcap(lm_head(norm(h)))

From the first layer on that has no keys and values of its own, no later row needs the result of an
earlier one; so of a prompt only the last row goes there.

Source: transformers, models/gemma4/modeling_gemma4.py.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from leadout import ops
from leadout.checkpoint import Checkpoint, check_tensors
from leadout.checkpoint.load_plan import LoadPlanBuilder
from leadout.checkpoint.page_plan import (
    PagePlan,
    Paging,
    num_cached_rows,
    place_paged,
    saved_bytes,
)
from leadout.config import Gemma4TextConfig
from leadout.kv_cache import KvCache, capacity_for
from leadout.layouts import Matrix, Vector
from leadout.models.base import Shapes, place_embeddings, single
from leadout.models.gemma4_layers import (
    CacheView,
    Gemma4Layers,
    Stream,
    expert_shapes,
    layer_shapes,
)
from leadout.ops import LinearLayer, ProgramBuilder, Tensor
from leadout.plan import BufferSpec
from leadout.rows import Rows


@dataclass(frozen=True)
class PerLayerTables:
    """What per-layer inputs are made of; of a paged embedding, the rows that are on the device."""

    embedding: Matrix
    projection: LinearLayer
    norm: Vector


def expected_shapes(config: Gemma4TextConfig, checkpoint: Checkpoint) -> Shapes:
    """Return the tensors that a checkpoint must have, by Hugging Face name."""
    hidden, layers = config.hidden_size, config.num_hidden_layers
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (config.vocab_size, hidden),
        "model.norm.weight": (hidden,),
    }
    for i, layer in enumerate(config.layers):
        shapes |= layer_shapes(config, i, has_own_cache=layer.kv_layer == i)
        if config.enable_moe_block:
            are_apart = f"model.layers.{i}.experts.gate_proj" in checkpoint.tensors
            shapes |= expert_shapes(config, i, are_apart)
    if size := config.hidden_size_per_layer_input:
        shapes |= {
            "model.embed_tokens_per_layer.weight": (
                config.vocab_size_per_layer_input,
                layers * size,
            ),
            "model.per_layer_model_projection.weight": (layers * size, hidden),
            "model.per_layer_projection_norm.weight": (size,),
        }
    if not config.tie_word_embeddings:
        shapes["lm_head.weight"] = (config.vocab_size, hidden)
    return shapes


class Gemma4Text:
    """A Gemma 4 text model on a device; implements `leadout.models.base.Model`."""

    def __init__(
        self,
        config: Gemma4TextConfig,
        checkpoint: Checkpoint,
        load: LoadPlanBuilder,
        *,
        num_lanes: int,
        context_length: int,
        max_rows: int,
        kv_dtype: str,
        paging: Paging,
    ) -> None:
        """Check the checkpoint's tensors and place them.

        Args:
            config: of the checkpoint.
            checkpoint: where the tensors are.
            load: gets every tensor.
            num_lanes: sequences kept at once.
            context_length: positions a lane can hold.
            max_rows: the most rows of one pass.
            kv_dtype: "f32" or "f16".
            paging: of the per-layer embedding.

        Raises:
            TensorError: a tensor is missing or has another shape.
        """
        check_tensors(checkpoint, expected_shapes(config, checkpoint))
        self.config = config
        self.vocab_size = config.vocab_size
        self.hidden_size = config.hidden_size
        tensors = checkpoint.tensors
        self.embed_tokens = load.matrix("embed_tokens", [tensors["model.embed_tokens.weight"]])
        self.lm_head = (
            LinearLayer([(self.embed_tokens, 0)], config.vocab_size)
            if config.tie_word_embeddings
            else single(load, "lm_head", tensors["lm_head.weight"])
        )
        self.per_layer: PerLayerTables | None = None
        self.pages: PagePlan | None = None
        self.pageable_bytes = 0
        if config.hidden_size_per_layer_input:
            name = "embed_tokens_per_layer"
            table = tensors[f"model.{name}.weight"]
            num_rows = paging.num_rows or num_cached_rows(table, at_least=max_rows)
            self.pageable_bytes = saved_bytes(table, num_rows)
            if paging.is_wanted and self.pageable_bytes:
                self.pages = place_paged(load, name, table, num_rows)
            name = "per_layer_model_projection"
            self.per_layer = PerLayerTables(
                self.pages.cache if self.pages else load.matrix("embed_tokens_per_layer", [table]),
                single(load, name, tensors[f"model.{name}.weight"]),
                load.vector(
                    "per_layer_projection_norm", tensors["model.per_layer_projection_norm.weight"]
                ),
            )
        self.layers = Gemma4Layers(config, checkpoint, load)
        self._caches = {
            i: KvCache(
                name=f"layers.{i}.kv",
                num_lanes=num_lanes,
                num_key_value_heads=layer.num_key_value_heads,
                head_dim=layer.head_dim,
                window=(window := config.sliding_window if layer.is_sliding else 0),
                capacity=capacity_for(context_length, window, max_rows),
                dtype=kv_dtype,
            )
            for i, layer in enumerate(config.layers)
            if layer.kv_layer == i
        }
        caches = [self._caches[layer.kv_layer] for layer in config.layers]
        # Layers that see all positions see none behind a row's own, whatever it reaches.
        self._views = [CacheView(one, one.window, reaches=one.window > 0) for one in caches]
        #: Layers from this one on have no keys and values of their own.
        self.first_shared = max(self._caches) + 1

    @property
    def caches(self) -> list[KvCache]:
        """The caches of the layers that write one."""
        return list(self._caches.values())

    def shared_cache(self, layer_type: str) -> KvCache:
        """Return the cache of the last layer of a type that writes one, for a drafter."""
        return self._caches[
            max(i for i in self._caches if self.config.layers[i].layer_type == layer_type)
        ]

    def buffers(self) -> dict[str, BufferSpec]:
        """Return the KV cache's and the rope tables' buffers."""
        specs = self.layers.buffers()
        for cache in self.caches:
            specs |= cache.buffers()
        return specs

    def constants(self) -> dict[str, bytes]:
        """Return the rope tables."""
        return self.layers.constants()

    def embed(self, p: ProgramBuilder, rows: Rows, y: Tensor) -> None:
        """Write the rows' scaled embeddings; see `Model.embed`."""
        scale = math.sqrt(self.hidden_size)
        p.add(ops.Embed("embed_tokens", self.embed_tokens, rows, y, scale))
        place_embeddings(p, rows, self.hidden_size, y)

    def forward(self, p: ProgramBuilder, rows: Rows, last: Rows | None = None) -> Tensor:
        """Run all layers over the rows; see `Model.forward`."""
        num_layers = self.config.num_hidden_layers
        first_shared = num_layers if last is None else self.first_shared
        stream = self.layers.run(p, self._begin(p, rows), range(first_shared), self._views)
        if last is not None:
            stream = self._last(p, stream, last)
        stream = self.layers.run(p, stream, range(first_shared, num_layers), self._views)
        return self.layers.finish(p, stream)

    def fill_cache(self, p: ProgramBuilder, rows: Rows) -> None:
        """Run the layers that write keys and values; see `Model.fill_cache`."""
        self.layers.run(p, self._begin(p, rows), range(self.first_shared), self._views)

    def head(self, p: ProgramBuilder, hidden: Tensor, rows: Rows, logits: Tensor) -> None:
        """Compute the logits, [rows, vocab_size] float32; see `Model.head`."""
        softcap = self.config.final_logit_softcapping
        p.add(ops.Linear("lm_head", self.lm_head, hidden, rows, logits, softcap=softcap))

    def _begin(self, p: ProgramBuilder, rows: Rows) -> Stream:
        """Embed the rows and compute their per-layer inputs."""
        config = self.config
        hidden = p.tensor("hidden", rows.count, config.hidden_size)
        self.embed(p, rows, hidden)
        if self.per_layer is None:
            return Stream(rows, hidden)
        size, layers = config.hidden_size_per_layer_input, config.num_hidden_layers
        embedded = p.tensor("per_layer_embedded", rows.count, layers * size)
        projected = p.tensor("per_layer_projected", rows.count, layers * size)
        name, table = "embed_tokens_per_layer", self.per_layer.embedding
        if self.pages is None:
            p.add(ops.Embed(name, table, rows, embedded, math.sqrt(size)))
        else:
            slots = Tensor(self.pages.slots.buffer, (self.pages.num_ids,), "u32")
            p.add(ops.EmbedPaged(name, table, slots, rows, embedded, math.sqrt(size)))
        name, projection = "per_layer_model_projection", self.per_layer.projection
        p.add(ops.Linear(name, projection, hidden, rows, projected))
        per_layer = p.tensor("per_layer", rows.count, layers * size)
        shape = (rows.count, layers, size)
        p.add(
            ops.PerLayerInput(
                "per_layer_input",
                dataclasses.replace(projected, shape=shape),
                dataclasses.replace(embedded, shape=shape),
                self.per_layer.norm,
                dataclasses.replace(per_layer, shape=shape),
                config.rms_norm_eps,
                config.hidden_size**-0.5,
            )
        )
        return Stream(rows, hidden, per_layer)

    def _last(self, p: ProgramBuilder, stream: Stream, last: Rows) -> Stream:
        """Go on with the last row alone."""

        def take(x: Tensor, name: str) -> Tensor:
            y = p.tensor(name, 1, x.shape[1])
            p.add(ops.TakeLastRow(name, x, y))
            return y

        per_layer = stream.per_layer
        return Stream(
            last,
            take(stream.hidden, "last_hidden"),
            None if per_layer is None else take(per_layer, "last_per_layer"),
        )
