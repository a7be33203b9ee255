"""The documentation (static/docs): links, names and figures are those of the code."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest

from leadout import errors
from leadout.checkpoint.synthetic import synthetic_checkpoint
from leadout.forecast import forecast
from leadout.planning import LoadOptions
from leadout_build import ROOT
from leadout_build.bench.any_gpu import AnyGpu
from leadout_build.site.assemble import TEXTS
from leadout_build.site.documentation import FOLDER, ORDER, Page, _render, read_documentation
from leadout_build.site.errors import BuildError
from leadout_build.site.policy import site_policy

DOCS = ROOT / "static" / FOLDER
WEB = ROOT / "web"

#: Names of browsers' errors that Leadout looks at and does not raise.
LOOKED_AT = {"GPUOutOfMemoryError", "NoModificationAllowedError", "NotFoundError", "TimeoutError"}

#: Of JavaScript, for arguments of a wrong kind.
BUILT_IN = {"TypeError", "RangeError"}


@cache
def pages() -> dict[str, Page]:
    return read_documentation(ROOT, TEXTS)


def source(name: str) -> str:
    return (DOCS / f"{name}.md").read_text("utf-8")


def javascript(folder: str = "") -> str:
    files = [path for path in (WEB / folder).rglob("*.js") if "node_modules" not in path.parts]
    return "\n".join(path.read_text("utf-8") for path in files)


def first_column(text: str, heading: str) -> list[str]:
    """Return the names in backticks of the first table behind a heading's row."""
    table = re.search(rf"^\| {heading} \|.*\n\|[-|: ]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert table is not None, heading
    cells = [row.split(" | ")[0] for row in table[1].splitlines()]
    return [name for cell in cells for name in re.findall(r"`(\w[\w-]*)", cell)]


@pytest.mark.parametrize("name", ORDER)
def test_links_and_anchors_lead_somewhere(name: str) -> None:
    page = pages()[name]
    assert page.title
    for link in page.links:
        target, _, anchor = link.partition("#")
        if re.match(r"https:", link):
            continue
        assert not re.match(r"\w+:", link), link
        if target == "" or (target.endswith(".md") and "/" not in target):
            other = pages()[target.removesuffix(".md") or name]
            assert anchor == "" or anchor in other.anchors, link
        else:
            assert (DOCS / target).is_file(), link
            assert anchor == "", f"{link}: anchors of other files are not checked"


@pytest.mark.parametrize("name", ORDER)
def test_pages_have_pictures_with_words_and_no_link_out_of_the_site(name: str) -> None:
    html = pages()[name].html
    assert 'href="../../' not in html
    assert "style=" not in html
    assert re.findall(r'<img[^>]*alt=""', html) == []
    for path in re.findall(r'<img src="([^"]+)"', html):
        assert (DOCS / path).is_file()
        if path.endswith(".svg"):
            drawing = (DOCS / path).read_text("utf-8")
            assert "<title" in drawing
            assert "prefers-color-scheme: dark" in drawing


def test_html_in_markdown_stays_text() -> None:
    texts = {"x": "# One <b>two</b>\n\n<script>no</script> [a](javascript:no) ![b](data:no)\n"}
    page = _render(texts, WEB / "node_modules", {})["x"]
    assert page["title"] == "One <b>two</b>"
    assert re.findall(r"<(\w+)", page["html"]) == ["h1", "p"]


def test_a_text_without_a_place_in_the_order_is_not_built(tmp_path: Path) -> None:
    (tmp_path / "static/docs").mkdir(parents=True)
    for name in (*ORDER, "other"):
        (tmp_path / f"static/docs/{name}.md").write_text("# Title\n")
    with pytest.raises(BuildError, match="differ by: other"):
        read_documentation(tmp_path, {})


def test_known_models_are_a_table_on_the_site() -> None:
    html = pages()["models"].html
    models = json.loads((WEB / "hub/known_models.json").read_text("utf-8"))["models"]
    cells = [[model["name"], model["hub"], model["drafter"]] for model in models]
    assert all(f"<code>{cell}</code>" in html for row in cells for cell in row if cell)


def test_troubleshooting_names_every_error_and_none_that_is_not_there() -> None:
    ours = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.LeadoutError)
    }
    assert len(ours) > 15
    named = re.findall(r"""["'`]([A-Za-z]+Error)["'`]""", javascript())
    known = ours | set(named) - LOOKED_AT | BUILT_IN | {"BuildError"}
    assert {"WorkerError", "SessionError", "AbortError"} <= known
    text = source("troubleshooting")
    assert set(re.findall(r"\b([A-Z]\w*Error)\b", text)) == known
    # Each of Leadout's own has a heading, so that a link can lead to it.
    headings = set(re.findall(r"^### (\w+)$", text, re.MULTILINE))
    assert headings >= ours - {"LeadoutError"} | {"WorkerError", "SessionError", "AbortError"}


def test_the_api_page_has_every_option_of_a_load() -> None:
    code = (WEB / "client.js").read_text("utf-8")
    typedef = code[code.index("@typedef {object} LoadParams") :]
    typedef = typedef[: typedef.index("*/")]
    options = re.findall(r"^ \* @property \{.*?\} \[?(\w+)\]?(?= |$)", typedef, re.MULTILINE)
    assert len(options) > 20
    assert sorted(first_column(source("api"), "option")) == sorted(options)


