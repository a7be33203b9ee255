"""The server: ranges, types, caching, policy; and all that it refuses."""

from __future__ import annotations

import hashlib
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from leadout.errors import ModelNotFoundError, PortInUseError, RequestError
from leadout_build import ROOT
from leadout_build.serving.security import is_known_host
from leadout_build.serving.server import ServedModel, create_app, find_model, serve
from leadout_build.serving.site_files import find_file
from leadout_build.site.policy import site_policy, with_policy
from leadout_build.store.model_store import Store

WEIGHTS = bytes(range(256)) * 4096  # 1 MiB
ORIGIN = "http://127.0.0.1:8000"
PAGE = '<!doctype html><meta charset="utf-8">'


def make_site(folder: Path) -> Path:
    site = folder / "dist"
    for name, content in {
        "index.html": PAGE,
        "manifest.webmanifest": "{}",
        "leadout.js": "export {};",
        "app-0123abcd/worker.js": "export {};",
        "app-0123abcd/kernels/matvec.wgsl": "// wgsl",
        "app-0123abcd/leadout-0.1-py3-none-any.whl": "PK",
        "vendor-89abcdef/pyodide.asm.wasm": "\0asm",
        "vendor-89abcdef/pyodide.mjs": "export {};",
        "examples/index.html": PAGE,
        ".hidden": "secret",
        "app-0123abcd/.env": "secret",
    }.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (folder / "outside.txt").write_text("secret")
    (folder / "dist-other").mkdir()
    (folder / "dist-other" / "x.txt").write_text("secret")
    (site / "link.txt").symlink_to(folder / "outside.txt")
    (site / "folder-link").symlink_to(folder / "dist-other")
    return site


def make_store(folder: Path) -> Store:
    store = Store(folder / "home")
    for name in ("beta", "alpha"):
        with store.write(name) as writer:
            writer.add(f"{name}.gguf", [WEIGHTS])
            writer.add("TERMS.html", [b"<script>alert(1)</script>"])
            writer.commit("a test", None)
    return store


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make_site(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    """A client of a site and a store that no test changes."""
    folder = tmp_path_factory.mktemp("served")
    return TestClient(create_app(make_site(folder), make_store(folder)), base_url=ORIGIN)


@pytest.mark.parametrize(
    ("path", "media_type", "is_immutable"),
    [
        ("/", "text/html; charset=utf-8", False),
        ("/index.html", "text/html; charset=utf-8", False),
        ("/examples/", "text/html; charset=utf-8", False),
        ("/leadout.js", "text/javascript; charset=utf-8", False),
        ("/manifest.webmanifest", "application/manifest+json", False),
        ("/app-0123abcd/worker.js", "text/javascript; charset=utf-8", True),
        ("/app-0123abcd/kernels/matvec.wgsl", "text/plain; charset=utf-8", True),
        ("/app-0123abcd/leadout-0.1-py3-none-any.whl", "application/zip", True),
        ("/vendor-89abcdef/pyodide.asm.wasm", "application/wasm", True),
        ("/vendor-89abcdef/pyodide.mjs", "text/javascript; charset=utf-8", True),
        ("/models/alpha/alpha.gguf", "application/octet-stream", False),
    ],
)
def test_every_file_has_its_type_and_hashed_folders_never_expire(
    client: TestClient, path: str, media_type: str, is_immutable: bool
) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == media_type
    cache_control = "public, max-age=31536000, immutable" if is_immutable else "no-cache"
    assert response.headers["cache-control"] == cache_control


@pytest.mark.parametrize("path", ["/", "/models/alpha/alpha.gguf"])
def test_a_known_etag_gets_304_without_content(client: TestClient, path: str) -> None:
    etag = client.get(path).headers["etag"]
    response = client.get(path, headers={"if-none-match": f'"other", W/{etag}'})
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == etag


def test_a_file_that_changed_is_sent_again(site: Path, store: Store) -> None:
    client = TestClient(create_app(site, store), base_url=ORIGIN)
    etag = client.get("/").headers["etag"]
    (site / "index.html").write_text(f"{PAGE}<p>new")
    assert client.get("/", headers={"if-none-match": etag}).text.endswith("<p>new")


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=1048000-", 1048000, len(WEIGHTS)),
        ("bytes=-10", len(WEIGHTS) - 10, len(WEIGHTS)),
        ("bytes=0-99999999", 0, len(WEIGHTS)),
    ],
)
def test_a_range_of_a_model_is_answered_with_exactly_its_bytes(
    client: TestClient, asked: str, start: int, end: int
) -> None:
    response = client.get("/models/alpha/alpha.gguf", headers={"range": asked})
    assert response.status_code == 206
    assert response.content == WEIGHTS[start:end]
    assert response.headers["content-range"] == f"bytes {start}-{end - 1}/{len(WEIGHTS)}"
    assert response.headers["content-length"] == str(end - start)


