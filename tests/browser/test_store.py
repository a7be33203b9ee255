"""Models kept in the browser: what is fetched, and again, what tabs share, what is refused."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import Chat
from playwright.sync_api import Browser, BrowserContext, expect
from store_tab import SWAP_WORKER, Tab, overwrite_stored, read_stored, serve_store_site

from flaky_server import FlakyFile, FlakyServer, flaky_server
from software_chromium import software_options
from thoroughness import IS_THOROUGH

CHUNK_BYTES = 1 << 20

#: Of a test's model; nothing is a multiple of anything.
MODEL_BYTES = 5_300_001

#: Downloads from a server that cuts connections, and their size.
NUM_DOWNLOADS, DOWNLOAD_BYTES = (200, 40_000_003) if IS_THOROUGH else (3, MODEL_BYTES)

#: In the store's worker: tells which ranges are asked for, and when a chunk is kept.
WITH_LOG = """
const fetchLog = new BroadcastChannel("fetch log");
const { write } = FileSystemSyncAccessHandle.prototype;
FileSystemSyncAccessHandle.prototype.write = function (bytes, options) {
  // The table's entries and the records are smaller than any chunk of these tests.
  if (bytes.length > 4096) fetchLog.postMessage(["kept", options.at, options.at + bytes.length]);
  return write.call(this, bytes, options);
};
const fetchOf = globalThis.fetch;
globalThis.fetch = (url, options) => {
  const range = /bytes=(\\d+)-(\\d+)/.exec(options?.headers?.Range ?? "");
  if (range) fetchLog.postMessage(["asked", Number(range[1]), Number(range[2]) + 1]);
  return fetchOf(url, options);
};
"""

#: The same: a disk that has room for two chunks, whatever it promised.
FULL_DISK = """
const { write } = FileSystemSyncAccessHandle.prototype;
let numWritten = 0;
FileSystemSyncAccessHandle.prototype.write = function (bytes, options) {
  if (bytes.length > 4096 && ++numWritten > 2) throw new DOMException("full", "QuotaExceededError");
  return write.call(this, bytes, options);
};
"""


@pytest.fixture(scope="module")
def server() -> Iterator[FlakyServer]:
    with flaky_server(seed=5) as server:
        yield server


@pytest.fixture(scope="module")
def site(server: FlakyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    scripts = {"logged": WITH_LOG, "full_disk": FULL_DISK}
    workers = {name: f'import "./puller.js";{script}' for name, script in scripts.items()}
    with serve_store_site(server, tmp_path_factory.mktemp("site"), workers) as url:
        yield url


@pytest.fixture
def file(server: FlakyServer, request: pytest.FixtureRequest) -> FlakyFile:
    """A file of the server, served well."""
    data = random.Random(request.node.name).randbytes(MODEL_BYTES)
    server.files.clear()
    server.files["model.gguf"] = FlakyFile(data)
    return server.files["model.gguf"]


@pytest.fixture
def url(server: FlakyServer, file: FlakyFile) -> str:
    return f"{server.url}model.gguf"


def listed(url: str, data: bytes, **other: Any) -> dict[str, Any]:
    """Return a model of one file, as a hub describes it."""
    sha256 = hashlib.sha256(data).hexdigest()
    entry = {"name": "model.gguf", "url": url, "size": len(data), "sha256": sha256, **other}
    return {"name": "model", "files": [entry]}


def num_asked(file: FlakyFile) -> int:
    """Return how many bytes all ranges that were asked for have."""
    ends = [(asked or "").removeprefix("bytes=").split("-") for asked in file.requests]
    return sum(int(last) - int(first) + 1 for first, last in ends)


# ---- fetching ---------------------------------------------------------------------------------


def test_downloads_over_cut_connections_are_whole_and_fetch_nothing_twice(
    tab: Tab, server: FlakyServer, file: FlakyFile, url: str
) -> None:
    tab.page.evaluate(SWAP_WORKER, "logged.js")
    tab.page.evaluate(
        """() => {
          window.fetchLog = [];
          new BroadcastChannel("fetch log").onmessage = ({ data }) => window.fetchLog.push(data);
        }"""
    )
    num_cuts = server.num_cuts
    generator = random.Random(3)
    data = generator.randbytes(DOWNLOAD_BYTES)
    for number in range(NUM_DOWNLOADS):
        data = number.to_bytes(4, "little") + data[4:]
        server.files["model.gguf"] = FlakyFile(data, etag=f'"{number}"', cut_share=0.5)
        # With the published hash and without.
        model = listed(url, data) if number % 2 else url
        assert tab.pull(model)["name"] == "done", (number, tab.page.evaluate("pull.end"))
        assert read_stored(tab) == [hashlib.sha256(data).hexdigest()]
        kept: set[int] = set()
        for what, start, end in tab.page.evaluate("fetchLog.splice(0)"):
            chunks = set(range(start // CHUNK_BYTES, -(-end // CHUNK_BYTES)))
            assert not chunks & kept, f"{what} {start} to {end} after it was kept"
            if what == "kept":
                kept |= chunks
        assert len(kept) == -(-len(data) // CHUNK_BYTES)
        (model_kept,) = tab.list()
        assert tab.ask(f"Leadout.models.remove({json.dumps(model_kept['source'])})") is None
    assert server.num_cuts - num_cuts >= NUM_DOWNLOADS, "the server cut too few to prove anything"


def test_ranges_are_fetched_side_by_side(tab: Tab, file: FlakyFile, url: str) -> None:
    file.max_bytes = 0
    tab.start(url)
    file.max_bytes = 1  # the question for the size
    tab.wait_for(lambda: len(file.requests) == 1 + 3)  # two chunks each of five and a bit
    file.max_bytes = None
    assert tab.finish()["name"] == "done"
    assert file.sent.max() <= 2
    assert (file.sent == 2).sum() == 1


def test_what_a_drafter_takes_is_known_before_its_turn(
    tab: Tab, server: FlakyServer, file: FlakyFile, url: str
) -> None:
    data = file.data[:1_000_001]
    drafter = server.files["drafter.gguf"] = FlakyFile(data, etag='"drafter"')
    entry = {"name": "drafter.gguf", "url": f"{server.url}drafter.gguf"}
    beside = {"name": "drafter", "files": [entry], "source": f"{url}#drafter"}
    model = {"name": "model", "files": [{"name": "model.gguf", "url": url}]}
    file.max_bytes = 2_500_000
    tab.start(model, drafter=beside)
    tab.wait_for_stored(CHUNK_BYTES)
    (kept,) = tab.list()
    assert (kept["drafter"], kept["bytes"]) == ("drafter", MODEL_BYTES + len(data))
    assert drafter.sent.sum() == 1  # which told the size
    tab.pause()
    file.max_bytes = None
    assert tab.pull(model, drafter=beside)["name"] == "done"
    assert [model["is_complete"] for model in tab.list()] == [True]


def test_a_pause_and_a_closed_tab_go_on_where_they_were(
    open_tab: Callable[[], Tab], file: FlakyFile, url: str
) -> None:
    first = open_tab()
    file.max_bytes = 2_500_000
    first.start(url)
    first.wait_for_stored(CHUNK_BYTES)
    first.pause()
    (kept,) = first.list()
    assert 0 < kept["stored_bytes"] < MODEL_BYTES
    assert not kept["is_complete"]
    assert kept["source"] == url
    assert kept["bytes"] == MODEL_BYTES

    file.max_bytes = 4_500_000
    first.start(url)
    first.wait_for_stored(kept["stored_bytes"] + CHUNK_BYTES)
    first.page.close(run_before_unload=False)

    second = open_tab()
    (kept,) = second.list()
    file.max_bytes = None
    file.requests.clear()
    assert second.pull(url)["name"] == "done"
    assert num_asked(file) == MODEL_BYTES - kept["stored_bytes"] + 1  # which told the size
    assert read_stored(second) == [hashlib.sha256(file.data).hexdigest()]


def test_what_was_damaged_on_disk_is_fetched_again(tab: Tab, file: FlakyFile, url: str) -> None:
    file.max_bytes = 3 * CHUNK_BYTES
    tab.start(url)
    tab.wait_for_stored(CHUNK_BYTES)
    tab.pause()
    # Whoever wrote it lets go of it a moment after the pull has ended.
    tab.wait_for(lambda: overwrite_stored(tab, CHUNK_BYTES))
    file.max_bytes = None
    assert tab.pull(url)["name"] == "done"
    assert read_stored(tab) == [hashlib.sha256(file.data).hexdigest()]


def test_a_lost_connection_is_named_and_keeps_what_is_there(
    tab: Tab, file: FlakyFile, url: str
) -> None:
    file.max_bytes = 2_500_000
    tab.start(url)
    tab.wait_for_stored(CHUNK_BYTES)
    file.is_down = True
    end = tab.finish()
    assert end["name"] == "SourceError"
    assert "are kept and will not be fetched again" in end["message"]
    assert tab.list()[0]["stored_bytes"] > 0
    file.is_down, file.max_bytes = False, None
    assert tab.pull(url)["name"] == "done"


def test_a_connection_that_brings_nothing_is_taken_up_again(
    tab: Tab, file: FlakyFile, url: str
) -> None:
    file.max_bytes = 1_500_000
    tab.start(url, stallMs=300)
    tab.wait_for(lambda: len(file.requests) > 8)
    file.max_bytes = None
    assert tab.finish()["name"] == "done"


# ---- the same file, and another one -----------------------------------------------------------


@pytest.mark.parametrize("change", ["etag", "size", "modified", "nothing to tell by"])
def test_a_file_that_changed_is_never_mixed_with_what_it_was(
    tab: Tab, server: FlakyServer, file: FlakyFile, url: str, change: str
) -> None:
    if change == "nothing to tell by":
        file.etag = None
    if change == "modified":
        file.etag, file.modified = None, "Thu, 01 Jan 2026 00:00:00 GMT"
    file.max_bytes = 2_500_000
    tab.start(url)
    tab.wait_for_stored(CHUNK_BYTES)
    tab.pause()
    data = random.Random("other").randbytes(MODEL_BYTES if change != "size" else 3_000_000)
    other = server.files["model.gguf"] = FlakyFile(data, etag=file.etag)
    if change == "etag":
        other.etag = '"two"'
    if change == "modified":
        other.modified = "Fri, 02 Jan 2026 00:00:00 GMT"
    assert tab.pull(url)["name"] == "done"
    assert read_stored(tab) == [hashlib.sha256(data).hexdigest()]


def test_a_file_that_changes_while_it_is_fetched_is_noticed(
    tab: Tab, server: FlakyServer, file: FlakyFile, url: str
) -> None:
    file.max_bytes = 2_500_000
    tab.start(url)
    tab.wait_for_stored(CHUNK_BYTES)
    data = random.Random("other").randbytes(MODEL_BYTES)
    server.files["model.gguf"] = FlakyFile(data, etag='"two"')
    file.is_down = True  # which cuts what is under way
    end = tab.finish()
    assert end["name"] == "SourceError"
    assert "was changed on the server" in end["message"]
    assert tab.list()[0]["stored_bytes"] == 0
    assert tab.pull(url)["name"] == "done"
    assert read_stored(tab) == [hashlib.sha256(data).hexdigest()]


@pytest.mark.parametrize("by", ["etag", "hash"])
def test_the_same_file_at_another_address_is_not_fetched_again(
    tab: Tab, server: FlakyServer, file: FlakyFile, url: str, by: str
) -> None:
    file.max_bytes = 2_500_000
    tab.start(url if by == "etag" else listed(url, file.data))
    tab.wait_for_stored(CHUNK_BYTES)
    tab.pause()
    moved = server.files["moved.gguf"] = FlakyFile(file.data)
    moved_url = f"{server.url}moved.gguf"
    kept = tab.list()[0]["stored_bytes"]
    assert tab.pull(moved_url if by == "etag" else listed(moved_url, file.data))["name"] == "done"
    assert moved.sent.sum() - (by == "etag") == MODEL_BYTES - kept
    assert [model["is_complete"] for model in tab.list()] == [True, True]
    assert len(read_stored(tab)) == 1
    # It stays as long as one of the two is kept.
    assert tab.ask(f"Leadout.models.remove({json.dumps(url)})") is None
    assert len(read_stored(tab)) == 1
    assert tab.ask(f"Leadout.models.remove({json.dumps(moved_url)})") is None
    assert read_stored(tab) == []


def test_an_etag_says_nothing_about_another_servers_file(
    tab: Tab, server: FlakyServer, file: FlakyFile, url: str
) -> None:
    assert tab.pull(url)["name"] == "done"
    data = random.Random("another").randbytes(MODEL_BYTES)
    server.files["model.gguf"] = FlakyFile(data, etag=file.etag)
    assert tab.pull(url.replace("127.0.0.1", "localhost"))["name"] == "done"
    hashes = {hashlib.sha256(each).hexdigest() for each in (file.data, data)}
    assert set(read_stored(tab)) == hashes


def test_bytes_that_are_not_what_was_published_are_dropped(
    tab: Tab, server: FlakyServer, file: FlakyFile, url: str
) -> None:
    for other in (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 5\n", b""):
        server.files["model.gguf"] = FlakyFile(other)
        end = tab.pull(listed(url, file.data))
        assert end["name"] == "SourceError"
        assert f"has {len(other)} bytes, and 5,300,001 were published" in end["message"]
    server.files["model.gguf"] = file
    end = tab.pull(listed(url, file.data, sha256="ab" * 32))
    assert end["name"] == "IntegrityError"
    assert "abababababababab" in end["message"]
    (kept,) = tab.list()
    assert kept["stored_bytes"] == 0
    assert not kept["is_complete"]


# ---- tabs, disks, servers ---------------------------------------------------------------------


def test_one_tab_fetches_and_another_watches_then_goes_on_by_itself(
    open_tab: Callable[[], Tab], file: FlakyFile, url: str
) -> None:
    first, second = open_tab(), open_tab()
    file.max_bytes = 2_500_000
    first.start(url)
    first.wait_for_stored(CHUNK_BYTES)
    second.start(url)
    second.wait_for(
        lambda: second.events()[-1:] != [] and second.events()[-1]["state"] == "waiting"
    )
    assert second.list()[0]["is_fetching"]
    removed = second.ask(f"Leadout.models.remove({json.dumps(url)})")
    assert removed.startswith("StoreError: model.gguf is in use"), removed
    file.max_bytes = 4_500_000
    second.wait_for_stored(2 * CHUNK_BYTES)  # as the first one tells
    assert {event["state"] for event in second.events()} == {"asking", "waiting"}
    first.page.close(run_before_unload=False)
    file.max_bytes = None
    assert second.finish()["name"] == "done"
    assert second.events()[-1]["state"] == "done"
    assert read_stored(second) == [hashlib.sha256(file.data).hexdigest()]


def test_a_full_disk_is_known_before_a_byte_is_fetched(
    chromium: Browser,
    site: str,
    server: FlakyServer,
    file: FlakyFile,
    url: str,
    tmp_path: Path,
) -> None:
    # With a profile on the disk: a private one's files are in memory, and more lenient.
    options = software_options()
    context = chromium.browser_type.launch_persistent_context(tmp_path, **options)
    page = context.new_page()
    page.goto(site + "blank.html")
    tab = Tab(page)
    server.files["old.gguf"] = FlakyFile(file.data[:2_000_000], etag='"old"')
    assert tab.pull(f"{server.url}old.gguf")["name"] == "done"
    origin, session = site.removesuffix("/"), context.new_cdp_session(page)

    def set_quota(num_bytes: int) -> None:
        quota = {"origin": origin, "quotaSize": num_bytes}
        session.send("Storage.overrideQuotaForOrigin", quota)

    set_quota(4_000_000)
    end = tab.pull(url)
    assert [model["stored_bytes"] for model in tab.list()] == [0, 2_000_000]
    server.files["new.gguf"] = FlakyFile(file.data[:1_000_000], etag='"new"')
    set_quota(1)  # not even for a record
    end_of_new = tab.pull(f"{server.url}new.gguf")
    assert [model["stored_bytes"] for model in tab.list()] == [0, 2_000_000]
    context.close()
    assert end["name"] == "StoreError"
    assert end["detail"]["is_full"]
    assert "does not fit: the browser does not give this page another 5.3 MB" in end["message"]
    assert "delete a model that is kept here, such as old (2 MB)" in end["message"]
    assert file.sent.sum() == 1  # which told the size
    assert end_of_new["name"] == "StoreError"
    assert end_of_new["detail"]["is_full"]
    assert "the disk is full" in end_of_new["message"]
    assert "delete a model that is kept here, such as" in end_of_new["message"]


def test_a_disk_that_fills_up_keeps_what_is_there(
    tab: Tab, server: FlakyServer, file: FlakyFile, url: str
) -> None:
    # No chunk is shorter than another, since any two may come first.
    file = server.files["model.gguf"] = FlakyFile(file.data[: 5 * CHUNK_BYTES])
    tab.page.evaluate(SWAP_WORKER, "full_disk.js")
    end = tab.pull(url)
    assert end["name"] == "StoreError"
    assert end["detail"]["is_full"]
    assert "the disk is full" in end["message"]
    assert "make room on the disk" in end["message"]
    kept = tab.list()[0]["stored_bytes"]
    assert kept == 2 * CHUNK_BYTES
    tab.page.reload()
    file.requests.clear()
    assert tab.pull(url)["name"] == "done"
    assert num_asked(file) == 3 * CHUNK_BYTES + 1  # which told the size


def test_a_server_that_cannot_be_used_is_named(tab: Tab, file: FlakyFile, url: str) -> None:
    for fault, fails, message in (
        ("has_ranges", False, "does not answer Range requests"),
        ("has_cors", False, "does not allow this page to read it (CORS)"),
        ("is_down", True, "there is no connection"),
    ):
        setattr(file, fault, fails)
        end = tab.pull(url)
        assert end["name"] == "SourceError"
        assert message in end["message"]
        assert tab.list() == []
        setattr(file, fault, not fails)


# ---- the page and the widget ------------------------------------------------------------------


def test_the_page_fetches_pauses_goes_on_opens_and_deletes(
    profile: BrowserContext, site: str, file: FlakyFile, url: str
) -> None:
    page = profile.new_page()
    page.goto(site)
    chat = Chat(page)
    page.get_by_text("Kept in this browser: nothing yet").click()
    page.locator("#open-url").click()
    page.locator("#url").fill(url)
    host = url.split("/")[2]
    expect(page.locator("#url-host")).to_contain_text(f"This asks {host}")
    page.get_by_role("button", name="Look it up").click()
    file.max_bytes = 2_500_000
    page.get_by_role("button", name="Fetch only").click()
    expect(page.get_by_role("button", name="Fetch only")).to_be_hidden()
    library = page.locator("#library")
    expect(library).to_contain_text("2 MB of 5 MB")
    expect(library).to_contain_text(f"from {host}")
    library.get_by_role("button", name="Pause").click()
    expect(library).to_contain_text("of 5 MB, paused")
    file.max_bytes = None
    page.reload()
    page.locator("#library summary").click()
    expect(library).to_contain_text("of 5 MB, paused")
    file.is_down = True
    library.get_by_role("button", name="Resume").click()
    expect(library).to_contain_text("there is no connection")
    file.is_down = False
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(library).to_contain_text("1 model, 5 MB")
    library.get_by_role("button", name="Open").click()
    (load,) = chat.wait_for_loads(1)
    assert load["model"]["source"] == url
    chat.wait_for_state("ready")
    library.get_by_role("button", name="Delete").click()
    library.get_by_role("button", name="Delete").click()  # which asks
    expect(library).to_contain_text("nothing yet")
    assert chat.value("violations") == []


def test_a_widget_can_keep_a_model_without_loading_it_or_load_it_without_keeping_it(
    tab: Tab, file: FlakyFile, url: str
) -> None:
    tab.page.evaluate(
        """async (url) => {
          await import("/define.js");
          const chat = Object.assign(document.createElement("leadout-chat"), { model: url });
          chat.setAttribute("store", "only");
          window.fetches = [];
          chat.addEventListener("leadout-fetch", ({ detail }) => window.fetches.push(detail.state));
          document.body.append(chat);
          await chat.load();
        }""",
        url,
    )
    chat = Chat(tab.page)
    assert chat.value("chat.state") == "idle"
    expect(chat.notice).to_contain_text("5 MB, kept in this browser")
    assert tab.page.evaluate("fetches.at(-1)") == "done"
    assert tab.list()[0]["is_complete"]
    assert chat.received("load") == []
    chat.value("(chat.setAttribute('store', 'off'), chat.load())")
    (load,) = chat.wait_for_loads(1)
    assert "source" not in load["model"]