def test_the_api_page_has_every_parameter_of_a_request() -> None:
    code = (WEB / "client/parameters.js").read_text("utf-8")

    def listed(name: str) -> set[str]:
        found = re.search(rf"^const {name} = \[(.*?)\];", code, re.DOTALL | re.MULTILINE)
        assert found is not None
        return set(re.findall(r'"(\w+)"', found[1]))

    taken = listed("PASSED_PARAMS") | listed("PASSED_CHAT_PARAMS") | listed("OWN_PARAMS")
    text = source("api")
    table = text[text.index("| parameter | meaning |") : text.index("These are accepted")]
    cells = [row.split(" | ")[0] for row in table.splitlines()[2:]]
    documented = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert documented == taken - {"model", "signal"}
    ignored = re.search(r"accepted and ignored[^:]*: (.*?)\. Any", text, re.DOTALL)
    assert ignored is not None
    assert set(re.findall(r"`(\w+)`", ignored[1])) == listed("IGNORED_PARAMS") | {"model"}


def attributes_of(code: str) -> set[str]:
    """Return the attributes that an element's modules read or observe."""
    observed = re.search(r"observedAttributes = \[([^\]]*)\]", code)
    assert observed is not None
    read = set(re.findall(r'(?:get|has)Attribute\("([a-z]+)"\)', code))
    return read | set(re.findall(r'"(\w+)"', observed[1]))


def events_of(typedef: str) -> set[str]:
    """Return the names in a typedef of events.js."""
    code = (WEB / "widget/events.js").read_text("utf-8")
    code = code[code.index(f"@typedef {{object}} {typedef}") :]
    return set(re.findall(r" (leadout-[a-z-]+) ", code[: code.index("*/")]))


def parts_of(element: str) -> list[str]:
    parts = re.search(r"Parts: ([^.]*)\.", element)
    assert parts is not None
    return re.findall(r"[\w-]+", parts[1].replace("\n *", ""))


def has_properties(element: str, text: str) -> bool:
    names = first_column(text, "property")
    return all(re.search(rf"(?:get {name}\(|^  {name} =)", element, re.MULTILINE) for name in names)


def test_the_widgets_page_has_its_attributes_events_and_parts() -> None:
    text = source("embed").split("## A list of the models")[0]
    element = (WEB / "widget/leadout-chat.js").read_text("utf-8")
    attributes = attributes_of(element + javascript("widget"))
    assert set(first_column(text, "attribute")) <= attributes
    assert set(first_column(text, "attribute")) >= {"model", "drafter", "mode", "autoload", "store"}
    names = re.search(r'@param \{("phase"[^}]*)\} name', element)
    assert names is not None
    told = {f"leadout-{name}" for name in re.findall(r'"(\w+)"', names[1])}
    assert set(first_column(text, "event")) == told == events_of("LeadoutChatEvents")
    shown = re.search(r"has the parts (.*?), and the slots", text, re.DOTALL)
    assert shown is not None
    assert re.findall(r"`([\w-]+)`", shown[1]) == parts_of(element)
    assert has_properties(element, text)


def test_the_widgets_page_has_the_same_of_the_list_of_models() -> None:
    text = source("embed").split("## A list of the models")[1]
    element = (WEB / "widget/leadout-models.js").read_text("utf-8")
    assert set(first_column(text, "attribute")) == attributes_of(element)
    assert set(first_column(text, "event")) == events_of("LeadoutModelsEvents")
    shown = re.search(r"the parts (.*?)\.", text, re.DOTALL)
    assert shown is not None
    assert re.findall(r"`([\w-]+)`", shown[1]) == parts_of(element)
    assert has_properties(element, text)


def test_policies_are_those_that_are_sent_and_tested() -> None:
    policies = re.compile(r"```csp\n(.*)\n```")
    tested = policies.findall((WEB / "README.md").read_text("utf-8"))  # browser/strict_host.py
    assert policies.findall(source("security")) == [site_policy(), *tested]


async def test_what_fits_where_is_what_a_forecast_says() -> None:
    rows = re.findall(r"^\| (Gemma 4 [\w-]+) \|(.*)\|$", source("models"), re.MULTILINE)
    shapes = {"Gemma 4 E2B": "e2b", "Gemma 4 12B": "12b"}  # the others go by the same code
    table = {name: re.findall(r"([\d.]+) GB", row) for name, row in rows if "GB" in row}
    assert len(table) == 5
    for name, shape in shapes.items():
        target, drafter = (synthetic_checkpoint(shape, role) for role in ("target", "drafter"))
        found = await forecast(AnyGpu(), target, drafter, LoadOptions())
        totals = {one.context_length: one.total_bytes for one in found.contexts}
        sizes = [found.read_bytes, *(totals[length] for length in (4096, 32768, 131072))]
        assert [f"{size / 1e9:.1f}" for size in sizes] == table[name]


def test_numbers_in_drawings_are_those_of_the_tables() -> None:
    for name, page in (("memory", "models"), ("speed", "figures")):
        drawing = (DOCS / f"{name}.svg").read_text("utf-8")
        labels = re.findall(r">([\d.,]+(?: / [\d.]+)*)(?: GB)?</text>", drawing)
        numbers = {number for label in labels for number in label.split(" / ")}
        assert len(numbers) > 5
        assert numbers <= set(re.findall(r"\d[\d.,]*\d|\d", source(page)))


def test_every_row_of_figures_names_its_command() -> None:
    text = source("figures")
    tables, commands = text.split("## The commands")
    letters = set(re.findall(r"^\| (\w) \|", commands, re.MULTILINE))
    rows = re.findall(r"^\|(?! ?-)(.*)\|$", tables, re.MULTILINE)
    figures = [row for row in rows if not row.rstrip().endswith("|")]
    assert len(figures) > 20
    for row in figures:
        named = set(row.rsplit("|", 1)[1].replace(" ", "").split(","))
        assert named <= letters, row
