"""Typed reading of configuration fields that somebody else wrote."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping

from leadout.errors import CheckpointError, UnsupportedModelError
from leadout.shown import shown

#: Sizes and token ids fit a signed 32-bit integer everywhere.
MAX_INTEGER = (1 << 31) - 1

#: No configuration has such a number; float() may refuse an int that is larger still.
_TOO_LARGE = 1e300

_REQUIRED = object()


class Fields:
    """Fields by name, with defaults; a wrong one is an error that names it.

    Args:
        values: from config.json, or GGUF's metadata.
        defaults: for fields that `values` leaves out.
        prefix: before every name in messages.
    """

    def __init__(
        self, values: Mapping[str, object], defaults: Mapping[str, object], prefix: str = ""
    ) -> None:
        self._values = values
        self._defaults = defaults
        self.prefix = prefix

    def get(self, name: str, default: object = None) -> object:
        """Return a field as it is; `default` where neither the values nor the defaults have it."""
        if name in self._values:
            return self._values[name]
        return self._defaults.get(name, default)

    def has(self, name: str) -> bool:
        """Return whether the values or the defaults have a field, be it null."""
        return name in self._values or name in self._defaults

    def wrong(self, name: str, value: object, wanted: str) -> CheckpointError:
        """Return the error for a field."""
        return CheckpointError(
            f"{self.prefix}{name} is {shown(value)}; wanted {wanted}; the model's configuration "
            "is wrong, download it again",
            field=self.prefix + name,
            found=shown(value),
            wanted=wanted,
        )

    def integer(
        self, name: str, minimum: int, maximum: int = MAX_INTEGER, default: object = _REQUIRED
    ) -> int:
        """Return a whole number in a range."""
        value = self._value(name, default)
        if type(value) is not int or not minimum <= value <= maximum:
            raise self.wrong(name, value, f"a whole number from {minimum:,} to {maximum:,}")
        return value

    def per_layer(self, name: str, num_layers: int, default: object = _REQUIRED) -> tuple[int, ...]:
        """Return a whole number for each layer, which GGUF may give once for all of them."""
        value = self._value(name, default)
        if not isinstance(value, array):
            return (self.integer(name, 1, default=default),) * num_layers
        if len(value) != num_layers:
            raise self.wrong(name, value, f"an array of {num_layers} numbers, one a layer")
        return tuple(Fields({name: item}, {}, self.prefix).integer(name, 1) for item in value)

    def uniform(self, name: str, num_layers: int, default: object = _REQUIRED) -> int:
        """Return a whole number that GGUF may give once or, each time the same, per layer."""
        values = self.per_layer(name, num_layers, default)
        if len(set(values)) != 1:
            raise UnsupportedModelError(
                f"{self.prefix}{name} differs between layers, Leadout runs models of this "
                "architecture where it does not",
                field=self.prefix + name,
            )
        return values[0]

    def positive(self, name: str) -> float:
        """Return a finite number above 0."""
        value = self._value(name, _REQUIRED)
        if isinstance(value, int | float) and not isinstance(value, bool):
            number = value if abs(value) < _TOO_LARGE else math.inf
            if 0 < number < math.inf:
                return float(number)
        raise self.wrong(name, value, "a number above 0")

    def boolean(self, name: str) -> bool:
        """Return true or false."""
        value = self._value(name, _REQUIRED)
        if not isinstance(value, bool):
            raise self.wrong(name, value, "true or false")
        return value

    def object_or_none(self, name: str) -> dict[str, object] | None:
        """Return a JSON object, or None where there is none."""
        value = self.get(name)
        if value is not None and not isinstance(value, dict):
            raise self.wrong(name, value, "an object")
        return value

    def token_id(self, name: str) -> int | None:
        """Return a token id, or None where there is none."""
        return None if self.get(name) is None else self.integer(name, 0)

    def token_ids(self, name: str) -> tuple[int, ...]:
        """Return token ids, given as none, one or a list."""
        value = self.get(name)
        if not isinstance(value, list):
            token_id = self.token_id(name)
            return () if token_id is None else (token_id,)
        return tuple(Fields({name: item}, {}, self.prefix).integer(name, 0) for item in value)

    def _value(self, name: str, default: object) -> object:
        value = self.get(name, default)
        if value is _REQUIRED:
            raise CheckpointError(
                f"{self.prefix}{name} is missing; the model's configuration is incomplete, "
                "download it again",
                field=self.prefix + name,
            )
        return value
