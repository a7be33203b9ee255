"""Renders the documentation: Markdown in static/docs/ becomes pages without scripts.

The Markdown can also be read in the repository. It links to other texts, to pictures, and to other
files of the repository. On the site, a link to a file of the repository becomes plain text, unless
the site has a copy of the file. Node renders the Markdown with markdown-it, which the site already
has for the chat (see render_markdown.mjs). One template is the frame of every page.

A paragraph that has only a link to the list of known models becomes a table of these models.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from leadout_build.site.errors import BuildError

#: The texts' folder in static/.
FOLDER = "docs"

#: The order of pages in the navigation, where each page is named by its heading.
ORDER = (
    "index",
    "embed",
    "api",
    "models",
    "adapters",
    "python",
    "cli",
    "drafting",
    "design",
    "figures",
    "browsers",
    "security",
    "troubleshooting",
)

RENDERER = Path(__file__).with_name("render_markdown.mjs")
TEMPLATE = Path(__file__).with_name("documentation.html")

_KNOWN_MODELS = re.compile(r"^\[[^\]]+\]\(\.\./\.\./(web/hub/known_models\.json)\)$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """A rendered text.

    Attributes:
        title: the first heading.
        html: the body.
        headings: (id, text) of the headings of the second level.
        anchors: the ids of all headings.
        links: every link and picture, as written in the Markdown.
    """

    title: str
    html: str
    headings: tuple[tuple[str, str], ...]
    anchors: frozenset[str]
    links: tuple[str, ...]


def read_documentation(root: Path, copies: Mapping[str, str]) -> dict[str, Page]:
    """Render the texts of a checkout's static/docs, by name.

    Args:
        root: the checkout.
        copies: the files that the site has copies of: path on the site → path in the repository.

    Raises:
        BuildError: the texts differ from those in `ORDER`, or Node cannot render them.
    """
    folder = root / "static" / FOLDER
    texts = {path.stem: path.read_text("utf-8") for path in sorted(folder.glob("*.md"))}
    if set(texts) != set(ORDER):
        differing = ", ".join(sorted(set(texts) ^ set(ORDER)))
        raise BuildError(
            f"static/{FOLDER} and ORDER in {Path(__file__).name} differ by: {differing}"
        )
    filled = {
        name: _KNOWN_MODELS.sub(lambda match: known_models_table(root / match[1]), text)
        for name, text in texts.items()
    }
    links = {f"../../{path}": f"../{copy}" for copy, path in copies.items()}
    return {
        name: Page(
            page["title"],
            page["html"],
            tuple((heading["id"], heading["text"]) for heading in page["headings"]),
            frozenset(page["anchors"]),
            tuple(page["links"]),
        )
        for name, page in _render(filled, root / "web/node_modules", links).items()
    }


def write_documentation(root: Path, site: Path, copies: Mapping[str, str]) -> None:
    """Replace the texts by pages, in a site that static/ was copied to.

    A checkout without static/docs has none.

    Args:
        root: the checkout.
        site: the site.
        copies: as for `read_documentation`.

    Raises:
        BuildError: as `read_documentation`.
    """
    out = site / FOLDER
    if not out.is_dir():
        return
    pages = read_documentation(root, copies)
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, autoescape=True, keep_trailing_newline=True
    )
    template = environment.from_string(TEMPLATE.read_text("utf-8"))
    for name, page in pages.items():
        (out / f"{name}.md").unlink()
        text = template.render(
            name=name, page=page, pages=[(other, pages[other].title) for other in ORDER]
        )
        (out / f"{name}.html").write_bytes(text.encode())


def known_models_table(path: Path) -> str:
    """Return known_models.json as a Markdown table."""
    rows = ["| name | model | on the hub | drafter |", "|---|---|---|---|"]
    for model in json.loads(path.read_text("utf-8"))["models"]:
        drafter = f"`{model['drafter']}`" if model["drafter"] else "none"
        rows.append(f"| `{model['name']}` | {model['title']} | `{model['hub']}` | {drafter} |")
    return "\n".join(rows)


def _render(
    texts: Mapping[str, str], node_modules: Path, links: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    work = json.dumps({"texts": texts, "copies": links})
    command = ["node", str(RENDERER), str(node_modules)]
    try:
        done = subprocess.run(
            command, input=work, capture_output=True, encoding="utf-8", check=True
        )
    except FileNotFoundError as error:
        raise BuildError("there is no `node`; the build needs Node.js 20 or newer") from error
    except subprocess.CalledProcessError as error:
        raise BuildError(f"{RENDERER.name} failed: {error.stderr.strip()}") from error
    pages: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return pages
