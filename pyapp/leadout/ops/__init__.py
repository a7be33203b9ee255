"""The ops that models are made of: what is computed, not how.

Each is a dataclass whose docstring has the formula, the shapes and the types. `lowering` finds
kernels for runs of them, `devices.numpy_ops` has their meaning in NumPy.
"""

from leadout.ops.attention import Attention, NormRope, WriteKv
from leadout.ops.checks import CheckFinite, Digest, Fill
from leadout.ops.choice import (
    Accept,
    BeginCycle,
    Choose,
    Logprobs,
    PlaceDraft,
    PlaceGiven,
    Suppress,
    TakeAccepted,
    TakeLanes,
)
from leadout.ops.draft import CandidateLogits, NgramDraft, TopCentroids
from leadout.ops.experts import (
    ExpertGatedLinear,
    ExpertLayer,
    ExpertLinear,
    MixExperts,
    Route,
)
from leadout.ops.linear import (
    Embed,
    EmbedPaged,
    GatedLinear,
    GeluTimes,
    Linear,
    LinearLayer,
    PlaceEmbeddings,
)
from leadout.ops.norm import AddNorm, PerLayerInput, RmsNorm, RmsNormSum, TakeLastRow
from leadout.ops.program import Op, Program, ProgramBuilder, Tensor

__all__ = [
    "Accept",
    "AddNorm",
    "Attention",
    "BeginCycle",
    "CandidateLogits",
    "CheckFinite",
    "Choose",
    "Digest",
    "Embed",
    "EmbedPaged",
    "ExpertGatedLinear",
    "ExpertLayer",
    "ExpertLinear",
    "Fill",
    "GatedLinear",
    "GeluTimes",
    "Linear",
    "LinearLayer",
    "Logprobs",
    "MixExperts",
    "NgramDraft",
    "NormRope",
    "Op",
    "PerLayerInput",
    "PlaceDraft",
    "PlaceEmbeddings",
    "PlaceGiven",
    "Program",
    "ProgramBuilder",
    "RmsNorm",
    "RmsNormSum",
    "Route",
    "Suppress",
    "TakeAccepted",
    "TakeLanes",
    "TakeLastRow",
    "Tensor",
    "TopCentroids",
    "WriteKv",
]
