"""web/examples/ as `npm install` and Vite leave them, and a server that is strict with them.

One more page is built with them: adapters_on_nano.js, for test_adapters_on_nano.py.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from strict_host import OWN_POLICY, Host, WithPolicy

from leadout_build import ROOT
from packed import NODE_MODULES, build_with_vite, unpack

#: What the examples name in their package.json, beside Leadout.
PACKAGES = json.loads((ROOT / "web/examples/package.json").read_text("utf-8"))

#: Where the page of all adapters is; the service worker of openai/ answers there.
ALL_ADAPTERS = "openai/adapters.html"

CONFIG = f"""\
import config from "./examples.config.js";
config.build.rolldownOptions.input.adapters = "{ALL_ADAPTERS}";
export default config;
"""


def build_examples(packed: Path, folder: Path) -> Path:
    """Build the examples into a new folder, and return their project; `dist` is what is served."""
    project = folder / "project"
    shutil.copytree(ROOT / "web/examples", project)
    unpack(packed, project)
    for name in {*PACKAGES["dependencies"], *PACKAGES["devDependencies"]} - {"leadout"}:
        link = project / "node_modules" / name
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(NODE_MODULES / name, target_is_directory=True)
    _add_all_adapters(project)
    public = build_with_vite(project)
    (public / "any.gguf").write_bytes(b"GGUF")
    return project


def examples_app(project: Path, routes: Sequence[BaseRoute] = ()) -> Starlette:
    """Return what serves the built examples, and the package beside them for a fake worker.

    Args:
        project: of `build_examples`.
        routes: what else it serves.
    """
    package = StaticFiles(directory=project / "node_modules/leadout")
    pages = StaticFiles(directory=project / "dist", html=True)
    host = Host(policy=f"{OWN_POLICY}; style-src 'self'")
    return Starlette(
        routes=[*routes, Mount("/leadout", package), Mount("/", pages)],
        middleware=[Middleware(WithPolicy, host=host)],
    )


def _add_all_adapters(project: Path) -> None:
    config = project / "vite.config.js"
    config.rename(project / "examples.config.js")
    config.write_text(CONFIG)
    script = Path(__file__).with_name("adapters_on_nano.js")
    shutil.copyfile(script, project / "openai/adapters.js")
    page = (project / "react/index.html").read_text("utf-8")
    (project / ALL_ADAPTERS).write_text(page.replace("./main.tsx", "./adapters.js"))
