"""What the desk refuses, by name."""

from __future__ import annotations

from leadout.errors import LeadoutError


class MarketFileError(LeadoutError):
    """A file holds no market data that the desk reads; the message has its name and line."""
