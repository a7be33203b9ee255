"""Assembling dist/ (leadout_build.site.assemble, leadout_build.site.vendor)."""

from __future__ import annotations

import hashlib
import html
import json
import re
from pathlib import Path

import pytest

import leadout
from leadout.errors import RequestError
from leadout_build.site import vendor
from leadout_build.site.assemble import MODELS_FOLDER, TEXTS, allowed_origins, build_site
from leadout_build.site.errors import BuildError
from leadout_build.site.policy import site_policy
from stand_in_nano import write_stand_in

REPOSITORY = Path(__file__).parents[2]

#: What a module loads: from "x", import "x", import("x"), new URL("x", import.meta.url)
LOADED = re.compile(
    r"""(?:\bfrom\s*|^import\s*|\bimport\s*\(\s*)["']([^"']+)["']"""
    r"""|\bnew\s+URL\(\s*["']([^"']+)["'],\s*import\.meta\.url""",
    re.MULTILINE,
)

META_POLICY = re.compile(r'\n    <meta http-equiv="Content-Security-Policy" content="([^"]*)">')


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def dist(site: Path) -> Path:
    """This repository's site, which no test here changes."""
    return site


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small checkout with one kernel and one module, which a test may break."""
    root = tmp_path / "checkout"
    (root / "static").mkdir(parents=True)
    (root / "static/index.html").write_text('<!doctype html>\n    <meta charset="utf-8">\n')
    (root / "web/kernels").mkdir(parents=True)
    (root / "web/kernels/variants.toml").write_text("[nothing]\n")
    kernel = root / "web/kernels/nothing.wgsl"
    kernel.write_text("@compute @workgroup_size(1) fn main() {}\n")
    (root / "web/widget").mkdir()
    (root / "web/index.js").write_text("export const answer = 42;\n")
    (root / "web/desk").mkdir()
    (root / "web/desk/index.js").write_text("export {};\n")
    (root / "web/own_pyodide.js").write_text("export {};\n")
    (root / "web/widget/define.js").write_text("export {};\n")
    (root / "web/package.json").write_text("{}\n")
    write_stand_in(root / MODELS_FOLDER)
    for text in TEXTS.values():
        (root / text).parent.mkdir(parents=True, exist_ok=True)
        (root / text).write_text(f"# {text}\n")
    for shared in ("web/node_modules", "pyapp", ".cache"):
        (root / shared).symlink_to(REPOSITORY / shared, target_is_directory=True)
    return root


def test_two_builds_give_identical_trees(dist: Path, checkout: Path, tmp_path: Path) -> None:
    build_site(tmp_path / "one", checkout)
    build_site(tmp_path / "a/folder/below/two", checkout)
    assert tree(tmp_path / "one") == tree(tmp_path / "a/folder/below/two")


def test_building_over_an_old_site_leaves_nothing_of_it(
    dist: Path, checkout: Path, tmp_path: Path
) -> None:
    out = tmp_path / "dist"
    build_site(out, checkout)
    old = set(tree(out))
    (checkout / "web/index.js").write_text("export const answer = 43;\n")
    build_site(out, checkout)
    assert {name for name in old & set(tree(out)) if name.startswith("app-")} == set()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_failed_build_leaves_the_old_site(dist: Path, checkout: Path, tmp_path: Path) -> None:
    out = tmp_path / "dist"
    build_site(out, checkout)
    before = tree(out)
    (checkout / "web/kernels/nothing.wgsl").write_text("fn main( {}\n")
    with pytest.raises(BuildError, match=r"nothing\.wgsl:1"):
        build_site(out, checkout)
    assert tree(out) == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("name", ["index.js", "widget/define.js", "desk/index.js"])
def test_an_entry_point_must_be_there(checkout: Path, tmp_path: Path, name: str) -> None:
    (checkout / "web" / name).unlink()
    with pytest.raises(BuildError, match=re.escape(f"web/{name} is missing")):
        build_site(tmp_path / "dist", checkout)


def test_a_folder_of_other_things_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("dear diary")
    with pytest.raises(BuildError, match="choose another --out"):
        build_site(tmp_path)
    with pytest.raises(BuildError, match="is not a folder"):
        build_site(tmp_path / "diary.txt")
    assert (tmp_path / "diary.txt").read_text() == "dear diary"


def test_static_files_are_copied_byte_for_byte_but_for_the_pages_policy(dist: Path) -> None:
    built = tree(dist)
    for name, content in tree(REPOSITORY / "static").items():
        if name.startswith("docs/") and name.endswith(".md"):
            assert name not in built  # it became a page
        elif not name.endswith(".html"):
            assert built[name] == content
        else:
            assert META_POLICY.sub("", built[name].decode()).encode() == content


def test_every_page_states_the_policy_before_it_loads_anything(dist: Path) -> None:
    pages = {name: content.decode() for name, content in tree(dist).items() if ".html" in name}
    assert {"index.html", "bench.html", "docs/index.html", "docs/figures.html"} <= set(pages)
    for name, page in pages.items():
        (policy,) = META_POLICY.findall(page)
        # All that the header says, but for what a page cannot say itself.
        assert html.unescape(policy) + "; frame-ancestors 'self'" == site_policy()
        loading = [tag for tag in ("<link", "<script", "<title") if tag in page]
        assert page.index(policy) < min(page.index(tag) for tag in loading)
        if name.startswith("docs/"):
            assert "<script" not in page
            assert " style=" not in page


def test_links_of_the_documentation_lead_to_files_of_the_site(dist: Path) -> None:
    pages = sorted((dist / "docs").glob("*.html"))
    assert len(pages) > 10
    for path in pages:
        for link in re.findall(r'(?:href|src)="([^"#]+)', path.read_text("utf-8")):
            if not link.startswith("https:"):
                target = path.parent / link
                assert (target / "index.html" if link.endswith("/") else target).is_file(), link


def test_a_page_without_a_place_for_the_policy_is_not_built(checkout: Path, tmp_path: Path) -> None:
    (checkout / "static/other.html").write_text("<!doctype html>\n")
    with pytest.raises(BuildError, match="the policy stands behind it"):
        build_site(tmp_path / "dist", checkout)


def test_build_json_has_every_file_with_its_hash(dist: Path) -> None:
    facts = json.loads((dist / "build.json").read_text())
    files = tree(dist)
    del files["build.json"]
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    assert facts["files"] == hashes
    assert {name.split("/")[0] for name in files if "/" in name} >= {facts["app"], facts["vendor"]}


def test_a_build_remembers_the_origins_that_it_allows(checkout: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build_site(out, checkout, ["https://Models.example/"])
    assert allowed_origins(out) == ["https://models.example"]
    headers = (out / "_headers").read_text()
    policy = site_policy(["https://models.example"])
    assert f"\n  Content-Security-Policy: {policy}\n" in headers
    (stated,) = META_POLICY.findall((out / "index.html").read_text())
    assert html.unescape(stated) + "; frame-ancestors 'self'" == policy
    with pytest.raises(RequestError, match="is not an origin"):
        build_site(out, checkout, ["models.example"])
    assert allowed_origins(tmp_path) == []


def test_the_app_holds_no_sources_of_the_build(dist: Path) -> None:
    names = tree(dist)
    suffixes = {Path(name).suffix for name in names if name.startswith("app-")}
    assert suffixes == {".js", ".json", ".zip", ".whl"}
    wheels = [name for name in names if name.endswith(".whl")]  # for people's own Pyodide
    assert len(wheels) == 1
    assert not [name for name in names if "package.json" in name or "variants.toml" in name]


def test_assets_name_files_that_are_there(dist: Path) -> None:
    app = dist / json.loads((dist / "build.json").read_text())["app"]
    assets = json.loads((app / "assets.json").read_text())
    for name in vendor.PYODIDE_FILES:
        assert (app / assets["pyodide"]).with_name(name).is_file()
    assert assets.pop("version") == leadout.__version__
    named = {use for use, name in assets.items() if isinstance(name, str)}
    assert named >= {"tokenizers", "jinja", "markdown", "purify", "kernels_index", "hash_worker"}
    assert all((app / assets[use]).is_file() for use in named)
    assert assets["lock"]["packages"] == {}
    projects = [re.sub(r"-.*", "", Path(package).name) for package in assets["packages"]]
    assert projects == ["leadout"]
    assert all((app / package).is_file() for package in assets["packages"])


def test_modules_load_what_is_there_by_relative_address_only(dist: Path) -> None:
    checked = 0
    for path in dist.rglob("*.js"):
        code = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
        code = re.sub(r"^\s*//.*", "", code, flags=re.MULTILINE)
        for loaded in (module or url for module, url in LOADED.findall(code)):
            if (path.name, loaded) == ("xgrammar.js", "module"):
                continue  # Node's own, asked for in Node alone
            assert not re.match(r"/|\w+:", loaded), f"{path.name} loads {loaded}"
            assert (path.parent / loaded).exists(), f"{path.name} loads {loaded}"
            checked += 1
    assert checked > 10


def test_pages_load_nothing_from_elsewhere(dist: Path) -> None:
    tag = r"""<(?:script|link|img|iframe|source|form)\b[^>]*=["'\s]*(?:\w+:)?//"""
    style = r"""(?:@import\s*|\burl\(\s*)["']?(?:\w+:)?//"""
    for path in [*dist.rglob("*.html"), *dist.rglob("*.css"), *dist.rglob("*.svg")]:
        assert re.findall(f"{tag}|{style}", path.read_text()) == [], path.name


def test_the_built_in_models_lie_where_a_static_host_serves_them(
    dist: Path, checkout: Path, tmp_path: Path
) -> None:
    models = checkout / MODELS_FOLDER
    out = tmp_path / "dist"
    build_site(out, checkout)
    (nano,) = json.loads((out / "models/index.json").read_text())["models"]
    assert (nano["name"], nano["default"]) == ("nano", True)
    assert nano["drafter"]["name"] == "nano-assistant"
    for model in (nano, nano["drafter"]):
        (file,) = model["files"]
        content = (out / "models" / model["name"] / file["name"]).read_bytes()
        assert content == (models / file["name"]).read_bytes()
        assert file["bytes"] == model["bytes"] == len(content)
        assert file["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_checkout_that_lost_a_built_in_model_is_not_built(checkout: Path, tmp_path: Path) -> None:
    (checkout / MODELS_FOLDER / "nano-assistant.gguf").unlink()
    with pytest.raises(BuildError, match=r"lacks nano-assistant\.gguf"):
        build_site(tmp_path / "dist", checkout)


def test_licences_of_all_that_is_vendored_go_along(dist: Path) -> None:
    (licences,) = dist.glob(f"vendor-*/{vendor.LICENCES_FILE}")
    titles = re.findall(r"^={80}\n(\S+).*\nLicence:", licences.read_text(), re.MULTILINE)
    assert titles == [
        *("pyodide", "@huggingface/tokenizers", "hash-wasm", "@huggingface/jinja"),
        *("@mlc-ai/web-xgrammar", "markdown-it", *vendor.BUNDLED_IN_MARKDOWN),
        *("dompurify", "uplot", "CPython"),
    ]
    notice = (REPOSITORY / "NOTICE").read_text("utf-8")
    listed = re.search(r"THIRD_PARTY_LICENSES\.txt there:\n\n((?:- .*\n)+)", notice)
    assert listed is not None
    # Names begin an entry, or follow "with" and "and" in it; licences are in brackets.
    names = re.split(r"\n?- |, (?:with |and )?| and ", re.sub(r" \([^)]*\)", "", listed[1]).strip())
    wanted = {title.lower() for title in titles if title != "CPython"}
    assert {name.lower() for name in names if name} == wanted | {"cpython's standard library"}


def test_a_missing_npm_package_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="run `make setup`"):
        vendor.vendor(tmp_path, tmp_path, tmp_path)
