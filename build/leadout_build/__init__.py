"""The build step and the command line of Leadout; CPython only.

They run from a checkout, whose site is built into dist/, or from an installed package, which brings
its site along and has no sources to build another from.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

#: The checkout that this package lies in; of an installed one, a folder that means nothing.
ROOT = _PACKAGE.parents[1]

#: Whether there are sources: site-packages has neither of these beside its parent.
IS_CHECKOUT = (ROOT / "pyproject.toml").is_file() and (ROOT / "web" / "kernels").is_dir()

#: Where the site is built to, and served from; keep in step with build/hatch_build.py.
DIST = ROOT / "dist" if IS_CHECKOUT else _PACKAGE / "dist"
