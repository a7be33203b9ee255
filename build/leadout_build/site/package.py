"""Assembles the folder of the npm package, ready for `npm pack`.

    package.json             web/package.json without the fields that only this repository needs
    index.js, client/, …     the modules that the entry points load, unchanged from web/; only
                             own_pyodide.js is bundled with its modules
    places.js                the URL of each file in assets/
    assets/                  files that no page loads as a module: each worker in one file, Pyodide,
                             Leadout's Python, kernels, libraries; and assets.json, the list of them
    types/                   declarations for TypeScript
    README.md, LICENSE, …

Bundlers (Vite, webpack and others) find `new URL("./assets/x", import.meta.url)`, copy the file and
rename it. So places.js has one such line for every file, and no file relies on another one beside
it. No file is so small that a bundler would inline it into the page's script as a data: URL. The
same lines work in a browser without a bundler.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leadout_build import ROOT
from leadout_build.site.assemble import ASSETS_FILE, BUILD_FILE, KNOWN_MODELS
from leadout_build.site.errors import BuildError
from leadout_build.site.replacing import check_replaceable, replacing
from leadout_build.site.vendor import LICENCES_FILE

WORKERS_SCRIPT = Path(__file__).with_name("bundle_workers.mjs")

#: The module that the package has its own version of.
PLACES = "places.js"

#: Bundlers inline files below 4 kB (Vite) or 8 kB (webpack, if configured) into scripts.
SMALLEST_ASSET_BYTES = 8192

#: Fields of package.json that are only about this repository.
_OWN_FIELDS = ("devDependencies", "private", "scripts")

#: The workers that workers start: name in `Assets` of web/assets.js → file.
_HELPING_WORKERS = {"hash_worker": "hash_worker.js", "template_worker": "template_worker.js"}

#: Entry points that are bundled into one file with all modules that they load (half of the engine).
_BUNDLED_ENTRIES = ("./python",)

#: Names in assets/ for files whose name on the site is vague or not unique.
_NAMES = {"index.json": "kernels.json", "sources.json": "kernel_sources.json"}

#: Vite's development server reads every module that a worker loads. It refuses a module that
#: imports a missing package (Pyodide does, only for Node), and warns of a missing source map.
_FOR_DEVELOPMENT = (
    (re.compile(rb'import\("ws"\)'), b'import(/* @vite-ignore */ ["ws"][0])'),
    (re.compile(rb"\n//# sourceMappingURL=\S+\s*\Z"), b"\n"),
)

_COMMENT = re.compile(r"/\*.*?\*/|^\s*//[^\n]*", re.DOTALL | re.MULTILINE)
_IMPORT = re.compile(r"""(?:\bfrom\s*|\bimport\s*\(?\s*)["'](\.[^"']+)["']""")

_PLACES_MODULE = """\
/**
 * Where this package has its files; written by the build. A bundler that knows
 * `new URL("./file", import.meta.url)` copies each file and puts its address here.
 *
 * @module places
 */

export const PLACES = {
  worker: %(worker)s,
  puller: %(puller)s,
  assets: {
%(assets)s
  },
  knownModels: %(known_models)s,
  site: null,
  version: %(version)s,
};
"""


def build_package(out: Path, site: Path, root: Path = ROOT) -> None:
    """Write the folder to `npm pack`.

    Args:
        out: the folder to write; if it exists, it must be an earlier package or empty.
        site: a site that `build_site` built from the same checkout.
        root: the checkout.

    Raises:
        BuildError: `site` is not a site, a part is missing or broken, or `out` has other content.
    """
    out = out.resolve()
    check_replaceable(out, f"assets/{ASSETS_FILE}", "package", "--package")
    try:
        app = site / json.loads((site / BUILD_FILE).read_text("utf-8"))["app"]
        assets = json.loads((app / ASSETS_FILE).read_text("utf-8"))
    except (OSError, ValueError, KeyError) as error:
        raise BuildError(f"{site} is not a built site ({error})") from error
    with replacing(out) as package:
        _assemble(package, app, assets, root)


def _assemble(package: Path, app: Path, assets: dict[str, Any], root: Path) -> None:
    web = root / "web"
    manifest = json.loads((web / "package.json").read_text("utf-8"))
    exports = manifest["exports"]
    entries = [
        entry["default"]
        for name, entry in exports.items()
        if name not in _BUNDLED_ENTRIES and "default" in entry
    ]
    for module in _modules(web, entries):
        target = package / module
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(web / module, target)

    folder = package / "assets"
    folder.mkdir()
    _run(["node", str(WORKERS_SCRIPT), str(web), str(folder)], "the workers")
    names: dict[str, Any] = {"version": manifest["version"]}
    for use, name in assets.items():
        if use in names or use == "wheel":  # not the wheel, whose sources are as large as the rest
            continue
        if use in _HELPING_WORKERS:
            names[use] = _HELPING_WORKERS[use]
        elif use == "sha256":
            names[use] = None  # bundled into hash_worker.js
        elif isinstance(name, str):
            names[use] = _copy_asset(app / name, folder)
        elif isinstance(name, list):
            names[use] = [_copy_asset(app / one, folder) for one in name]
        else:
            names[use] = name
    known_models = json.loads((web / "hub" / KNOWN_MODELS).read_text("utf-8"))
    (package / PLACES).write_bytes(_places(names, known_models).encode())
    for path in folder.iterdir():
        if path.stat().st_size < SMALLEST_ASSET_BYTES:
            size = path.stat().st_size
            raise BuildError(
                f"assets/{path.name} has {size} bytes; bundlers would write what is below "
                f"{SMALLEST_ASSET_BYTES} into the page's script, which a strict policy forbids"
            )
    (folder / ASSETS_FILE).write_bytes(_json(names))

    tsc = web / "node_modules/typescript/bin/tsc"
    declarations = ["--noEmit", "false", "--declaration", "--emitDeclarationOnly"]
    types = ["--outDir", str(package / "types")]
    _run(["node", str(tsc), "-p", str(web), *declarations, *types], "the types")
    for path in web.glob("*.d.ts"):  # declarations without a module
        if f"./types/{path.name}" in (entry["types"] for entry in exports.values()):
            shutil.copyfile(path, package / "types" / path.name)
    for text in (web / "README.md", root / "LICENSE", root / "NOTICE"):
        shutil.copyfile(text, package / text.name)
    shutil.copyfile(web / "adapters/README.md", package / "adapters/README.md")
    (licences,) = app.parent.glob(f"vendor-*/{LICENCES_FILE}")
    shutil.copyfile(licences, package / LICENCES_FILE)
    (package / "package.json").write_bytes(_json(_manifest(manifest, package)))


def _modules(web: Path, entries: list[str]) -> list[str]:
    """Return the entry points and all modules that they load, by path in web/."""
    found: set[str] = set()
    waiting = [web / entry for entry in entries]
    while waiting:
        path = waiting.pop().resolve()
        if not path.is_file():
            raise BuildError(f"{path} is missing, and a module of the package loads it")
        name = path.relative_to(web.resolve()).as_posix()
        if name not in found:
            found.add(name)
            code = _COMMENT.sub("", path.read_text("utf-8"))
            waiting += [path.parent / loaded for loaded in _IMPORT.findall(code)]
    return sorted(found)


def _copy_asset(source: Path, folder: Path) -> str:
    """Copy a file into assets/ and return its name there.

    Modules get the suffix .js, because some servers do not know .mjs, and browsers refuse a module
    with an unknown media type.
    """
    name = re.sub(r"\.mjs$", ".js", _NAMES.get(source.name, source.name))
    if (folder / name).exists():
        raise BuildError(f"two assets are called {name}")
    content = source.read_bytes()
    if name.endswith(".js"):
        for pattern, text in _FOR_DEVELOPMENT:
            content = pattern.sub(text, content)
    (folder / name).write_bytes(content)
    return name


def _places(names: Mapping[str, Any], known_models: object) -> str:
    lines = []
    for use, name in names.items():
        if isinstance(name, str) and use != "version":
            value = _url(name)
        elif isinstance(name, list):
            value = f"[{', '.join(map(_url, name))}]"
        else:
            value = json.dumps(name)
        lines.append(f"    {use}: {value},")
    return _PLACES_MODULE % {
        "worker": _url("worker.js"),
        "puller": _url("puller.js"),
        "assets": "\n".join(lines),
        "known_models": json.dumps(known_models, ensure_ascii=False),
        "version": json.dumps(names["version"]),
    }


def _url(name: str) -> str:
    return f'new URL("./assets/{name}", import.meta.url).href'


def _manifest(manifest: Mapping[str, Any], package: Path) -> dict[str, Any]:
    """Return the package's own package.json."""
    own = {key: value for key, value in manifest.items() if key not in _OWN_FIELDS}
    effects = [path for path in own["sideEffects"] if (package / path).is_file()]
    exports = {**own["exports"], "./assets/*": "./assets/*", "./package.json": "./package.json"}
    return {**own, "exports": exports, "sideEffects": effects}


def _run(command: list[str], what: str) -> None:
    try:
        subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    except FileNotFoundError as error:
        raise BuildError("there is no `node`; the build needs Node.js 20 or newer") from error
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip() or error.stdout.strip())[:1000]
        raise BuildError(f"{what} of the package could not be built: {said}") from error


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"