def test_a_range_past_the_end_gets_416_with_the_size(client: TestClient) -> None:
    response = client.get("/models/alpha/alpha.gguf", headers={"range": "bytes=1048576-"})
    assert response.status_code == 416
    assert response.headers["content-range"] == "bytes */1048576"
    assert "default-src 'none'" in response.headers["content-security-policy"]


def test_a_range_of_an_older_version_gets_the_whole_file(client: TestClient) -> None:
    path, headers = "/models/alpha/alpha.gguf", {"range": "bytes=0-9"}
    etag = client.get(path).headers["etag"]
    assert client.get(path, headers={**headers, "if-range": etag}).status_code == 206
    assert client.get(path, headers={**headers, "if-range": '"older"'}).status_code == 200


def test_head_gives_the_size_and_says_that_ranges_work(client: TestClient) -> None:
    response = client.head("/models/alpha/alpha.gguf")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == str(len(WEIGHTS))
    assert response.headers["accept-ranges"] == "bytes"


def test_the_list_of_models_is_what_the_page_reads(client: TestClient) -> None:
    response = client.get("/models/index.json")
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-cache"
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    first, second = response.json()["models"]
    assert first == {
        "name": "alpha",
        "default": True,
        "bytes": len(WEIGHTS),
        "files": [{"name": "alpha.gguf", "bytes": len(WEIGHTS), "sha256": sha256}],
        "drafter": None,
    }
    assert (second["name"], second["default"]) == ("beta", False)


def test_the_proposed_model_may_be_another_or_lie_outside_of_the_store(
    site: Path, store: Store, tmp_path: Path
) -> None:
    app = create_app(site, store, default_model="beta")
    models = TestClient(app, base_url=ORIGIN).get("/models/index.json").json()["models"]
    assert [model["name"] for model in models if model["default"]] == ["beta"]

    path = tmp_path / "my model.gguf"
    path.write_bytes(b"GGUF")
    extra = ServedModel("my model", {"my model.gguf": path})
    client = TestClient(
        create_app(site, store, default_model="my model", extra_model=extra), base_url=ORIGIN
    )
    models = client.get("/models/index.json").json()["models"]
    assert [model["name"] for model in models if model["default"]] == ["my model"]
    assert client.get("/models/my%20model/my%20model.gguf").content == b"GGUF"
    assert client.get("/models/my%20model/other.gguf").status_code == 404


def put_folder(store: Store, name: str, model_type: str) -> None:
    with store.write(name) as writer:
        writer.add("config.json", [f'{{"model_type": "{model_type}"}}'.encode()])
        writer.add("model.safetensors", [WEIGHTS])
        writer.commit("a test", None)


def test_a_drafter_is_listed_with_its_target_and_not_by_itself(site: Path, store: Store) -> None:
    put_folder(store, "alpha-assistant", "gemma4_assistant")
    put_folder(store, "orphan-assistant", "gemma4_assistant")
    put_folder(store, "beta-assistant", "gemma3_text")  # a model that is called so
    client = TestClient(create_app(site, store), base_url=ORIGIN)
    models = {model["name"]: model for model in client.get("/models/index.json").json()["models"]}
    assert sorted(models) == ["alpha", "beta", "beta-assistant"]
    drafter = models["alpha"]["drafter"]
    assert drafter["name"] == "alpha-assistant"
    assert [file["name"] for file in drafter["files"]] == ["config.json", "model.safetensors"]
    assert drafter["bytes"] == sum(file["bytes"] for file in drafter["files"])
    assert models["beta"]["drafter"] is None
    assert client.get("/models/alpha-assistant/model.safetensors").content == WEIGHTS


def write_model_folder(folder: Path, model_type: str, weights: bytes) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(f'{{"model_type": "{model_type}"}}')
    (folder / "model.safetensors").write_bytes(weights)
    return folder


@pytest.mark.parametrize("is_named", [False, True])
def test_a_drafter_outside_of_the_store_is_served_beside_its_target(
    site: Path, store: Store, tmp_path: Path, is_named: bool
) -> None:
    target = write_model_folder(tmp_path / "target", "gemma4", b"target")
    write_model_folder(tmp_path / "target" / "assistant", "gemma4_assistant", b"beside")
    other = write_model_folder(tmp_path / "x", "gemma4_assistant", b"named") if is_named else None
    name, extra = find_model(store, str(target), str(other) if other else None)
    app = create_app(site, store, default_model=name, extra_model=extra)
    client = TestClient(app, base_url=ORIGIN)
    listed = client.get("/models/index.json").json()["models"][-1]
    assert (listed["name"], listed["default"]) == ("target", True)
    assert listed["drafter"]["name"] == ("x" if is_named else "target-assistant")
    at = f"/models/{listed['drafter']['name']}"
    assert client.get(f"{at}/model.safetensors").content == (b"named" if is_named else b"beside")
    assert client.get(f"{at}/other.safetensors").status_code == 404
    assert client.get("/models/target/model.safetensors").content == b"target"


