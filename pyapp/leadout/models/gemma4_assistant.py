"""Gemma 4's drafters (`gemma4_assistant`, `gemma4_unified_assistant`).

One step, which proposes one token and makes the state that the next step starts from:

    x      = [target's embedding of the token before | state]
    h      = pre_projection(x)
    h      = layers(h)                    four layers that only have queries: keys and values are
                                          the target's, from its last layer of each type that
                                          writes them
    y      = norm(h)
    state  = post_projection(y)           the next step's; the first step's is the target's own
    logits = lm_head(y), or a centroid head: of `num_centroids` groups of ids only the
             `centroid_intermediate_top_k` nearest get logits

Every step of a cycle stands at the same position P, that of the last known token, which is not in
the cache yet: full layers see the positions before P, sliding ones the last `sliding_window` + 1
of these.

Source: transformers, models/gemma4_assistant/modeling_gemma4_assistant.py; the window from
masking_utils.py, sliding_window_bidirectional_overlay.
"""

from __future__ import annotations

from dataclasses import dataclass

from leadout import ops
from leadout.checkpoint import Checkpoint, check_tensors
from leadout.checkpoint.load_plan import LoadPlanBuilder
from leadout.config import Gemma4AssistantConfig
from leadout.errors import DrafterError
from leadout.models.base import Shapes, single
from leadout.models.gemma4_layers import CacheView, Gemma4Layers, Stream, layer_shapes
from leadout.models.gemma4_text import Gemma4Text
from leadout.ops import LinearLayer, ProgramBuilder, Tensor
from leadout.plan import BufferSpec
from leadout.rows import Rows

_ORDERING = "token_ordering"


@dataclass(frozen=True)
class Proposals:
    """What a step thinks of ids.

    Attributes:
        logits: [rows, count] float32.
        ids: [rows, count] u32, or None where the logits are of all ids in their order.
    """

    logits: Tensor
    ids: Tensor | None = None


def expected_shapes(config: Gemma4AssistantConfig) -> Shapes:
    """Return the tensors that a checkpoint must have, by Hugging Face name."""
    text, backbone = config.text, config.backbone_hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (text.vocab_size, text.hidden_size),
        "model.norm.weight": (text.hidden_size,),
        "pre_projection.weight": (text.hidden_size, 2 * backbone),
        "post_projection.weight": (backbone, text.hidden_size),
    }
    for i in range(text.num_hidden_layers):
        shapes |= layer_shapes(text, i, has_own_cache=False)
    if config.use_ordered_embeddings:
        shapes["masked_embedding.centroids.weight"] = (config.num_centroids, text.hidden_size)
        shapes["masked_embedding.token_ordering"] = (text.vocab_size,)
    return shapes


def check_pair(config: Gemma4AssistantConfig, target: object) -> None:
    """Refuse a drafter that was not made for a target.

    Args:
        config: the drafter's.
        target: the target's model.

    Raises:
        DrafterError: naming the first thing that does not fit.
    """
    if not isinstance(target, Gemma4Text):
        raise DrafterError(
            "The drafter is one for Gemma 4, but the model is another one; use the drafter that "
            "came with the model, or none."
        )
    wanted = {
        "vocab_size": (config.text.vocab_size, target.vocab_size),
        "backbone_hidden_size": (config.backbone_hidden_size, target.hidden_size),
    }
    for layer in config.text.layers:
        matching = [one for one in target.config.layers if one.layer_type == layer.layer_type]
        if not matching:
            raise DrafterError(
                f"The drafter has {layer.layer_type} layers and the model has none; use the "
                "drafter that came with the model, or none."
            )
        kind = layer.layer_type.removesuffix("_attention")
        wanted[f"head_dim ({kind})"] = (layer.head_dim, matching[-1].head_dim)
        wanted[f"num_key_value_heads ({kind})"] = (
            layer.num_key_value_heads,
            matching[-1].num_key_value_heads,
        )
    for what, (drafters, targets) in wanted.items():
        if drafters != targets:
            raise DrafterError(
                f"The drafter is for another model: its {what} is {drafters}, the model's is "
                f"{targets}. Use the drafter that came with the model, or none.",
                field=what,
                found=drafters,
                wanted=targets,
            )


