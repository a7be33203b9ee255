"""A model of a hub in the built page: from its name in the field to the ids of transformers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from browsers import Browsers
from pages import Chat
from playwright.sync_api import Page, expect

from engine_cases import folder_files, generated, load
from fake_hub import REPO, TOKEN, FakeHub, serve_hub
from gemma4_gguf import write_gemma4_gguf
from leadout.checkpoint import FileSource
from leadout.checkpoint.gguf import read_gguf_header
from leadout.devices.numpy import NumpyDevice
from leadout.embedded import Embeddings
from leadout.tokenizer import tokenizer_json_from_gguf
from leadout.tokenizer_native import HuggingFaceTokenizer
from leadout_build.serving.headless import BLANK, serving
from leadout_build.store.model_store import Store
from split_gguf import split_gguf

NUM_TOKENS = 12
MLX_REPO = "someone/tiny-mlx-4bit"
PATIENCE_MS = 600_000

#: What the browser's store fetches as a whole.
CHUNK_BYTES = 1 << 20


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory, vectors: Path) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny-F32.gguf"
    return write_gemma4_gguf(path, vectors / "gemma4-tiny/trained-e2b")


@pytest.fixture(scope="module")
def tokenizer_json(gguf: Path) -> str:
    """The GGUF's vocabulary; the MLX folders have none of their own."""
    with ThreadPoolExecutor(1) as executor:  # Playwright has an event loop running in this thread
        header = executor.submit(asyncio.run, read_gguf_header(FileSource(gguf), 0)).result()
    return json.dumps(tokenizer_json_from_gguf(header.metadata))


@pytest.fixture(scope="module")
def hub(gguf: Path, tokenizer_json: str, vectors: Path) -> Iterator[FakeHub]:
    """A hub with a model that has terms, a split GGUF with a drafter beside it, and MLX folders."""
    folder, tiny, mlx = gguf.parent, vectors / "gemma4-tiny", vectors / "mlx-tiny"
    drafter = write_gemma4_gguf(folder / "mtp-tiny.gguf", tiny / "trained-e2b-assistant")
    (folder / "parts").mkdir()
    parts = split_gguf(gguf, folder / "parts", 40)
    with parts[-1].open("ab") as last:
        last.write(bytes(3 * CHUNK_BYTES))  # nobody reads these
    hub = FakeHub({path.name: path.read_bytes() for path in (*parts, drafter)})
    hub.gated = {REPO}
    for end in ("", "-assistant"):
        files = folder_files(mlx / f"trained-e2b-4bit{end}").items()
        hub.repos[MLX_REPO + end] = {name: path.read_bytes() for name, path in files}
    hub.repos[MLX_REPO]["tokenizer.json"] = tokenizer_json.encode()
    with serve_hub(hub):
        yield hub


