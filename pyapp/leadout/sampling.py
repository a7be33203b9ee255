"""Sampling settings, and how they lie in device memory.

The choice itself is made on the device (web/kernels/choose_few.wgsl, choose_final.wgsl): a pure
function of the logits, these settings and the absolute position, so that it does not depend
on how a token was drafted or how far the device runs ahead.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from leadout.errors import RequestError
from leadout.plan import Binding, BufferSpec
from leadout.shown import shown

SETTINGS_BYTES = 32

#: Ids that can have a bias; each costs the device nothing, but the host a few bytes.
MAX_BIASES = 1024

#: Penalties and biases are whole numbers of these parts on the device, so that sums are exact.
PENALTY_PARTS = 4096
BIAS_PARTS = 256

#: The least bias bans: the id's logit is -1e30. Keep in step with shared/candidates.wgsl.
LEAST_BIAS = -100.0
BANNED = -32768

#: The most alternatives to a token whose log-probabilities can be asked for.
MAX_TOP_LOGPROBS = 20

#: Flags of the settings: logits are moved; the lane has masks. And where the number of
#: log-probabilities stands.
MOVES_FLAG = 1
MASKS_FLAG = 2
_LOGPROBS_BIT = 8


@dataclass(frozen=True)
class Sampling:
    """How a token is chosen from logits.

    Attributes:
        temperature: ≥ 0; 0 takes the largest logit and ignores the filters below.
        top_k: keep the k most probable tokens; 0 = off.
        top_p: keep the fewest most probable tokens that make up this share; 1 = off.
        min_p: keep tokens with at least this share of the largest probability; 0 = off.
        repetition_penalty: > 0; above 1 makes tokens of the prompt and the output less likely.
        presence_penalty: -2 to 2; taken off the logits of tokens that were generated. Like the
            next, it is rounded to 1/4096.
        frequency_penalty: -2 to 2; taken off a token's logit for every time that it was generated.
        logit_bias: by id, -100 to 100, rounded to 1/256; added to its logit. -100 bans the token,
            whatever its logit.
        seed: unsigned 32-bit; the same seed gives the same text.
        logprobs: whether log-probabilities of the tokens are wanted. They are the model's own:
            before temperature, penalties, biases and filters.
        top_logprobs: how many of the likeliest tokens' as well, up to 20.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict, hash=False)
    seed: int = 0
    logprobs: bool = False
    top_logprobs: int = 0

    def __post_init__(self) -> None:
        _check("temperature", self.temperature, 0.0, 100.0, "0 to 100")
        _check("top_k", self.top_k, 0, 2**31 - 1, "0 (off) or a count")
        _check("top_p", self.top_p, 1e-6, 1.0, "above 0, up to 1 (off)")
        _check("min_p", self.min_p, 0.0, 1.0, "0 (off) to 1")
        _check("repetition_penalty", self.repetition_penalty, 1e-3, 1e3, "above 0; 1 is off")
        _check("seed", self.seed, 0, 2**32 - 1, "a whole number from 0 to 4294967295")
        for name in ("presence_penalty", "frequency_penalty"):
            _check(name, getattr(self, name), -2.0, 2.0, "-2 to 2; 0 is off")
        object.__setattr__(self, "logit_bias", _checked_biases(self.logit_bias))
        _check("top_logprobs", self.top_logprobs, 0, MAX_TOP_LOGPROBS, "0 to 20")
        if not isinstance(self.logprobs, bool):
            raise RequestError(f"logprobs is {shown(self.logprobs)}; wanted true or false.")
        if self.top_logprobs and not self.logprobs:
            raise RequestError("top_logprobs needs logprobs: true.", field="top_logprobs")
        for name in ("top_k", "seed", "top_logprobs"):
            if not isinstance(getattr(self, name), int):
                raise RequestError(
                    f"{name} is {shown(getattr(self, name))}; wanted a whole number."
                )

    @property
    def moves(self) -> bool:
        """Whether logits are moved, by penalties or biases, for which the device keeps words."""
        return bool(self.presence_penalty or self.frequency_penalty or self.logit_bias)

    def biases(self) -> dict[int, int]:
        """Return the biases as the device has them, by id."""
        return {
            token: BANNED if bias <= LEAST_BIAS else round(bias * BIAS_PARTS)
            for token, bias in self.logit_bias.items()
        }

    def pack(self, has_masks: bool = False) -> bytes:
        """Return the `Settings` struct of web/kernels/shared/settings.wgsl; keep in step.

        Args:
            has_masks: only what the lane's masks allow is chosen; see `state.py`.
        """
        return struct.pack(
            "<fIfffIhhI",
            self.temperature,
            self.top_k,
            self.top_p,
            self.min_p,
            self.repetition_penalty,
            self.seed,
            round(self.presence_penalty * PENALTY_PARTS),
            round(self.frequency_penalty * PENALTY_PARTS),
            self.moves * MOVES_FLAG
            | has_masks * MASKS_FLAG
            | self.logprobs * (1 + self.top_logprobs) << _LOGPROBS_BIT,
        )


def _check(name: str, value: float, low: float, high: float, wanted: str) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:  # a NaN is nowhere
        raise RequestError(f"{name} is {shown(value)}; wanted {wanted}.", field=name)


def _checked_biases(biases: object) -> dict[int, float]:
    """Return biases by id. JSON has keys of text alone, so text that is a number is one."""
    if not isinstance(biases, Mapping):
        raise RequestError(
            f"logit_bias is a {type(biases).__name__}; wanted an object of ids and numbers.",
            field="logit_bias",
        )
    if len(biases) > MAX_BIASES:
        raise RequestError(
            f"logit_bias has {len(biases)} ids; wanted at most {MAX_BIASES}.", field="logit_bias"
        )
    checked: dict[int, float] = {}
    for key, bias in biases.items():
        is_text = isinstance(key, str) and key.isascii() and key.isdigit() and len(key) < 10
        if not is_text and (type(key) is not int or not 0 <= key < 1 << 31):
            raise RequestError(
                f"logit_bias has the key {shown(key)}; wanted token ids.", field="logit_bias"
            )
        _check(f"logit_bias of token {key}", bias, LEAST_BIAS, 100.0, "-100 (never) to 100")
        checked[int(key)] = bias
    return checked


def settings(num_lanes: int) -> Binding:
    """Return the binding of all lanes' settings."""
    return Binding("settings", 0, SETTINGS_BYTES * num_lanes)


def buffers(num_lanes: int) -> dict[str, BufferSpec]:
    """Return the buffer of all lanes' settings."""
    return {"settings": BufferSpec(SETTINGS_BYTES * num_lanes)}
