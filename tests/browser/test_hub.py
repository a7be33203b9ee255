"""Models by their names on a hub: what is listed, chosen, refused and read, in a real Chromium."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pages import serve_in_thread
from playwright.sync_api import Browser, Page

from fake_hub import COMMIT, REPO, TOKEN, FakeHub, serve_hub
from leadout_build import ROOT

#: Large enough for several ranges.
GGUF = bytes(range(256)) * 4096

Ask = Callable[..., Any]

_RESOLVE = """async ([name, options]) => {
  const { resolveModel } = await importApp("hub/resolve.js");
  return resolveModel(name, { retryMs: 5, ...options }).then(
    (model) => ({ model }),
    ({ name, message }) => ({ error: `${name}: ${message}` }),
  );
}"""

_READ = """async ([url, options, reads]) => {
  const { UrlSource } = await importApp("runtime/sources.js");
  const source = new UrlSource(url, { retryMs: 5, ...options });
  try {
    const size = await source.size();
    const sums = [];
    for (const [offset, length] of reads) {
      sums.push(btoa(String.fromCharCode(...(await source.read(offset, length)))));
    }
    return { size, sums };
  } catch ({ name, message }) {
    return { error: `${name}: ${message}` };
  } finally {
    source.close();
  }
}"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeHub, str]]:
    """A hub, and the URL of a site whose policy lets its page ask it."""
    site = tmp_path_factory.mktemp("site")
    ignore = shutil.ignore_patterns("node_modules")
    shutil.copytree(ROOT / "static", site, dirs_exist_ok=True)
    shutil.copytree(ROOT / "web", site / "app-0", ignore=ignore)
    (site / "leadout.js").write_text('export * from "./app-0/index.js";\n')
    (site / "define.js").write_text('export * from "./app-0/widget/define.js";\n')
    hub = FakeHub({})
    with serve_hub(hub), serve_in_thread(site, [hub.endpoint, hub.other_host]) as url:
        yield hub, url


@pytest.fixture
def hub(served: tuple[FakeHub, str]) -> FakeHub:
    """The hub, with one GGUF and nothing wrong."""
    hub, _ = served
    endpoint, other_host = hub.endpoint, hub.other_host
    hub.__init__({"tiny.gguf": GGUF})  # type: ignore[misc]
    hub.endpoint, hub.other_host = endpoint, other_host
    return hub


@pytest.fixture(scope="module")
def page(chromium: Browser, served: tuple[FakeHub, str]) -> Iterator[Page]:
    """A page of the site that loads nothing by itself."""
    page = chromium.new_page()
    page.goto(served[1] + "icon.svg")
    page.evaluate("() => { window.importApp = (path) => import(`/app-0/${path}`); }")
    yield page
    page.close()


@pytest.fixture
def resolve(hub: FakeHub, page: Page) -> Ask:
    """Look a name up at the hub; {"model"} or {"error"}."""

    def ask(name: str, **options: Any) -> Any:
        return page.evaluate(_RESOLVE, [name, {"host": hub.endpoint, "known": [], **options}])

    return ask


def test_the_only_gguf_is_found_with_its_size_hash_and_commit(hub: FakeHub, resolve: Ask) -> None:
    assert resolve(f"hf:{REPO}")["model"] == {
        "name": "tiny",
        "repo": REPO,
        "revision": COMMIT,
        "host": hub.endpoint,
        "files": [
            {
                "name": "tiny.gguf",
                "url": f"{hub.endpoint}/{REPO}/resolve/{COMMIT}/tiny.gguf",
                "size": len(GGUF),
                "sha256": hashlib.sha256(GGUF).hexdigest(),
            }
        ],
        "drafter": None,
    }


def test_a_file_is_read_in_ranges_from_where_the_hub_leads(hub: FakeHub, page: Page) -> None:
    url = f"{hub.endpoint}/{REPO}/resolve/{COMMIT}/tiny.gguf"
    hub.private = {REPO}
    hub.num_cuts = 1
    end = len(GGUF) - 16
    read = page.evaluate(_READ, [url, {"size": len(GGUF), "token": TOKEN}, [[0, 16], [end, 16]]])
    assert read["size"] == len(GGUF)
    assert len(set(read["sums"])) == 2
    others = [seen for seen in hub.seen if seen.path.startswith("/lfs/")]
    assert {seen.host for seen in others} == {hub.other_host.removeprefix("http://")}
    assert all(seen.range is not None for seen in others)
    # The token is the hub's alone.
    assert {seen.authorization for seen in others} == {None}
    assert {seen.authorization for seen in hub.seen if seen not in others} == {f"Bearer {TOKEN}"}


