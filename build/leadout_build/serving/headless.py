"""Opens the built site in a headless Chromium, for `generate`, `bench` and tests.

Playwright starts Chromium. It is an optional dependency, so serving has to work without it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from leadout.errors import DeviceUnavailableError, LeadoutError, RequestError
from leadout_build import DIST
from leadout_build.serving.browser import launch_options
from leadout_build.serving.connections import server_config
from leadout_build.serving.server import built_in_served, create_app, find_model, listen
from leadout_build.store.model_store import Store

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: A file that every site has. Opened as a page it loads nothing, so a script can start there.
BLANK = "build.json"


@contextmanager
def serving(
    site: Path = DIST,
    model: str | None = None,
    store: Store | None = None,
    drafter: str | None = None,
    allow_origins: Sequence[str] = (),
) -> Iterator[str]:
    """Serve the site on a free port until the context ends; yield its URL.

    Args:
        site: the built site.
        model: name or path of the model that the page proposes.
        store: the store; default: the user's.
        drafter: name or path of the model's drafter; default: the one beside the model.
        allow_origins: other origins that the page may fetch models from.

    Raises:
        RequestError: the site was not built.
        ModelNotFoundError: no such model.
    """
    if not (site / "index.html").is_file():
        raise RequestError(f"There is no built site in {site}. Run `leadout build` first.")
    store = store or Store()
    default_model, extra_model = (
        (None, None) if model is None else find_model(store, model, drafter)
    )
    app = create_app(
        site,
        store,
        default_model=default_model,
        extra_model=extra_model,
        built_in=built_in_served(),
        allow_origins=allow_origins,
    )
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(server_config(app, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def require_playwright() -> None:
    """Import Playwright.

    Raises:
        DeviceUnavailableError: it is not installed; the message says how to install it.
    """
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError as error:
        raise DeviceUnavailableError(
            f"Playwright, which controls Chromium, cannot be imported ({error}). Run "
            "`pip install 'leadout[browser]'`; then, if the system has no Chromium, `playwright "
            "install chromium`. (`leadout generate --device numpy` needs neither.)"
        ) from error


@contextmanager
def headless_page(url: str, extra_args: Sequence[str] = ()) -> Iterator[Page]:
    """Open a URL in a headless Chromium with WebGPU; the browser ends with the context.

    Raises:
        DeviceUnavailableError: there is no Playwright, no Chromium, or it did not start.
    """
    require_playwright()
    from playwright.sync_api import Error as PlaywrightError
    from playwright.sync_api import sync_playwright

    options = launch_options()
    options["args"] = [*options["args"], *extra_args]
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(**options)
        except PlaywrightError as error:
            raise DeviceUnavailableError(f"Chromium did not start: {error.message}") from error
        try:
            page = browser.new_page()
            page.set_default_timeout(0)
            page.goto(url)
            yield page
        finally:
            browser.close()


def evaluate(page: Page, script: str, arguments: object = None) -> Any:
    """Return the result of a script in a page.

    Raises:
        LeadoutError: the page crashed, or the script failed.
    """
    from playwright.sync_api import Error as PlaywrightError

    try:
        return page.evaluate(script, arguments)
    except PlaywrightError as error:
        raise LeadoutError(f"Chromium: {error.message.splitlines()[0]}") from error
