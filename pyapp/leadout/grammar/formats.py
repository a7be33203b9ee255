"""The formats of JSON Schema that are kept to, each as a regular expression of its whole text.

They are a part of what the format allows: dates have at most 28 days in every month, so that no
month is too short.
"""

from __future__ import annotations

from typing import Final

_DATE: Final = r"(19|20)\d\d-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])"
_CLOCK: Final = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?"
_ZONE: Final = r"(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"
_BYTE: Final = r"(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_LABEL: Final = r"[a-z]([a-z0-9]*[a-z0-9])?"
_HEX: Final = "[0-9a-f]"

FORMATS: Final[dict[str, str]] = {
    "date": _DATE,
    "time": _CLOCK + _ZONE,
    "date-time": f"{_DATE}T{_CLOCK}{_ZONE}",
    "duration": r"P((\d{1,4}D)(T\d{1,4}[HMS])?|T\d{1,4}[HMS]|\d{1,4}[YMW])",
    "email": rf"[A-Za-z0-9_]+([.+-][A-Za-z0-9_]+)*@{_LABEL}(\.{_LABEL})+",
    "hostname": rf"{_LABEL}(\.{_LABEL})*",
    "ipv4": rf"{_BYTE}(\.{_BYTE}){{3}}",
    "ipv6": "([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}",
    "uri": r"https?://[a-z0-9]+(\.[a-z0-9]+)*(/[A-Za-z0-9_.~-]*)*",
    "uuid": f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}",
}
