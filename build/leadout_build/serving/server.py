"""`leadout serve`: the built site, the built-in models and the model store, on a loopback address.

/                         dist/, with index.html for a folder
/models/index.json        the models: keep in step with web/client/models.js
/models/<name>/<file>     their files, in ranges

The site's own models/ is only for static hosts. Here, built-in models are served from the package,
and the store is read at each request, because its models change.

A drafter is not in the list of models. Its target's entry names it, and its files are under its own
name.
"""

from __future__ import annotations

import errno
import socket
import threading
import webbrowser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from leadout_build.serving.connections import server_config
from leadout_build.serving.security import Guard, check_cors_origin, is_loopback
from leadout_build.serving.site_files import (
    REVALIDATE,
    answer_file,
    answer_page,
    find_file,
    is_file_inside,
    site_cache_control,
)
from leadout_build.site.assemble import allowed_origins
from leadout_build.site.policy import check_origin, site_policy
from leadout_build.store.built_in import built_in_models, is_built_in
from leadout_build.store.drafters import (
    Drafter,
    drafter_named,
    drafter_of,
    pair_names,
    stored_drafters,
)
from leadout_build.store.hub_choice import model_stem
from leadout_build.store.model_store import Store

#: With it, the page has Nano's desk in its layout from the start. Keep in step with
#: static/index.html.
DESK_CLASS = ' class="with-desk"'

#: How long running requests may take to end after Ctrl-C.
SHUTDOWN_S = 1


@dataclass(frozen=True)
class ServedModel:
    """A served model that is not in the store.

    Attributes:
        name: the model's name under /models/.
        files: file name → path.
        drafter: the model's drafter, if it has one.
    """

    name: str
    files: Mapping[str, Path]
    drafter: Drafter | None = None


def create_app(
    site: Path,
    store: Store,
    *,
    default_model: str | None = None,
    extra_model: ServedModel | None = None,
    built_in: Sequence[ServedModel] = (),
    allow_origins: Sequence[str] = (),
    cors_origins: Sequence[str] = (),
) -> Starlette:
    """Return the application that serves a site and a model store.

    Args:
        site: the built site, a folder with index.html.
        store: the store; it is read at each request.
        default_model: the model that the page proposes; default: the first one.
        extra_model: a model from elsewhere; it hides another one of the same name.
        built_in: the built-in models; they come before those of the store.
        allow_origins: other origins that the page may fetch models from.
        cors_origins: other origins of pages that may read everything; default: none.
    """
    policy = site_policy([check_origin(text) for text in allow_origins])
    left_out = "" if default_model in (None, "nano") else DESK_CLASS

    def list_models(_request: Request) -> Response:
        entries = [*map(_describe_served, built_in), *_describe_stored(store)]
        if extra_model is not None:
            entries = [entry for entry in entries if entry["name"] != extra_model.name]
            entries.append(_describe_served(extra_model))
        proposed = default_model or next((entry["name"] for entry in entries), None)
        models = [{**entry, "default": entry["name"] == proposed} for entry in entries]
        return JSONResponse({"models": models}, headers={"cache-control": REVALIDATE})

    def send_model_file(request: Request) -> Response:
        name, file = request.path_params["name"], request.path_params["file"]
        served = _served_files([*([extra_model] if extra_model else []), *built_in], name)
        path = _find_stored_file(store, name, file) if served is None else served.get(file)
        if path is None or not path.is_file():
            raise HTTPException(404)
        return answer_file(request, path, REVALIDATE)

    def send_site_file(request: Request) -> Response:
        url_path = request.path_params["path"]
        path = find_file(site, url_path)
        if path is None:
            raise HTTPException(404)
        if path.suffix == ".html":
            return answer_page(request, path, policy, left_out)
        return answer_file(request, path, site_cache_control(url_path))

    return Starlette(
        routes=[
            Route("/models/index.json", list_models),
            Route("/models/{name}/{file}", send_model_file),
            Route("/{path:path}", send_site_file),
        ],
        middleware=[
            Middleware(Guard, policy=policy, cors_origins=[*map(check_cors_origin, cors_origins)])
        ],
    )


