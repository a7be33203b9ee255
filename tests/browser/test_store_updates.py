"""A kept model that changes at its source: the old version stays until the new one is whole."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from store_tab import ASSETS, SWAP_WORKER, Tab, read_stored, serve_store_site
from test_store import CHUNK_BYTES, FULL_DISK, listed, num_asked

from flaky_server import FlakyFile, FlakyServer, flaky_server

#: Two chunks and a bit; the new version is a little longer.
OLD_BYTES, NEW_BYTES = 2_300_001, 2_400_001

#: Up to here a download comes that is broken off: one chunk of the new version, and a part.
BROKEN_OFF = 1_100_000

#: Reads the last file of a model as a load does, without an engine; then holds it until it is told
#: to close it.
LOADER = """
import { findKept } from "../client/kept.js";
import { Host } from "../host.js";
const base = new URL("../", import.meta.url);
addEventListener("message", async ({ data: { model, source, assets } }) => {
  try {
    const [post, onFatal] = [() => {}, () => {}];
    const host = await Host.create({ base, assets, gpu: undefined, post, onFatal });
    const found = model ?? (await findKept(source));
    host.prefetch([found, null], 0);
    const { name, url } = found.files.at(-1);
    const opened = host.openSource(name, url);
    postMessage({ size: await opened.size() });
    const bytes = await opened.read(0, await opened.size());
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    await host.settle();
    addEventListener("message", () => {
      opened.close();
      setTimeout(() => postMessage({ closed: true }));
    });
    postMessage({ sha256: hash.toHex() });
  } catch ({ name, message }) {
    postMessage({ error: `${name}: ${message}` });
  }
}, { once: true });
"""

#: Starts LOADER; window.loader.told is what it says.
LOAD = """({ model, source, assets }) => {
  window.loader?.terminate();
  const at = (path) => new URL(`/app-0/${path}`, location.href).href;
  const entries = Object.entries(assets).map(([name, path]) => [name, at(path)]);
  const loader = new Worker("/app-0/store/loader.js", { type: "module" });
  loader.told = [];
  loader.onmessage = ({ data }) => loader.told.push(data);
  loader.onerror = ({ message }) => loader.told.push({ error: message });
  loader.postMessage({ model, source, assets: Object.fromEntries(entries) });
  window.loader = loader;
}"""


@pytest.fixture(scope="module")
def server() -> Iterator[FlakyServer]:
    with flaky_server(seed=8) as server:
        yield server


@pytest.fixture(scope="module")
def site(server: FlakyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    workers = {"loader": LOADER, "full_disk": f'import "./puller.js";{FULL_DISK}'}
    with serve_store_site(server, tmp_path_factory.mktemp("site"), workers) as url:
        yield url


@pytest.fixture
def old(server: FlakyServer, tab: Tab) -> FlakyFile:
    """The version of a model that is kept whole; a small file is beside it."""
    server.files.clear()
    server.files["config.json"] = FlakyFile(b"{}", etag='"config"')
    old = server.files["model.gguf"] = FlakyFile(random.Random("old").randbytes(OLD_BYTES))
    assert tab.pull(model_of(server))["name"] == "done"
    return old


@pytest.fixture
def new(server: FlakyServer, old: FlakyFile) -> FlakyFile:
    """The version that the server has since then."""
    return publish_new(server)


def publish_new(server: FlakyServer) -> FlakyFile:
    new = FlakyFile(random.Random("new").randbytes(NEW_BYTES), etag='"two"')
    server.files["model.gguf"] = new
    return new


def model_of(server: FlakyServer) -> dict[str, Any]:
    files = [{"name": name, "url": server.url + name} for name in ("config.json", "model.gguf")]
    return {"name": "model", "source": "model", "files": files}


def sha256(file: FlakyFile) -> str:
    return hashlib.sha256(file.data).hexdigest()


def break_off(tab: Tab, model: object, file: FlakyFile, **options: Any) -> None:
    """Pull until a chunk of a file is here, and no further."""
    file.max_bytes = BROKEN_OFF
    tab.start(model, **options)
    tab.wait_for(lambda: (update := tab.list()[0]["update"]) and update["stored_bytes"] > 0)
    tab.pause()
    file.max_bytes = None


def load(tab: Tab, model: object = None, source: str = "model") -> None:
    tab.page.evaluate(LOAD, {"model": model, "source": source, "assets": ASSETS})


def loaded(tab: Tab) -> str:
    """Return the SHA-256 of what was loaded, or the error."""
    tab.wait_for(lambda: tab.page.evaluate("loader.told.length") == 2)
    (told,) = tab.page.evaluate("loader.told[1]").values()
    return str(told)


def unload(tab: Tab) -> None:
    tab.page.evaluate("loader.postMessage(null)")
    tab.wait_for(lambda: tab.page.evaluate("loader.told.length") == 3)


def load_offline(tab: Tab, server: FlakyServer) -> str:
    """Return the SHA-256 of what is loaded, and unloaded, where no server answers."""
    for file in server.files.values():
        file.is_down = True
    load(tab)
    found = loaded(tab)
    unload(tab)
    for file in server.files.values():
        file.is_down = False
    return found


def state_of(tab: Tab) -> tuple[Any, ...]:
    """Return of the one model that is listed: whether it is complete, its bytes, its update's."""
    (kept,) = tab.list()
    assert not kept["is_complete"] or kept["stored_bytes"] == kept["bytes"]
    update = kept["update"]
    sizes = update and (update["stored_bytes"], update["bytes"])
    return kept["is_complete"], kept["bytes"], sizes