@pytest.fixture(scope="module")
def page(
    site: Path, browsers: Browsers, hub: FakeHub, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    """The page, whose widget asks that hub."""
    store = Store(tmp_path_factory.mktemp("empty") / "store")
    origins = [hub.endpoint, hub.other_host]
    with (
        serving(site, store=store, allow_origins=origins) as url,
        browsers.page(url + BLANK) as page,
    ):
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        # Nothing is proposed, so that nothing loads by itself.
        page.route("**/models/index.json", lambda route: route.fulfill(json={"models": []}))
        page.goto(url)
        page.locator("leadout-chat").evaluate(
            "(chat, host) => { chat.loadOptions = { hub: { host } }; }", hub.endpoint
        )
        yield page
        assert errors == []


def choose(page: Page, text: str, token: str = "") -> None:
    if page.locator("#url-form").is_hidden():
        page.get_by_role("button", name="Name or URL").click()
    page.locator("#url").fill(text)
    page.locator("#token").fill(token)
    page.locator("#url-form").get_by_role("button", name="Look it up").click()


#: Generates, and then asks for the same in OpenAI's shape.
_ASK = """async (chat, request) => {
  const generated = await chat.engine.generate(request);
  const { choices } = await chat.engine.completions.create(request);
  return { ...generated, completion: choices[0].text };
}"""


def ask(page: Page, tokenizer_json: str, prompt_ids: list[int], num_tokens: int) -> list[int]:
    """Return the ids that the page's model writes with drafts, once its text is theirs."""
    request = {
        "prompt_ids": prompt_ids,
        "max_tokens": num_tokens,
        "ignore_eos": True,
        "draft_tokens": 3,
    }
    generated = page.locator("leadout-chat").evaluate(_ASK, request)
    tokens: list[int] = generated["tokens"]
    text = HuggingFaceTokenizer.from_json(tokenizer_json).decode(tokens)
    assert generated["text"] == generated["completion"] == text
    assert len(text) > num_tokens // 2
    assert generated["stats"]["accepted_tokens"] > 0
    return tokens


def test_terms_are_told_where_there_is_no_token(page: Page, hub: FakeHub) -> None:
    chat = Chat(page)
    choose(page, REPO)
    host = hub.endpoint.removeprefix("http://")
    expect(chat.notice).to_contain_text(f"To be fetched from {host}.")
    expect(chat.notice).to_contain_text("asks to accept its terms first", timeout=PATIENCE_MS)
    chat.notice.get_by_role("button", name="Get", exact=True).click()
    chat.wait_for_state("failed", PATIENCE_MS)
    expect(chat.notice).to_contain_text("asks to accept its terms first")


def test_a_split_gguf_with_its_drafter_gives_the_ids_of_transformers(
    page: Page, hub: FakeHub, vectors: Path, tokenizer_json: str
) -> None:
    chat = Chat(page)
    choose(page, f"hf:{REPO}:F32", TOKEN)
    where = hub.endpoint.removeprefix("http://")
    expect(chat.notice).to_contain_text(f"to fetch from {where} (tiny-F32.gguf), drafter included")
    expect(chat.notice).to_contain_text("of GPU memory with 1,024 tokens", timeout=60_000)
    # Whether the token may read it was asked first; then headers, of files that are no larger.
    assert hub.requests[0][1] == "bytes=0-0"
    assert all(asked for _, asked in hub.requests)
    hub.max_bytes = CHUNK_BYTES
    chat.notice.get_by_role("button", name="Get", exact=True).click()
    try:
        # All weights are on the device; the last part is not there whole.
        page.wait_for_selector(
            'leadout-chat:is([data-state="warming_up"], [data-state="ready"])', timeout=60_000
        )
    finally:
        hub.max_bytes = None
    chat.wait_for_state("ready", PATIENCE_MS)
    assert chat.value("chat.engine.info.drafter.name") == "mtp-tiny"
    text = (vectors / "gemma4-tiny/trained-e2b-assistant/assisted.json").read_text()
    golden = json.loads(text)[0]
    tokens = ask(page, tokenizer_json, golden["prompt_ids"], NUM_TOKENS)
    assert tokens == golden["ids"][:NUM_TOKENS]
    elsewhere = [seen for seen in hub.seen if seen.host != where]
    assert {seen.authorization for seen in elsewhere} == {None}


#: Loads the model again, from the store, and asks both engines for the same.
_PAGED = """async ([chat, { model, hub, requests }]) => {
  const { Leadout } = await import(new URL("./leadout.js", location.href).href);
  const options = { placement: "paged", pagedRows: 256, drafter: "none" };
  const forecast = await Leadout.models.estimate(model, { hub, drafter: "none" });
  const engine = await Leadout.load({ model, hub, ...options });
  const removed = await Leadout.models.remove(model).catch(({ message }) => message);
  const [wanted, found] = [[], []];
  for (const request of requests) {
    wanted.push((await chat.engine.generate(request)).tokens);
    found.push(await engine.generate(request));
  }
  engine.dispose();
  return { wanted, found, removed, forecast, info: engine.info, whole: chat.engine.info };
}"""


def test_a_table_that_stays_in_the_store_gives_the_same_ids(page: Page, hub: FakeHub) -> None:
    """Rows are read from the browser's own file system; ids above 255 have none at first."""
    fields = {"max_tokens": NUM_TOKENS, "ignore_eos": True}
    sampled = {"temperature": 2.0, "seed": 3, "run_ahead": 4}
    requests = [
        {**fields, "prompt_ids": [2, 9, 300, 301, 508], "drafter": "none"},
        {**fields, "prompt_ids": [2, 9, 300, 301, 508, 77, 400], "drafter": "none", **sampled},
    ]
    asked = {
        "model": f"hf:{REPO}:F32",
        "hub": {"host": hub.endpoint, "token": TOKEN},
        "requests": requests,
    }
    num_requests = len(hub.requests)
    result = page.evaluate(_PAGED, [page.locator("leadout-chat").element_handle(), asked])
    assert "is in use" in result["removed"]
    found, info, whole = result["found"], result["info"], result["whole"]
    assert [one["tokens"] for one in found] == result["wanted"]
    # What is cached by default is more than this table.
    assert (info["placement"], whole["placement"]) == ("paged", "none")
    assert info["weights_bytes"] < whole["weights_bytes"]
    paging = [one["stats"]["paging"] for one in found]
    assert paging[0]["misses"] >= 3
    assert paging[1]["misses"] >= 1
    assert paging[0]["read_bytes"] == paging[0]["misses"] * 6 * 32 * 4
    assert result["forecast"]["file_bytes"] > 3 * CHUNK_BYTES
    asked_again = {asked for _, asked in hub.requests[num_requests:]}
    assert asked_again <= {"bytes=0-0"}, "whether the token may; all else is kept"


#: Asks with embeddings in the place of tokens', with drafts and without; then with a number more.
_EMBEDDED = """async (chat, { request, spans }) => {
  const embeddings = spans.map(({ start, rows, sees_all }) => (
    { start, sees_all, rows: new Float32Array(rows) }
  ));
  const found = [];
  for (const draft_tokens of [3, 0]) {
    found.push(await chat.engine.generate({ ...request, draft_tokens, embeddings }));
  }
  const { choices } = await chat.engine.completions.create({ ...request, embeddings, stop: [] });
  const wrong = [{ start: 1, rows: new Float32Array(chat.engine.info.hidden_size + 1) }];
  const refused = chat.engine.generate({ ...request, embeddings: wrong });
  const error = await refused.catch(({ name, message }) => `${name}: ${message}`);
  return { found, text: choices[0].text, error };
}"""


def test_embeddings_in_the_place_of_tokens_give_the_ids_of_numpy(
    page: Page, vectors: Path, tokenizer_json: str
) -> None:
    size = page.locator("leadout-chat").evaluate("(chat) => chat.engine.info.hidden_size")
    rng = np.random.default_rng(4)
    prompt = [2, *rng.integers(3, 90, 79).tolist()]
    spans = [
        Embeddings(start, rng.normal(0, 1, (n, size)).astype(np.float32), sees_all)
        for start, n, sees_all in ((3, 5, False), (20, 40, True))
    ]
    request = {"prompt_ids": prompt, "max_tokens": NUM_TOKENS, "ignore_eos": True}

    async def on_numpy() -> list[int]:
        files = folder_files(vectors / "gemma4-tiny/trained-e2b")
        engine = await load(NumpyDevice(), files)
        return await generated(engine, prompt, max_tokens=NUM_TOKENS, embeddings=spans)

    with ThreadPoolExecutor(1) as executor:  # Playwright has an event loop running in this thread
        wanted = executor.submit(asyncio.run, on_numpy()).result()
    asked = [
        {"start": one.start, "rows": one.rows.ravel().tolist(), "sees_all": one.sees_all}
        for one in spans
    ]
    result = page.locator("leadout-chat").evaluate(_EMBEDDED, {"request": request, "spans": asked})
    first, second = result["found"]
    assert first["tokens"] == second["tokens"] == wanted
    assert second["stats"]["cached_tokens"] == len(prompt) - 1
    text = HuggingFaceTokenizer.from_json(tokenizer_json).decode(wanted)
    assert result["text"] == second["text"] == text != ""
    assert "bytes; wanted a multiple of" in result["error"]
    assert result["error"].startswith("RequestError")


def test_an_mlx_folder_with_its_drafter_gives_the_ids_of_transformers(
    page: Page, hub: FakeHub, vectors: Path, tokenizer_json: str
) -> None:
    chat = Chat(page)
    choose(page, MLX_REPO)
    where = hub.endpoint.removeprefix("http://")
    expect(chat.notice).to_contain_text(f"to fetch from {where}, drafter included")
    chat.notice.get_by_role("button", name="Get", exact=True).click()
    chat.wait_for_state("ready", PATIENCE_MS)
    assert chat.value("chat.engine.info.drafter.name") == "tiny-mlx-4bit-assistant"
    with np.load(vectors / "mlx-tiny/trained-e2b-4bit/golden.npz") as golden:
        wanted = golden["generated_ids"].tolist()
        prompt_ids = golden["prompt_ids"].tolist()
    assert ask(page, tokenizer_json, prompt_ids, len(wanted)) == wanted
