"""The pages' Content-Security-Policy: what they may load, and from which hosts."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from leadout.errors import RequestError
from leadout_build.site.errors import BuildError

#: Hosts of models on the hub: the hub itself, and the hosts that it redirects to for large files.
HUB_ORIGINS = ("https://huggingface.co", "https://*.hf.co")

#: The policy's <meta> is inserted after this one, before everything that a page loads.
_META_CHARSET = '<meta charset="utf-8">'
_META_START = '\n    <meta http-equiv="Content-Security-Policy" content="'
_META_END = '">'
_META_POLICY = re.compile(f'{re.escape(_META_START)}[^"]*{re.escape(_META_END)}')

#: A directive that is not allowed in a <meta>.
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
            # Compiling WebAssembly is allowed; evaluating strings is not.
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
    """Return a page that contains the policy, for hosts that do not send it as a header.

    Args:
        page: HTML with the charset's <meta>.
        policy: the result of `site_policy`; directives that only a header may have are left out.

    Raises:
        BuildError: the page does not have exactly one such <meta>, so the policy has no place.
    """
    start, charset, rest = page.partition(_META_CHARSET)
    if not charset or _META_CHARSET in rest:
        raise BuildError(f"A page needs one {_META_CHARSET}: the policy stands behind it.")
    return start + charset + _meta(policy) + rest


def with_policy_replaced(page: str, policy: str) -> str:
    """Return a page with its policy replaced by this one; with two policies, both would apply."""
    return _META_POLICY.sub(lambda _: _meta(policy), page)


def _meta(policy: str) -> str:
    directives = [one for one in policy.split("; ") if not one.startswith(_HEADER_ONLY)]
    content = html.escape("; ".join(directives), quote=False)  # its quotes are single ones
    return f"{_META_START}{content}{_META_END}"


def check_origin(text: str) -> str:
    """Return an origin (https://host[:port]) that is valid in a policy.

    Raises:
        RequestError: the text is not an origin.
    """
    origin = text.lower().removesuffix("/")
    if not _ORIGIN.fullmatch(origin):
        raise RequestError(
            f'"{text}" is not an origin; wanted https://HOST, https://HOST:PORT or https://*.HOST, '
            "without a path.",
            origin=text,
        )
    return origin
