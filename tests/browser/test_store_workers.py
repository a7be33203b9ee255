"""The threads of the browser's store, and its locks: what waits for what, and what does not."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from store_tab import ASSETS, SWAP_WORKER, Tab, serve_store_site

from flaky_server import FlakyFile, FlakyServer, flaky_server

CHUNK_BYTES = 1 << 20
MODEL_BYTES = 5_300_001

#: How often a worker is asked whether it is there: it may stay silent for 12 times as long.
PING_MS = 50

WORKERS = {
    # Answers nothing while the page holds a lock.
    "held_hash": """
import "./hash_worker.js";
const post = globalThis.postMessage.bind(globalThis);
const free = navigator.locks.request("hash", () => {});
globalThis.postMessage = (...args) => free.then(() => post(...args));
""",
    # Takes a tenth of a second for each chunk.
    "slow_puller": """
import "./puller.js";
const digest = crypto.subtle.digest.bind(crypto.subtle);
SubtleCrypto.prototype.digest = async (name, bytes) => {
  if (bytes.length > 4096) await new Promise((resolve) => setTimeout(resolve, 100));
  return digest(name, bytes);
};
""",
    # Reads a model's first file as soon as it is whole.
    "reader": """
import { Pull } from "./pulling.js";
addEventListener("message", async ({ data: { model, hashing } }) => {
  const [first, second] = await new Pull(model, { hashing }).files;
  postMessage("asked");
  while (!first.isDone) await new Promise((resolve) => setTimeout(resolve, 10));
  const bytes = await first.read(0, 2);
  postMessage({ bytes: Array.from(bytes), isSecondDone: second.isDone });
});
""",
    # Waits before it writes a model's record; those of its files are there.
    "naming": """
import "./puller.js";
const naming = new BroadcastChannel("naming");
const told = new Promise((resolve) => {
  naming.onmessage = resolve;
});
const { getFileHandle } = FileSystemDirectoryHandle.prototype;
FileSystemDirectoryHandle.prototype.getFileHandle = async function (name, options) {
  if (this.name === "models" && options?.create) {
    naming.postMessage("here");
    await told;
  }
  return getFileHandle.call(this, name, options);
};
""",
    # Has files fail at every moment at which they may: after so many turns of the queue.
    "failing": """
