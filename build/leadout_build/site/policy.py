"""The pages' Content-Security-Policy: what they may load, and which hosts they may ask."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from leadout.errors import RequestError
from leadout_build.site.errors import BuildError

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
        RequestError: it is not an origin.
    """
    origin = text.lower().removesuffix("/")
    if not _ORIGIN.fullmatch(origin):
        raise RequestError(
            f'"{text}" is not an origin; wanted https://HOST, https://HOST:PORT or https://*.HOST, '
            "without a path.",
            origin=text,
        )
    return origin
