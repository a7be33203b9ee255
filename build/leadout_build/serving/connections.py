"""How long the server's clients may keep it waiting, how many they may be, and what each may hold.

uvicorn times idle connections alone: one whose request never comes to its end, or whose client does
not read, it keeps for ever. A connection here is always in one of three states, and the timer runs
from when it came into that state:

1. what was written is not all taken: the client has `send_s` for the rest (→ 2 or 3);
2. nothing is asked: a whole request must come within `request_s` (→ 3);
3. an answer is being made: nobody waits for the client.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """One connection, which ends when its client does not do its part in time.

    Attributes:
        request_s: for a whole request, since the connection was made or the last answer was taken.
        send_s: for what is written at a time, which is at most a chunk of `site_files`.
        max_connections: a browser opens six to a server. A new one beyond takes the place of that
            which has asked nothing for longest, and is refused where all are being answered.
        allowed_s: how long the present state may last; None is without end.
        since: when it began, in the event loop's time.
    """

    request_s = 10.0
    send_s = 60.0
    max_connections = 128

    allowed_s: float | None = None
    since = 0.0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        # The next chunk is read from disk when this one is gone; and "paused" means: not all taken.
        transport.set_write_buffer_limits(high=0)
        self._watch()
        if len(self.connections) > self.max_connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._allow(None)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Take what came; perhaps a request begins with it."""
        super().handle_events()
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the answer to be taken, or for the next request."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Wait for the client to take what was written."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """Go on: it has taken everything."""
        super().resume_writing()
        self._watch()

    def _watch(self) -> None:
        """Have the timer run for the present state."""
        if self.flow.write_paused:
            self._allow(self.send_s)
        elif self.cycle is None or self.cycle.response_complete:
            self._allow(self.request_s)
        else:
            self._allow(None)

    def _allow(self, seconds: float | None) -> None:
        if seconds == self.allowed_s:
            return  # the state is the same, and its timer runs on
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.allowed_s = seconds
        self.since = self.loop.time()
        if seconds is not None:
            # Not closed: that would wait until all is sent.
            self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _make_room(self) -> None:
        others = cast("set[Connection]", self.connections)
        waiting = [one for one in others if one.allowed_s == one.request_s]
        longest = min(waiting, key=lambda one: one.since)  # at worst this one, which is new
        self.connections.discard(longest)  # a further one that comes now takes another's place
        longest.transport.abort()


def server_config(
    app: ASGIApp, connection: type[Connection] = Connection, **settings: Any
) -> uvicorn.Config:
    """Return how uvicorn serves an application of ours.

    Args:
        app: the application.
        connection: what handles one.
        settings: further ones of `uvicorn.Config`.
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
