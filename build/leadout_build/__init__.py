"""The build step and the command line of Leadout; CPython only.

    site/       building the site: kernels, what is vendored, the browser's Python
    cli/        the command line: a file a command, and their arguments
    bench/      what `leadout bench` measures, and with what
    store/      models: the store, the hub's names, which drafter is whose; nano/ is in the box
    serving/    the site and the models over HTTP, and a headless Chromium that opens them

cli imports from all of them, bench from serving and store, serving from site and store, site from
store. How Nano was made lies beside this package, in build/nano, and is not shipped.

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
