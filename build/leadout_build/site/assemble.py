"""Assembles dist/: the whole site, for any static host and any sub-path.

    index.html, page.js, …   static/, byte for byte; the policy is added to pages
    docs/                    the documentation, see documentation.py
    leadout.js, define.js, … stable URLs of modules that have a hash in their own URL
    app-<hash>/              web/, kernels/, assets.json, desk.json; python/ with our packages,
                             compiled for the Pyodide in vendor, and the engine as a wheel for
                             other people's Pyodide
    vendor-<hash>/           third-party files, see vendor.py
    models/                  the built-in models, with the list of them that the page reads
    _headers                 the policy, for static hosts that read such a file; workers get their
                             policy only from a header
    build.json               version, hashes, allowed origins, and the SHA-256 of every file

A folder's hash covers all of its content, so it may be cached for ever. The same sources give the
same bytes. A site is built in a folder beside `out`, which replaces `out` at the end. If a build
fails, the old site stays.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import leadout
from leadout_build import ROOT
from leadout_build.site.compiled import compile_archives
from leadout_build.site.documentation import write_documentation
from leadout_build.site.errors import BuildError
from leadout_build.site.kernels import INDEX, SOURCES, build_kernels
from leadout_build.site.policy import check_origin, site_policy, with_policy
from leadout_build.site.replacing import check_replaceable, replacing
from leadout_build.site.vendor import package_of, vendor
from leadout_build.site.wheel import build_wheel
from leadout_build.store.built_in import DRAFTERS, built_in_models

#: Files of web/ that no page loads. Kernels are rendered first. "types" is only for the npm
#: package, and so is the adapter that imports another package.
WEB_LEFT_OUT = ("node_modules", "kernels", "types", "examples", "langchain", "langchain.js")

#: The folder of the built-in models in a checkout; keep in step with `FOLDER` in built_in.py.
MODELS_FOLDER = "build/leadout_build/store/nano"

#: Texts that pages link to; the last is Nano's model card.
TEXTS = {
    "nano/README.md": "build/nano/README.md",
    "nano/model/README.md": f"{MODELS_FOLDER}/README.md",
}

#: A file in web/hub, the only data among the modules.
KNOWN_MODELS = "known_models.json"

BUILD_FILE = "build.json"

#: A file in app-<hash>/: the list of the engine's files that are not modules.
ASSETS_FILE = "assets.json"
HEADERS_FILE = "_headers"
_HEADERS = """\
/*
  Content-Security-Policy: {policy}
  Referrer-Policy: no-referrer
  X-Content-Type-Options: nosniff
"""
ENTRY_POINTS = {
    "leadout.js": "index.js",
    "define.js": "widget/define.js",
    "desk_parts.js": "desk/index.js",
    "python.js": "own_pyodide.js",
}

#: A file in app-<hash>/: the files that only the finance desk uses. Keep in step with
#: web/desk/files.js.
DESK_FILE = "desk.json"
HASH_DIGITS = 16


def build_site(out: Path, root: Path = ROOT, allow_origins: Sequence[str] = ()) -> None:
    """Build the site.

    Args:
        out: the folder to write; if it exists, it must be an earlier build or empty.
        root: the checkout to build.
        allow_origins: other origins that its pages may fetch models from, beside the hub's.

    Raises:
        RequestError: an origin is invalid.
        BuildError: there are no sources, the sources are broken, or `out` has other content.
    """
    if not (root / "web/kernels").is_dir():
        raise BuildError(
            "A build needs Leadout's repository, and this is an installed package without sources. "
            "Its site is built already: `leadout serve` serves it. To build another, run `make "
            "build` in a clone of the repository."
        )
    origins = [check_origin(text) for text in allow_origins]
    out = out.resolve()
    check_replaceable(out, BUILD_FILE, "build", "--out")
    with replacing(out) as site:
        _assemble(site, root, origins)


def allowed_origins(site: Path) -> list[str]:
    """Return the origins that a site was built with, checked; empty if the site has no list."""
    try:
        facts = json.loads((site / BUILD_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return []
    origins = facts.get("allow_origins", []) if isinstance(facts, dict) else []
    return [check_origin(str(text)) for text in origins] if isinstance(origins, list) else []


def _assemble(site: Path, root: Path, allow_origins: Sequence[str]) -> None:
    policy = site_policy(allow_origins)
    shutil.copytree(root / "static", site, dirs_exist_ok=True)
    write_documentation(root, site, TEXTS)
    for page in site.rglob("*.html"):
        page.write_bytes(with_policy(page.read_bytes().decode(), policy).encode())
    for name, source in TEXTS.items():
        copy = site / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / source, copy)
    node_modules = root / "web/node_modules"

    vendor_folder = site / "vendor"
    vendor_folder.mkdir()
    vendored = vendor(vendor_folder, node_modules, root / ".cache")
    vendor_folder = _add_hash(vendor_folder)

    app = site / "app"
    shutil.copytree(root / "web", app, ignore=_left_out_of_web)
    (app / "kernels").mkdir()
    with tempfile.TemporaryDirectory() as folder:
        build_kernels(root / "web/kernels", Path(folder), node_modules)
        for name in (INDEX, SOURCES):
            shutil.copyfile(Path(folder, name), app / "kernels" / name)
    (app / "python").mkdir()
    with tempfile.TemporaryDirectory() as folder:
        wheels = [
            build_wheel(root / "pyapp" / name, Path(folder)) for name in ("leadout", "leadout_desk")
        ]
        package, desk = (package_of(wheel, app / "python") for wheel in wheels)
        shutil.copy(wheels[0], app / "python")
        compile_archives([package, desk], node_modules / "pyodide", root / ".cache/python")
    beside = f"../{vendor_folder.name}/"
    # Keep in step with `Assets` in web/assets.js.
    assets: dict[str, Any] = {
        "version": leadout.__version__,
        **{use: beside + name for use, name in vendored.files.items()},
        "lock": vendored.lock,
        "packages": [f"python/{package.out.name}"],
        "wheel": f"python/{wheels[0].name}",
        "kernels_index": f"kernels/{INDEX}",
        "kernels_sources": f"kernels/{SOURCES}",
        "template_worker": "template_worker.js",
        "hash_worker": "store/hash_worker.js",
    }
    _write_json(app / ASSETS_FILE, assets)
    desk_files = {
        "packages": [*assets["packages"], f"python/{desk.out.name}"],
        **{use: beside + name for use, name in vendored.desk_files.items()},
    }
    _write_json(app / DESK_FILE, desk_files)
    app = _add_hash(app)

    for stable, module in ENTRY_POINTS.items():
        if not (app / module).is_file():
            raise BuildError(f"web/{module} is missing; {stable} stands for it")
        (site / stable).write_bytes(f'export * from "./{app.name}/{module}";\n'.encode())
    _add_models(site / "models", root / MODELS_FOLDER)
    (site / HEADERS_FILE).write_bytes(_HEADERS.format(policy=policy).encode())
    facts = {
        "version": leadout.__version__,
        "allow_origins": list(allow_origins),
        "app": app.name,
        "vendor": vendor_folder.name,
        "files": _hashes(site),
    }
    _write_json(site / BUILD_FILE, facts)


def _add_models(out: Path, folder: Path) -> None:
    """Write the built-in models as `leadout serve` serves them, for static hosts."""
    for name in (*DRAFTERS, *DRAFTERS.values()):
        if not (folder / f"{name}.gguf").is_file():
            raise BuildError(f"{folder} lacks {name}.gguf; restore it with `git checkout`")
    entries: list[dict[str, object]] = []
    for model in built_in_models(folder):
        entries.append(
            {
                **_add_model(out, model.name, model.files),
                "drafter": _add_model(out, model.drafter_name, model.drafter_files),
                "default": not entries,
            }
        )
    _write_json(out / "index.json", {"models": entries})


def _add_model(out: Path, name: str, files: Mapping[str, Path]) -> dict[str, object]:
    """Copy a model's files; return its entry of models/index.json (see serving/server.py)."""
    folder = out / name
    folder.mkdir(parents=True)
    for file, path in files.items():
        shutil.copyfile(path, folder / file)
    sizes = {file: path.stat().st_size for file, path in files.items()}
    hashes = _hashes(folder)
    return {
        "name": name,
        "bytes": sum(sizes.values()),
        "files": [
            {"name": file, "bytes": sizes[file], "sha256": hashes[file]} for file in sorted(sizes)
        ],
    }


def _left_out_of_web(folder: str, names: list[str]) -> list[str]:
    """Return the names that shutil.copytree must skip: neither modules nor folders of modules."""
    return [
        name
        for name in names
        if name in WEB_LEFT_OUT
        or not (name.endswith(".js") or name == KNOWN_MODELS or Path(folder, name).is_dir())
    ]


def _hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file in a folder and its subfolders, by path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _add_hash(folder: Path) -> Path:
    """Rename a folder to <name>-<hash of its content>, and return the new path."""
    content = json.dumps(_hashes(folder), sort_keys=True).encode()
    digest = hashlib.sha256(content).hexdigest()[:HASH_DIGITS]
    return folder.rename(folder.with_name(f"{folder.name}-{digest}"))


def _write_json(path: Path, value: object) -> None:
    path.write_bytes(json.dumps(value, indent=1).encode() + b"\n")
