"""Answers with files: the allowed paths, media types, byte ranges and caching."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse

from leadout_build.site.policy import with_policy_replaced

#: Media types by suffix. The system's list differs between machines (on Windows, JavaScript may be
#: text/plain), and with nosniff a page with a wrong type does not run.
MEDIA_TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".gguf": "application/octet-stream",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jinja": "text/plain; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".md": "text/plain; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".safetensors": "application/octet-stream",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".wgsl": "text/plain; charset=utf-8",
    ".whl": "application/zip",
    ".zip": "application/zip",
}
DEFAULT_MEDIA_TYPE = "application/octet-stream"

#: Folders with the hash of their content in their name; the build names them.
_HASHED_FOLDER = re.compile(r"(app|vendor)-[0-9a-f]{8,}/")

IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATE = "no-cache"


class _File(FileResponse):
    # A client that does not read costs twice this memory. Chunks of 64 KiB would cost more thread
    # switches, one per chunk.
    chunk_size = 1 << 18


def answer_file(request: Request, path: Path, cache_control: str) -> Response:
    """Answer with a file: whole, one range (206, or 416), or 304 if the client has it."""
    headers = {"cache-control": cache_control}
    media_type = MEDIA_TYPES.get(path.suffix.lower(), DEFAULT_MEDIA_TYPE)
    return _unless_known(
        request, _File(path, headers=headers, media_type=media_type, stat_result=path.stat())
    )


def answer_page(request: Request, path: Path, policy: str, left_out: str = "") -> Response:
    """Answer with a page of the site, or 304 if the client has it.

    Args:
        request: for the page.
        path: of the built page.
        policy: takes the place of the page's own, which it was built with and which may allow fewer
            origins.
        left_out: text to leave out of the page.
    """
    text = path.read_bytes().decode().replace(left_out, "")
    page = with_policy_replaced(text, policy).encode()
    etag = f'"{hashlib.sha256(page).hexdigest()[:32]}"'
    headers = {"cache-control": REVALIDATE, "etag": etag}
    response = Response(page, headers=headers, media_type=MEDIA_TYPES[".html"])
    return _unless_known(request, response)


def _unless_known(request: Request, response: Response) -> Response:
    known = request.headers.get("if-none-match", "").split(",")
    if response.headers["etag"] in (tag.strip().removeprefix("W/") for tag in known):
        return NotModifiedResponse(response.headers)
    return response


def find_file(root: Path, url_path: str) -> Path | None:
    """Return the file that a decoded URL path names below `root`, or None.

    A path ending in "/" names the index.html there. Hidden files, backslashes, drive letters,
    "..", and links that lead out of `root` name nothing.
    """
    if url_path == "" or url_path.endswith("/"):
        url_path += "index.html"
    parts = url_path.split("/")
    if any(part == "" or part.startswith(".") or re.search(r"[\\:\0]", part) for part in parts):
        return None
    path = root.joinpath(*parts)
    return path if is_file_inside(path, root) else None


def is_file_inside(path: Path, root: Path) -> bool:
    """Return whether `path`, with all links followed, is a regular file below `root`."""
    try:
        return path.is_file() and path.resolve().is_relative_to(root.resolve())
    except OSError:
        return False  # for example a name that is too long


def site_cache_control(url_path: str) -> str:
    """Return the Cache-Control of a file of the site: for ever if its URL has its hash."""
    return IMMUTABLE if _HASHED_FOLDER.match(url_path) else REVALIDATE
