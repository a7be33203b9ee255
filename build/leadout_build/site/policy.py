"""The pages' Content-Security-Policy: what they may load, and which hosts they may ask."""

from __future__ import annotations

import re
from collections.abc import Sequence

from leadout.errors import RequestError

#: Where models come from by name: the hub, and the hosts that it leads to for large files.
HUB_ORIGINS = ("https://huggingface.co", "https://*.hf.co")

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
