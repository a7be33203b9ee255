"""Files that a page gets in place of the site's own, which the server of the tests answers itself.

Playwright's routes would do, but with one of them every request of a page goes through Python, and
a page has a hundred. So a cookie names what a page gets.
"""

from __future__ import annotations

import itertools
from http.cookies import SimpleCookie

from playwright.sync_api import BrowserContext
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

COOKIE = "stand-ins"


class StandIns:
    """An application in front of a site's."""

    def __init__(self, site: ASGIApp) -> None:
        self._site = site
        self._answers: dict[str, dict[str, tuple[str, str]]] = {}
        self._numbers = itertools.count()

    def give(self, context: BrowserContext, url: str, answers: dict[str, tuple[str, str]]) -> None:
        """Have a browser's context get other files.

        Args:
            context: whose pages get them.
            url: of the site.
            answers: text and content type, by the end of the path.
        """
        name = str(next(self._numbers))
        self._answers[name] = answers
        context.add_cookies([{"name": COOKIE, "value": name, "url": url}])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a stand-in where there is one."""
        app: ASGIApp = self._site
        if scope["type"] == "http":
            cookie = SimpleCookie(Headers(scope=scope).get("cookie", "")).get(COOKIE)
            answers = self._answers.get(cookie.value, {}) if cookie else {}
            for end, (text, content_type) in answers.items():
                if scope["path"].endswith(end):
                    headers = {"cache-control": "no-store"}
                    app = Response(text, media_type=content_type, headers=headers)
        await app(scope, receive, send)