# ---- what is chosen ---------------------------------------------------------------------------


def test_a_revision_and_a_quantisation_are_looked_up(hub: FakeHub, resolve: Ask) -> None:
    hub.files = {"a/m-Q4_K_M.gguf": GGUF, "m-Q8_0.gguf": GGUF}
    model = resolve(f"{REPO}@v1:q4_k_m")["model"]
    assert [file["name"] for file in model["files"]] == ["m-Q4_K_M.gguf"]
    assert model["files"][0]["url"].endswith(f"/{COMMIT}/a/m-Q4_K_M.gguf")
    assert hub.seen[0].path == f"/api/models/{REPO}/revision/v1?blobs=true"


def test_a_repository_that_moved_is_followed(hub: FakeHub, resolve: Ask) -> None:
    hub.renamed = {"old/name": REPO}
    model = resolve("old/name@v1", token=TOKEN)["model"]
    assert (model["repo"], model["name"]) == (REPO, "tiny")
    assert f"/{REPO}/resolve/" in model["files"][0]["url"]


def test_the_drafter_is_found_beside_it_or_by_its_name(hub: FakeHub, resolve: Ask) -> None:
    assert resolve(REPO)["model"]["drafter"] is None
    hub.repos["someone/tiny-assistant"] = {
        "config.json": b"{}",
        "model-00001-of-00002.safetensors": b"1",
        "model-00002-of-00002.safetensors": b"22",
        "model.safetensors.index.json": b"{}",
    }
    drafter = resolve(REPO)["model"]["drafter"]
    assert drafter["name"] == "tiny-assistant"
    assert sorted((file["name"], file["size"]) for file in drafter["files"]) == [
        ("config.json", 2),
        ("model-00001-of-00002.safetensors", 1),
        ("model-00002-of-00002.safetensors", 2),
        ("model.safetensors.index.json", 2),
    ]
    known = [{"name": "t", "title": "T", "hub": REPO, "of": None, "drafter": "other/drafter"}]
    hub.repos["other/drafter"] = {"d.gguf": b"d"}
    assert resolve(REPO, known=known)["model"]["drafter"]["name"] == "drafter"
    # One that the list has and the hub no more is passed over.
    del hub.repos["other/drafter"]
    assert resolve(REPO, known=known)["model"]["drafter"]["name"] == "tiny-assistant"
    hub.files["mtp-tiny.gguf"] = b"m"
    assert resolve(REPO)["model"]["drafter"]["name"] == "mtp-tiny"
    assert resolve(REPO, withDrafter=False)["model"]["drafter"] is None


# ---- what is refused --------------------------------------------------------------------------


def test_what_is_not_there_is_named(hub: FakeHub, resolve: Ask) -> None:
    where = hub.endpoint.removeprefix("http://")
    assert resolve("no/such")["error"] == (
        f"ModelNotFoundError: {where} has no model no/such, or it is private: then give an access "
        "token."
    )
    assert f'no revision "v2" at {where}' in resolve(f"{REPO}@v2")["error"]
    assert 'has no file "x.gguf"' in resolve(f"{REPO}:x.gguf")["error"]
    assert resolve("hf:tiny")["error"].startswith("RequestError")
    hub.private = {REPO}
    assert "or it is private" in resolve(REPO)["error"]
    assert "model" in resolve(REPO, token=TOKEN)
    assert "this access token may not see it" in resolve(REPO, token="another")["error"]


def test_terms_that_were_not_accepted_are_told_before_the_download(
    hub: FakeHub, resolve: Ask
) -> None:
    hub.gated = {REPO}
    assert "asks to accept its terms first" in resolve(REPO)["error"]
    assert hub.requests == []
    assert resolve(REPO, token=TOKEN)["model"]["name"] == "tiny"


