"""Promises that the whole tree keeps: what is listed exists, and nothing stays behind."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import leadout
from leadout_build.site.kernels import LISTS_KEY

REPOSITORY = Path(__file__).parents[2]
KERNELS = REPOSITORY / "web/kernels"

MAX_LINES = 500
MAX_BYTES = 4 << 20

#: Nano's weights ship with the repository; tests/unit/test_built_in.py bounds their size.
LARGE = ("build/leadout_build/store/nano/*.gguf",)

# Written so that this file does not contain what it looks for.
LEFT_BEHIND = {
    "a path of one machine": r"(?<![\w.])/(?:work|farm|root|home/\w+)/",
    "a registry's host": r"(?:py(?:pi)|npm(?:js)|debi(?:an)|python(?:hosted))\.(?:org|com)",
    "an unfinished piece": r"\b(?:TO(?:DO)|FIX(?:ME)|XX(?:X))\b|raise NotImplemented(?:Error)",
    "a skipped test": r"pytest\.(?:mark\.)?skip(?:if)?\b|importor(?:skip)",
}


def listed_files() -> list[Path]:
    """Return every file that is tracked, or would be."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    paths = [REPOSITORY / name for name in done.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def text_of(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        return None


@pytest.mark.parametrize("what", LEFT_BEHIND)
def test_no_file_holds(what: str) -> None:
    pattern = re.compile(LEFT_BEHIND[what])
    found = [
        f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()[:80]}"
        for path in listed_files()
        if (text := text_of(path)) is not None
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


def test_no_source_file_is_long() -> None:
    sources = [path for path in listed_files() if path.suffix in (".py", ".js", ".mjs", ".wgsl")]
    assert len(sources) > 50
    lengths = {path.name: len(path.read_text("utf-8").splitlines()) for path in sources}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_no_file_is_large() -> None:
    files = [
        path
        for path in listed_files()
        if not any(path.relative_to(REPOSITORY).match(pattern) for pattern in LARGE)
    ]
    large = {path.name: path.stat().st_size for path in files}
    assert {name: size for name, size in large.items() if size > MAX_BYTES} == {}


def test_every_kernel_has_its_parts() -> None:
    templates = {path.stem for path in KERNELS.glob("*.wgsl")}
    tables = set(tomllib.loads((KERNELS / "variants.toml").read_text("utf-8")))
    assert templates == tables - {LISTS_KEY}
    package = REPOSITORY / "pyapp/leadout"
    named = "".join(
        path.read_text("utf-8")
        for path in [
            *package.glob("lowering/*.py"),
            package / "layouts.py",
            *package.glob("checkpoint/load_plan.py"),
        ]
    )
    unused = [name for name in templates if not re.search(rf'"{name}[".{{]', named)]
    assert unused == []


def test_every_kernel_opens_with_a_comment_that_names_its_grid() -> None:
    for path in KERNELS.glob("*.wgsl"):
        text = path.read_text("utf-8")
        head = text[: re.search("@group|@compute", text).start()]
        assert re.search(r"^//.*\bGrid:", head, re.MULTILINE), f"{path.name} lacks its grid"


def test_every_module_and_function_that_is_public_has_a_docstring() -> None:
    for folder in ("pyapp", "build"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), path.name


def tree_of_contributing() -> str:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text("utf-8")
    return text[text.index("## The tree") :]


def test_the_tree_has_a_line_for_every_folder() -> None:
    tree = tree_of_contributing()
    roots = ("pyapp/leadout", "web", "build/leadout_build")
    folders = {
        path.parent
        for path in listed_files()
        if any(path.parent.is_relative_to(REPOSITORY / root) for root in roots)
    }
    # A folder's line is its own; adapters and examples have a README for what lies deeper.
    lines = {
        folder.name
        for folder in folders
        if len(folder.relative_to(REPOSITORY).parts) <= 3
        and folder.parent not in (REPOSITORY / "web/adapters", REPOSITORY / "web/examples")
    }
    assert len(lines) > 10
    assert [name for name in lines if f" {name}/" not in tree and f"/{name}/" not in tree] == []


def test_the_tree_lists_no_folder_that_is_gone() -> None:
    folders = {part for path in listed_files() for part in path.relative_to(REPOSITORY).parts}
    listed = {
        name
        for line in re.findall(r"^ +([\w./]+)/ ", tree_of_contributing(), re.MULTILINE)
        for name in line.split("/")
    }
    assert len(listed) > 15
    assert listed <= folders


def test_readme_fits_on_one_screen_and_names_folders_that_are_there() -> None:
    text = (REPOSITORY / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 45
    folders = re.findall(r"`(\w[\w/]*/)`", text)
    assert len(folders) > 4
    assert [name for name in folders if not (REPOSITORY / name).is_dir()] == []


def test_links_between_documents_lead_somewhere() -> None:
    documents = [path for path in listed_files() if path.suffix == ".md"]
    for path in documents:
        for target in re.findall(r"\]\(([^)#\s]+)", path.read_text("utf-8")):
            if not re.match(r"\w+:", target):
                assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_versions_agree() -> None:
    package = json.loads((REPOSITORY / "web/package.json").read_text("utf-8"))
    lock = json.loads((REPOSITORY / "web/package-lock.json").read_text("utf-8"))
    assert package["version"] == leadout.__version__
    assert lock["packages"][""]["version"] == leadout.__version__


def test_exports_of_the_npm_package_exist_and_give_types_first() -> None:
    package = json.loads((REPOSITORY / "web/package.json").read_text("utf-8"))
    adapters = {
        f"./{path.stem.replace('_', '-')}"
        for path in (REPOSITORY / "web/adapters").glob("*.js")
        if path.with_suffix("").is_dir()
    }
    assert len(adapters) == 5
    assert (
        set(package["exports"]) == {".", "./define", "./python", "./react", "./testing"} | adapters
    )
    assert package["exports"].pop("./react") == {"types": "./types/react.d.ts"}  # types alone
    assert (REPOSITORY / "web/react.d.ts").is_file()
    for export in package["exports"].values():
        assert list(export) == ["types", "default"]
        assert (REPOSITORY / "web" / export["default"]).is_file()
        expected = export["default"].replace("./", "./types/", 1).replace(".js", ".d.ts")
        assert export["types"] == expected


def test_the_lock_file_names_no_address() -> None:
    lock = json.loads((REPOSITORY / "web/package-lock.json").read_text("utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    assert not [name for name, entry in packages.items() if "resolved" in entry]
    assert not [name for name, entry in packages.items() if "integrity" not in entry]


def test_ci_runs_make_test() -> None:
    script = REPOSITORY / ".ci/run"
    assert os.access(script, os.X_OK)
    assert "exec make test" in script.read_text("utf-8")


def test_no_two_test_files_that_run_together_have_one_name() -> None:
    groups = [REPOSITORY / "tests" / group for group in ("kernels", "model", "browser")]
    names = [path.name for group in groups for path in group.glob("test_*.py")]
    assert len(names) > 10
    assert sorted({name for name in names if names.count(name) > 1}) == []
