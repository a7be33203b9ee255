"""A tab over the fake worker that stays, from test to test and from file to file."""

from __future__ import annotations

from pages import WITH_ADAPTER, WITH_RECORDS
from playwright.sync_api import BrowserContext, Page


class KeptPage:
    """The first page of each test that wants nothing special of it, in the same tab every time.

    The tab keeps files of the site, what is compiled of them, and its process, which is most of
    what opening a page takes. What a test leaves is deleted after it.

    Attributes:
        is_clean: nothing is left of a test, because none had it, or all was deleted.
    """

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.is_clean = True
        self.errors: list[str] = []
        self._url = url
        context.add_init_script(WITH_RECORDS + WITH_ADAPTER)
        self._open()

    def _open(self) -> None:
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def take(self, errors: list[str]) -> Page:
        """Return the page for a test, which is told of errors."""
        self.is_clean = False
        self.errors = errors
        if self.page.is_closed():
            self._open()
        return self.page

    def clear(self) -> None:
        """Close all other pages, and delete all that they have written."""
        page = self.take([])
        page.unroute_all()
        page.goto(self._url + "icon.svg")
        for other in self.context.pages:
            if other != page:
                other.close()
        page.evaluate("sessionStorage.clear()")
        session = self.context.new_cdp_session(page)
        origin = {"origin": self._url.rstrip("/"), "storageTypes": "all"}
        session.send("Storage.clearDataForOrigin", origin)
        session.detach()
        self.context.unroute_all()
        self.context.clear_permissions()
        self.context.clear_cookies()
        self.is_clean = True
