"""Which other origins' pages may read what `leadout serve` serves."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from leadout.errors import RequestError
from leadout_build.serving.security import check_cors_origin
from leadout_build.serving.server import create_app
from leadout_build.store.model_store import Store

SERVER = "http://127.0.0.1:8000"
PAGE = "http://localhost:5173"
OTHER = "http://localhost:5174"


def client(folder: Path, *cors_origins: str) -> TestClient:
    site = folder / "site"
    (site / "app-0123abcd").mkdir(parents=True, exist_ok=True)
    (site / "index.html").write_text("<!doctype html>")
    (site / "app-0123abcd/worker.js").write_text("export {};")
    store = Store(folder / "home")
    if store.find("tiny") is None:
        with store.write("tiny") as writer:
            writer.add("tiny.gguf", [b"GGUF"])
            writer.commit("a test", None)
    return TestClient(create_app(site, store, cors_origins=cors_origins), base_url=SERVER)


@pytest.mark.parametrize("path", ["/", "/app-0123abcd/worker.js", "/models/tiny/tiny.gguf", "/no"])
def test_the_pages_of_a_named_origin_may_read_everything(tmp_path: Path, path: str) -> None:
    headers = client(tmp_path, PAGE).get(path, headers={"origin": PAGE}).headers
    assert headers["access-control-allow-origin"] == PAGE
    assert "content-range" in headers["access-control-expose-headers"]
    assert "origin" in headers["vary"].lower()
    assert "access-control-allow-credentials" not in headers


@pytest.mark.parametrize(
    "origin", [OTHER, "null", "", PAGE.upper(), f"{PAGE}/", f"{PAGE}, {OTHER}"]
)
def test_others_may_read_nothing(tmp_path: Path, origin: str) -> None:
    answer = client(tmp_path, PAGE).get("/", headers={"origin": origin})
    assert [name for name in answer.headers if name.startswith("access-control")] == []
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "origin" in answer.headers["vary"].lower()  # a cache keeps these answers apart


def test_by_default_nobody_may(tmp_path: Path) -> None:
    answer = client(tmp_path).get("/", headers={"origin": PAGE})
    assert [name for name in answer.headers if name.startswith("access-control")] == []
    asked = {"origin": PAGE, "access-control-request-method": "GET"}
    assert client(tmp_path).options("/", headers=asked).status_code == 405


def test_a_browser_that_asks_first_is_told(tmp_path: Path) -> None:
    asked = {"access-control-request-method": "GET", "access-control-request-headers": "range"}
    app = client(tmp_path, PAGE)
    answer = app.options("/models/tiny/tiny.gguf", headers={"origin": PAGE, **asked})
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD"
    assert "range" in answer.headers["access-control-allow-headers"]
    assert app.options("/", headers={"origin": OTHER, **asked}).status_code == 405
    assert app.post("/", headers={"origin": PAGE}).status_code == 405


def test_an_origin_is_written_as_browsers_do() -> None:
    assert check_cors_origin("https://Example.org:443/") == "https://example.org"
    assert check_cors_origin("http://localhost:5173") == PAGE
    for wrong in ("*", "https://*.example.org", "example.org", "https://a.b/path"):
        with pytest.raises(RequestError):
            check_cors_origin(wrong)
