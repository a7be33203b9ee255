"""Rendering, checking and describing kernels (leadout_build.site.kernels)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from leadout_build.site.errors import BuildError
from leadout_build.site.kernels import build_kernels, read_variants, without_comments

REPOSITORY = Path(__file__).parents[2]
NODE_MODULES = REPOSITORY / "web/node_modules"

DOUBLE = """\
// y = FACTOR * x
override FACTOR: f32 = 2.5;
override N: u32;
override FAST: bool = false;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> settings: vec4<u32>;

@compute @workgroup_size(64, 2)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < N && FAST) {
    y[id.x] = FACTOR * x[id.x] * f32(settings.x);
  }
}
"""

Build = Callable[..., dict[str, dict[str, object]]]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Return a function that writes kernels and variants.toml into a folder and builds it."""

    def build_folder(variants: str, **files: str) -> dict[str, dict[str, object]]:
        folder, out = tmp_path / "kernels", tmp_path / "out"
        (folder / "shared").mkdir(parents=True, exist_ok=True)
        out.mkdir(exist_ok=True)
        (folder / "variants.toml").write_text(dedent(variants))
        for name, text in files.items():
            (folder / (name.replace("shared_", "shared/") + ".wgsl")).write_text(text)
        index = build_kernels(folder, out, NODE_MODULES)
        assert json.loads((out / "index.json").read_text()) == json.loads(json.dumps(index))
        return index["variants"]

    return build_folder


def test_every_kernel_of_the_repository_builds(tmp_path: Path) -> None:
    index = build_kernels(REPOSITORY / "web/kernels", tmp_path, NODE_MODULES)
    written = {path.name for path in tmp_path.iterdir()}
    files = {entry["file"] for entry in index["variants"].values()}
    assert written == files | {"index.json", "sources.json"}
    sources = json.loads((tmp_path / "sources.json").read_text())
    assert sources == {file: without_comments((tmp_path / file).read_text()) for file in files}


def test_comments_are_not_fetched() -> None:
    code = "// What it is.\n\nfn half(x: f32) -> f32 {  // of x\n  return x / 2.0;\n}\n"
    assert without_comments(code) == "fn half(x: f32) -> f32 {\n  return x / 2.0;\n}\n"


def test_the_same_templates_give_the_same_bytes(build: Build, tmp_path: Path) -> None:
    build("[double]", double=DOUBLE)
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    build("[double]", double=DOUBLE)
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}


def test_the_index_describes_a_kernel_as_its_code_does(build: Build) -> None:
    assert build("[double]", double=DOUBLE) == {
        "double": {
            "file": "double.wgsl",
            "kernel": "double",
            "entry_point": "main",
            "workgroup_size": (64, 2, 1),
            "bindings": (
                {"index": 0, "name": "x", "type": "read-only-storage"},
                {"index": 1, "name": "y", "type": "storage"},
                {"index": 2, "name": "settings", "type": "uniform"},
            ),
            "overrides": {
                "FACTOR": {"type": "f32", "default": 2.5},
                "FAST": {"type": "bool", "default": False},
                "N": {"type": "u32", "default": None},
            },
            "constants": {},
            "features": [],
        }
    }


def test_declarations_in_comments_are_not_read(build: Build) -> None:
    comment = "// @group(0) @binding(7) var<storage> gone: u32; override GONE: u32;\n"
    assert build("[double]", double=comment + DOUBLE) == build("[double]", double=DOUBLE)


def test_a_workgroup_size_may_be_a_const_or_an_override(build: Build) -> None:
    code = "const X = 32u;\noverride Y: u32 = 2;\n@compute @workgroup_size(X, Y) fn main() {}\n"
    assert build("[sizes]", sizes=code)["sizes"]["workgroup_size"] == (32, "Y", 1)


def test_variants_are_the_product_of_the_values_in_the_order_of_the_keys(
    build: Build, tmp_path: Path
) -> None:
    index = build(
        """
        [unrolled]
        rows = [1, 2]
        kind = ["a", "b"]
        """,
        unrolled=(
            "// {{ kind }}\n{% for r in range(rows) %}\nconst A{{ r }} = {{ r + rows }};\n"
            "{% endfor %}\n@compute @workgroup_size(1) fn main() {}\n"
        ),
    )
    assert list(index) == ["unrolled.1.a", "unrolled.1.b", "unrolled.2.a", "unrolled.2.b"]
    assert (tmp_path / "out/unrolled.2.b.wgsl").read_text().splitlines() == [
        "// unrolled.2.b: rendered from web/kernels/unrolled.wgsl; do not edit.",
        "// b",
        "const A0 = 2;",
        "const A1 = 3;",
        "@compute @workgroup_size(1) fn main() {}",
    ]


COUNTED = "const COUNT = {{ count }};\n@compute @workgroup_size(1) fn main() {}\n"


def test_kernels_may_name_a_list_of_values(build: Build) -> None:
    variants = """
        [lists]
        few = [1, 2]
        [counted]
        count = "few"
        [counted_too]
        count = "few"
        """
    index = build(variants, counted=COUNTED, counted_too=COUNTED)
    assert list(index) == ["counted.1", "counted.2", "counted_too.1", "counted_too.2"]
    assert index["counted_too.2"]["constants"] == {"COUNT": 2}


def test_features_belong_to_the_variants_of_a_value(build: Build) -> None:
    variants = """
        [counted]
        count = [1, 2]
        more = ["no", "yes"]
        features.count.2 = ["subgroups"]
        features.more.yes = ["subgroups", "timestamp-query"]
        """
    index = build(variants, counted=COUNTED)
    assert {name: entry["features"] for name, entry in index.items()} == {
        "counted.1.no": [],
        "counted.1.yes": ["subgroups", "timestamp-query"],
        "counted.2.no": ["subgroups"],
        "counted.2.yes": ["subgroups", "timestamp-query"],
    }


