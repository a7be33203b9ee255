"""The grammar library in a worker of the built site, under the site's own policy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pages import serve_in_thread
from playwright.sync_api import Browser

from grammar_walks import END_OF_TURN, WALK, mark_ids, tokenizer, v8_walks, vocab_size
from leadout.grammar.constraint import Constraint
from tiny_vocabulary import EOS

SEEDS = (1, 2, 3)

#: A worker like the engine's: a module, beside the app's own.
WORKER = """
import { Grammars } from "./grammar.js";
%(walk)s
addEventListener("message", async ({ data }) => {
  try {
    const assets = await (await fetch(new URL("./assets.json", import.meta.url))).json();
    const url = new URL(assets.xgrammar, import.meta.url).href;
    const grammars = await Grammars.load(data.vocabulary, url);
    postMessage({ walks: await walks(grammars, data.ebnf, data.seeds, data.max_tokens) });
  } catch (error) {
    postMessage({ error: String(error) });
  }
});
"""

ASK = """([url, request]) => new Promise((resolve, reject) => {
  const worker = new Worker(url, { type: "module" });
  worker.onerror = (event) => reject(new Error(event.message || "the worker could not start"));
  worker.onmessage = ({ data }) => resolve(data);
  worker.postMessage(request);
})"""


@pytest.mark.parametrize("schema", [{"type": "object"}, {"type": "string", "pattern": "^é+$"}])
def test_a_worker_makes_the_same_masks_as_cpython(
    chromium: Browser, site: Path, schema: dict[str, object]
) -> None:
    (app,) = site.glob("app-*")
    ebnf = Constraint.from_schema(schema).ebnf
    with serve_in_thread(site) as url, chromium.new_context() as context:
        page = context.new_page()
        response = page.goto(url)
        assert response is not None
        policy = response.headers["content-security-policy"]
        assert "'wasm-unsafe-eval'" in policy
        assert "'unsafe-eval'" not in policy
        page.route(
            "**/grammar_worker.js",
            lambda route: route.fulfill(
                body=WORKER % {"walk": WALK.read_text("utf-8")},
                content_type="text/javascript",
                headers={"content-security-policy": policy},
            ),
        )
        request = {
            "vocabulary": {
                "pieces": tokenizer().pieces(),
                "vocab_size": vocab_size(),
                "stop_ids": [EOS, END_OF_TURN],
                "mark_ids": mark_ids(),
            },
            "ebnf": ebnf,
            "seeds": list(SEEDS),
            "max_tokens": 200,
        }
        worker = f"{url.rstrip('/')}/{app.name}/grammar_worker.js"
        answer = page.evaluate(ASK, [worker, request])
    assert json.dumps(answer) == json.dumps({"walks": v8_walks(ebnf, SEEDS, 200)})
