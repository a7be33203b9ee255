"""Assembling the npm package (leadout_build.site.package), and what `npm pack` makes of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from leadout_build.site.errors import BuildError
from leadout_build.site.package import SMALLEST_ASSET_BYTES, build_package
from packed import install, new_project, serve_in_vite
from parallel import IN_SUMMARY

REPOSITORY = Path(__file__).parents[2]

#: What peers ship with theirs is larger by far; and an install is waited for.
MAX_PACKED_BYTES = 8 << 20

#: A page in TypeScript, as strict as it can be asked for.
PAGE = """\
import { Leadout, LeadoutError, type Engine } from "leadout";
import { LeadoutChat, LeadoutModels } from "leadout/define";
import { createFakeEngine, FakeWorker } from "leadout/testing";

const engine: Engine = await Leadout.load({ model: "gemma-4-e2b", assets: "/assets/" });
const messages = [{ role: "user" as const, content: "Hello" }];
const stream = await engine.chat.completions.create({ messages, stream: true });
for await (const chunk of stream) {
  const text: string | null | undefined = chunk.choices[0].delta.content;
  console.log(text);
}
const fake = await createFakeEngine({ text: " Hello." }, { worker: new FakeWorker() });
const text: string = (await fake.completions.create({ prompt: "x" })).choices[0].text;
new LeadoutChat().engine = fake;
Object.assign(new LeadoutModels(), { open: true }).hub = () => ({ token: text });
try {
  await Leadout.models.pull("hf:owner/name", { assets: new URL("https://cdn.example/") });
} catch (error) {
  if (error instanceof LeadoutError) console.log(error.name, text);
}
// @ts-expect-error: there is no such option
await Leadout.load({ modell: "gemma-4-e2b" });
"""

TSCONFIG = {
    "compilerOptions": {
        "target": "ES2023",
        "module": "ES2022",
        "moduleResolution": "bundler",
        "strict": True,
        "noEmit": True,
        "skipLibCheck": False,
        "lib": ["ES2023", "DOM", "DOM.Iterable", "DOM.AsyncIterable"],
        "types": [],
    },
    "include": ["page.ts"],
}

#: Adapters that import what somebody who uses them has.
WITH_A_PEER = {"./langchain"}

#: Imports all entry points where there is no page, and says what is global afterwards.
IMPORT_ALL = """
const before = new Set(Object.getOwnPropertyNames(globalThis));
const timers = process.getActiveResourcesInfo().length;
for (const entry of ENTRIES) await import(entry);
const added = Object.getOwnPropertyNames(globalThis).filter((name) => !before.has(name));
console.log(JSON.stringify({ added, timers: process.getActiveResourcesInfo().length - timers }));
"""


@pytest.fixture(scope="module")
def package(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as an install leaves it."""
    return install(packed, tmp_path_factory.mktemp("project"))


def test_it_is_at_most_8_mib_before_weights(
    packed: Path, record_property: Callable[[str, object], None]
) -> None:
    size = packed.stat().st_size
    share = f"{size / (1 << 20):.2f} MiB of {MAX_PACKED_BYTES >> 20}"
    record_property(IN_SUMMARY, f"the npm package has {share}")
    assert size <= MAX_PACKED_BYTES
    with tarfile.open(packed) as archive:
        assert not [name for name in archive.getnames() if name.endswith((".gguf", ".safetensors"))]


def test_it_asks_for_nothing_and_runs_nothing_at_an_install(package: Path) -> None:
    manifest = json.loads((package / "package.json").read_text())
    gone = ("dependencies", "devDependencies", "optionalDependencies", "private", "scripts")
    assert [key for key in gone if key in manifest] == []
    optional = manifest.get("peerDependenciesMeta", {})
    assert all(optional[name]["optional"] for name in manifest.get("peerDependencies", {}))
    ours = json.loads((REPOSITORY / "web/package.json").read_text())
    assert (manifest["name"], manifest["version"]) == (ours["name"], ours["version"])
    assert "private" in ours  # web/ is not what is packed


def test_every_entry_point_and_its_types_are_there(package: Path) -> None:
    exports = json.loads((package / "package.json").read_text())["exports"]
    assert exports.keys() >= {".", "./define", "./testing", "./assets/*"}
    files = [
        path for entry in exports.values() if isinstance(entry, dict) for path in entry.values()
    ]
    assert len(files) >= 6
    assert [path for path in files if not (package / path).is_file()] == []


def test_every_asset_has_a_line_that_bundlers_understand(package: Path) -> None:
    lines = re.findall(
        r'new URL\("\./assets/([^"]+)", import\.meta\.url\)', (package / "places.js").read_text()
    )
    assert len(lines) == len(set(lines))
    assets = {path.name for path in (package / "assets").iterdir()}
    assert {*lines, "assets.json"} == assets
    for name in lines:
        assert (package / "assets" / name).stat().st_size >= SMALLEST_ASSET_BYTES, name


def test_assets_json_says_the_same_as_places_js(package: Path) -> None:
    script = (
        f"import {{ PLACES }} from {json.dumps(str(package / 'places.js'))};"
        f"import {{ resolveAssets }} from {json.dumps(str(REPOSITORY / 'web/assets.js'))};"
        "import { readFileSync } from 'node:fs';"
        "const url = new URL('./assets/assets.json', PLACES.worker.replace('/assets/', '/'));"
        "const listed = resolveAssets(JSON.parse(readFileSync(url)), url);"
        "console.log(JSON.stringify([PLACES.assets, listed]));"
    )
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", script],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    ours, listed = json.loads(done.stdout)
    assert ours == listed
    assert None not in {value for key, value in ours.items() if isinstance(value, str)}


