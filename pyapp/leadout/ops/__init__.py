"""One function per kernel: constants, bindings and grid, from what the caller means.

Activations are row-major float32 [rows, columns], and `rows.Rows` says which rows these are.
"""

from leadout.ops.attention import attention, q_norm_rope, qk_norm_rope, visible_tiles
from leadout.ops.checks import check_finite, digest, fill
from leadout.ops.choice import (
    accept,
    begin_cycle,
    choose,
    choose_draft,
    place_draft,
    suppress,
    take_accepted,
)
from leadout.ops.draft import Candidates, candidate_logits, ngram_draft, top_centroids
from leadout.ops.experts import Experts, expert_linear, mix_experts, route
from leadout.ops.grid import FLOAT_BYTES, activations
from leadout.ops.linear import Linear, embed, gated_linear, gelu_mul, linear
from leadout.ops.norm import (
    add_rms_norm,
    gelu_times,
    per_layer_input,
    rms_norm,
    rms_norm_sum,
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
    "choose_draft",
    "digest",
    "embed",
    "expert_linear",
    "fill",
    "gated_linear",
    "gelu_mul",
    "gelu_times",
    "linear",
    "mix_experts",
    "ngram_draft",
    "per_layer_input",
    "place_draft",
    "q_norm_rope",
    "qk_norm_rope",
    "rms_norm",
    "rms_norm_sum",
    "route",
    "suppress",
    "take_accepted",
    "take_last_row",
    "top_centroids",
    "visible_tiles",
]