class Gemma4Assistant:
    """A drafter's weights on a device, and one step of it."""

    def __init__(
        self,
        config: Gemma4AssistantConfig,
        checkpoint: Checkpoint,
        load: LoadPlanBuilder,
        target: Gemma4Text,
        token_ordering: bytes | None,
    ) -> None:
        """Check the checkpoint's tensors and place them.

        Args:
            config: of the checkpoint; `check_pair` found it fit for the target.
            checkpoint: where the tensors are.
            load: gets every tensor; has a prefix of its own.
            target: whose keys and values it reads.
            token_ordering: see `checkpoint.token_ordering`; None without a centroid head.

        Raises:
            TensorError: a tensor is missing or has another shape.
        """
        check_tensors(checkpoint, expected_shapes(config))
        self.config = config
        self.target = target
        tensors = checkpoint.tensors
        self._ordering_name = load.prefix + _ORDERING
        self._ordering = token_ordering
        self.embed_tokens = load.matrix("embed_tokens", [tensors["model.embed_tokens.weight"]])
        self.pre_projection = single(load, "pre_projection", tensors["pre_projection.weight"])
        self.post_projection = single(load, "post_projection", tensors["post_projection.weight"])
        self.centroids: LinearLayer | None = None
        if config.use_ordered_embeddings:
            name = "masked_embedding.centroids"
            self.centroids = single(load, name, tensors[name + ".weight"])
        self.layers = Gemma4Layers(config.text, checkpoint, load)
        self._views = [
            CacheView(
                target.shared_cache(layer.layer_type),
                # Counted from P + 1 back to P - 1 - sliding_window.
                window=config.text.sliding_window + 2 if layer.is_sliding else 0,
                behind=1,
            )
            for layer in config.text.layers
        ]

    def buffers(self) -> dict[str, BufferSpec]:
        """Return the constants' buffers."""
        specs = self.layers.buffers()
        if self._ordering is not None:
            specs[self._ordering_name] = BufferSpec(len(self._ordering))
        return specs

    def constants(self) -> dict[str, bytes]:
        """Return the rope tables and the order of the ids."""
        constants = self.layers.constants()
        if self._ordering is not None:
            constants[self._ordering_name] = self._ordering
        return constants

    def step(self, p: ProgramBuilder, rows: Rows, x: Tensor, following: Tensor) -> Proposals:
        """Append one step.

        Args:
            p: gets the ops.
            rows: one a lane, at the position of its last known token.
            x: [rows, 2 backbone_hidden_size] float32: the target's scaled embedding of the token
                before, and the state.
            following: of the same shape, perhaps the same: gets the next state.
        """
        text, backbone = self.config.text, self.config.backbone_hidden_size
        hidden = p.tensor("draft_hidden", rows.count, text.hidden_size)
        p.add(ops.Linear("drafter.pre_projection", self.pre_projection, x, rows, hidden))
        layers = range(text.num_hidden_layers)
        stream = self.layers.run(p, Stream(rows, hidden), layers, self._views)
        normed = self.layers.finish(p, stream)
        name = "drafter.post_projection"
        p.add(ops.Linear(name, self.post_projection, normed, rows, following, offset=backbone))
        if self.centroids is not None:
            return self._candidates(p, rows, normed, self.centroids)
        logits = p.tensor("draft_logits", rows.count, text.vocab_size)
        head = LinearLayer([(self.embed_tokens, 0)], text.vocab_size)
        p.add(ops.Linear("drafter.lm_head", head, normed, rows, logits))
        return Proposals(logits)

    def _candidates(
        self, p: ProgramBuilder, rows: Rows, normed: Tensor, centroids: LinearLayer
    ) -> Proposals:
        config, vocab_size = self.config, self.config.text.vocab_size
        top_k, num_centroids = config.centroid_intermediate_top_k, config.num_centroids
        count = top_k * (vocab_size // num_centroids)
        scores = p.tensor("centroid_scores", rows.count, num_centroids)
        top = p.tensor("top_centroids", rows.count, top_k, dtype="u32")
        ids = p.tensor("candidate_ids", rows.count, count, dtype="u32")
        logits = p.tensor("candidate_logits", rows.count, count)
        ordering = Tensor(self._ordering_name, (vocab_size,), "u32")
        p.add(ops.Linear("drafter.centroids", centroids, normed, rows, scores))
        p.add(ops.TopCentroids("drafter.top_centroids", scores, top))
        p.add(
            ops.CandidateLogits(
                "drafter.candidates", self.embed_tokens, ordering, top, normed, ids, logits
            )
        )
        return Proposals(logits, ids)