@pytest.mark.parametrize("code", ["dot4I8Packed(1u, 2u)", "pack4xI8(vec4<i32>(1))"])
def test_a_feature_of_the_language_must_be_declared(build: Build, code: str) -> None:
    code = f"@compute @workgroup_size(1) fn main() {{\n  _ = {code};\n}}\n"
    name = "packed_4x8_integer_dot_product"
    index = build(f'[summed]\nfeatures = ["{name}"]', summed=code)
    assert index["summed"]["features"] == [name]
    with pytest.raises(BuildError, match=rf"summed\.wgsl:2: .*{name}.*variant summed"):
        build("[summed]", summed=code)


def test_a_feature_must_be_declared(build: Build) -> None:
    code = "enable subgroups;\n@compute @workgroup_size(1) fn main() { _ = subgroupAdd(1u); }\n"
    index = build('[summed]\nfeatures = ["subgroups"]', summed=code)
    assert index["summed"]["features"] == ["subgroups"]
    with pytest.raises(BuildError, match=r"summed\.wgsl:1: .*subgroups"):
        build("[summed]", summed=code)


def test_an_unknown_feature_is_an_error(build: Build) -> None:
    with pytest.raises(BuildError, match="no feature warp-speed"):
        build('[double]\nfeatures = ["warp-speed"]', double=DOUBLE)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ('// first\n{% include "shared/gone.wgsl" %}\n', r"broken\.wgsl:2: .*shared/gone\.wgsl"),
        ("// first\n\n{{ width }}\n", r"broken\.wgsl:3: 'width' is undefined"),
        ("{% for x in range(3) %}\n// no end\n", r"broken\.wgsl:\d: .*endfor"),
        ("// first\n{{ 1 / 0 }}\n", r"broken\.wgsl:2: division by zero"),
        ("{% for i in range(5) %}\nconst A{{ i }} = {{ i }};\n{% endfor %}\nfn f( {}\n",
         r"broken\.wgsl:4: "),
        ('{% include "shared/part.wgsl" %}\n', r"shared/part\.wgsl:2: unresolved value 'nothing'"),
        ("\n@group(0) @binding(1) var<uniform> a: u32;\n", r"broken\.wgsl:2: a is binding 1"),
        ("@group(1) @binding(0) var<uniform> a: u32;\n", r"broken\.wgsl:1: a is in group 1"),
        ("@group(0) @binding(0) var t: texture_2d<f32>;\n", r"broken\.wgsl:1: a resource not of"),
        ("override A = 1;\n", r"broken\.wgsl:1: override A needs a type"),
        ("@compute @workgroup_size(1) fn other() {}\n", "exactly one @compute entry point"),
    ],
)  # fmt: skip
def test_a_broken_template_is_refused_by_file_and_line(
    build: Build, code: str, message: str
) -> None:
    with pytest.raises(BuildError, match=message):
        build(
            "[broken]",
            broken=code + "@compute @workgroup_size(1) fn main() {}\n",
            shared_part="// a fragment\nfn part() -> u32 { return nothing; }\n",
        )


def test_more_storage_bindings_than_any_adapter_has_are_refused(build: Build) -> None:
    lines = [
        f"@group(0) @binding({i}) var<storage, read_write> b{i}: array<u32>;" for i in range(9)
    ]
    lines.append("@compute @workgroup_size(1) fn main() {}\n")
    with pytest.raises(BuildError, match="9 storage and 0 uniform bindings"):
        build("[many]", many="\n".join(lines))


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ("", "no table for double"),
        ("[double]\n[twice]", r"no twice\.wgsl"),
        ("[double]\nrows = 1", r"double\.rows is 1; wanted a list"),
        ('[double]\nrows = "few"', r"double\.rows: there is no list 'few'; the lists are: none"),
        ('[lists]\nfew = [1]\n[double]\nrows = "all"', r"no list 'all'; the lists are: few"),
        ("[lists]\nfew = []\n[double]", r"lists\.few is \[\]; wanted a list"),
        ('[double]\nfeatures = "x"', r"double\.features is 'x'; wanted a list of features"),
        ("[double]\nfeatures.rows.1 = []", r"double\.features\.rows: wanted a key"),
        ("[double]\nrows = [1]\nfeatures.rows = []", r"double\.features\.rows: wanted a key"),
        ("[double]\nrows = [1]\nfeatures.rows.2 = []", r"rows\.2: rows is never 2"),
        ("[double]\nrows = [1]\nfeatures.rows.1 = [1]", r"features\.rows\.1 is \[1\]; wanted"),
        ("[double]\nrows = []", r"double\.rows is \[\]; wanted a list"),
        ('[double]\nrows = ["../x"]', "wanted integers or words"),
        ("[double]\nrows = [true]", "wanted integers or words"),
        ("[double]\nrows = [1, 1]", "has a value twice"),
        ('[double]\nlayout = ["q5"]', "no layout q5"),
        ("[double", r"variants\.toml: "),
    ],
)
def test_a_malformed_list_of_variants_is_refused(build: Build, variants: str, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        build(variants, double=DOUBLE)


def test_names_of_variants_are_unique() -> None:
    names = [variant.name for variant in read_variants(REPOSITORY / "web/kernels")]
    assert len(set(names)) == len(names)


def test_a_missing_checker_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="run `make setup`"):
        build_kernels(REPOSITORY / "web/kernels", tmp_path, tmp_path)
