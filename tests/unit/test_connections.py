"""What the server does with clients that keep it waiting, over real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from leadout_build.serving.connections import Connection, server_config
from leadout_build.serving.server import listen
from leadout_build.serving.site_files import answer_file

#: More than the sockets' own buffers hold.
LARGE_BYTES = 24 << 20

#: What one client that does not read may have waiting for it: a chunk of a file.
MAX_UNSENT_BYTES = 256 << 10

HALF = b"GET /small HTTP/1.1\r\nHost: localhost\r\nX-Half: "
SMALL = b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE = b"GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

#: For what has to happen soon, on a machine that other work shares.
PATIENCE_S = 10.0


class Server:
    """A running server, and clients of it."""

    def __init__(self, server: uvicorn.Server, port: int, clients: ExitStack) -> None:
        self.server = server
        self.port = port
        self._clients = clients

    @property
    def num_connections(self) -> int:
        return len(self.server.server_state.connections)

    def unsent_bytes(self) -> list[int]:
        """Return what waits for clients that do not read, for each of these."""
        connections = list(self.server.server_state.connections)
        waiting = [connection.transport.get_write_buffer_size() for connection in connections]
        return [num_bytes for num_bytes in waiting if num_bytes > 0]

    def connect(self, sent: bytes = b"", *, receive_buffer_bytes: int | None = None) -> Client:
        one = socket.socket()
        self._clients.enter_context(one)
        one.settimeout(PATIENCE_S)
        if receive_buffer_bytes is not None:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        one.connect(("127.0.0.1", self.port))
        one.sendall(sent)
        return Client(one)

    def wait_for(self, is_there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not is_there():
            assert time.monotonic() < deadline
            time.sleep(0.01)


class Client:
    def __init__(self, one: socket.socket) -> None:
        self.socket = one

    def ask(self, request: bytes = SMALL) -> bytes:
        """Return what answers a request for something small."""
        self.socket.sendall(request)
        answer = b""
        while not answer.endswith(b"small"):
            answer += self.socket.recv(4096)
        return answer

    def is_hung_up_on(self) -> bool:
        """Send one byte more, and return whether nobody wanted it."""
        try:
            self.socket.sendall(b"x")
        except OSError:
            return True
        return False

    def read_to_end(self) -> bytes:
        """Return all that comes before the server hangs up."""
        parts = []
        try:
            while part := self.socket.recv(1 << 16):
                parts.append(part)
        except ConnectionResetError:
            pass
        return b"".join(parts)


Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A factory of servers whose connections have other bounds."""
    (tmp_path / "small").write_bytes(b"small")
    with (tmp_path / "large").open("wb") as large:
        large.truncate(LARGE_BYTES)

    def send(request: Request) -> Response:
        return answer_file(request, tmp_path / request.path_params["name"], "no-cache")

    app = Starlette(routes=[Route("/{name}", send)])
    with ExitStack() as stack:

        def start(**bounds: float) -> Server:
            connection = type("Hasty", (Connection,), bounds)
            config = server_config(app, connection, timeout_graceful_shutdown=1)
            server = uvicorn.Server(config)
            listener = stack.enter_context(listen("127.0.0.1", 0))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})

            def end() -> None:
                server.should_exit = True
                thread.join()

            thread.start()
            stack.callback(end)
            port = listener.getsockname()[1]
            return Server(server, port, stack.enter_context(ExitStack()))

        yield start


def test_half_sent_requests_end_and_nobody_else_waits_for_them(start: Start) -> None:
    server = start(request_s=1.0)
    halves = [server.connect(HALF) for _ in range(500)]
    assert server.num_connections <= Connection.max_connections + 1  # one may be on its way out
    assert server.connect().ask().startswith(b"HTTP/1.1 200")
    began = time.monotonic()
    assert {half.read_to_end() for half in halves} == {b""}
    assert time.monotonic() - began < 5
    server.wait_for(lambda: server.num_connections == 0)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        HALF,
        SMALL,
        SMALL.replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\nhalf"),
        SMALL + HALF,
    ],
)
def test_a_drop_now_and_then_keeps_no_connection_open(start: Start, sent: bytes) -> None:
    server = start(request_s=0.3)
    client = server.connect(sent)
    began = time.monotonic()
    while not client.is_hung_up_on():
        assert time.monotonic() - began < 3
        time.sleep(0.05)
    assert time.monotonic() - began > 0.2


def test_a_connection_is_kept_for_one_request_after_the_other(start: Start) -> None:
    server = start(request_s=0.6)
    client = server.connect()
    for _ in range(4):
        time.sleep(0.2)
        assert client.ask().startswith(b"HTTP/1.1 200")
    client.socket.sendall(SMALL * 3)
    answers = b""
    while answers.count(b"small") < 3:
        answers += client.socket.recv(4096)


def test_who_does_not_read_takes_little_and_is_hung_up_on(start: Start) -> None:
    server = start(send_s=1.0)
    readers = [server.connect(LARGE, receive_buffer_bytes=4096) for _ in range(8)]
    server.wait_for(lambda: len(server.unsent_bytes()) == 8)
    assert max(server.unsent_bytes()) <= MAX_UNSENT_BYTES
    assert server.connect().ask().startswith(b"HTTP/1.1 200")
    server.wait_for(lambda: server.num_connections <= 1)
    assert all(len(reader.read_to_end()) < LARGE_BYTES for reader in readers)


def test_who_reads_slowly_gets_everything(start: Start) -> None:
    server = start(send_s=0.5, request_s=0.2)
    client = server.connect(LARGE, receive_buffer_bytes=1 << 20)
    received = 0
    for _ in range(12):
        time.sleep(0.1)
        received += len(client.socket.recv(1 << 20, socket.MSG_WAITALL))
    received += len(client.read_to_end())
    assert received > LARGE_BYTES


def test_a_new_client_takes_the_place_of_who_asked_nothing_for_longest(start: Start) -> None:
    server = start(max_connections=3)
    busy = [server.connect(LARGE, receive_buffer_bytes=4096) for _ in range(2)]
    server.wait_for(lambda: len(server.unsent_bytes()) == 2)
    idle = server.connect(HALF)
    assert server.connect().ask().startswith(b"HTTP/1.1 200")
    assert idle.read_to_end() == b""
    # Where all are being answered, the new one has to go.
    busy.append(server.connect(LARGE, receive_buffer_bytes=4096))
    server.wait_for(lambda: len(server.unsent_bytes()) == 3)
    assert server.connect().read_to_end() == b""
    assert all(client.socket.recv(12) == b"HTTP/1.1 200" for client in busy)
