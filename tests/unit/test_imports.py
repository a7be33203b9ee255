"""Which module may import which: dependencies of the packages point one way."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "pyapp/leadout"
WEB = REPOSITORY / "web"

#: From the ground up. A module imports from layers below its own, or from its own folder.
LAYERS = (
    ("beside", "brackets", "context_end", "cycle_costs", "errors", "shown"),
    ("logits", "stats"),
    ("plan",),
    ("config", "layouts", "kv_cache", "sampling", "scheduler"),
    ("kv_rings",),
    ("state",),
    ("rows", "embedded"),
    ("inputs",),
    ("checkpoint", "tokenizer"),
    ("tokenizer_parts", "tokenizer_choice", "grammar"),
    ("ops",),
    ("devices.base",),
    ("lowering",),
    ("models", "weights", "cycle_times", "pager"),
    ("drafters", "checkpoint.synthetic"),
    ("passes",),
    ("pass_building", "device_limits"),
    ("session",),
    ("speculative", "self_test"),
    ("planning",),
    ("forecast",),
    ("memory_advice",),
    ("loading",),
    ("request", "resumption", "text_stream", "id_stream", "profiling", "token_logprobs"),
    ("grammar.tool_calls",),
    ("reasoning",),
    ("generation",),
    ("chat",),
    ("engine",),
    ("probe",),
    ("bridge",),
    ("api",),
)

#: pyapp/leadout_desk, from the ground up; it runs apart from the engine.
DESK = REPOSITORY / "pyapp/leadout_desk"
DESK_LAYERS = (
    ("errors", "notes", "rules", "figures", "indicators", "series"),
    ("decoding", "numbers", "dates"),
    ("cleaning",),
    ("formats",),
    ("table", "sample"),
    ("merging", "briefing", "export"),
    ("claims",),
    ("desk",),
)

#: All that the desk takes of the engine's package: what has no weight.
DESK_TAKES = {"brackets", "errors", "shown"}

#: Folders whose modules may import each other.
FOLDERS = (
    "config",
    "checkpoint",
    "models",
    "drafters",
    "ops",
    "lowering",
    "session",
    "grammar",
    "bridge",
)

#: CPython's side, beside the layers: what it may know of the package is up to this layer.
CPYTHON_ONLY = {
    "devices.numpy": "devices.base",
    "devices.numpy_ops": "devices.base",
    "tokenizer_native": "tokenizer_parts",
    "grammar_native": "grammar",
    "chat_jinja": "chat",
    "chat_child": "chat",
    "chat_native": "chat",
}

#: Modules outside the standard library, and who alone may import them.
THIRD_PARTY = {
    "jinja2": re.compile(r"chat_jinja"),
    "js": re.compile(r"bridge.*"),
    "py_mini_racer": re.compile(r"grammar_native"),
    "numpy": re.compile(r"devices\.numpy.*|logits"),
    "pyodide": re.compile(r"bridge.*"),
    "tokenizers": re.compile(r"tokenizer_native"),
}

BUILD = REPOSITORY / "build"

#: The parts of build/leadout_build, and which others each may import from.
PARTS = {
    "store": (),
    "site": ("store",),
    "serving": ("store", "site"),
    "bench": ("store", "serving"),
    "cli": ("store", "site", "serving", "bench"),
}

#: JavaScript folders, and what they never import.
NEVER_IMPORTED_BY = {
    "runtime": ("client", "widget", "host", "worker", "testing"),
    "client": ("runtime", "widget", "host", "testing"),
    "hub": ("runtime", "widget", "host", "worker", "testing"),
    "widget": ("runtime", "host", "worker", "testing"),
}


def module_name(path: Path) -> str:
    """Return a module's dotted name inside the package, "" for leadout itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports_of(path: Path) -> Iterator[str]:
    """Yield the full dotted names that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def playwright_imports(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the imports of Playwright among syntax nodes."""
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            text = ast.unparse(node)
            if re.match(r"(import|from) playwright\b", text):
                yield text


def layer_of(module: str) -> int:
    """Return the index in LAYERS, by the longest listed name that the module lies in."""
    names = {name: i for i, layer in enumerate(LAYERS) for name in layer}
    names |= {name: names[limit] + 1 for name, limit in CPYTHON_ONLY.items()}
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if (name := ".".join(parts[:length])) in names:
            return names[name]
    pytest.fail(f"leadout.{module} has no place in LAYERS; give it one")


def is_cpython_only(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in CPYTHON_ONLY)


