"""Errors of the build step."""

from __future__ import annotations

from leadout.errors import LeadoutError


class BuildError(LeadoutError):
    """The site cannot be built; the message names the file (and line) at fault."""