def test_a_model_loads_as_it_was_until_its_new_version_is_whole(
    tab: Tab, open_tab: Callable[[], Tab], server: FlakyServer, old: FlakyFile, new: FlakyFile
) -> None:
    new.max_bytes = BROKEN_OFF
    tab.start(model_of(server))
    tab.wait_for(lambda: any(e["stored_bytes"] > CHUNK_BYTES for e in tab.events()))
    assert tab.list()[0]["is_fetching"]
    assert state_of(tab) == (True, 2 + OLD_BYTES, (CHUNK_BYTES, NEW_BYTES))
    other = open_tab()
    tab.page.close(run_before_unload=False)

    assert load_offline(other, server) == sha256(old)
    assert state_of(other) == (True, 2 + OLD_BYTES, (CHUNK_BYTES, NEW_BYTES))
    new.max_bytes = None
    new.requests.clear()
    assert other.pull(model_of(server))["name"] == "done"
    assert num_asked(new) == NEW_BYTES - CHUNK_BYTES + 1  # which told the size
    assert state_of(other) == (True, 2 + NEW_BYTES, None)
    assert load_offline(other, server) == sha256(new)
    assert set(read_stored(other)) == {sha256(new), sha256(server.files["config.json"])}


def test_an_update_on_a_full_disk_leaves_what_is_kept_and_can_be_deleted_with_it(
    tab: Tab, server: FlakyServer, old: FlakyFile, new: FlakyFile
) -> None:
    tab.page.evaluate(SWAP_WORKER, "full_disk.js")
    end = tab.pull(model_of(server))
    assert end["name"] == "StoreError"
    assert end["detail"]["is_full"]
    whole = f"delete model ({(2 + OLD_BYTES + NEW_BYTES) / 1e6:.1f} MB) first"
    assert whole in end["message"], end["message"]
    is_complete, num_bytes, (num_stored, num_wanted) = state_of(tab)
    assert (is_complete, num_bytes, num_wanted) == (True, 2 + OLD_BYTES, NEW_BYTES)
    assert 0 < num_stored < NEW_BYTES
    assert load_offline(tab, server) == sha256(old)
    assert tab.ask("Leadout.models.remove('model')") is None
    assert tab.list() == names_in(tab, "files") == names_in(tab, "updates") == []


def test_a_version_that_is_taken_back_leaves_nothing(
    tab: Tab, server: FlakyServer, old: FlakyFile, new: FlakyFile
) -> None:
    old.etag = new.etag = None  # the server says nothing but the size
    break_off(tab, model_of(server), new)
    server.files["model.gguf"] = old
    old.requests.clear()
    assert tab.pull(model_of(server))["name"] == "done"
    assert num_asked(old) == 1  # which told the size
    assert state_of(tab) == (True, 2 + OLD_BYTES, None)
    assert sha256(new) not in read_stored(tab)
    assert len(names_in(tab, "files")) == 2 * 4
    assert names_in(tab, "updates") == []


def test_two_tabs_update_a_model_that_a_third_one_reads(
    tab: Tab, open_tab: Callable[[], Tab], server: FlakyServer, old: FlakyFile, new: FlakyFile
) -> None:
    load(tab)
    assert loaded(tab) == sha256(old)
    second = open_tab()
    new.max_bytes = BROKEN_OFF
    tab.start(model_of(server))
    tab.wait_for_stored(CHUNK_BYTES + 2)
    second.start(model_of(server))
    second.wait_for(lambda: any(event["state"] == "waiting" for event in second.events()))
    removed = second.ask("Leadout.models.remove('model')")
    assert removed.startswith("StoreError: model.gguf is in use"), removed
    new.max_bytes = None
    assert tab.finish()["name"] == second.finish()["name"] == "done"
    assert new.sent.sum() == NEW_BYTES + 2  # each tab asked with a byte
    assert state_of(tab) == (True, 2 + NEW_BYTES, None)
    # An engine is reading the old version: it goes when the model is next pulled.
    assert sha256(old) in read_stored(tab)
    unload(tab)
    assert tab.pull(model_of(server))["name"] == "done"
    assert set(read_stored(tab)) == {sha256(new), sha256(server.files["config.json"])}


