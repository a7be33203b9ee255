"""The server behind the tests' page.

It serves web/, the rendered kernels and the page itself, takes bulk data both ways, and can be
told to serve files badly.
"""

from __future__ import annotations

import contextlib
import mimetypes
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from leadout_build import ROOT


@dataclass
class ServedFile:
    """A file on the test server, and how badly it is served.

    Attributes:
        data: its bytes; may be replaced between requests.
        etag: its ETag, or None.
        statuses: of the next requests, before it is served properly.
        has_ranges: False answers Range requests with 200 and everything.
        content_type: what its Content-Type says, or None.
        cuts: after how many bytes of the body to cut the connection, for the next requests with a
            body of more than one byte.
        is_stuck: connections stay open where `cuts` would cut them.
        is_silent: requests get no answer.
        cors: headers for pages of another origin.
        requests: the Range headers (or methods) that came, in order.
        sent_bytes: of bodies.
    """

    data: bytes
    etag: str | None = '"one"'
    statuses: list[int] = field(default_factory=list)
    has_ranges: bool = True
    content_type: str | None = None
    cuts: list[int] = field(default_factory=list)
    is_stuck: bool = False
    is_silent: bool = False
    cors: Mapping[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    sent_bytes: int = 0


class PageServer:
    """Serves what the page needs on a free port of 127.0.0.1, from threads."""

    def __init__(self, kernels_folder: Callable[[], Path]) -> None:
        self.kernels_folder = kernels_folder
        self.blobs: dict[str, bytes] = {}
        self.files: dict[str, ServedFile] = {}
        #: Ends what is stuck.
        self.is_over = threading.Event()
        handler = type("Handler", (_Handler,), {"page_server": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, name="page server")
        self._thread.start()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def file(self, name: str, data: bytes, **options: Any) -> ServedFile:
        """Serve a file as /files/<name>."""
        self.files[name] = ServedFile(data, **options)
        return self.files[name]

    def close(self) -> None:
        self.is_over.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else a body waits some 40 ms for the page to acknowledge the headers.
    disable_nagle_algorithm = True
    page_server: PageServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the page hung up between requests
            super().handle()

    def do_GET(self) -> None:
        area, _, name = self.path.removeprefix("/").partition("/")
        if area == "files":
            self._serve_badly(self.page_server.files.get(name.partition("?")[0]))
            return
        if area == "blobs":
            self._answer(200, self.page_server.blobs.pop(name))
            return
        folders = {
            "web": lambda: ROOT / "web",
            "kernels": self.page_server.kernels_folder,
            "tests": lambda: Path(__file__).parent,
        }
        path = folders[area]() / name if area in folders else None
        if path is None or not path.is_file():
            self._answer(404, b"")
            return
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        self._answer(200, path.read_bytes(), {"Content-Type": kind})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        name = self.path.removeprefix("/blobs/")
        self.page_server.blobs[name] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(204, b"")

    def _serve_badly(self, file: ServedFile | None) -> None:
        if file is None:
            self._answer(404, b"")
            return
        asked = self.headers.get("Range")
        file.requests.append(asked or self.command)
        if file.is_silent:
            self.page_server.is_over.wait()
            return
        said = {"ETag": file.etag, "Content-Type": file.content_type}
        headers = {**file.cors, **{name: value for name, value in said.items() if value}}
        if file.statuses:
            self._answer(file.statuses.pop(0), b"", headers)
            return
        body, status = file.data, 200
        if asked and file.has_ranges:
            start, end = (int(part) for part in asked.removeprefix("bytes=").split("-"))
            body, status = file.data[start : end + 1], 206
            total = len(file.data)
            headers["Content-Range"] = f"bytes {start}-{start + len(body) - 1}/{total}"
            if not body:
                status, headers["Content-Range"] = 416, f"bytes */{total}"
        cut = file.cuts.pop(0) if file.cuts and len(body) > 1 else None
        file.sent_bytes += self._answer(status, body, headers, cut)
        if cut is not None and file.is_stuck:
            self.page_server.is_over.wait()

    def _answer(
        self,
        status: int,
        body: bytes,
        headers: Mapping[str, str] = {},
        cut: int | None = None,
    ) -> int:
        """Send an answer, cut after so many bytes if told to; return how many were sent."""
        sent = 0
        # The page may hang up whenever it has seen enough.
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "HEAD":
                return 0
            for start in range(0, len(body[:cut]), 1 << 16):
                sent += self.wfile.write(body[:cut][start : start + (1 << 16)])
        if cut is not None:
            time.sleep(0.1)  # a browser drops what it has not passed on when the connection breaks
            self.close_connection = True
        return sent