def test_a_busy_hub_is_asked_again_and_then_told(hub: FakeHub, resolve: Ask) -> None:
    hub.refusals = [(503, {}), (429, {}), (429, {"Retry-After": "0"})]
    assert "model" in resolve(REPO)
    # Hubs do not let pages read this one unless they say so.
    exposed = {"Access-Control-Expose-Headers": "Retry-After"}
    hub.refusals = [(429, {"Retry-After": "300", **exposed})]
    assert resolve(REPO)["error"].endswith(f"answered 429 for {REPO}; try again in 300 seconds.")
    hub.refusals = [(500, {})] * 4
    assert "answered 500" in resolve(REPO)["error"]
    hub.refusals = [(403, {})]
    assert resolve(REPO)["error"].startswith("SourceError")


@pytest.mark.parametrize(
    "listing",
    [
        b"not json", b"[]", b"null", b'{"sha": 5}',
        b'{"sha": "' + COMMIT.encode() + b'", "siblings": [{"rfilename": "a.gguf", "size": "5"}]}',
        b'{"sha": "' + COMMIT.encode() + b'", "siblings": [null]}',
    ],
)  # fmt: skip
def test_what_is_no_listing_is_one_error(hub: FakeHub, resolve: Ask, listing: bytes) -> None:
    hub.listing = listing
    assert "is not a hub: what it answered" in resolve(REPO)["error"]


def test_another_file_than_the_published_one_is_refused(hub: FakeHub, page: Page) -> None:
    url = f"{hub.endpoint}/{REPO}/resolve/{COMMIT}/tiny.gguf"
    hub.pointers = {"tiny.gguf"}
    read = page.evaluate(_READ, [url, {"size": len(GGUF)}, []])
    assert f"{len(GGUF):,} were published" in read["error"]
    hub.pointers = set()
    hub.refusals = [(429, {}), (503, {})]
    assert page.evaluate(_READ, [url, {"size": len(GGUF)}, []])["size"] == len(GGUF)


#: Opens a file, and reads a part of it; seven seconds' wait takes none, and is counted.
_WAIT = """async (url) => {
  const { UrlSource } = await importApp("runtime/sources.js");
  const { setTimeout } = globalThis;
  window.numWaits = 0;
  globalThis.setTimeout = (call, ms) => setTimeout(call, ms === 7000 ? (numWaits++, 0) : ms);
  window.source ??= new UrlSource(url, { retryMs: 5 });
  try {
    await source.size();
    await source.read(1 << 19, 10);
  } finally {
    globalThis.setTimeout = setTimeout;
  }
  return numWaits;
}"""


def test_a_server_that_asks_for_time_gets_it(hub: FakeHub, page: Page) -> None:
    url = f"{hub.endpoint}/{REPO}/resolve/{COMMIT}/tiny.gguf"
    headers = {"Retry-After": "7", "Access-Control-Expose-Headers": "Retry-After"}
    hub.refusals = [(429, headers), (503, headers)]
    assert page.evaluate(_WAIT, url) == 2  # for its size
    page.evaluate("source.close()")
    hub.refusals = [(429, headers)]
    assert page.evaluate(_WAIT, url) == 1  # for a range


def test_a_hub_that_the_policy_forbids_is_told(page: Page, resolve: Ask) -> None:
    error = resolve(REPO, host="http://127.0.0.1:9")["error"]
    assert error.startswith("SourceError: 127.0.0.1:9 cannot be reached")
    assert "Content-Security-Policy" in error


# ---- what is loaded ---------------------------------------------------------------------------

_LOAD = """async ([model, options]) => {
  const { Leadout } = await importApp("index.js");
  const { FakeWorker } = await importApp("testing.js");
  const worker = new FakeWorker();
  return Leadout.load({ model, worker, ...options }).then(
    () => JSON.parse(JSON.stringify(worker.messages.find(({ type }) => type === "load"))),
    ({ name, message }) => ({ error: `${name}: ${message}` }),
  );
}"""

_SORT = """async (names) => {
  const { sortFiles } = await importApp("client/picked_files.js");
  try {
    const { model, drafter } = sortFiles(names.map((name) => new File(["x"], name)));
    const plain = (found) => found && [found.name, found.files.map(({ name }) => name)];
    return [plain(model), plain(drafter)];
  } catch ({ name, message }) {
    return `${name}: ${message}`;
  }
}"""


