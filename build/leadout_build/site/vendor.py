"""Collects the site's third-party files: Pyodide, and libraries in JavaScript.

npm has installed them in web/node_modules (package-lock.json has their versions and hashes).
Nothing is fetched when the site is built or runs.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from leadout_build.site.compiled import (
    PACKAGES_FOLDER,
    STDLIB,
    Archive,
    compile_archives,
    stdlib_archive,
)
from leadout_build.site.errors import BuildError

LICENCES = Path(__file__).with_name("licences")

LOCK = "pyodide-lock.json"
PYODIDE_FILES = (
    "pyodide.mjs",
    "pyodide.asm.mjs",
    "pyodide.asm.wasm",
    STDLIB,
    LOCK,
)
TOKENIZERS_FILE = "tokenizers.min.mjs"
SHA256_FILE = "sha256.umd.min.js"
JINJA_FILE = "jinja.mjs"
XGRAMMAR_FILE = "xgrammar.js"
MARKDOWN_FILE = "markdown-it.js"
PURIFY_FILE = "purify.js"
UPLOT_FILE = "uplot.js"
UPLOT_STYLE_FILE = "uplot.css"
#: The packages inside markdown-it's bundle for browsers.
BUNDLED_IN_MARKDOWN = ("linkify-it", "mdurl", "uc.micro", "entities", "punycode.js")
LICENCES_FILE = "THIRD_PARTY_LICENSES.txt"


@dataclass(frozen=True)
class Vendored:
    """The files that `vendor` wrote.

    Attributes:
        files: use → path relative to the folder; the uses are those of `Assets` in web/assets.js.
        desk_files: the same for files that only the finance desk uses; the npm package has none.
        lock: Pyodide's lock file, without packages that it could fetch.
    """

    files: Mapping[str, str]
    desk_files: Mapping[str, str]
    lock: Mapping[str, object]


def vendor(out: Path, node_modules: Path, cache: Path) -> Vendored:
    """Write Pyodide, libraries in JavaScript, and their licences.

    The standard library is compiled (see compiled.py).

    Args:
        out: an existing empty folder.
        node_modules: web/node_modules.
        cache: the folder that keeps compiled Python between builds; created if missing.

    Raises:
        BuildError: an npm package is missing.
    """
    pyodide = _npm_package(node_modules, "pyodide")
    tokenizers = _npm_package(node_modules, "@huggingface/tokenizers")
    hash_wasm = _npm_package(node_modules, "hash-wasm")
    jinja = _npm_package(node_modules, "@huggingface/jinja")
    xgrammar = _npm_package(node_modules, "@mlc-ai/web-xgrammar")
    markdown = _npm_package(node_modules, "markdown-it")
    bundled = [_npm_package(node_modules, name) for name in BUNDLED_IN_MARKDOWN]
    purify = _npm_package(node_modules, "dompurify")
    uplot = _npm_package(node_modules, "uplot")
    (out / "pyodide").mkdir()
    for name in PYODIDE_FILES:
        if name not in (STDLIB, LOCK):
            shutil.copyfile(pyodide / name, out / "pyodide" / name)
    # Empty Pyodide's list of packages to fetch, because the site has all that it needs.
    lock = {**json.loads((pyodide / LOCK).read_text("utf-8")), "packages": {}}
    (out / "pyodide" / LOCK).write_bytes(json.dumps(lock).encode())
    shutil.copyfile(tokenizers / "dist" / TOKENIZERS_FILE, out / TOKENIZERS_FILE)
    shutil.copyfile(hash_wasm / "dist" / SHA256_FILE, out / SHA256_FILE)
    shutil.copyfile(jinja / "dist" / "index.js", out / JINJA_FILE)
    # The script contains its WebAssembly, as base64.
    shutil.copyfile(xgrammar / "lib" / "index.js", out / XGRAMMAR_FILE)
    # Some static hosts do not serve a .mjs file as a script.
    _copy_module(markdown / "dist/browser/markdown-it.esm.min.mjs", out / MARKDOWN_FILE)
    _copy_module(purify / "dist/purify.es.mjs", out / PURIFY_FILE)
    _copy_module(uplot / "dist/uPlot.esm.js", out / UPLOT_FILE)
    shutil.copyfile(uplot / "dist/uPlot.min.css", out / UPLOT_STYLE_FILE)
    stdlib = stdlib_archive(pyodide, out / "pyodide" / STDLIB)
    compile_archives([stdlib], pyodide, cache / "python")
    libraries = (tokenizers, hash_wasm, jinja, xgrammar, markdown, *bundled, purify, uplot)
    licences = "\n".join(_licences(pyodide, libraries))
    (out / LICENCES_FILE).write_bytes(licences.encode())
    files = {
        "pyodide": "pyodide/pyodide.mjs",
        "pyodide_module": "pyodide/pyodide.asm.mjs",
        "pyodide_wasm": "pyodide/pyodide.asm.wasm",
        "stdlib": f"pyodide/{STDLIB}",
        "tokenizers": TOKENIZERS_FILE,
        "sha256": SHA256_FILE,
        "jinja": JINJA_FILE,
        "xgrammar": XGRAMMAR_FILE,
        "markdown": MARKDOWN_FILE,
        "purify": PURIFY_FILE,
    }
    return Vendored(files, {"uplot": UPLOT_FILE, "uplot_style": UPLOT_STYLE_FILE}, lock)


def _copy_module(source: Path, out: Path) -> None:
    """Copy a module without the URL of its source map, which is not copied."""
    text = source.read_text("utf-8")
    out.write_bytes(re.sub(r"\n//# sourceMappingURL=\S+\s*$", "\n", text).encode())


def package_of(wheel: Path, out: Path) -> Archive:
    """Return a pure wheel as an archive of the site: <name>-<version>.zip, on Python's path."""
    name = "-".join(wheel.name.split("-")[:2]) + ".zip"
    return Archive(wheel, out / name, f"{PACKAGES_FOLDER}/{name}")


def _npm_package(node_modules: Path, name: str) -> Path:
    package = node_modules / name
    if not (package / "package.json").is_file():
        raise BuildError(f"{node_modules} has no package {name}; run `make setup`")
    return package


def _licences(pyodide: Path, libraries: Sequence[Path]) -> Iterator[str]:
    """Yield each part of THIRD_PARTY_LICENSES.txt."""
    yield "This folder holds works of others, each under its own licence:\n"
    for package, text in (
        (pyodide, LICENCES / "MPL-2.0.txt"),
        *((library, _licence_of(library)) for library in libraries),
    ):
        facts = json.loads((package / "package.json").read_text("utf-8"))
        repository = facts["repository"]
        url = repository if isinstance(repository, str) else repository["url"]
        # npm's short form names a repository on GitHub.
        source = url.removeprefix("git+") if ":" in url else f"https://github.com/{url}"
        yield _section(f"{facts['name']} {facts['version']}", facts["license"], source)
        yield text.read_text("utf-8")
    yield _section("CPython (part of Pyodide)", "PSF-2.0", "https://www.python.org")
    yield (LICENCES / "CPython.txt").read_text("utf-8")


def _licence_of(library: Path) -> Path:
    """Return the file of a library's licence; our copy if the package only names the licence."""
    names = ("LICENSE", "LICENSE.txt", "LICENSE-MIT.txt")
    own = [library / name for name in names if (library / name).is_file()]
    return own[0] if own else LICENCES / "Apache-2.0.txt"


def _section(title: str, licence: str, source: str) -> str:
    return f"{'=' * 80}\n{title}\nLicence: {licence}\nSource: {source}\n{'=' * 80}\n"
