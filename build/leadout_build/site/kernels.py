"""Renders web/kernels/*.wgsl into one file per variant, checks them and writes index.json.

`variants.toml` is the only list of variants. It has one table per kernel. A table's keys are the
template's variables, each with a list of values, or the name of one in the table `lists`. The
variants are all combinations of the values, in the order of the keys.

    [lists]
    halves = ["f16", "bf16"]

    [matvec]
    layout = "halves"
    rows = [1, 2]
    features.rows.2 = ["subgroups"]

gives matvec.f16.1, matvec.f16.2, matvec.bf16.1 and matvec.bf16.2. The reserved key `features` says
what a device must have, by its WebGPU or its WGSL name: variants with a value (here those of two
rows), or, where it is a list, all variants of the kernel.

Dawn's front end compiles the rendered WGSL in Node, on its null backend, so no GPU is needed. What
the runtime needs to know about a variant is read from its code and written to index.json, so that
nobody has to repeat it.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from leadout.layouts import LAYOUTS
from leadout_build.site.errors import BuildError
from leadout_build.site.reflection import reflect
from leadout_build.site.templates import Rendered, WgslTemplates

#: The reserved table in variants.toml for lists that several kernels name.
LISTS_KEY = "lists"

#: The reserved key in a kernel's table for features; it is not a template variable.
FEATURES_KEY = "features"

#: The files of a site that have the kernels; web/runtime/pipelines.js reads them (keep in step).
#: All WGSL is in one file, which is fetched before it is known which variants a model needs.
INDEX = "index.json"
SOURCES = "sources.json"

VALIDATOR = Path(__file__).with_name("validate_wgsl.mjs")


@dataclass(frozen=True)
class Variant:
    """One rendered form of a kernel.

    Attributes:
        kernel: the name of its .wgsl file, without the ending.
        values: template variables, in the order of variants.toml.
        features: of WebGPU and of WGSL, that the code needs.
    """

    kernel: str
    values: Mapping[str, str | int]
    features: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The key in index.json, such as "matvec.q4_scale.1"."""
        return ".".join([self.kernel, *map(str, self.values.values())])

    @property
    def context(self) -> dict[str, object]:
        """What the template sees: the values, but as `layout` all that is known of the layout.

        Raises:
            BuildError: there is no such layout.
        """
        context: dict[str, object] = dict(self.values)
        if (name := context.get("layout")) is not None:
            if name not in LAYOUTS:
                raise BuildError(f"{self.name}: leadout/layouts.py has no layout {name}")
            context["layout"] = LAYOUTS[name]
        return context


def read_variants(folder: Path) -> list[Variant]:
    """Read variants.toml.

    Raises:
        BuildError: it is malformed, or its tables do not match the folder's .wgsl files.
    """
    path = folder / "variants.toml"
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BuildError(f"{path}: {error}") from error
    lists = tables.pop(LISTS_KEY, {})
    for name, values in lists.items():
        _check_values(f"{path}: {LISTS_KEY}.{name}", values)
    kernels = {file.stem for file in folder.glob("*.wgsl")}
    if unlisted := sorted(kernels - tables.keys()):
        raise BuildError(f"{path}: no table for {', '.join(unlisted)}; every .wgsl needs one")
    if absent := sorted(tables.keys() - kernels):
        raise BuildError(f"{path}: there is no {', '.join(absent)}.wgsl for the table of that name")
    variants: list[Variant] = []
    for kernel, table in tables.items():
        variants += _variants_of(f"{path}: {kernel}", kernel, table, lists)
    return sorted(variants, key=lambda variant: variant.name)


def _variants_of(
    where: str, kernel: str, table: Mapping[str, Any], lists: Mapping[str, list[str | int]]
) -> list[Variant]:
    """Return all variants of one kernel; `where` is for messages."""
    axes: dict[str, list[str | int]] = {}
    for key, values in table.items():
        if key == FEATURES_KEY:
            continue
        if isinstance(values, str) and values not in lists:
            known = ", ".join(lists) or "none"
            raise BuildError(f"{where}.{key}: there is no list {values!r}; the lists are: {known}")
        axes[key] = lists[values] if isinstance(values, str) else values
        _check_values(f"{where}.{key}", axes[key])
    features = table.get(FEATURES_KEY, [])
    _check_features(f"{where}.{FEATURES_KEY}", features, axes)
    combinations = [
        dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())
    ]
    return [Variant(kernel, one, _features_of(features, one)) for one in combinations]


def _check_features(where: str, features: object, axes: Mapping[str, list[str | int]]) -> None:
    if not isinstance(features, dict):
        _check_features_list(where, features)
        return
    for key, by_value in features.items():
        if key not in axes or not isinstance(by_value, dict):
            raise BuildError(f"{where}.{key}: wanted a key of the kernel, and of it a value")
        for value, names in by_value.items():
            if value not in map(str, axes[key]):
                raise BuildError(f"{where}.{key}.{value}: {key} is never {value}")
            _check_features_list(f"{where}.{key}.{value}", names)


def _check_features_list(where: str, names: object) -> None:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BuildError(f"{where} is {names!r}; wanted a list of features")


