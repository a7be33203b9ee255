"""One function per kernel: constants, bindings and grid, from what the caller means.

Activations are row-major float32 [rows, columns], and `rows.Rows` says which rows these are.
"""

from leadout.ops.attention import attention, q_norm_rope, qk_norm_rope, visible_tiles
from leadout.ops.checks import check_finite, digest, fill
from leadout.ops.choice import (
    accept,
    begin_cycle,
    choose,
    place_draft,
    suppress,
    take_accepted,
)
from leadout.ops.draft import Candidates, candidate_logits, ngram_draft, top_centroids
from leadout.ops.experts import (
    Experts,
    expert_linear,
    gated_experts,
    mix_norm_sum,
    route,
    router_scores,
)
from leadout.ops.grid import FLOAT_BYTES, activations
from leadout.ops.linear import Linear, embed, gated_linear, gelu_mul, linear
from leadout.ops.norm import (
    add_rms_norm,
    gelu_times,
    per_layer_input,
    rms_norm,
    take_last_row,
)

__all__ = [
    "FLOAT_BYTES",
    "Candidates",
    "Experts",
    "Linear",
    "accept",
    "activations",
    "add_rms_norm",
    "attention",
    "begin_cycle",
    "candidate_logits",
    "check_finite",
    "choose",
    "digest",
    "embed",
    "expert_linear",
    "fill",
    "gated_experts",
    "gated_linear",
    "gelu_mul",
    "gelu_times",
    "linear",
    "mix_norm_sum",
    "ngram_draft",
    "per_layer_input",
    "place_draft",
    "q_norm_rope",
    "qk_norm_rope",
    "rms_norm",
    "route",
    "router_scores",
    "suppress",
    "take_accepted",
    "take_last_row",
    "top_centroids",
    "visible_tiles",
]
