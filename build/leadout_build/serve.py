"""`leadout serve`: the built site and the model store, on a loopback address.

/                         dist/, with index.html for a folder
/models/index.json        what the store has: keep in step with web/client/models.js
/models/<name>/<file>     the store's files, in ranges
"""

from __future__ import annotations

import errno
import socket
import threading
import webbrowser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from leadout.errors import PortInUseError, RequestError, StoreError
from leadout_build import DIST
from leadout_build.security import Guard, check_origin, is_loopback, site_policy
from leadout_build.site_files import (
    REVALIDATE,
    answer_file,
    find_file,
    is_file_inside,
    site_cache_control,
)
from leadout_build.store import Store

#: After Ctrl-C, how long requests under way may take to end.
SHUTDOWN_S = 1


@dataclass(frozen=True)
class ServedModel:
    """A model outside of the store that is served beside it.

    Attributes:
        name: under /models/.
        files: file name → path.
    """

    name: str
    files: Mapping[str, Path]


def create_app(
    site: Path,
    store: Store,
    *,
    default_model: str | None = None,
    extra_model: ServedModel | None = None,
    allow_origins: Sequence[str] = (),
) -> Starlette:
    """Return the application that serves a site and a model store.

    Args:
        site: the built site, a folder with index.html.
        store: its models are served as they come and go.
        default_model: which one the page proposes; default: the first by name.
        extra_model: one from elsewhere, which hides a stored one of its name.
        allow_origins: other origins that the page may fetch models from.
    """

    def list_models(_request: Request) -> Response:
        entries = [
            _describe(model.name, {file.name: (file.bytes, file.sha256) for file in files})
            for model in store.list_models()
            if (files := model.checkpoint_files)
        ]
        if extra_model is not None:
            found = {name: (path.stat().st_size, None) for name, path in extra_model.files.items()}
            entries = [entry for entry in entries if entry["name"] != extra_model.name]
            entries.append(_describe(extra_model.name, found))
        proposed = default_model or next((entry["name"] for entry in entries), None)
        models = [{**entry, "default": entry["name"] == proposed} for entry in entries]
        return JSONResponse({"models": models}, headers={"cache-control": REVALIDATE})

    def send_model_file(request: Request) -> Response:
        name, file = request.path_params["name"], request.path_params["file"]
        if extra_model is not None and name == extra_model.name:
            path = extra_model.files.get(file)
        else:
            path = _find_stored_file(store, name, file)
        if path is None or not path.is_file():
            raise HTTPException(404)
        return answer_file(request, path, REVALIDATE)

    def send_site_file(request: Request) -> Response:
        url_path = request.path_params["path"]
        path = find_file(site, url_path)
        if path is None:
            raise HTTPException(404)
        return answer_file(request, path, site_cache_control(url_path))

    return Starlette(
        routes=[
            Route("/models/index.json", list_models),
            Route("/models/{name}/{file}", send_model_file),
            Route("/{path:path}", send_site_file),
        ],
        middleware=[
            Middleware(Guard, policy=site_policy([check_origin(text) for text in allow_origins]))
        ],
    )


def serve(
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    open_browser: bool = False,
    model: str | None = None,
    allow_origins: Sequence[str] = (),
    site: Path = DIST,
    store: Store | None = None,
) -> None:
    """Serve until interrupted; the URL is printed once the server answers.

    Args:
        host: a loopback address, or localhost.
        port: 0 takes a free one.
        open_browser: open the page when ready.
        model: name or path of the model that the page proposes.
        allow_origins: other origins that the page may fetch models from.
        site: the built site.
        store: default: the user's.

    Raises:
        RequestError: the host is not loopback, an origin is none, or the site was not built.
        ModelNotFoundError: no such model.
        PortInUseError: the port is taken.
    """
    if not is_loopback(host):
        raise RequestError(
            f'"{host}" is not a loopback address. The server is for this machine alone: use '
            "127.0.0.1, ::1 or localhost. To publish the site, copy dist/ to a static host.",
            host=host,
        )
    if not (site / "index.html").is_file():
        raise RequestError(
            f"There is no built site in {site}. Run `leadout build` first.", site=str(site)
        )
    store = Store() if store is None else store
    default_model, extra_model = (None, None) if model is None else find_model(store, model)
    app = create_app(
        site,
        store,
        default_model=default_model,
        extra_model=extra_model,
        allow_origins=allow_origins,
    )
    listener = listen(host, port)
    bound_host, bound_port = listener.getsockname()[:2]
    shown_host = f"[{bound_host}]" if ":" in bound_host else bound_host
    config = uvicorn.Config(
        app,
        log_level="warning",
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
    server = _Server(config, f"http://{shown_host}:{bound_port}/", open_browser)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass  # Ctrl-C is how it ends; uvicorn has closed everything and raised it again
    finally:
        listener.close()


class _Server(uvicorn.Server):
    """Says where it is once it answers there."""

    def __init__(self, config: uvicorn.Config, url: str, open_browser: bool) -> None:
        super().__init__(config)
        self._url = url
        self._open_browser = open_browser

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(f"Leadout is ready at {self._url} (Ctrl-C ends it)", flush=True)
        if self._open_browser:
            # Some desktops start the browser in the foreground.
            threading.Thread(target=webbrowser.open, args=(self._url,), daemon=True).start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # A page in the midst of loading a model would hold up the end: it is hung up on.
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """Bind the port here, so that one that is taken is our error and not a log line."""
    if not 0 <= port <= 65535:
        raise RequestError(f"{port} is no port; wanted 0 (any free one) to 65535.", port=port)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(
                f"Port {port} of {host} is in use, perhaps by another `leadout serve`. End that, "
                f"or take another port, such as --port {port + 1 if port < 65535 else 8000}.",
                host=host,
                port=port,
            ) from error
        raise RequestError(
            f"Port {port} of {host} cannot be used: {error.strerror}. Take another with --port.",
            host=host,
            port=port,
        ) from error


def find_model(store: Store, name_or_path: str) -> tuple[str, ServedModel | None]:
    """Return what a model is called where it is served, and the model if the store lacks it.

    Raises:
        ModelNotFoundError: no such model.
        StoreError: the stored model is incomplete.
    """
    files = store.resolve(name_or_path)
    folder = next(iter(files.values())).parent
    if folder.parent == store.models_folder and folder.name == name_or_path:
        return name_or_path, None
    weights = [path for name, path in files.items() if name.endswith(".gguf")]
    name = weights[0].stem if weights else folder.absolute().name
    return name, ServedModel(name, files)


def _find_stored_file(store: Store, name: str, file: str) -> Path | None:
    try:
        model = store.find(name)
    except StoreError:
        return None
    if model is None or file not in {stored.name for stored in model.files}:
        return None
    path = model.folder / file
    return path if is_file_inside(path, store.models_folder) else None


def _describe(name: str, files: Mapping[str, tuple[int, str | None]]) -> dict[str, object]:
    return {
        "name": name,
        "bytes": sum(size for size, _ in files.values()),
        "files": [
            {"name": file, "bytes": size, "sha256": sha256}
            for file, (size, sha256) in files.items()
        ],
    }