def test_a_stored_model_may_be_served_with_a_drafter_from_elsewhere(
    site: Path, store: Store, tmp_path: Path
) -> None:
    assert find_model(store, "alpha") == ("alpha", None)
    drafter = tmp_path / "alpha.gguf"
    drafter.write_bytes(b"GGUF")
    name, extra = find_model(store, "alpha", str(drafter))
    client = TestClient(create_app(site, store, extra_model=extra), base_url=ORIGIN)
    models = {model["name"]: model for model in client.get("/models/index.json").json()["models"]}
    assert name == "alpha"
    assert models["alpha"]["drafter"]["name"] == "alpha-assistant"  # no two of one name
    assert client.get("/models/alpha/alpha.gguf").content == WEIGHTS
    assert client.get("/models/alpha-assistant/alpha.gguf").content == b"GGUF"


def test_a_site_without_models_has_an_empty_list(site: Path, tmp_path: Path) -> None:
    client = TestClient(create_app(site, Store(tmp_path / "empty")), base_url=ORIGIN)
    assert client.get("/models/index.json").json() == {"models": []}


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/examples",
        "/..%2foutside.txt",
        "/%2e%2e/outside.txt",
        "/examples/..%2f..%2foutside.txt",
        "/examples/%2e%2e%2f%2e%2e%2foutside.txt",
        "/..%5coutside.txt",
        "/app-0123abcd%5c.env",
        "/%2fetc/passwd",
        "//etc/passwd",
        "/C:/windows",
        "/.hidden",
        "/app-0123abcd/.env",
        "/link.txt",
        "/folder-link/x.txt",
        "/index.html%00.js",
        "/" + "x" * 300,
        "/models/alpha/manifest.json",
        "/models/alpha/.lock",
        "/models/alpha/..%2fbeta%2fbeta.gguf",
        "/models/%2e%2e/alpha.gguf",
        "/models/nothing/alpha.gguf",
        "/models/alpha",
        "/models/alpha/",
        "/models/",
    ],
)
def test_what_is_hidden_or_lies_elsewhere_is_not_found(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert "secret" not in response.text


def test_a_stored_file_that_became_a_link_out_of_the_store_is_not_found(
    site: Path, store: Store, tmp_path: Path
) -> None:
    client = TestClient(create_app(site, store), base_url=ORIGIN)
    assert client.get("/models/alpha/alpha.gguf").status_code == 200
    path = store.models_folder / "alpha" / "alpha.gguf"
    path.unlink()
    path.symlink_to(tmp_path / "outside.txt")
    assert client.get("/models/alpha/alpha.gguf").status_code == 404


def test_a_path_is_never_joined_out_of_its_root(site: Path) -> None:
    assert find_file(site, "index.html") == site / "index.html"
    for path in ("../outside.txt", "a/../index.html", "./index.html", "a//b", "\\x", "a\0b"):
        assert find_file(site, path) is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_only_reading_is_allowed(client: TestClient, method: str) -> None:
    response = client.request(method, "/")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("host", "is_known"),
    [
        ("localhost", True),
        ("LOCALHOST:8000", True),
        ("127.0.0.1:8000", True),
        ("127.0.0.2", True),
        ("[::1]:8000", True),
        ("[::1]", True),
        ("evil.example", False),
        ("evil.example:8000", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("192.168.1.2:8000", False),
        ("[::2]:8000", False),
        ("localhost:x", False),
        ("", False),
    ],
)
def test_a_foreign_host_name_is_refused(client: TestClient, host: str, is_known: bool) -> None:
    assert is_known_host(host) is is_known
    response = client.get("/", headers={"host": host})
    assert response.status_code == (200 if is_known else 421)


@pytest.mark.parametrize("path", ["/", "/models/index.json", "/nothing"])
def test_every_answer_carries_the_policy(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["content-security-policy"] == site_policy()
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "cross-origin-opener-policy" not in headers
    assert "cross-origin-embedder-policy" not in headers


def test_the_policy_lets_nothing_in_but_wasm_and_this_origin() -> None:
    policy = dict(part.split(" ", 1) for part in site_policy().split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert policy["worker-src"] == policy["style-src"] == "'self'"
    assert policy["connect-src"] == "'self' https://huggingface.co https://*.hf.co"
    assert policy["base-uri"] == policy["form-action"] == "'none'"
    assert "unsafe-inline" not in site_policy()
    assert "'unsafe-eval'" not in site_policy()


def test_pages_state_the_policy_of_this_server_and_not_the_builds(site: Path, store: Store) -> None:
    (site / "index.html").write_text(with_policy(PAGE, site_policy(["https://built.example"])))
    app = create_app(site, store, allow_origins=["https://served.example"])
    client = TestClient(app, base_url=ORIGIN)
    answer = client.get("/")
    header = answer.headers["content-security-policy"]
    assert "https://served.example" in header
    assert answer.text == with_policy(PAGE, header)
    assert "built.example" not in answer.text
    assert client.get("/examples/").text == PAGE
    # One that lies in a browser's cache was of another server.
    other = TestClient(create_app(site, store), base_url=ORIGIN)
    assert other.get("/", headers={"if-none-match": answer.headers["etag"]}).status_code == 200


@pytest.mark.parametrize(("model", "has_desk"), [(None, True), ("nano", True), ("beta", False)])
def test_the_page_has_nanos_desk_from_the_start_only_where_nano_comes_first(
    site: Path, store: Store, model: str | None, has_desk: bool
) -> None:
    shutil.copyfile(ROOT / "static/index.html", site / "index.html")
    client = TestClient(create_app(site, store, default_model=model), base_url=ORIGIN)
    assert ('<body class="with-desk">' in client.get("/").text) is has_desk


def test_html_among_a_models_files_can_do_nothing(client: TestClient) -> None:
    headers = client.get("/models/alpha/TERMS.html").headers
    assert "sandbox" in headers["content-security-policy"]
    assert "script-src" not in headers["content-security-policy"]


def test_other_origins_are_allowed_one_by_one(site: Path, store: Store) -> None:
    app = create_app(site, store, allow_origins=["https://Example.org", "https://*.hf.co:8443/"])
    policy = TestClient(app, base_url=ORIGIN).get("/").headers["content-security-policy"]
    assert " https://example.org https://*.hf.co:8443;" in policy


@pytest.mark.parametrize(
    "origin",
    ["", "*", "example.org", "https://", "https://a.b/path", "https://a b", "https://a;script-src",
     "data:", "https://'self'", "ftp://a.b", "https://a.b, https://c.d", "https://u@a.b"],
)  # fmt: skip
def test_what_is_no_origin_is_refused(site: Path, store: Store, origin: str) -> None:
    with pytest.raises(RequestError, match="is not an origin"):
        create_app(site, store, allow_origins=[origin])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", ""])
def test_only_loopback_addresses_are_served(site: Path, store: Store, host: str) -> None:
    with pytest.raises(RequestError, match="not a loopback address"):
        serve(host, 0, site=site, store=store)


def test_a_site_that_was_not_built_says_how_to(tmp_path: Path, store: Store) -> None:
    with pytest.raises(RequestError, match="Run `leadout build` first"):
        serve(port=0, site=tmp_path / "none", store=store)


def test_an_unknown_model_is_refused_before_serving(site: Path, store: Store) -> None:
    with pytest.raises(ModelNotFoundError, match="gamma"):
        serve(port=0, model="gamma", site=site, store=store)


def test_a_port_in_use_says_which_and_what_to_do(site: Path, store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"Port {port} .* --port {port + 1}") as caught:
            serve(port=port, site=site, store=store)
    assert caught.value.detail == {"host": "127.0.0.1", "port": port}


def start_server(site: Path, store: Store) -> tuple[subprocess.Popen[str], str]:
    """Run `serve` in a process of its own; return it with the URL that it prints."""
    script = (
        "import sys; from pathlib import Path; from leadout_build.serving.server import serve; "
        "from leadout_build.store.model_store import Store; "
        "serve(port=0, site=Path(sys.argv[1]), store=Store(Path(sys.argv[2])))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(site), str(store.models_folder.parent)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], 10)
    assert readable, "the server says nothing"
    match = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
    assert match is not None
    return process, match[0]


def test_a_real_server_answers_and_ctrl_c_ends_it_even_while_a_download_stalls(
    site: Path, store: Store
) -> None:
    with store.write("large") as writer:
        # More than the sockets' buffers hold.
        writer.add("large.gguf", [WEIGHTS] * 32)
        writer.commit("a test", None)
    process, url = start_server(site, store)
    try:
        request = urllib.request.Request(
            f"{url}models/alpha/alpha.gguf", headers={"Range": "bytes=5-9"}
        )
        with urllib.request.urlopen(request) as response:
            assert response.status == 206
            assert response.read() == WEIGHTS[5:10]
            assert "server" not in response.headers
        with urllib.request.urlopen(f"{url}models/large/large.gguf") as stalled:
            assert stalled.read(10) == WEIGHTS[:10]
            started = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=10) == 0
            assert time.monotonic() - started < 5
        assert process.stderr is not None
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()