def test_a_load_asks_for_the_files_with_sizes_and_token(hub: FakeHub, page: Page) -> None:
    hub.files["mtp-tiny.gguf"] = b"drafter"
    options = {"hub": {"host": hub.endpoint, "token": TOKEN}}
    load = page.evaluate(_LOAD, [f"hf:{REPO}:tiny.gguf", options])
    assert load["model"] == {
        "name": "tiny",
        "files": [
            {
                "name": "tiny.gguf",
                "url": f"{hub.endpoint}/{REPO}/resolve/{COMMIT}/tiny.gguf",
                "size": len(GGUF),
                "sha256": hashlib.sha256(GGUF).hexdigest(),
                "token": TOKEN,
            }
        ],
        "source": f"hf:{REPO}:tiny.gguf",
    }
    assert load["drafter"]["source"] == f"hf:{REPO}:tiny.gguf#drafter"
    assert load["drafter"]["name"] == "mtp-tiny"
    assert page.evaluate(_LOAD, [REPO, {**options, "drafter": "none"}])["drafter"] is None
    chosen = page.evaluate(_LOAD, [REPO, {**options, "drafter": f"{REPO}:mtp-tiny.gguf"}])
    assert chosen["drafter"]["files"][0]["size"] == len(b"drafter")
    # A short name of the list, which this hub lacks.
    missing = page.evaluate(_LOAD, ["gemma-4-e2b", options])["error"]
    assert "has no model google/gemma-4-E2B-it-qat-q4_0-gguf" in missing


def test_the_parts_of_a_split_are_one_model(page: Page) -> None:
    parts = [f"m-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    assert page.evaluate(_SORT, [parts[2], parts[0], parts[1], "m-assistant.gguf"]) == [
        ["m", [parts[2], parts[0], parts[1]]],
        ["m-assistant", ["m-assistant.gguf"]],
    ]
    assert "given twice" in page.evaluate(_SORT, [parts[0], parts[0], parts[1]])
    assert "Several models" in page.evaluate(_SORT, [parts[0], "n-00001-of-00002.gguf"])
    load = page.evaluate(_LOAD, [f"https://models.example/x/{parts[1]}?download=1", {}])
    assert load["model"] == {
        "name": "m",
        "files": [
            {"name": part, "url": f"https://models.example/x/{part}?download=1"} for part in parts
        ],
        "source": f"https://models.example/x/{parts[1]}?download=1",
    }


#: Keeps a model of one file under a hub's name, by its records alone; then asks a hub that says
#: nothing for it, where three seconds take none.
_KEPT = """async ([name, sha256]) => {
  const { STORE_VERSION: version, keyOf, openFolders } = await importApp("store/records.js");
  const { resolveModels } = await importApp("client/models.js");
  const folders = await openFolders();
  const url = "https://hub.example/f.gguf";
  const file = { version, id: "f", name: "f.gguf", size: 4, sha256, url };
  const records = [
    [folders.models, `${await keyOf(name)}.json`, { version, source: name, name, files: [file] }],
    [folders.files, "f.json", file],
    [folders.files, "f.done", { version }],
  ];
  for (const [folder, file, record] of records) {
    const stream = await (await folder.getFileHandle(file, { create: true })).createWritable();
    await stream.write(JSON.stringify(record));
    await stream.close();
  }
  const { timeout } = AbortSignal;
  AbortSignal.timeout = (ms) => timeout.call(AbortSignal, ms === 3000 ? 1 : ms);
  const { fetch } = globalThis;
  globalThis.fetch = (_url, { signal }) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  try {
    return await resolveModels(name, "auto");
  } finally {
    Object.assign(globalThis, { fetch });
    AbortSignal.timeout = timeout;
  }
}"""


def test_a_kept_model_waits_little_for_what_the_hub_may_have_for_it(page: Page) -> None:
    found = page.evaluate(_KEPT, [f"hf:{REPO}", "ab" * 32])
    assert found["model"]["source"] == f"hf:{REPO}"
    assert found["drafter"] is None
