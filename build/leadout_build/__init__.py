"""The build step and the command line of Leadout; CPython only."""

from __future__ import annotations

from pathlib import Path

#: The checkout that this package lies in.
ROOT = Path(__file__).resolve().parents[2]

#: Where the site is built to, and served from.
DIST = ROOT / "dist"