def test_the_assets_are_those_that_their_type_names(package: Path) -> None:
    text = (REPOSITORY / "web/assets.js").read_text()
    declared = re.search(r"@typedef \{\{(version.*?)\}\} Assets", text, re.DOTALL)
    assert declared is not None
    fields = set(re.findall(r"(\w+): (?:string|Record)", declared[1]))
    assert fields == set(json.loads((package / "assets/assets.json").read_text()))


def test_workers_are_whole(package: Path) -> None:
    for name in ("worker.js", "puller.js", "hash_worker.js", "template_worker.js"):
        code = (package / "assets" / name).read_text()
        assert re.findall(r"""\bfrom ?["'][./]|\bimport ?["']""", code) == [], name


def test_what_goes_into_other_peoples_pyodide_is_one_file(package: Path) -> None:
    code = (package / "own_pyodide.js").read_text()
    assert set(re.findall(r"""\bfrom ?["']([./][^"']+)""", code)) == {"./places.js"}
    assert "installLeadout" in code


def test_importing_does_nothing_where_there_is_no_page(package: Path) -> None:
    script = package.parents[1] / "import.mjs"
    exports = json.loads((package / "package.json").read_text())["exports"]
    entries = [
        name
        for name, entry in exports.items()
        if isinstance(entry, dict) and "default" in entry  # "./react" has types alone
    ]
    names = [name.replace(".", "leadout", 1) for name in entries if name not in WITH_A_PEER]
    script.write_text(IMPORT_ALL.replace("ENTRIES", json.dumps(names)))
    done = subprocess.run(
        ["node", str(script)], capture_output=True, encoding="utf-8", check=True, cwd=script.parent
    )
    assert json.loads(done.stdout) == {"added": [], "timers": 0}
    assert done.stderr == ""


def test_a_strict_page_in_typescript_compiles(package: Path) -> None:
    project = package.parents[1]
    (project / "page.ts").write_text(PAGE)
    (project / "tsconfig.json").write_text(json.dumps(TSCONFIG))
    tsc = REPOSITORY / "web/node_modules/typescript/bin/tsc"
    done = subprocess.run(
        ["node", str(tsc), "-p", str(project)], check=False, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stdout


def test_its_readme_names_the_models_that_are_known(package: Path) -> None:
    models = json.loads((REPOSITORY / "web/hub/known_models.json").read_text())["models"]
    readme = (package / "README.md").read_text()
    assert [model["name"] for model in models if f"`{model['name']}`" not in readme] == []


def test_vites_development_server_takes_every_module_of_a_worker(
    packed: Path, tmp_path: Path
) -> None:
    project = new_project(packed, tmp_path / "project")
    modules = sorted((project / "node_modules/leadout/assets").glob("*.js"))
    assert len(modules) >= 8
    urls = [f"/node_modules/leadout/assets/{path.name}" for path in modules]
    assert serve_in_vite(project, ["/main.js", *urls]) == []
    # What is not there is complained of.
    (project / "wrong.js").write_text('import("no-such-package");\n')
    assert any("no-such-package" in text for text in serve_in_vite(project, ["/wrong.js"]))


def test_licences_go_along(package: Path) -> None:
    for name in ("LICENSE", "NOTICE", "THIRD_PARTY_LICENSES.txt", "README.md"):
        assert (package / name).stat().st_size > 0
    licences = (package / "THIRD_PARTY_LICENSES.txt").read_text()
    assert all(name in licences for name in ("pyodide", "hash-wasm", "web-xgrammar", "CPython"))


def test_a_folder_of_other_things_is_not_replaced(site: Path, tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("dear diary")
    with pytest.raises(BuildError, match="choose another --package"):
        build_package(tmp_path, site)
    with pytest.raises(BuildError, match="is not a folder"):
        build_package(tmp_path / "diary.txt", site)
    with pytest.raises(BuildError, match="is not a built site"):
        build_package(tmp_path / "out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of web/ that a test may break."""
    root = tmp_path / "checkout"
    ignored = shutil.ignore_patterns("node_modules", "kernels")
    shutil.copytree(REPOSITORY / "web", root / "web", ignore=ignored)
    (root / "web/node_modules").symlink_to(REPOSITORY / "web/node_modules")
    for name in ("LICENSE", "NOTICE"):
        shutil.copyfile(REPOSITORY / name, root / name)
    return root


def test_a_module_that_is_missing_is_named_and_the_old_package_stays(
    site: Path, checkout: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "assets").mkdir(parents=True)
    (out / "assets/assets.json").write_text("{}")
    (checkout / "web/client/stream.js").unlink()
    with pytest.raises(BuildError, match=r"stream\.js is missing"):
        build_package(out, site, checkout)
    assert [path.name for path in out.iterdir()] == ["assets"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_worker_that_does_not_build_is_an_error(
    site: Path, checkout: Path, tmp_path: Path
) -> None:
    (checkout / "web/worker.js").write_text("import './nowhere.js'; (")
    with pytest.raises(BuildError, match=r"(?s)the workers .* could not be built.*worker\.js"):
        build_package(tmp_path / "out", site, checkout)


def test_an_asset_that_bundlers_would_inline_is_an_error(
    site: Path, checkout: Path, tmp_path: Path
) -> None:
    (checkout / "web/template_worker.js").write_text("addEventListener('message', () => {});")
    with pytest.raises(BuildError, match=r"template_worker\.js has \d+ bytes"):
        build_package(tmp_path / "out", site, checkout)