def test_a_load_of_a_model_that_its_list_says_has_changed_keeps_the_old_one_meanwhile(
    tab: Tab, server: FlakyServer, old: FlakyFile, new: FlakyFile
) -> None:
    url = f"{server.url}model.gguf"
    changed = {**listed(url, new.data), "source": "model"}
    load(tab, {**listed(url, new.data, sha256="ab" * 32), "source": "model"})
    assert loaded(tab).startswith("IntegrityError")
    assert state_of(tab) == (True, 2 + OLD_BYTES, (0, NEW_BYTES))
    new.max_bytes = BROKEN_OFF
    load(tab, changed)
    tab.wait_for(lambda: (tab.list()[0]["update"] or {"stored_bytes": 0})["stored_bytes"] > 0)
    tab.page.evaluate("loader.terminate()")
    tab.wait_for(lambda: not tab.list()[0]["is_fetching"])
    assert load_offline(tab, server) == sha256(old)
    new.max_bytes = None
    load(tab, changed)
    assert loaded(tab) == sha256(new)
    assert state_of(tab) == (True, NEW_BYTES, None)
    assert read_stored(tab) == [sha256(new)]


def test_a_model_and_its_drafter_change_together(
    tab: Tab, server: FlakyServer, old: FlakyFile
) -> None:
    entry = {"name": "drafter.gguf", "url": f"{server.url}drafter.gguf"}
    drafter = {"name": "drafter", "files": [entry], "source": "model#drafter"}
    first = FlakyFile(old.data[:1_200_001], etag='"first"')
    second = FlakyFile(old.data[:1_300_001], etag='"second"')
    # The model was kept without a drafter. It loads all the time while that comes.
    server.files["drafter.gguf"] = first
    break_off(tab, model_of(server), first, drafter=drafter)
    assert state_of(tab) == (True, 2 + OLD_BYTES, (CHUNK_BYTES, 1_200_001))
    assert tab.pull(model_of(server), drafter=drafter)["name"] == "done"
    assert state_of(tab) == (True, 2 + OLD_BYTES + 1_200_001, None)

    server.files["drafter.gguf"] = second
    new = publish_new(server)
    second.max_bytes = BROKEN_OFF
    tab.start(model_of(server), drafter=drafter)
    tab.wait_for_stored(2 + NEW_BYTES)
    tab.wait_for(lambda: tab.events()[-1]["stored_bytes"] == CHUNK_BYTES)
    tab.pause()
    second.max_bytes = None
    update = (NEW_BYTES + CHUNK_BYTES, NEW_BYTES + 1_300_001)
    assert state_of(tab) == (True, 2 + OLD_BYTES + 1_200_001, update)
    assert load_offline(tab, server) == sha256(old)
    # Who wants no drafter waits for none.
    assert tab.pull(model_of(server), drafter="none")["name"] == "done"
    update = (CHUNK_BYTES, 1_300_001)
    assert state_of(tab) == (True, 2 + NEW_BYTES + 1_200_001, update)
    assert load_offline(tab, server) == sha256(new)
    assert tab.pull(model_of(server), drafter=drafter)["name"] == "done"
    assert state_of(tab) == (True, 2 + NEW_BYTES + 1_300_001, None)
    config = server.files["config.json"]
    assert set(read_stored(tab)) == {sha256(file) for file in (new, second, config)}


#: Leaves what a tab leaves that is closed while it replaces a record: the new one in both places,
#: or half of it in one.
CLOSE_WHILE_REPLACING = """async (text) => {
  const root = await navigator.storage.getDirectory();
  const store = await root.getDirectoryHandle("leadout");
  const updates = await store.getDirectoryHandle("updates");
  for await (const [name, handle] of await store.getDirectoryHandle("models")) {
    const record = await (await handle.getFile()).text();
    const copy = await updates.getFileHandle(name, { create: true });
    for (const [file, content] of [[copy, record], [handle, text ?? record]]) {
      const stream = await file.createWritable();
      await stream.write(content);
      await stream.close();
    }
  }
}"""


def test_a_tab_that_is_closed_while_it_replaces_a_record_loses_nothing(
    tab: Tab, server: FlakyServer, old: FlakyFile
) -> None:
    for text in ("{", None):
        tab.page.evaluate(CLOSE_WHILE_REPLACING, text)
        assert state_of(tab) == (True, 2 + OLD_BYTES, None)
        assert load_offline(tab, server) == sha256(old)
        assert tab.pull(model_of(server))["name"] == "done"
        assert state_of(tab) == (True, 2 + OLD_BYTES, None)
        assert names_in(tab, "updates") == []
    assert len(read_stored(tab)) == 2


def names_in(tab: Tab, folder: str) -> list[str]:
    """Return the names of what lies in a folder of the store."""
    names: list[str] = tab.page.evaluate(
        """async (folder) => {
          const root = await navigator.storage.getDirectory();
          const store = await root.getDirectoryHandle("leadout");
          return Array.fromAsync((await store.getDirectoryHandle(folder)).keys());
        }""",
        folder,
    )
    return names
