"""A server of files for the store's tests: ranges, CORS, and faults on purpose.

It counts what it sent of every byte, so that a test can say what was fetched twice.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

PIECE_BYTES = 64 << 10


@dataclass
class FlakyFile:
    """A file, and how badly it is served.

    Attributes:
        data: its bytes.
        etag: its ETag, or None.
        modified: its Last-Modified, or None.
        has_ranges: False answers everything with 200.
        has_cors: False keeps pages of other origins out.
        cut_share: of the requests, so many are cut, each at a random byte.
        max_bytes: no body goes past this byte of the file while it is not None.
        delay_s: before every piece of a body.
        is_down: connections are closed without an answer.
        requests: the Range headers that came.
        sent: how often each byte was sent.
    """

    data: bytes
    etag: str | None = '"one"'
    modified: str | None = None
    has_ranges: bool = True
    has_cors: bool = True
    cut_share: float = 0
    max_bytes: int | None = None
    delay_s: float = 0
    is_down: bool = False
    requests: list[str | None] = field(default_factory=list)
    sent: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint8))

    def __post_init__(self) -> None:
        self.sent = np.zeros(len(self.data), np.uint8)


class FlakyServer:
    """The files by name, under `url`."""

    def __init__(self, seed: int) -> None:
        self.files: dict[str, FlakyFile] = {}
        self.random = random.Random(seed)
        self.url = ""
        self.num_cuts = 0
        #: Wakes bodies that wait; set when the server ends.
        self.is_over = threading.Event()


@contextmanager
def flaky_server(seed: int = 1, host: str = "127.0.0.1") -> Iterator[FlakyServer]:
    """Serve while the context is open."""
    server = FlakyServer(seed)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

        def do_GET(self) -> None:
            file = server.files.get(self.path.removeprefix("/"))
            if file is None:
                self.send_response(404)
                self.send_header("Access-Control-Allow-Origin", "*")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            asked = self.headers.get("Range")
            file.requests.append(asked)
            if file.is_down:
                self.close_connection = True
                return
            match = re.fullmatch(r"bytes=(\d+)-(\d+)", asked or "")
            size = len(file.data)
            start, end = (int(match[1]), min(int(match[2]) + 1, size)) if match else (0, size)
            is_range = match is not None and file.has_ranges
            if not is_range:
                start, end = 0, size
            if is_range and start >= size:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{size}")
                start = end = 0
            else:
                self.send_response(206 if is_range else 200)
                if is_range:
                    self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
            if file.has_cors:
                self.send_header("Access-Control-Allow-Origin", "*")
                self.send_header("Access-Control-Expose-Headers", "Content-Range, ETag")
            if file.etag:
                self.send_header("ETag", file.etag)
            if file.modified:
                self.send_header("Last-Modified", file.modified)
            self.send_header("Content-Length", str(end - start))
            self.end_headers()
            if self.command == "GET":
                self._send(file, start, end)

        do_HEAD = do_GET  # noqa: N815

        def _send(self, file: FlakyFile, start: int, end: int) -> None:
            stop = end
            if end - start > 1 and server.random.random() < file.cut_share:
                stop = server.random.randrange(start, end)
                server.num_cuts += 1
            at = start
            while at < stop:
                if file.max_bytes is not None and at >= file.max_bytes:
                    server.is_over.wait(0.02)  # held back until the test lets more through
                    if server.is_over.is_set() or file.is_down:
                        break
                    continue
                if file.delay_s:
                    server.is_over.wait(file.delay_s)
                limit = stop if file.max_bytes is None else min(stop, file.max_bytes)
                piece = file.data[at : min(at + PIECE_BYTES, limit)]
                try:
                    self.wfile.write(piece)
                except OSError:
                    self.close_connection = True
                    return
                file.sent[at : at + len(piece)] += 1
                at += len(piece)
            if at < end:
                self.close_connection = True

    http = ThreadingHTTPServer((host, 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    server.url = f"http://{host}:{http.server_address[1]}/"
    try:
        yield server
    finally:
        server.is_over.set()
        http.shutdown()
        http.server_close()
        thread.join()
