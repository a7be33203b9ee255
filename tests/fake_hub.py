"""A server on this machine that speaks the hub's protocol, for the command line and for pages.

    GET /api/models/<owner>/<name>[/revision/<revision>]?blobs=true   the files, sizes and hashes
    GET /<owner>/<name>/resolve/<commit>/<file>   302 to another host for big files, else the file
    GET /lfs/<sha256>                             there: the content; in ranges

The hub is 127.0.0.1 and the other host localhost, so that what may go to the one alone is seen.
Faults are attributes, to be set before or between pulls.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

REPO = "someone/tiny"
COMMIT = "0123456789abcdef0123456789abcdef01234567"

#: The token that opens gated and private repositories.
TOKEN = "hub_sesame"

#: Headers that the hub lets pages of other origins read.
EXPOSED = "X-Repo-Commit, X-Error-Code, ETag, Content-Range, X-Linked-Size, X-Linked-Etag"


@dataclass(frozen=True)
class Seen:
    """A request: to which host, for what, with which headers."""

    host: str
    path: str
    authorization: str | None
    range: str | None


class FakeHub:
    """The repository `REPO` and perhaps others, and what was asked for them."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.repos = {REPO: files}
        #: These files are served with other bytes than were published.
        self.wrong: set[str] = set()
        #: These files are served as the pointers that git keeps in their place.
        self.pointers: set[str] = set()
        #: Repositories whose terms were not accepted: the listing is public, the files are not.
        self.gated: set[str] = set()
        #: These look as if they did not exist, without the token.
        self.private: set[str] = set()
        #: Names that repositories had before.
        self.renamed: dict[str, str] = {}
        #: How often a big file's connection is cut half-way.
        self.num_cuts = 0
        #: No big file's content goes past this byte while it is not None.
        self.max_bytes: int | None = None
        #: (status, headers) that the next requests of the API and of files are answered with.
        self.refusals: list[tuple[int, dict[str, str]]] = []
        #: Instead of a listing.
        self.listing: bytes | None = None
        #: (file, value of its Range header) of every request for content.
        self.requests: list[tuple[str, str | None]] = []
        self.seen: list[Seen] = []
        self.endpoint = ""
        self.other_host = ""

    @property
    def files(self) -> dict[str, bytes]:
        """The files of `REPO`."""
        return self.repos[REPO]

    @files.setter
    def files(self, files: dict[str, bytes]) -> None:
        self.repos[REPO] = files

    @property
    def is_gated(self) -> bool:
        """Whether `REPO` is."""
        return REPO in self.gated

    @is_gated.setter
    def is_gated(self, is_gated: bool) -> None:
        self.gated = {REPO} if is_gated else set()

    def info(self, repo: str = REPO) -> dict[str, Any]:
        """Return what the hub says of a repository."""
        return {
            "id": repo,
            "sha": COMMIT,
            "gated": "auto" if repo in self.gated else False,
            "cardData": {"license": "gemma"},
            "siblings": [
                {
                    "rfilename": name,
                    "size": len(data),
                    "blobId": git_hash(data),
                    **({"lfs": self._lfs(data)} if is_big(name) else {}),
                }
                for name, data in self.repos[repo].items()
            ],
        }

    def _lfs(self, data: bytes) -> dict[str, Any]:
        return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "pointerSize": 134}

    def find(self, sha256: str) -> tuple[str, bytes]:
        """Return the big file with that hash: its name and content."""
        for files in self.repos.values():
            for name, data in files.items():
                if hashlib.sha256(data).hexdigest() == sha256:
                    return name, data
        raise KeyError(sha256)


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
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def do_OPTIONS(self) -> None:
            self.send_response(200)
            self.send_header("Access-Control-Allow-Headers", "authorization, range")
            self.send_header("Access-Control-Allow-Methods", "GET, HEAD")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            host = str(self.headers["Host"])
            asked = self.headers["Range"]
            hub.seen.append(Seen(host, self.path, self.headers["Authorization"], asked))
            parts = url.path.split("/")
            if host == urlsplit(hub.other_host).netloc:
                self.send_content(*hub.find(parts[-1]))
                return
            if hub.refusals:
                self.refuse(*hub.refusals.pop(0))
                return
            is_listing = parts[1:3] == ["api", "models"]
            repo = "/".join(parts[3:5] if is_listing else parts[1:3])
            if repo in hub.renamed:
                self.refuse(307, {"Location": self.path.replace(repo, hub.renamed[repo])})
                return
            is_known = self.headers["Authorization"] == f"Bearer {TOKEN}"
            if repo not in hub.repos or (repo in hub.private and not is_known):
                self.refuse(401, {"X-Error-Code": "RepoNotFound"})
                return
            revision = unquote(parts[6 if is_listing else 4]) if len(parts) > 5 else "main"
            if revision not in (COMMIT, "main", "v1") or (not is_listing and revision != COMMIT):
                self.refuse(404, {"X-Error-Code": "RevisionNotFound"})
            elif is_listing:
                self.answer(hub.listing or json.dumps(hub.info(repo)).encode())
            elif repo in hub.gated and not is_known:
                self.refuse(403, {"X-Error-Code": "GatedRepo"})
            else:
                self.resolve(repo, unquote("/".join(parts[5:])))

        def resolve(self, repo: str, name: str) -> None:
            data = hub.repos[repo].get(name)
            if data is None:
                self.refuse(404, {"X-Error-Code": "EntryNotFound"})
                return
            if name in hub.pointers:
                sha256 = hashlib.sha256(data).hexdigest()
                text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\n"
                self.send_content(name, f"{text}size {len(data)}\n".encode())
                return
            if not is_big(name):
                self.send_content(name, data)
                return
            sha256 = hashlib.sha256(data).hexdigest()
            self.send_response(302)
            self.send_header("Location", f"{hub.other_host}/lfs/{sha256}")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("X-Linked-Etag", f'"{sha256}"')
            self.send_header("X-Linked-Size", str(len(data)))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def send_content(self, name: str, data: bytes) -> None:
            asked = self.headers["Range"]
            hub.requests.append((name, asked))
            if name in hub.wrong:
                data = data[:-1] + bytes([data[-1] ^ 1])  # behind the header
            first, _, last = (asked or "bytes=0-").removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or len(data) - 1), len(data) - 1) + 1
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
            self.send_header("Content-Length", str(end - start))
            self.send_header("ETag", f'"{git_hash(data)}"')
            self.end_headers()
            if self.command == "HEAD":
                return
            if hub.num_cuts and is_big(name):
                hub.num_cuts -= 1
                self.wfile.write(data[start : start + (end - start) // 2])
                self.close_connection = True
                return
            stop = start
            while stop < end:
                limit = hub.max_bytes if is_big(name) and hub.max_bytes is not None else end
                begin, stop = stop, max(stop, min(end, limit))
                if begin == stop:
                    time.sleep(0.02)  # held back until the test lets more through
                self.wfile.write(data[begin:stop])

        def end_headers(self) -> None:
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Access-Control-Expose-Headers", EXPOSED)
            super().end_headers()

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def refuse(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

    class Server(ThreadingHTTPServer):
        # Browsers keep connections open for longer than a test takes.
        daemon_threads = True
        block_on_close = False

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    hub.other_host = f"http://localhost:{server.server_port}"
    try:
        yield hub.endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
