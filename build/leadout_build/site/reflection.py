"""Reads what the runtime needs to know from rendered WGSL: bindings, overrides, entry point.

A real WGSL compiler has checked the code before, so regular expressions can read its declarations.
A declaration that the patterns do not cover is an error; it is never ignored.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

from leadout_build.site.errors import BuildError
from leadout_build.site.templates import Rendered

#: Bindings that every WebGPU adapter has per stage (its default limits).
MAX_STORAGE_BINDINGS = 8
MAX_UNIFORM_BINDINGS = 12

# A pattern that begins with a literal is searched much faster, so they do not begin with \b.
COMMENT = re.compile(r"/(?:/[^\n]*|\*.*?\*/)", re.DOTALL)
BINDING = re.compile(
    r"@group\(\s*(?P<group>\d+)u?\s*\)\s*@binding\(\s*(?P<index>\d+)u?\s*\)\s*"
    r"var<\s*(?P<space>storage|uniform)\s*(?:,\s*(?P<access>read|read_write)\s*,?\s*)?>\s*"
    r"(?P<name>\w+)\s*:"
)
OVERRIDE = re.compile(
    r"override(?<!\woverride)\s+(?P<name>\w+)\s*(?::\s*(?P<type>\w+)\s*)?"
    r"(?:=\s*(?P<default>[^;]+?)\s*)?;"
)
ENTRY_POINT = re.compile(r"@workgroup_size\((?P<size>[^)]*)\)\s*(?:@compute\s*)?fn\s+(?P<name>\w+)")
CONSTANT = re.compile(
    r"const(?<!\wconst)\s+(?P<name>\w+)\s*(?::\s*\w+\s*)?=\s*(?P<value>[^;]+?)\s*;"
)
NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[iufh]?")

#: The size of a workgroup: x, y, z, each a number or an override's name.
Size = tuple[int | str, int | str, int | str]


@dataclass(frozen=True)
class BindingInfo:
    """A binding of group 0: `type` as in GPUBufferBindingLayout."""

    index: int
    name: str
    type: str


@dataclass(frozen=True)
class OverrideInfo:
    """An override constant: `default` is a value, an expression's text, or None (required)."""

    type: str
    default: int | float | bool | str | None


@dataclass(frozen=True)
class KernelInfo:
    """A variant's entry in index.json; a size that an override sets has the override's name.

    `constants` are its `const` declarations with a whole number. From them lowering computes how
    much work a workgroup does.
    """

    entry_point: str
    workgroup_size: Size
    bindings: tuple[BindingInfo, ...]
    overrides: dict[str, OverrideInfo]
    constants: dict[str, int]

    def to_json(self) -> dict[str, object]:
        """Return the JSON for index.json."""
        return dataclasses.asdict(self)


def reflect(template: Rendered) -> KernelInfo:
    """Read bindings, overrides and the entry point.

    Raises:
        BuildError: bindings are not 0, 1, 2, … of group 0, or there are too many of them, an
            override has no type, or there is not exactly one compute entry point.
    """
    # Replace comments by blanks of the same length, so that positions do not change.
    code = COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), template.code)
    overrides = _overrides(code, template)
    constants = _constants(code)
    name, workgroup_size = _entry_point(code, template, overrides, constants)
    return KernelInfo(name, workgroup_size, _bindings(code, template), overrides, constants)


def _refuse(message: str, template: Rendered, code: str, place: int) -> BuildError:
    line = code.count("\n", 0, place) + 1
    column = place - code.rfind("\n", 0, place)
    return BuildError(f"{template.origin(line, column)}: {message}")


def _bindings(code: str, template: Rendered) -> tuple[BindingInfo, ...]:
    matches = {match.start(): match for match in BINDING.finditer(code)}
    for attribute in re.finditer(r"@group\b|@binding\b", code):
        place = attribute.start()
        inside = any(match.start() <= place < match.end() for match in matches.values())
        if not inside:
            message = "a resource not of the form @group(0) @binding(N) var<storage or uniform>"
            raise _refuse(message, template, code, place)
    found: list[BindingInfo] = []
    for match in sorted(matches.values(), key=lambda match: int(match["index"])):
        index = int(match["index"])
        if int(match["group"]) != 0:
            message = f"{match['name']} is in group {match['group']}; only group 0 is bound"
            raise _refuse(message, template, code, match.start())
        if index != len(found):
            message = f"{match['name']} is binding {index}; the next free one is {len(found)}"
            raise _refuse(message, template, code, match.start())
        kind = "uniform"
        if match["space"] == "storage":
            kind = "storage" if match["access"] == "read_write" else "read-only-storage"
        found.append(BindingInfo(index, match["name"], kind))
    num_uniform = sum(binding.type == "uniform" for binding in found)
    num_storage = len(found) - num_uniform
    if num_storage > MAX_STORAGE_BINDINGS or num_uniform > MAX_UNIFORM_BINDINGS:
        message = (
            f"{num_storage} storage and {num_uniform} uniform bindings; "
            f"every adapter has {MAX_STORAGE_BINDINGS} and {MAX_UNIFORM_BINDINGS}"
        )
        raise _refuse(message, template, code, 0)
    return tuple(found)


def _overrides(code: str, template: Rendered) -> dict[str, OverrideInfo]:
    overrides = {}
    for match in OVERRIDE.finditer(code):
        if match["type"] is None:
            message = f"override {match['name']} needs a type (`override {match['name']}: u32`)"
            raise _refuse(message, template, code, match.start())
        overrides[match["name"]] = OverrideInfo(match["type"], _value(match["default"]))
    return dict(sorted(overrides.items()))


def _constants(code: str) -> dict[str, int]:
    values = {match["name"]: _value(match["value"]) for match in CONSTANT.finditer(code)}
    return {name: value for name, value in sorted(values.items()) if type(value) is int}


def _value(text: str | None) -> int | float | bool | str | None:
    """Return a literal's value; any other expression stays text."""
    if text in ("true", "false"):
        return text == "true"
    if text is None or not NUMBER.fullmatch(text):
        return text
    digits = text.rstrip("iufh")
    return float(digits) if text[-1] in "fh" or re.search(r"[.eE]", digits) else int(digits)


def _entry_point(
    code: str,
    template: Rendered,
    overrides: dict[str, OverrideInfo],
    constants: dict[str, int],
) -> tuple[str, Size]:
    matches = list(ENTRY_POINT.finditer(code))
    if len(matches) != 1 or len(re.findall(r"@compute\b", code)) != 1:
        raise _refuse("a kernel has exactly one @compute entry point", template, code, 0)
    sizes: list[int | str] = []
    for part in filter(None, (part.strip() for part in matches[0]["size"].split(","))):
        size = part if part in overrides else constants.get(part, _value(part))
        if not isinstance(size, int) and size not in overrides:
            message = f"@workgroup_size({part}) is neither a number, a const nor an override"
            raise _refuse(message, template, code, matches[0].start())
        sizes.append(size)
    x, y, z, *_ = [*sizes, 1, 1]
    return matches[0]["name"], (x, y, z)
