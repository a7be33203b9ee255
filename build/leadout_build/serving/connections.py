"""Limits for the server's clients: timeouts, the number of connections, and memory per connection.

uvicorn has a timeout only for idle connections. It keeps a connection for ever if the request never
ends, or if the client does not read. Here a connection is always in one of three states. Its timer
starts when it enters the state:

1. sending: the client must read the rest of the written data within `send_s` (→ 2 or 3);
2. waiting: a complete request must arrive within `request_s` (→ 3);
3. answering: the server makes an answer, so there is no timeout.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """One connection with timeouts.

    Attributes:
        request_s: the timeout for a complete request, since the connection was made or the client
            read the last answer.
        send_s: the timeout for reading one write, which is at most a chunk of `site_files`.
        max_connections: the most connections; a browser opens six to a server. A further connection
            replaces the one that has waited longest without a request. If all others are being
            answered, it is refused.
        allowed_s: the timeout of the current state; None is no timeout.
        since: when the current state began, in the event loop's time.
    """

    request_s = 10.0
    send_s = 60.0
    max_connections = 128

    allowed_s: float | None = None
    since = 0.0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for a request."""
        super().connection_made(transport)
        # With 0, the next chunk is read from disk only after this one is sent. And "paused" then
        # means that the client has not read everything.
        transport.set_write_buffer_limits(high=0)
        self._watch()
        if len(self.connections) > self.max_connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._allow(None)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Handle received data, which may begin a request."""
        super().handle_events()
        self._watch()

    def on_response_complete(self) -> None:
        """Wait until the client has read the answer, or for the next request."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Wait until the client has read what was written."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """Continue, because the client has read everything."""
        super().resume_writing()
        self._watch()

    def _watch(self) -> None:
        """Start the timer of the current state."""
        if self.flow.write_paused:
            self._allow(self.send_s)
        elif self.cycle is None or self.cycle.response_complete:
            self._allow(self.request_s)
        else:
            self._allow(None)

    def _allow(self, seconds: float | None) -> None:
        if seconds == self.allowed_s:
            return  # the state is the same, and its timer keeps running
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.allowed_s = seconds
        self.since = self.loop.time()
        if seconds is not None:
            # Abort instead of close, because close waits until everything is sent.
            self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _make_room(self) -> None:
        others = cast("set[Connection]", self.connections)
        waiting = [one for one in others if one.allowed_s == one.request_s]
        longest = min(waiting, key=lambda one: one.since)  # this new one, if no other waits
        self.connections.discard(longest)  # so that the next new connection replaces another one
        longest.transport.abort()


def server_config(
    app: ASGIApp, connection: type[Connection] = Connection, **settings: Any
) -> uvicorn.Config:
    """Return uvicorn's configuration for an application.

    Args:
        app: the application.
        connection: the class of its connections.
        settings: further settings of `uvicorn.Config`.
    """
    return uvicorn.Config(
        app,
        http=connection,
        ws="none",
        log_level="warning",
        lifespan="off",
        server_header=False,
        **settings,
    )
