"""A page that pulls models into the browser's store, and what then lies there."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pages import FAKE_WORKER, serve_in_thread
from playwright.sync_api import Page

from flaky_server import FlakyServer
from leadout_build import ROOT

#: What the store needs of the engine's files.
ASSETS = {"sha256": "sha256.umd.min.js", "hash_worker": "store/hash_worker.js"}

#: Has the store's worker begin with another script, which lies beside it.
SWAP_WORKER = """(name) => {
  const { Worker } = window;
  window.Worker = function (url, options) {
    return new Worker(String(url).replace("puller.js", name), options);
  };
}"""

#: Starts a pull and leaves it running; window.pull.end is how it ended.
START = """async ({ model, drafter, options }) => {
  const { Leadout } = await import("/leadout.js");
  const abort = new AbortController();
  const pull = { abort, events: [], end: null };
  window.pull = pull;
  pull.done = Leadout.models
    .pull(model, {
      drafter,
      signal: abort.signal,
      onProgress: (event) => pull.events.push(event),
      fetchOptions: { retryMs: 5, ...options },
    })
    .then(
      () => { pull.end = { name: "done", message: "", detail: {} }; },
      ({ name, message, detail }) => { pull.end = { name, message, detail }; },
    );
}"""


@contextmanager
def serve_store_site(server: FlakyServer, site: Path, workers: Mapping[str, str]) -> Iterator[str]:
    """Serve static/ and web/ as they lie there, with pages that may ask the server of models.

    Args:
        server: of models.
        site: an empty folder.
        workers: scripts of other workers by name, which lie beside the store's own.
    """
    shutil.copytree(ROOT / "static", site, dirs_exist_ok=True)
    shutil.copytree(ROOT / "web", site / "app-0", ignore=shutil.ignore_patterns("node_modules"))
    shutil.copy(ROOT / "web/node_modules/hash-wasm/dist/sha256.umd.min.js", site / "app-0")
    (site / "app-0/assets.json").write_text(json.dumps(ASSETS))
    (site / "leadout.js").write_text('export * from "./app-0/index.js";\n')
    (site / "define.js").write_text('export * from "./app-0/widget/define.js";\n')
    (site / "app-0/worker.js").write_text(FAKE_WORKER % {"options": "{}", "text": '" Hello."'})
    (site / "blank.html").write_text("<title>Blank</title>")
    for name, script in workers.items():
        (site / f"app-0/store/{name}.js").write_text(script)
    origin = server.url.removesuffix("/")
    with serve_in_thread(site, [origin, origin.replace("127.0.0.1", "localhost")]) as url:
        yield url


class Tab:
    """A page that pulls models."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def start(self, model: object, drafter: object = "auto", **options: Any) -> None:
        self.page.evaluate(START, {"model": model, "drafter": drafter, "options": options})

    def finish(self) -> dict[str, Any]:
        """Wait for the pull's end: its error's name, or "done"."""
        end: dict[str, Any] = self.page.evaluate("pull.done.then(() => pull.end)")
        return end

    def pull(self, model: object, **options: Any) -> dict[str, Any]:
        self.start(model, **options)
        return self.finish()

    def pause(self) -> None:
        self.page.evaluate("(pull.abort.abort(), pull.done)")

    def events(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = self.page.evaluate("pull.events")
        return events

    def list(self) -> list[dict[str, Any]]:
        return self.ask("Leadout.models.list()")

    def ask(self, expression: str) -> Any:
        """Return what an expression over Leadout gives, or the error's name and message."""
        return self.page.evaluate(
            f"""async () => {{
              const {{ Leadout }} = await import("/leadout.js");
              return ({expression}).catch(({{ name, message }}) => `${{name}}: ${{message}}`);
            }}"""
        )

    def wait_for(self, is_there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not is_there():
            if time.monotonic() > deadline:
                raise AssertionError(self.page.evaluate("JSON.stringify(window.pull ?? told)"))
            self.page.wait_for_timeout(20)

    def wait_for_stored(self, num_bytes: int) -> None:
        self.wait_for(lambda: any(e["stored_bytes"] >= num_bytes for e in self.events()))


def read_stored(tab: Tab) -> list[str]:
    """Return the SHA-256 of every file that lies in the store."""
    found: list[str] = tab.page.evaluate(
        """async () => {
          const root = await navigator.storage.getDirectory();
          const store = await root.getDirectoryHandle("leadout");
          const files = await store.getDirectoryHandle("files");
          const hashes = [];
          for await (const [name, handle] of files) {
            if (!name.endsWith(".bytes")) continue;
            const bytes = await (await handle.getFile()).arrayBuffer();
            const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
            hashes.push(Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join(""));
          }
          return hashes;
        }"""
    )
    return found


def overwrite_stored(tab: Tab, every_bytes: int) -> bool:
    """Write over a byte in so many of every file in the store; False if one is in use."""
    was_written: bool = tab.page.evaluate(
        """async (everyBytes) => {
          const root = await navigator.storage.getDirectory();
          const store = await root.getDirectoryHandle("leadout");
          const files = await store.getDirectoryHandle("files");
          for await (const [name, handle] of files) {
            if (!name.endsWith(".bytes")) continue;
            const { size } = await handle.getFile();
            const stream = await handle.createWritable({ keepExistingData: true })
              .catch((error) => {
                if (error.name !== "NoModificationAllowedError") throw error;
              });
            if (!stream) return false;
            for (let position = 0; position < size; position += everyBytes) {
              await stream.write({ type: "write", position, data: "?" });
            }
            await stream.close();
          }
          return true;
        }""",
        every_bytes,
    )
    return was_written