def serve(
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    open_browser: bool = False,
    model: str | None = None,
    allow_origins: Sequence[str] = (),
    cors_origins: Sequence[str] = (),
    site: Path = DIST,
    store: Store | None = None,
) -> None:
    """Serve until interrupted; the URL is printed once the server answers.

    Args:
        host: a loopback address, or localhost.
        port: the port; 0 is any free one.
        open_browser: open the page when ready.
        model: name or path of the model that the page proposes; default: the built-in one.
        allow_origins: other origins that the page may fetch models from.
        cors_origins: other origins of pages that may read everything.
        site: the built site.
        store: the store; default: the user's.

    Raises:
        RequestError: the host is not loopback, an origin is invalid, or the site was not built.
        ModelNotFoundError: no such model.
        PortInUseError: the port is taken.
    """
    if not is_loopback(host):
        raise RequestError(
            f'"{host}" is not a loopback address. The server is only for this machine: use '
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
        built_in=built_in_served(),
        allow_origins=[*allowed_origins(site), *allow_origins],
        cors_origins=cors_origins,
    )
    listener = listen(host, port)
    bound_host, bound_port = listener.getsockname()[:2]
    shown_host = f"[{bound_host}]" if ":" in bound_host else bound_host
    config = server_config(app, timeout_graceful_shutdown=SHUTDOWN_S)
    server = _Server(config, f"http://{shown_host}:{bound_port}/", open_browser)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass  # the usual end, by Ctrl-C; uvicorn has closed everything and raised it again
    finally:
        listener.close()


class _Server(uvicorn.Server):
    """Prints its URL when it is ready."""

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
        # A page that is loading a model would delay the shutdown, so connections are aborted.
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """Bind the port here, so that a port in use becomes an error of ours, not a line in a log."""
    if not 0 <= port <= 65535:
        raise RequestError(f"{port} is not a port; wanted 0 (any free one) to 65535.", port=port)
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


def find_model(
    store: Store, name_or_path: str, drafter: str | None = None
) -> tuple[str, ServedModel | None]:
    """Return a model's name on the server, and the model itself if it is served from a path.

    Args:
        store: the store in which names are looked up.
        name_or_path: the model, as for `Store.resolve`.
        drafter: the drafter, in the same form; default: the one beside the model, if any.

    Raises:
        ModelNotFoundError: no such model.
        StoreError: the stored model is incomplete.
    """
    files = store.resolve(name_or_path)
    is_known = is_built_in(name_or_path) or store.holds(name_or_path, files)
    if is_known and drafter is None:
        return name_or_path, None  # the server also finds its drafter
    found = drafter_of(store, name_or_path) if drafter is None else drafter_named(store, drafter)
    weights = [path for name, path in files.items() if name.endswith(".gguf")]
    folder = next(iter(files.values())).parent.absolute()
    name = name_or_path if is_known else model_stem(weights[0].name) if weights else folder.name
    if found is not None and found.name == name:
        found = replace(found, name=f"{name}-assistant")
    return name, ServedModel(name, files, found)


def built_in_served() -> list[ServedModel]:
    """Return the built-in models as served models."""
    return [
        ServedModel(model.name, model.files, Drafter(model.drafter_name, model.drafter_files))
        for model in built_in_models()
    ]


def _served_files(models: Sequence[ServedModel], name: str) -> Mapping[str, Path] | None:
    """Return the files of the model or drafter of that name, or None; the store is not searched."""
    for model in models:
        if name == model.name:
            return model.files
        if model.drafter is not None and name == model.drafter.name:
            return model.drafter.files
    return None


def _find_stored_file(store: Store, name: str, file: str) -> Path | None:
    try:
        model = store.find(name)
    except StoreError:
        return None
    if model is None or file not in {stored.name for stored in model.files}:
        return None
    path = model.folder / file
    return path if is_file_inside(path, store.models_folder) else None


def _describe_stored(store: Store) -> list[dict[str, object]]:
    """Return the entries of the store's models with their drafters; a drafter has no entry."""
    models = [model for model in store.list_models() if model.checkpoint_files]
    entries = {
        model.name: _describe(
            model.name, {file.name: (file.bytes, file.sha256) for file in model.checkpoint_files}
        )
        for model in models
    }
    drafters = stored_drafters(models)
    targets = [name for name in entries if name not in drafters]
    pairs = pair_names(targets, drafters)
    return [{**entries[name], "drafter": entries.get(pairs.get(name, ""))} for name in targets]


def _describe_served(model: ServedModel) -> dict[str, object]:
    drafter = model.drafter
    return {
        **_describe(model.name, _files_on_disk(model.files)),
        "drafter": drafter and _describe(drafter.name, _files_on_disk(drafter.files)),
    }


def _files_on_disk(files: Mapping[str, Path]) -> dict[str, tuple[int, str | None]]:
    return {name: (path.stat().st_size, None) for name, path in files.items()}


def _describe(name: str, files: Mapping[str, tuple[int, str | None]]) -> dict[str, object]:
    return {
        "name": name,
        "bytes": sum(size for size, _ in files.values()),
        "files": [
            {"name": file, "bytes": size, "sha256": sha256}
            for file, (size, sha256) in files.items()
        ],
    }
