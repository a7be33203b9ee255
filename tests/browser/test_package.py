"""The npm package in pages of all kinds, each under the policy that its README names for it.

Every page loads a tiny model from its own server, chats with it under a grammar (so that the
template worker and the grammar library are fetched), and keeps it (so that the puller and the hash
worker are).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pages import run_in_thread
from playwright.sync_api import Browser
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from strict_host import CDN_POLICY, OWN_POLICY, Host, WithPolicy

from leadout_build.serving.server import create_app
from leadout_build.store.model_store import Store
from packed import MAIN, build_with_vite, build_with_webpack, new_project, unpack
from tiny_checkpoints import random_gemma3_weights, tiny_gemma3_config, write_gguf

PATIENCE_MS = 240_000

#: Stands for the package's server in README.
CDN = "https://cdn.example"

IMPORT_MAP = """
{ "imports": {
  "leadout": "/leadout/index.js",
  "leadout/define": "/leadout/widget/define.js"
} }
"""

TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"

#: Loads, chats, keeps, removes. `assets`: where the engine's files are; null: in the package.
USE = r"""async ({ assets, sha256, size, patienceMs }) => {
  const violations = [];
  document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
    violations.push(`${violatedDirective} ${blockedURI}`);
  });
  const url = new URL("/models/tiny.gguf", location.href).href;
  const phases = [];
  const use = async () => {
    const options = { ...(assets && { assets }), drafter: "none" };
    const onPhase = (phase) => phases.push(phase);
    const engine = await Leadout.load({ model: url, ...options, onPhase });
    const messages = [{ role: "user", content: "ab" }];
    const request = { messages, max_tokens: 4, temperature: 0, regex: "[a-z]{3,9}" };
    const answer = await engine.chat.completions.create(request);
    engine.dispose();
    const files = [{ name: "tiny.gguf", url, sha256, size }];
    await Leadout.models.pull({ name: "tiny", files, source: url }, options);
    const kept = await Leadout.models.list();
    await Leadout.models.remove(url);
    const unnamed = Leadout.load({ model: "nano", ...options });
    const unknown = await unnamed.catch(({ message }) => message);
    const listed = await Leadout.listModels();
    const markup = await renderMarkdown();
    return { text: answer.choices[0].message.content, kept, listed, unknown, markup };
  };
  const renderMarkdown = async () => {
    const chat = Object.assign(document.createElement("leadout-chat"), { mode: "chat" });
    if (assets) chat.setAttribute("assets", assets);
    const answer = { role: "assistant", content: "**Bold** <b>no</b>\n\n| a |\n|---|\n| 1 |" };
    chat.messages = [{ role: "user", content: "ab" }, answer];
    document.body.append(chat);
    const find = () => chat.shadowRoot.querySelector(".markdown");
    while (!find()) await new Promise((resolve) => setTimeout(resolve, 50));
    return find().innerHTML;
  };
  const never = new Promise((_, reject) => setTimeout(reject, patienceMs, new Error("hangs")));
  const end = await Promise.race([use(), never]).then(
    (value) => value,
    ({ name, message }) => ({ error: name, message }),
  );
  const isDefined = customElements.get("leadout-chat") !== undefined;
  return { ...end, phases, violations, isDefined };
}"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model."""
    folder = tmp_path_factory.mktemp("models")
    config = tiny_gemma3_config(num_hidden_layers=2, sliding_window_pattern=2)
    weights = random_gemma3_weights(config)
    write_gguf(folder / "tiny.gguf", config, weights, chat_template=TEMPLATE)
    return folder


@contextmanager
def hosted(folder: Path, models: Path, **mounts: Path) -> Iterator[Host]:
    """Serve a page's folder, its models and other folders, all of one origin."""
    host = Host()
    folders = {"models": models, **mounts}
    routes = [Mount(f"/{name}", StaticFiles(directory=path)) for name, path in folders.items()]
    routes.append(Mount("/", StaticFiles(directory=folder, html=True)))
    with run_in_thread(
        Starlette(routes=routes, middleware=[Middleware(WithPolicy, host=host)])
    ) as url:
        host.origin = url.removesuffix("/")
        yield host


def use(browser: Browser, host: Host, models: Path, assets: str | None = None) -> dict[str, Any]:
    """Open a host page and use Leadout there."""
    data = (models / "tiny.gguf").read_bytes()
    asked = {
        "assets": assets,
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
        "patienceMs": PATIENCE_MS,
    }
    with browser.new_context() as context:
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{host.origin}/")
        page.wait_for_load_state("load")
        result: dict[str, Any] = page.evaluate(USE, asked)
    assert errors == []
    return result