def known_module(name: str) -> str | None:
    """Return the package's module that an imported dotted name lies in, or is."""
    parts = name.split(".")[1:]
    for length in range(len(parts), 0, -1):
        path = PACKAGE.joinpath(*parts[:length])
        if path.with_suffix(".py").is_file() or (path / "__init__.py").is_file():
            return ".".join(parts[:length])
    return None


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@pytest.mark.parametrize("module", [name for name in MODULES if name not in ("", "devices")])
def test_a_module_imports_from_layers_below_its_own(module: str) -> None:
    for imported in imports_of(MODULES[module]):
        target = known_module(imported) if imported.split(".")[0] == "leadout" else None
        if target is None or target == "devices":
            continue
        folder = module.split(".", maxsplit=1)[0]
        if folder in FOLDERS and folder == target.split(".", maxsplit=1)[0]:
            continue
        if is_cpython_only(module) and is_cpython_only(target):
            continue
        assert layer_of(target) < layer_of(module), f"leadout.{module} imports leadout.{target}"


@pytest.mark.parametrize("module", [name for name in MODULES if not is_cpython_only(name)])
def test_what_runs_in_the_browser_never_imports_what_only_cpython_has(module: str) -> None:
    for imported in imports_of(MODULES[module]):
        assert not is_cpython_only(imported.removeprefix("leadout.")), imported


@pytest.mark.parametrize("module", MODULES)
def test_third_party_modules_stay_where_they_belong(module: str) -> None:
    for imported in imports_of(MODULES[module]):
        root = imported.split(".")[0]
        if root == "leadout" or root in sys.stdlib_module_names:
            continue
        assert root in THIRD_PARTY, f"leadout.{module} imports {imported}"
        assert THIRD_PARTY[root].fullmatch(module), f"leadout.{module} imports {imported}"


def test_the_desk_imports_from_below_and_hardly_anything_of_the_engine() -> None:
    layer = {name: number for number, names in enumerate(DESK_LAYERS) for name in names}
    paths = [path for path in DESK.rglob("*.py") if path.parent != DESK or path.stem != "__init__"]
    assert {path.relative_to(DESK).parts[0].removesuffix(".py") for path in paths} == set(layer)
    for path in paths:
        own = path.relative_to(DESK).parts[0].removesuffix(".py")
        for imported in imports_of(path):
            root, *rest = imported.split(".")
            if root == "leadout_desk":
                is_beside = rest[0] == own and (DESK / own).is_dir()
                assert is_beside or layer[rest[0]] < layer[own], f"{path.name} imports {imported}"
            elif root == "leadout":
                assert rest[0] in DESK_TAKES, f"{path.name} imports {imported}"
            else:
                assert root in sys.stdlib_module_names, f"{path.name} imports {imported}"


def test_the_package_never_imports_the_build_step() -> None:
    for module, path in MODULES.items():
        assert not [name for name in imports_of(path) if name.startswith("leadout_build")], module


def test_the_build_step_has_these_parts_and_nothing_beside_them() -> None:
    beside = {path.name for path in (BUILD / "leadout_build").iterdir()} - {"__pycache__"}
    assert beside == {*PARTS, "__init__.py"}


@pytest.mark.parametrize("part", PARTS)
def test_parts_of_the_build_step_import_one_way(part: str) -> None:
    for path in (BUILD / "leadout_build" / part).rglob("*.py"):
        ours = [name.split(".") for name in imports_of(path) if name.startswith("leadout_build.")]
        others = {names[1] for names in ours if names[1] in PARTS} - {part}
        assert others <= set(PARTS[part]), f"{path.name}: {others}"


def test_what_ships_never_imports_how_nano_was_made() -> None:
    assert (BUILD / "nano/train.py").is_file()
    for path in [*MODULES.values(), *(BUILD / "leadout_build").rglob("*.py")]:
        assert not [name for name in imports_of(path) if name.split(".")[0] == "nano"], path


def test_playwright_is_imported_in_one_place_and_only_once_a_browser_is_wanted() -> None:
    importers = set()
    for path in (BUILD / "leadout_build").rglob("*.py"):
        # What stands under TYPE_CHECKING is for mypy.
        tree = ast.parse(path.read_text("utf-8"))
        assert not set(playwright_imports(tree.body)), path
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        if any(set(playwright_imports(ast.walk(function))) for function in functions):
            importers.add(path.name)
    assert importers == {"headless.py"}


@pytest.mark.parametrize("folder", NEVER_IMPORTED_BY)
def test_javascript_folders_import_one_way(folder: str) -> None:
    files = sorted((WEB / folder).glob("*.js"))
    assert files
    for path in files:
        code = re.sub(r"/\*.*?\*/", "", path.read_text("utf-8"), flags=re.DOTALL)
        imported = re.findall(r"""^(?:import|export)\b[^;]*?["']\.\./(\w+)""", code, re.MULTILINE)
        assert not set(imported) & set(NEVER_IMPORTED_BY[folder]), f"{path.name}: {imported}"


def test_pyodide_is_started_in_one_place() -> None:
    scripts = [path for path in WEB.rglob("*.js") if "node_modules" not in path.parts]
    users = {path.name for path in scripts if "loadPyodide" in path.read_text("utf-8")}
    assert users == {"python.js"}