def _features_of(
    features: list[str] | Mapping[str, Mapping[str, list[str]]], values: Mapping[str, str | int]
) -> tuple[str, ...]:
    """Return what the variant with these values needs, each feature once."""
    if isinstance(features, list):
        return tuple(dict.fromkeys(features))
    needed = [
        name for key, by_value in features.items() for name in by_value.get(str(values[key]), [])
    ]
    return tuple(dict.fromkeys(needed))


def _check_values(where: str, values: object) -> None:
    if not isinstance(values, list) or not values:
        raise BuildError(f"{where} is {values!r}; wanted a list of integers or words, or its name")
    for value in values:
        is_word = isinstance(value, str) and value.replace("_", "").replace("-", "").isalnum()
        if not is_word and type(value) is not int:
            raise BuildError(f"{where} has {value!r}; wanted integers or words (a-z, 0-9, _, -)")
    if len(set(values)) != len(values):
        raise BuildError(f"{where} has a value twice: {values}")


def build_kernels(folder: Path, out: Path, node_modules: Path) -> dict[str, object]:
    """Render, check and write all variants and their index.

    Args:
        folder: web/kernels.
        out: an existing folder; gets <variant>.wgsl, index.json, and sources.json with all WGSL
            by file name, without comments: a third less for everybody to fetch.
        node_modules: where the npm package "webgpu" (Dawn) is installed.

    Returns:
        What index.json holds: {"variants": {name: {"file", "kernel", "entry_point",
        "workgroup_size", "bindings", "overrides", "constants", "features"}}}, in sorted order;
        the same input gives the same bytes.

    Raises:
        BuildError: an unknown include or variable, broken WGSL, or bindings that are not 0, 1,
            2, … of group 0; the message names the template's file and line.
    """
    templates = WgslTemplates(folder)
    rendered = [
        (variant, templates.render(variant.kernel, variant.context))
        for variant in read_variants(folder)
    ]
    check_wgsl(rendered, node_modules)
    sources = {
        _file_of(
            variant
        ): f"// {variant.name}: rendered from web/kernels/{variant.kernel}.wgsl; do "
        f"not edit.\n{template.code}"
        for variant, template in rendered
    }
    for file, code in sources.items():
        (out / file).write_bytes(code.encode())
    index: dict[str, object] = {"variants": _entries(rendered)}
    (out / INDEX).write_bytes(json.dumps(index).encode() + b"\n")
    bare = {file: without_comments(code) for file, code in sources.items()}
    (out / SOURCES).write_bytes(json.dumps(bare).encode() + b"\n")
    return index


def without_comments(code: str) -> str:
    """Return WGSL without its comments to the ends of lines, and without lines that are empty."""
    lines = (line.partition("//")[0].rstrip() for line in code.splitlines())
    return "".join(f"{line}\n" for line in lines if line)


def kernel_index(folder: Path) -> dict[str, Any]:
    """Return the variants of web/kernels as index.json lists them, without checking their code."""
    templates = WgslTemplates(folder)
    return _entries(
        [
            (variant, templates.render(variant.kernel, variant.context))
            for variant in read_variants(folder)
        ]
    )


def _entries(rendered: Sequence[tuple[Variant, Rendered]]) -> dict[str, Any]:
    return {
        variant.name: {
            "file": _file_of(variant),
            "kernel": variant.kernel,
            **reflect(template).to_json(),
            "features": list(variant.features),
        }
        for variant, template in rendered
    }


def _file_of(variant: Variant) -> str:
    return f"{variant.name}.wgsl"


def check_wgsl(rendered: Sequence[tuple[Variant, Rendered]], node_modules: Path) -> None:
    """Compile every variant with Dawn's front end, with only its own features.

    Raises:
        BuildError: the first message about each broken variant, by template file and line.
    """
    if not (node_modules / "webgpu").is_dir():
        message = f"{node_modules} has no package webgpu, which checks WGSL; run `make setup`"
        raise BuildError(message)
    modules = [
        {"name": variant.name, "code": template.code, "features": variant.features}
        for variant, template in rendered
    ]
    templates = {variant.name: template for variant, template in rendered}
    problems = [
        f"{templates[problem.name].origin(problem.line, problem.column)}: "
        f"{problem.message} (variant {problem.name})"
        for problem in _run_validator(modules, node_modules)
    ]
    if problems:
        raise BuildError("broken WGSL:\n  " + "\n  ".join(problems))


class _Problem(NamedTuple):
    name: str
    line: int
    column: int
    message: str


def _run_validator(modules: Sequence[object], node_modules: Path) -> list[_Problem]:
    command = ["node", str(VALIDATOR), str(node_modules)]
    try:
        done = subprocess.run(
            command, input=json.dumps(modules), capture_output=True, encoding="utf-8", check=True
        )
    except FileNotFoundError as error:
        raise BuildError("there is no `node`; the build needs Node.js 20 or newer") from error
    except subprocess.CalledProcessError as error:
        raise BuildError(f"{VALIDATOR.name} failed: {error.stderr.strip()}") from error
    return [_Problem(**problem) for problem in json.loads(done.stdout)]
