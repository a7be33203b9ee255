"""Checks every request, and adds security headers to every answer.

The page reads hostile input (checkpoints, their templates), and every page in the browser can reach
the server's port. So the server accepts only loopback addresses, only known Host names (against DNS
rebinding to 127.0.0.1), and only reads. Its policy lets a page load nothing from elsewhere. It
sends neither COOP nor COEP, because the page must also work on hosts that cannot send them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leadout.errors import RequestError
from leadout_build.site.policy import check_origin

#: The policy for files of the model store: a license in HTML can be shown, but runs nothing.
MODEL_POLICY = "default-src 'none'; frame-ancestors 'self'; sandbox"


def is_loopback(host: str) -> bool:
    """Return whether a host (a name or an address, without brackets) is this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_known_host(header: str) -> bool:
    """Return whether a Host header names this machine, by localhost or a loopback address."""
    host, bracket, port = header.rpartition("]")
    if bracket:
        host, port = host.removeprefix("["), port.removeprefix(":")
    else:
        host, _, port = header.partition(":")
    return is_loopback(host) and (port == "" or port.isdecimal())


#: Further response headers that a page of another origin may read.
_EXPOSED = "accept-ranges, content-encoding, content-length, content-range, etag"

#: The headers that answer such a page's preflight request.
_PREFLIGHT = {
    "access-control-allow-methods": "GET, HEAD",
    "access-control-allow-headers": "range, if-range, if-none-match",
    "access-control-max-age": "600",
}


def check_cors_origin(text: str) -> str:
    """Return an origin as browsers write it in a request.

    Raises:
        RequestError: the text is not an origin, or has a wildcard. Each origin has to be named, so
            that nobody allows all pages by mistake.
    """
    origin = check_origin(text)
    if "*" in origin:
        raise RequestError(
            f'"{text}" has a wildcard; name each origin whose pages may read this server\'s files, '
            "such as http://localhost:5173.",
            origin=text,
        )
    for scheme, port in (("http://", ":80"), ("https://", ":443")):
        if origin.startswith(scheme):
            origin = origin.removesuffix(port)
    return origin


class Guard:
    """ASGI middleware: makes the checks of the module's docstring, and sets the headers.

    Args:
        app: the application behind it.
        policy: the site's Content-Security-Policy.
        cors_origins: origins of pages that may read every answer; see `check_cors_origin`.
    """

    def __init__(self, app: ASGIApp, policy: str, cors_origins: Sequence[str] = ()) -> None:
        self.app = app
        self.policy = policy
        self.cors_origins = frozenset(cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; see ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        origin = Headers(scope=scope).get("origin", "")
        may_read = origin in self.cors_origins
        is_model_file = scope["path"].startswith("/models/") and scope["path"].count("/") > 2

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                headers["content-security-policy"] = MODEL_POLICY if is_model_file else self.policy
                headers["x-content-type-options"] = "nosniff"
                headers["referrer-policy"] = "no-referrer"
                headers["cross-origin-resource-policy"] = "same-origin"
                if self.cors_origins:
                    headers.add_vary_header("origin")
                if may_read:
                    headers["access-control-allow-origin"] = origin
                    headers["access-control-expose-headers"] = _EXPOSED
            await send(message)

        answer = self._refuse(scope, may_read)
        await (answer or self.app)(scope, receive, send_with_headers)

    def _refuse(self, scope: Scope, may_read: bool) -> Response | None:
        hosts = Headers(scope=scope).getlist("host")
        if len(hosts) != 1:
            return PlainTextResponse("One Host header is needed.", status_code=400)
        if not is_known_host(hosts[0]):
            return PlainTextResponse(
                "This server answers to localhost and loopback addresses only.", status_code=421
            )
        if scope["method"] == "OPTIONS" and may_read:
            return Response(status_code=204, headers=_PREFLIGHT)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse(
                "Only GET and HEAD.", status_code=405, headers={"allow": "GET, HEAD"}
            )
        return None
