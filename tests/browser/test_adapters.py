"""leadout/server and leadout/prompt-api with the real Nano, and the official OpenAI client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import run_in_thread
from playwright.sync_api import Page, sync_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from leadout_build import ROOT
from leadout_build.serving.headless import launch_options

#: For loads without a GPU, on a machine that other work shares.
PATIENCE_MS = 300_000

SERVICE_WORKER = """
import { answer } from "/%s/adapters/server.js";
addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => answer(event));
"""

#: What each tab does: it is ready to be the host, and keeps what it becomes.
OPEN_TAB = """async (app) => {
  const { default: OpenAI } = await import("/openai/index.mjs");
  const { serveEngine } = await import(`/${app}/adapters/server.js`);
  const { Leadout } = await import("/leadout.js");
  window.leadout = { roles: [], engine: null };
  await navigator.serviceWorker.register("/sw.js", { type: "module" });
  const server = serveEngine(async () => {
    leadout.engine = await Leadout.load({ model: "nano" });
    return leadout.engine;
  });
  server.addEventListener("role", ({ detail }) => leadout.roles.push(detail));
  await server.ready;
  const options = { apiKey: "none", maxRetries: 0, dangerouslyAllowBrowser: true };
  leadout.client = new OpenAI({ baseURL: `${location.origin}/v1`, ...options });
  return server.role;
}"""

#: A stream, piece by piece; `then` runs once something has come.
STREAM = """async ({ params, hangsUp }) => {
  let text = "";
  try {
    const messages = [{ role: "user", content: "What is RSI?" }];
    const body = { model: "nano", messages, stream: true, ...params };
    for await (const { choices } of await leadout.client.chat.completions.create(body)) {
      text += choices[0].delta.content ?? "";
      window.leadout.text = text;
      if (hangsUp && text) break;
    }
    return { text };
  } catch ({ name, status, code, param, message }) {
    return { text, name, status: status ?? null, code, param, message };
  }
}"""

#: Long enough to do something in the midst of it.
LONG = {"ignore_eos": True, "max_tokens": 4000}


@pytest.fixture(scope="module")
def app(site: Path) -> str:
    """The folder of the site that has the modules."""
    (folder,) = site.glob("app-*")
    return folder.name


@pytest.fixture(scope="module")
def origin(site: Path, app: str) -> Iterator[str]:
    """The built site with somebody's own service worker, and the official client beside it."""

    def service_worker(_request: Request) -> Response:
        return Response(SERVICE_WORKER % app, media_type="text/javascript")

    def blank(_request: Request) -> Response:
        return HTMLResponse("<title>A page</title>")

    routes = [
        Route("/sw.js", service_worker),
        Route("/blank.html", blank),
        Mount("/openai", StaticFiles(directory=ROOT / "web/node_modules/openai")),
        Mount("/", StaticFiles(directory=site, html=True)),
    ]
    with run_in_thread(Starlette(routes=routes)) as url:
        yield url


def ask(page: Page, hangs_up: bool = False, **params: object) -> dict[str, Any]:
    answer: dict[str, Any] = page.evaluate(STREAM, {"params": params, "hangsUp": hangs_up})
    return answer


def open_tab(page: Page, origin: str, app: str) -> str:
    page.goto(f"{origin}blank.html")
    role: str = page.evaluate(OPEN_TAB, app)
    return role


def test_one_engine_answers_all_tabs_and_another_takes_over(origin: str, app: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launch_options(software=True))
        context = browser.new_context()
        context.set_default_timeout(PATIENCE_MS)
        first, second = context.new_page(), context.new_page()
        assert open_tab(first, origin, app) == "hosting"
        assert open_tab(second, origin, app) == "waiting"
        answer = ask(first, max_tokens=24)
        text = answer["text"]
        assert answer == {"text": text}
        assert len(text) > 20
        # The other tab has the same answers, and no engine.
        assert ask(second, max_tokens=24) == {"text": text}
        assert second.evaluate("leadout.engine") is None
        models = "leadout.client.models.list().then(({ data }) => data.map(({ id }) => id))"
        assert second.evaluate(models) == ["nano"]
        bad = ask(second, reasoning_effort="low")
        assert (bad["status"], bad["param"]) == (400, "reasoning_effort")
        # Who hangs up frees the engine for the next one.
        ask(second, hangs_up=True, **LONG)
        assert ask(second, max_tokens=24)["text"] == text
        # The host is closed in the midst of an answer.
        second.evaluate("leadout.text = ''")
        second.evaluate(
            f"window.cut = ({STREAM})({{ params: {{ ignore_eos: true, max_tokens: 4000 }} }}), null"
        )
        second.wait_for_function("leadout.text.length > 20")
        first.close()
        cut = second.evaluate("cut")
        assert cut["code"] == "host_closed"
        assert cut["text"].startswith(text[:20])
        # The other tab takes over, says so, and answers what was asked meanwhile.
        assert ask(second, max_tokens=24) == {"text": text}
        assert second.evaluate("leadout.roles") == [
            {"role": "loading", "tookOver": True},
            {"role": "hosting", "tookOver": True},
        ]
        assert second.evaluate("leadout.engine.info.name") == "nano"
        prompted = second.evaluate(PROMPT, app)
        assert prompted["same"] == text
        assert prompted["matched"] in ("up", "down")
        assert prompted["usage"] > 0
        assert prompted["error"] == "AbortError"
        browser.close()


#: The engine that answers for all tabs is also the browser's LanguageModel of this page.
PROMPT = """async (app) => {
  const { languageModel } = await import(`/${app}/adapters/prompt_api.js`);
  const LanguageModel = languageModel(leadout.engine);
  const session = await LanguageModel.create({ samplingMode: "most-predictable" });
  const controller = new AbortController();
  let error;
  try {
    const { signal } = controller;
    for await (const _ of session.promptStreaming("What is RSI?", { signal })) controller.abort();
  } catch ({ name }) {
    error = name;
  }
  const matched = await session.prompt("Up or down?", { responseConstraint: /up|down/ });
  const answer = await leadout.engine.chat.completions.create({
    messages: [{ role: "user", content: "What is RSI?" }],
    max_tokens: 24,
  });
  const same = answer.choices[0].message.content;
  return { error, matched, same, usage: session.contextUsage };
}"""