def assert_works(result: dict[str, Any]) -> None:
    assert result.get("error") is None, result
    assert result["violations"] == []
    assert re.fullmatch("[a-z]+", result["text"]), result["text"]
    assert result["phases"][-1] == "ready"
    assert [(model["name"], model["is_complete"]) for model in result["kept"]] == [("tiny", True)]
    assert result["listed"] == []
    assert result["isDefined"]
    assert "<strong>Bold</strong> &lt;b&gt;no&lt;/b&gt;" in result["markup"]
    assert "<td>1</td>" in result["markup"]


def write_page(folder: Path, script: str = MAIN, *, has_import_map: bool = True) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "main.js").write_text(script)
    (folder / "index.html").write_text(
        '<!doctype html><meta charset="utf-8">'
        + (f'<script type="importmap">{IMPORT_MAP}</script>' if has_import_map else "")
        + '<script type="module" src="/main.js"></script>'
    )
    return folder


def with_import_map(policy: str) -> str:
    """Return a policy that lets the import map's inline script in, and no other."""
    digest = base64.b64encode(hashlib.sha256(IMPORT_MAP.encode()).digest()).decode()
    return policy.replace("script-src 'self'", f"script-src 'self' 'sha256-{digest}'")


@pytest.fixture
def package(packed: Path, tmp_path: Path) -> Path:
    """The package as an install leaves it."""
    return unpack(packed, tmp_path / "installed")


def test_an_import_map_and_a_plain_module(
    chromium: Browser, package: Path, models: Path, tmp_path: Path
) -> None:
    page = write_page(tmp_path / "page")
    with hosted(page, models, leadout=package) as host:
        host.policy = with_import_map(OWN_POLICY)
        result = use(chromium, host, models)
    assert_works(result)
    assert result["unknown"].startswith('The package brings no models, so "nano" is none.')


@pytest.mark.parametrize("build", [build_with_vite, build_with_webpack])
def test_a_bundler_needs_no_configuration(
    chromium: Browser, packed: Path, models: Path, tmp_path: Path, build: Callable[[Path], Path]
) -> None:
    public = build(new_project(packed, tmp_path / "project"))
    with hosted(public, models) as host:
        assert_works(use(chromium, host, models))


def test_assets_of_another_version_are_refused(
    chromium: Browser, package: Path, models: Path, tmp_path: Path
) -> None:
    listed = json.loads((package / "assets/assets.json").read_text())
    (package / "assets/assets.json").write_text(json.dumps({**listed, "version": "0.0.9"}))
    page = write_page(tmp_path / "page")
    with hosted(page, models, leadout=package) as host:
        host.policy = with_import_map(OWN_POLICY)
        result = use(chromium, host, models, assets="/leadout/assets")
    assert result["error"] == "SourceError"
    assert "is of Leadout 0.0.9, and this page's modules are of" in result["message"]


@contextmanager
def from_another_origin(
    what: str, package: Path, models: Path, site: Path, folder: Path
) -> Iterator[tuple[Host, str]]:
    """Serve a page, and beside it the package, its assets alone, or a built site, with CORS."""
    page = folder / "page"
    page.mkdir()
    with hosted(page, models, **({"leadout": package} if what == "assets" else {})) as host:
        served = {"package": package, "assets": package / "assets", "site": site}[what]
        app = create_app(served, Store(folder / "store"), cors_origins=[host.origin])
        with run_in_thread(app) as url:
            entries = {
                "package": {
                    "leadout": "index.js",
                    "leadout/define": "widget/define.js",
                },
                "site": {"leadout": "leadout.js", "leadout/define": "define.js"},
                "assets": {},
            }[what]
            script = MAIN
            for name, path in entries.items():
                script = script.replace(f'"{name}"', f'"{url}{path}"')
            write_page(page, script, has_import_map=what == "assets")
            host.policy = CDN_POLICY.replace(CDN, url.removesuffix("/"))
            if what == "assets":
                host.policy = with_import_map(host.policy)
            yield host, url


@pytest.mark.parametrize("what", ["package", "assets", "site"])
def test_another_origin_may_have_it(
    chromium: Browser, package: Path, models: Path, site: Path, tmp_path: Path, what: str
) -> None:
    with from_another_origin(what, package, models, site, tmp_path) as (host, url):
        assets = url if what == "assets" else None
        result = use(chromium, host, models, assets)
        assert_works(result)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("worker-src blob:", "WorkerError"),
        (f"worker-src blob: {CDN}", "WorkerError"),
        (f"connect-src 'self' {CDN}", "SourceError"),
    ],
)
def test_another_origin_needs_all_that_its_policy_says(
    chromium: Browser,
    package: Path,
    models: Path,
    site: Path,
    tmp_path: Path,
    words: str,
    error: str,
) -> None:
    with from_another_origin("assets", package, models, site, tmp_path) as (host, url):
        words = words.replace(CDN, url.removesuffix("/"))
        assert words in host.policy
        host.policy = host.policy.replace(words, words.rpartition(" ")[0])
        result = use(chromium, host, models, url)
    assert result["error"] == error, result
    assert "security policy" in result["message"]
