"""The npm package: packed and installed by npm, or only unpacked, and built into pages."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path

from leadout_build import ROOT
from leadout_build.site.package import build_package

NODE_MODULES = ROOT / "web/node_modules"

#: What a page does: both entry points, and a handle for the test.
MAIN = """\
import { Leadout } from "leadout";
import "leadout/define";
globalThis.Leadout = Leadout;
"""

_WEBPACK = """\
import { createRequire } from "node:module";
const [modules, context, path] = process.argv.slice(2);
const webpack = createRequire(modules + "/")("webpack");
const done = (error, stats) => {
  if (!error && !stats.hasErrors()) return;
  console.error(error ?? stats.toString());
  process.exit(1);
};
webpack({ mode: "production", context, entry: "./main.js", output: { path } }, done);
"""


_VITE_DEV = """\
import { pathToFileURL } from "node:url";
const [vite, root, ...urls] = process.argv.slice(2);
const { createLogger, createServer } = await import(pathToFileURL(vite).href);
const complaints = [];
const note = (text) => complaints.push(text);
const customLogger = { ...createLogger("silent"), warn: note, warnOnce: note, error: note };
const server = await createServer({ root, customLogger, server: { middlewareMode: true } });
for (const url of urls) {
  await server.transformRequest(url).catch((error) => note(`${url}: ${error.message}`));
}
await server.close();
console.log(JSON.stringify(complaints));
process.exit(0);
"""


def pack(site: Path, folder: Path) -> Path:
    """Assemble the package of a built site and `npm pack` it; return the packed file."""
    package = folder / "package"
    build_package(package, site)
    command = ["npm", "pack", str(package), "--pack-destination", str(folder), "--silent"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, cwd=folder)
    return folder / done.stdout.split()[-1]


def unpack(packed: Path, project: Path) -> Path:
    """Put the package where `npm install` would, in no time, and return that folder."""
    modules = project / "node_modules"
    modules.mkdir(parents=True)
    with tarfile.open(packed) as archive:
        archive.extractall(modules, filter="data")
    return (modules / "package").rename(modules / "leadout")


def install(packed: Path, project: Path) -> Path:
    """Have npm install the package alone into a fresh project; return the package's folder.

    It asks nobody for anything: the package has no dependencies, and its peers are optional.
    """
    project.mkdir(exist_ok=True)
    (project / "package.json").write_text('{ "private": true, "type": "module" }\n')
    options = ("--offline", "--no-audit", "--no-fund", "--silent")
    _run(["npm", "install", *options, str(packed)], project)
    return project / "node_modules/leadout"


def new_project(packed: Path, project: Path) -> Path:
    """Make a fresh project with the package and a page; return its folder."""
    install(packed, project)
    (project / "main.js").write_text(MAIN)
    page = '<!doctype html><meta charset="utf-8"><script type="module" src="/main.js"></script>\n'
    (project / "index.html").write_text(page)
    return project


def build_with_vite(project: Path) -> Path:
    """Build for production as Vite does without a configuration; return the folder to serve."""
    vite = NODE_MODULES / "vite/bin/vite.js"
    _run(["node", str(vite), "build", "--logLevel", "warn"], project)
    return project / "dist"


def build_with_webpack(project: Path) -> Path:
    """Build for production as webpack does without a configuration; return the folder to serve."""
    script = project / "build.mjs"
    script.write_text(_WEBPACK)
    out = project / "public"
    _run(["node", str(script), str(NODE_MODULES), str(project), str(out)], project)
    page = '<!doctype html><meta charset="utf-8"><script defer src="main.js"></script>\n'
    (out / "index.html").write_text(page)
    return out


def serve_in_vite(project: Path, urls: list[str]) -> list[str]:
    """Have Vite's development server make ready what pages ask for; return its complaints."""
    script = project / "serve.mjs"
    script.write_text(_VITE_DEV)
    vite = NODE_MODULES / "vite/dist/node/index.js"
    command = ["node", str(script), str(vite), str(project), *urls]
    done = subprocess.run(command, check=True, capture_output=True, encoding="utf-8", cwd=project)
    complaints: list[str] = json.loads(done.stdout)
    return complaints


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warn" not in done.stderr.lower(), done.stderr
