"""The built site without a connection: the page opens, and a model that is kept answers."""

from __future__ import annotations

from pathlib import Path

from pages import serve_in_thread
from playwright.sync_api import Browser

from flaky_server import FlakyFile, flaky_server
from leadout_build.store.built_in import built_in_models

#: For a load without a GPU, on a machine that other work shares.
PATIENCE_MS = 300_000

#: Loads a model by its address, lets it write, and says what was told of fetching.
LOAD = """async (model) => {
  const { Leadout } = await import(new URL("./leadout.js", location.href).href);
  const fetches = [];
  const stored = {};
  const onPhase = (phase) => {
    stored[phase] = fetches.at(-1)?.stored_bytes;
  };
  const onFetch = (event) => fetches.push(event);
  const engine = await Leadout.load({ model, onFetch, onPhase });
  const { tokens } = await engine.generate({ prompt: "BTC", max_tokens: 4 });
  engine.dispose();
  return { tokens, states: fetches.map(({ state }) => state), stored };
}"""

#: What the engine of an element says to the same prompt.
AGAIN = """(chat) =>
  chat.engine.generate({ prompt: "BTC", max_tokens: 4 }).then(({ tokens }) => tokens)"""


def test_a_model_loads_while_it_is_fetched_and_then_without_any_connection(
    site: Path, chromium: Browser
) -> None:
    (nano,) = (model for model in built_in_models() if model.name == "nano")
    data = nano.files["nano.gguf"].read_bytes()
    with (
        chromium.new_context() as context,
        flaky_server(seed=2) as server,
    ):
        context.set_default_timeout(PATIENCE_MS)
        file = server.files["nano.gguf"] = FlakyFile(data, cut_share=0.3)
        model = f"{server.url}nano.gguf"
        with serve_in_thread(site, [server.url.removesuffix("/")]) as url:
            page = context.new_page()
            page.goto(url + "build.json")
            first = page.evaluate(LOAD, model)
            assert first["states"][-1] == "done"
            # Weights went to the device before the last byte was there.
            assert first["stored"]["loading_weights"] < len(data)
            other = {"name": "nano.gguf", "url": model, "size": len(data), "sha256": "ab" * 32}
            bad = {"name": "bad", "source": "bad", "files": [other]}
            ended = page.evaluate(f"(model) => ({LOAD})(model).catch(({{ name }}) => name)", bad)
            assert ended == "IntegrityError"
            page.goto(url)
            page.evaluate("navigator.serviceWorker.ready.then(() => null)")
            page.close()
        file.is_down = True
        num_requests = len(file.requests)
        page = context.new_page()
        page.goto(url)
        assert page.title() == "Leadout: Gemma in this tab"
        page.locator("#library summary").click()
        page.get_by_role("button", name="Open nano").wait_for()
        page.goto(url + "docs/")
        page.locator("nav a", has_text="How drafting works").click()
        assert page.title() == "How drafting works – Leadout"
        drawing = page.locator("img").first  # kept as well
        assert drawing.evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 0
        page.goto(f"{url}desk/")  # which loads what is kept
        page.locator("#table tbody tr").nth(4).wait_for()  # its Python runs, too
        page.wait_for_selector('leadout-chat[data-state="ready"]')
        assert page.locator("leadout-chat").evaluate(AGAIN) == first["tokens"]
        assert len(file.requests) == num_requests
