"""A server on this machine that speaks the part of the hub's protocol which a pull uses.

    GET /api/models/<owner>/<name>?blobs=true     the files, their sizes and hashes
    GET /<owner>/<name>/resolve/<commit>/<file>   302 to /lfs/… for big files, the file otherwise
    GET /lfs/<sha256>                             the content; in ranges

Faults are attributes, to be set before or between pulls.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

REPO = "someone/tiny"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """The repository `REPO`, and what was asked for it."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        #: These files are served with other bytes than were published.
        self.wrong: set[str] = set()
        #: The terms were not accepted: the listing is public, the files are not.
        self.is_gated = False
        #: How often a big file's connection is cut half-way.
        self.num_cuts = 0
        #: (file, value of its Range header) of every request for content.
        self.requests: list[tuple[str, str | None]] = []
        self.endpoint = ""

    def info(self) -> dict[str, Any]:
        """Return what the hub says of the repository."""
        return {
            "id": REPO,
            "sha": COMMIT,
            "cardData": {"license": "gemma"},
            "siblings": [
                {
                    "rfilename": name,
                    "size": len(data),
                    "blobId": git_hash(data),
                    **({"lfs": self._lfs(data)} if is_big(name) else {}),
                }
                for name, data in self.files.items()
            ],
        }

    def _lfs(self, data: bytes) -> dict[str, Any]:
        return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "pointerSize": 134}

    def name_of(self, sha256: str) -> str:
        """Return the big file with that hash."""
        hashes = {hashlib.sha256(data).hexdigest(): name for name, data in self.files.items()}
        return hashes[sha256]


def is_big(name: str) -> bool:
    """Return whether the hub keeps such a file in LFS."""
    return name.endswith((".gguf", ".safetensors"))


def git_hash(data: bytes) -> str:
    """Return git's id of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@contextmanager
def serve_hub(hub: FakeHub) -> Iterator[str]:
    """Serve `hub` and yield the endpoint's URL."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            resolve = f"/{REPO}/resolve/{COMMIT}/"
            if path == f"/api/models/{REPO}":
                self.answer(json.dumps(hub.info()).encode())
            elif path.startswith(resolve) and hub.is_gated:
                self.refuse(403, "GatedRepo")
            elif path.startswith(resolve):
                self.resolve(path.removeprefix(resolve))
            elif path.startswith("/lfs/"):
                self.send_content(hub.name_of(path.removeprefix("/lfs/")))
            else:
                self.refuse(404, "RepoNotFound")

        def resolve(self, name: str) -> None:
            if not is_big(name):
                self.send_content(name)
                return
            sha256 = hashlib.sha256(hub.files[name]).hexdigest()
            self.send_response(302)
            self.send_header("Location", f"/lfs/{sha256}")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("X-Linked-Etag", f'"{sha256}"')
            self.send_header("X-Linked-Size", str(len(hub.files[name])))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def send_content(self, name: str) -> None:
            asked = self.headers.get("Range")
            hub.requests.append((name, asked))
            data = hub.files[name]
            if name in hub.wrong:
                data = bytes(byte ^ 1 for byte in data)
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(data) - start))
            self.send_header("ETag", f'"{git_hash(data)}"')
            self.end_headers()
            if hub.num_cuts and is_big(name):
                hub.num_cuts -= 1
                self.wfile.write(data[start : start + (len(data) - start) // 2])
                self.close_connection = True
                return
            self.wfile.write(data[start:])

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