import { openFolders } from "./records.js";
import { PulledFile } from "./pulled_file.js";
addEventListener("message", async ({ data: { hashing } }) => {
  const folders = await openFolders();
  const { signal } = new AbortController();
  for (let turns = 0; turns < 30; turns++) {
    const record = { id: `file${turns}`, name: "file", size: 3 << 20, sha256: "ab".repeat(32) };
    const file = new PulledFile(folders, record, { remote: null, isDone: false });
    await file.open(hashing, signal);
    for (let chunk = 0; chunk < 3; chunk++) {
      file.chunks.write(chunk, new Uint8Array(1 << 20), new Uint8Array(32));
      file.take(chunk);
    }
    const committing = file.commit().catch(({ message }) => message);
    for (let turn = 0; turn < turns; turn++) await null;
    file.fail(new Error("paused"));
    await committing;
    file.closeChunks();
    postMessage(turns);
  }
});
""",
}

#: Pulls as Leadout.models.pull does, but asks the worker more often.
PULL_UNDER_WATCH = """async ({ script, model, options, pingMs, hash_worker }) => {
  const { Channel } = await import("/app-0/client/channel.js");
  const worker = new Worker(`/app-0/store/${script}.js`, { type: "module" });
  const at = (path) => new URL(`/app-0/${path}`, location.href).href;
  const assets = { sha256: at("sha256.umd.min.js"), hash_worker: at(hash_worker) };
  const pull = { events: [], numPongs: 0, end: null };
  window.pull = pull;
  worker.addEventListener("message", ({ data }) => (pull.numPongs += data.type === "pong"));
  const ask = (channel, models) => channel.request(
    { type: "pull", models, options: { retryMs: 1, ...options }, assets },
    { onEvent: (event) => pull.events.push(event) },
  );
  await ask(new Channel(worker), []); // so that it has started
  pull.done = ask(new Channel(worker, { pingMs }), [model]).then(
    () => { pull.end = { name: "done", message: "" }; },
    ({ name, message }) => { pull.end = { name, message }; },
  );
}"""

#: Starts one of WORKERS; window.told is what it says.
START = """({ script, model, assets }) => {
  const at = (path) => new URL(`/app-0/${path}`, location.href).href;
  const entries = Object.entries(assets).map(([name, path]) => [name, at(path)]);
  const worker = new Worker(`/app-0/store/${script}.js`, { type: "module" });
  window.told = [];
  worker.onmessage = ({ data }) => told.push(data);
  worker.onerror = ({ message }) => told.push(message);
  worker.postMessage({ model, hashing: Object.fromEntries(entries) });
}"""


@pytest.fixture(scope="module")
def server() -> Iterator[FlakyServer]:
    with flaky_server(seed=6) as server:
        yield server


@pytest.fixture(scope="module")
def site(server: FlakyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve_store_site(server, tmp_path_factory.mktemp("site"), WORKERS) as url:
        yield url


@pytest.fixture
def file(server: FlakyServer, request: pytest.FixtureRequest) -> FlakyFile:
    """A file of the server, served well, with a small one beside it."""
    data = random.Random(request.node.name).randbytes(MODEL_BYTES)
    server.files.clear()
    server.files["config.json"] = FlakyFile(b"{}", etag='"config"')
    server.files["model.gguf"] = FlakyFile(data)
    return server.files["model.gguf"]


def model_of(server: FlakyServer, *names: str, sha256: str | None = None) -> dict[str, Any]:
    files = [
        {
            "name": name,
            "url": server.url + name,
            "size": len(server.files[name].data),
            **({} if sha256 is None else {"sha256": sha256}),
        }
        for name in names
    ]
    return {"name": "model", "source": " ".join(names), "files": files}


def pull_under_watch(tab: Tab, model: dict[str, Any], **other: Any) -> None:
    asked = {"script": "puller", "options": {}, "pingMs": PING_MS, "model": model, **other}
    tab.page.evaluate(PULL_UNDER_WATCH, {"hash_worker": ASSETS["hash_worker"], **asked})


def told(tab: Tab) -> list[Any]:
    found: list[Any] = tab.page.evaluate("window.told")
    return found


def start(tab: Tab, script: str, model: dict[str, Any] | None = None) -> None:
    tab.page.evaluate(START, {"script": script, "model": model, "assets": ASSETS})


# ---- what the page is told meanwhile ----------------------------------------------------------


def test_a_server_that_sends_nothing_is_named_and_not_the_worker(
    tab: Tab, server: FlakyServer, file: FlakyFile
) -> None:
    file.max_bytes = 0
    pull_under_watch(tab, model_of(server, "model.gguf"), options={"stallMs": 100})
    file.max_bytes = 1  # the question for the size
    end = tab.finish()
    assert end["name"] == "SourceError", end
    assert "nothing came for 0.1 s" in end["message"]


def test_hashing_a_whole_file_is_shown_and_never_taken_for_a_worker_that_hangs(
    tab: Tab, server: FlakyServer, file: FlakyFile
) -> None:
    model = model_of(server, "model.gguf", sha256=hashlib.sha256(file.data).hexdigest())
    tab.page.evaluate(
        """() => new Promise((resolve) => {
          navigator.locks.request("hash", () => {
            resolve();
            return new Promise((release) => { window.release = release; });
          });
        })"""
    )
    pull_under_watch(tab, model, hash_worker="store/held_hash.js")
    tab.wait_for(lambda: any(is_whole(event) for event in tab.events()))
    num_pongs = tab.page.evaluate("pull.numPongs")
    tab.wait_for(lambda: tab.page.evaluate("pull.numPongs") >= num_pongs + 20)
    last = tab.events()[-1]
    assert last["state"] == "checking"
    assert 0 < last["checked_bytes"] < MODEL_BYTES == last["stored_bytes"]
    tab.page.evaluate("release()")
    assert tab.finish()["name"] == "done"
    assert tab.events()[-1]["checked_bytes"] == MODEL_BYTES


def is_whole(event: dict[str, Any]) -> bool:
    return bool(event["state"] == "checking" and event["stored_bytes"] == event["total_bytes"])


def test_checking_what_is_kept_is_shown(tab: Tab, server: FlakyServer, file: FlakyFile) -> None:
    file.max_bytes = 4_500_000
    tab.start(model_of(server, "model.gguf"))
    tab.wait_for_stored(3 * CHUNK_BYTES)
    tab.pause()
    file.max_bytes = None
    pull_under_watch(tab, model_of(server, "model.gguf"), script="slow_puller")
    assert tab.finish()["name"] == "done"
    checked = [event for event in tab.events() if event["state"] == "checking"]
    assert any(0 < event["checked_bytes"] < event["stored_bytes"] for event in checked)


def test_nobody_waits_for_a_person_who_is_asked_about_storage(
    tab: Tab, server: FlakyServer, file: FlakyFile
) -> None:
    tab.page.evaluate(
        """() => {
          navigator.storage.persist = () => {
            window.isAsked = true;
            return new Promise(() => {});
          };
        }"""
    )
    tab.start(f"{server.url}model.gguf")
    tab.wait_for(lambda: tab.page.evaluate("pull.end !== null"))
    assert tab.finish()["name"] == "done"
    assert tab.page.evaluate("isAsked")


# ---- reading while others are fetched ---------------------------------------------------------


def test_a_file_that_is_whole_can_be_read_while_the_next_one_is_fetched(
    tab: Tab, server: FlakyServer, file: FlakyFile
) -> None:
    file.max_bytes = 2_500_000
    start(tab, "reader", model_of(server, "config.json", "model.gguf"))
    tab.wait_for(lambda: len(told(tab)) == 2)
    assert told(tab)[1] == {"bytes": list(b"{}"), "isSecondDone": False}


def test_a_file_that_another_tab_has_fetched_can_be_read_at_once(
    open_tab: Callable[[], Tab], server: FlakyServer, file: FlakyFile
) -> None:
    first, second = open_tab(), open_tab()
    file.max_bytes = 2_500_000
    server.files["config.json"].max_bytes = 1
    first.start(model_of(server, "config.json"))
    first.wait_for(lambda: any(event["state"] == "fetching" for event in first.events()))
    start(second, "reader", model_of(server, "config.json", "model.gguf"))
    second.wait_for(lambda: told(second) == ["asked"])
    server.files["config.json"].max_bytes = None
    assert first.finish()["name"] == "done"
    second.wait_for(lambda: len(told(second)) == 2)
    assert told(second)[1] == {"bytes": list(b"{}"), "isSecondDone": False}


def test_a_file_that_fails_while_it_is_hashed_ends(tab: Tab) -> None:
    start(tab, "failing")
    tab.wait_for(lambda: len(told(tab)) == 30)
    assert told(tab) == list(range(30))


# ---- naming and removing ----------------------------------------------------------------------


def test_a_model_of_two_equal_files_is_pulled_and_removed(
    tab: Tab, server: FlakyServer, file: FlakyFile
) -> None:
    server.files["again.gguf"] = FlakyFile(file.data)
    sha256 = hashlib.sha256(file.data).hexdigest()
    tab.start(model_of(server, "model.gguf", "again.gguf", sha256=sha256))
    tab.wait_for(lambda: tab.page.evaluate("pull.end !== null"))
    assert tab.finish()["name"] == "done"
    assert [model["is_complete"] for model in tab.list()] == [True]
    assert tab.ask("Leadout.models.remove('model.gguf again.gguf')") is None
    assert tab.list() == stored_names(tab) == []


def test_a_model_of_which_one_file_is_in_use_stays_whole(
    tab: Tab, server: FlakyServer, file: FlakyFile
) -> None:
    assert tab.pull(model_of(server, "config.json", "model.gguf"))["name"] == "done"
    # As an engine does that reads its last file from the disk.
    tab.page.evaluate(
        """async () => {
          const root = await navigator.storage.getDirectory();
          const store = await root.getDirectoryHandle("leadout");
          const models = await store.getDirectoryHandle("models");
          for await (const [name, handle] of models) {
            const { files } = JSON.parse(await (await handle.getFile()).text());
            const lock = `leadout-store ${files.at(-1).id}`;
            await new Promise((resolve) => {
              navigator.locks.request(lock, { mode: "shared" }, () => {
                resolve();
                return new Promise(() => {});
              });
            });
          }
        }"""
    )
    found = tab.ask("Leadout.models.remove('config.json model.gguf')")
    assert found.startswith("StoreError: model.gguf is in use"), found
    assert [model["is_complete"] for model in tab.list()] == [True]


def test_a_tab_that_clears_up_leaves_what_another_one_is_about_to_name(
    open_tab: Callable[[], Tab], server: FlakyServer, file: FlakyFile
) -> None:
    first, second = open_tab(), open_tab()
    assert second.pull(model_of(server, "model.gguf"))["name"] == "done"
    first.page.evaluate(SWAP_WORKER, "naming.js")
    first.page.evaluate(
        "new BroadcastChannel('naming').onmessage = () => { window.isNaming = true; }"
    )
    first.start(model_of(server, "config.json"))
    first.wait_for(lambda: first.page.evaluate("window.isNaming ?? false"))
    second.start(model_of(server, "model.gguf"))  # which has files removed that nobody names
    second.wait_for(
        lambda: second.page.evaluate(
            """async () => {
              const { pending } = await navigator.locks.query();
              return pull.end !== null || pending.some(({ name }) => name.endsWith(" records"));
            }"""
        )
    )
    first.page.evaluate("new BroadcastChannel('naming').postMessage('go on')")
    assert first.finish()["name"] == second.finish()["name"] == "done"
    suffixes = [name.split(".")[1] for name in stored_names(first)]
    assert sorted(suffixes) == sorted(["bytes", "chunks", "done", "json"] * 2)


def stored_names(tab: Tab) -> list[str]:
    """Return the names of what lies in the store's folder of files."""
    names: list[str] = tab.page.evaluate(
        """async () => {
          const root = await navigator.storage.getDirectory();
          const store = await root.getDirectoryHandle("leadout");
          return Array.fromAsync((await store.getDirectoryHandle("files")).keys());
        }"""
    )
    return names
