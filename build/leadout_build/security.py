"""What the server demands of every request, and adds to every answer.

The page runs hostile input (checkpoints, their templates), and the server listens on a port that
every page in the browser can reach. So: only loopback, only known Host names (against a foreign
name that is rebound to 127.0.0.1), only reading, and a policy under which a page can load
nothing from elsewhere. Neither COOP nor COEP: the page must also work where they cannot be set.
"""

from __future__ import annotations

import html
import ipaddress
import re
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leadout.errors import RequestError
from leadout_build.errors import BuildError

#: For what lies in the model store: a license's HTML may be read, and may do nothing.
MODEL_POLICY = "default-src 'none'; frame-ancestors 'self'; sandbox"

#: Where models come from by name: the hub, and the hosts that it leads to for large files.
HUB_ORIGINS = ("https://huggingface.co", "https://*.hf.co")

#: Before everything that a page loads.
_META_CHARSET = '<meta charset="utf-8">'
_META_START = '\n    <meta http-equiv="Content-Security-Policy" content="'
_META_END = '">'
_META_POLICY = re.compile(f'{re.escape(_META_START)}[^"]*{re.escape(_META_END)}')

#: A directive that a <meta> may not have.
_HEADER_ONLY = "frame-ancestors "

_ORIGIN = re.compile(r"https?://((\*\.)?[a-z0-9.-]+|\[[0-9a-f:]+\])(:\d{1,5})?")


def site_policy(allow_origins: Sequence[str] = ()) -> str:
    """Return the site's Content-Security-Policy.

    Args:
        allow_origins: other origins that the page may fetch models from, beside the hub's.
    """
    return "; ".join(
        (
            "default-src 'none'",
            # WebAssembly may compile; strings are never evaluated.
            "script-src 'self' 'wasm-unsafe-eval'",
            "worker-src 'self'",
            " ".join(("connect-src 'self'", *HUB_ORIGINS, *allow_origins)),
            "style-src 'self'",
            "img-src 'self' data:",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'self'",
        )
    )


def with_policy(page: str, policy: str) -> str:
    """Return a page that states the policy itself, for hosts that send none.

    Args:
        page: HTML with this charset's <meta>.
        policy: as `site_policy` gives it; what only a header can say is left out.

    Raises:
        BuildError: the page has no such <meta> or two, so that the policy would have no place.
    """
    start, charset, rest = page.partition(_META_CHARSET)
    if not charset or _META_CHARSET in rest:
        raise BuildError(f"A page needs one {_META_CHARSET}: the policy stands behind it.")
    return start + charset + _meta(policy) + rest


def with_policy_replaced(page: str, policy: str) -> str:
    """Return a page that states this policy where it stated another; both would hold."""
    return _META_POLICY.sub(lambda _: _meta(policy), page)


def _meta(policy: str) -> str:
    directives = [one for one in policy.split("; ") if not one.startswith(_HEADER_ONLY)]
    content = html.escape("; ".join(directives), quote=False)  # its quotes are single ones
    return f"{_META_START}{content}{_META_END}"


def check_origin(text: str) -> str:
    """Return an origin (https://host[:port]) that may stand in a policy.

    Raises:
        RequestError: it is no origin.
    """
    origin = text.lower().removesuffix("/")
    if not _ORIGIN.fullmatch(origin):
        raise RequestError(
            f'"{text}" is no origin; wanted https://HOST, https://HOST:PORT or https://*.HOST, '
            "without a path.",
            origin=text,
        )
    return origin


def is_loopback(host: str) -> bool:
    """Return whether a host (a name or an address, without brackets) is this machine's own."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_known_host(header: str) -> bool:
    """Return whether a Host header names this machine: a foreign name never does."""
    host, bracket, port = header.rpartition("]")
    if bracket:
        host, port = host.removeprefix("["), port.removeprefix(":")
    else:
        host, _, port = header.partition(":")
    return is_loopback(host) and (port == "" or port.isdecimal())


class Guard:
    """ASGI middleware: refuses what the module's docstring says, and sets the headers.

    Args:
        app: what is guarded.
        policy: the site's Content-Security-Policy.
    """

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self.app = app
        self.policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; see ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_model_file = scope["path"].startswith("/models/") and scope["path"].count("/") > 2

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                headers["content-security-policy"] = MODEL_POLICY if is_model_file else self.policy
                headers["x-content-type-options"] = "nosniff"
                headers["referrer-policy"] = "no-referrer"
                headers["cross-origin-resource-policy"] = "same-origin"
            await send(message)

        refusal = self._refuse(scope)
        await (refusal or self.app)(scope, receive, send_with_headers)

    def _refuse(self, scope: Scope) -> PlainTextResponse | None:
        hosts = Headers(scope=scope).getlist("host")
        if len(hosts) != 1:
            return PlainTextResponse("One Host header is needed.", status_code=400)
        if not is_known_host(hosts[0]):
            return PlainTextResponse(
                "This server answers to localhost and loopback addresses only.", status_code=421
            )
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse(
                "Only GET and HEAD.", status_code=405, headers={"allow": "GET, HEAD"}
            )
        return None
