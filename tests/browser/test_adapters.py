"""leadout/server in several tabs, over fake engines, with the official OpenAI client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import run_in_thread
from playwright.sync_api import Browser, BrowserContext, Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from leadout_build import ROOT

#: On a machine that other work shares.
PATIENCE_MS = 60_000

SERVICE_WORKER = """
import { answer } from "/%s/adapters/server.js";
addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => answer(event));
"""

#: What each tab does: it is ready to be the host, and keeps what it becomes. `fake` is FakeOptions.
OPEN_TAB = """async ({ app, fake }) => {
  const { default: OpenAI } = await import("/openai/index.mjs");
  const { serveEngine } = await import(`/${app}/adapters/server.js`);
  const { FakeWorker } = await import(`/${app}/testing.js`);
  const { Leadout } = await import("/leadout.js");
  window.leadout = { roles: [], engine: null };
  await navigator.serviceWorker.register("/sw.js", { type: "module" });
  leadout.worker = new FakeWorker(fake);
  const server = serveEngine(async () => {
    const model = { name: "fake", files: [] };
    leadout.engine = await Leadout.load({ model, worker: leadout.worker });
    return leadout.engine;
  });
  leadout.server = server;
  server.addEventListener("role", ({ detail }) => leadout.roles.push(detail));
  if (!fake.loadError) await server.ready;
  const options = { apiKey: "none", maxRetries: 0, dangerouslyAllowBrowser: true };
  leadout.client = new OpenAI({ baseURL: `${location.origin}/v1`, ...options });
  return server.role;
}"""

#: A stream, piece by piece; `then` runs once something has come.
STREAM = """async ({ params, hangsUp }) => {
  let text = "";
  try {
    const messages = [{ role: "user", content: "What is RSI?" }];
    const body = { model: "any", messages, stream: true, ...params };
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

#: What a fake engine says, long enough to do something in the midst of it.
WORDS = {"text": " word" * 40, "tokensPerSecond": 40}


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


def begin(page: Page, **params: object) -> None:
    """Ask, and wait for the first piece alone; `window.begun` is the rest."""
    page.evaluate(
        f"(given) => {{ leadout.text = ''; window.begun = ({STREAM})(given); }}", {"params": params}
    )
    page.wait_for_function("leadout.text")


def open_tab(page: Page, origin: str, app: str, fake: dict[str, Any]) -> str:
    page.goto(f"{origin}blank.html")
    role: str = page.evaluate(OPEN_TAB, {"app": app, "fake": fake})
    return role


def wait_for_role(page: Page, role: str) -> None:
    page.wait_for_function(f"leadout.server.role === '{role}'")


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A profile of its own, without tabs or locks."""
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


def test_one_engine_answers_all_tabs_and_another_takes_over(
    context: BrowserContext, origin: str, app: str
) -> None:
    first, second = context.new_page(), context.new_page()
    assert open_tab(first, origin, app, WORDS) == "hosting"
    assert open_tab(second, origin, app, {"text": " Hello."}) == "waiting"
    assert ask(first, max_tokens=4) == {"text": " word" * 4}
    # The other tab has the same answers, and no engine.
    assert ask(second, max_tokens=4) == {"text": " word" * 4}
    assert second.evaluate("leadout.engine") is None
    models = "leadout.client.models.list().then(({ data }) => data.map(({ id }) => id))"
    assert second.evaluate(models) == ["fake"]
    bad = ask(second, reasoning_effort="low")
    assert (bad["status"], bad["param"]) == (400, "reasoning_effort")
    # Who hangs up frees the engine for the next one.
    ask(second, hangs_up=True)
    first.wait_for_function("leadout.worker.messages.at(-1).type === 'abort'")
    # The host is closed in the midst of an answer.
    begin(second)
    first.close()
    cut = second.evaluate("begun")
    assert cut["code"] == "host_closed"
    assert WORDS["text"].startswith(cut["text"])
    # The other tab takes over, says so, and answers what was asked meanwhile.
    assert ask(second) == {"text": " Hello."}
    assert second.evaluate("leadout.roles") == [
        {"role": "loading", "tookOver": True},
        {"role": "hosting", "tookOver": True},
    ]


def test_a_whole_answer_survives_the_tab_that_began_it(
    context: BrowserContext, origin: str, app: str
) -> None:
    first, second, third = (context.new_page() for _ in range(3))
    assert open_tab(first, origin, app, WORDS) == "hosting"
    assert open_tab(second, origin, app, {"text": " Hello."}) == "waiting"
    assert open_tab(third, origin, app, {"text": " Hello."}) == "waiting"
    third.evaluate(
        """() => void (window.begun = leadout.client.chat.completions.create({
          model: "any", messages: [{ role: "user", content: "Hi" }],
        }))"""
    )
    first.wait_for_function("leadout.worker.messages.some(({ type }) => type === 'generate')")
    first.close()
    text = third.evaluate("begun.then(({ choices }) => choices[0].message.content)")
    assert text == " Hello."
    # Each waits for its turn, and one that leaves by itself makes room, too.
    assert second.evaluate("leadout.server.role") == "hosting"
    assert third.evaluate("leadout.server.role") == "waiting"
    second.evaluate("leadout.server.close()")
    wait_for_role(third, "hosting")
    assert ask(second) == {"text": " Hello."}
    assert second.evaluate("leadout.engine.failure !== null")  # what was loaded for this has ended


def test_a_tab_that_cannot_load_leaves_it_to_the_next_one(
    context: BrowserContext, origin: str, app: str
) -> None:
    first, second = context.new_page(), context.new_page()
    error = {"name": "OutOfMemoryError", "message": "The device has no room."}
    open_tab(first, origin, app, {"loadError": error})
    wait_for_role(first, "failed")
    assert first.evaluate("leadout.server.failure.name") == "OutOfMemoryError"
    nobody = ask(first)
    assert (nobody["status"], nobody["code"]) == (503, "no_engine")
    assert open_tab(second, origin, app, WORDS) == "hosting"
    assert ask(first) == {"text": WORDS["text"]}
    # A tab that is closed hangs up.
    begin(first)
    first.close()
    second.wait_for_function("leadout.worker.messages.at(-1).type === 'abort'")


def test_a_service_worker_may_be_stopped_at_any_time(
    context: BrowserContext, origin: str, app: str
) -> None:
    first, second = context.new_page(), context.new_page()
    assert open_tab(first, origin, app, {"text": " word" * 400, "tokensPerSecond": 40}) == "hosting"
    assert open_tab(second, origin, app, WORDS) == "waiting"
    session = context.new_cdp_session(second)
    session.send("ServiceWorker.enable")
    session.send("ServiceWorker.stopAllWorkers")
    assert ask(second, max_tokens=2) == {"text": " word word"}
    begin(second)
    session.send("ServiceWorker.stopAllWorkers")
    assert second.evaluate("begun")["name"] == "TypeError"  # as of every broken connection
    first.wait_for_function("leadout.worker.messages.at(-1).type === 'abort'")
    assert ask(second, max_tokens=2) == {"text": " word word"}


def test_another_path_than_the_service_workers_is_a_named_failure(
    context: BrowserContext, origin: str, app: str
) -> None:
    page = context.new_page()
    assert open_tab(page, origin, app, WORDS) == "hosting"
    page.evaluate("leadout.server.close()")
    ready = """async (app) => {
      const { serveEngine } = await import(`/${app}/adapters/server.js`);
      leadout.server = serveEngine(() => leadout.engine, { path: "/v2/" });
      return leadout.server.ready.catch(({ name, message }) => `${name}: ${message}`);
    }"""
    failure = page.evaluate(ready, app)
    assert failure.startswith(f"RequestError: The service worker does not answer at {origin}v2/")
    assert page.evaluate("[leadout.server.role, leadout.server.failure.name]") == [
        "failed", "RequestError"
    ]  # fmt: skip


def test_what_is_no_request_of_a_page_is_left_alone(
    context: BrowserContext, origin: str, app: str
) -> None:
    page = context.new_page()
    assert open_tab(page, origin, app, WORDS) == "hosting"
    paths = "['/v1/models', '/v1/none', '/v2/models', '/blank.html']"
    statuses = page.evaluate(
        f"Promise.all({paths}.map(async (path) => (await fetch(path)).status))"
    )
    assert statuses == [200, 404, 404, 200]
    # Any site may send a form, or a person, here: such a request is not the page's.
    other = context.new_page()
    response = other.goto(f"{origin}v1/models")
    assert response is not None
    assert response.status == 404
