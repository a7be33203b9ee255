"""The build step and the command line of Leadout; CPython only.

    site/       builds the site: kernels, third-party files, the browser's Python
    cli/        the command line: one file per command, and their arguments
    bench/      what `leadout bench` measures, and how it runs the engine
    store/      models: the store, names on the hub, drafters of targets; nano/ is built in
    serving/    the site and the models over HTTP, and a headless Chromium that opens them

cli imports from all of them, bench from serving and store, serving from site and store, site from
store. The code that trained Nano is beside this package, in build/nano, and is not shipped.

The package runs from a checkout or installed. A checkout builds its site into dist/. An installed
package contains a built site, and no sources to build another one.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

#: The checkout that contains this package. For an installed package, this folder has no meaning.
ROOT = _PACKAGE.parents[1]

#: Whether this is a checkout with sources. An installed package has neither of these paths.
IS_CHECKOUT = (ROOT / "pyproject.toml").is_file() and (ROOT / "web" / "kernels").is_dir()

#: The folder of the built site, which is also served; keep in step with build/hatch_build.py.
DIST = ROOT / "dist" if IS_CHECKOUT else _PACKAGE / "dist"
