"""The fake engine of web/testing.js held to the real one: both play replayed_calls.js."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browsers import Browsers

from leadout_build.serving.headless import BLANK, serving
from leadout_build.store.model_store import Store

#: Types of a field by its path.
Shapes = dict[str, list[str]]

#: What replayed_calls.js returns.
Replay = dict[str, dict[str, Any]]

SCRIPT = Path(__file__).with_name("replayed_calls.js")

REPLAY = """async (is_fake) => {
  const { app } = await (await fetch("build.json")).json();
  const at = (path) => new URL(`${app}/${path}`, location.href).href;
  const { Leadout } = await import(new URL("./leadout.js", location.href).href);
  const { FakeWorker } = await import(at("testing.js"));
  const { replay } = await import(at("replayed_calls.js"));
  if (!is_fake) {
    const worker = () => new Worker(at("worker.js"), { type: "module" });
    return replay(Leadout, { worker, model: "nano", drafter: "auto" });
  }
  const text = () => Array.from({ length: 300 }, (_, i) => ` word${i}`).join("");
  const wrong = { name: "RequestError", message: "temperature is -1; wanted 0 or more." };
  const generateError = ({ temperature = 1 }) => (temperature < 0 ? wrong : undefined);
  const options = { text, generateError, tokensPerSecond: 1000, info: { has_chat_template: true } };
  const files = (name) => ({ name, files: [] });
  const worker = () => new FakeWorker(options);
  return replay(Leadout, { worker, model: files("nano"), drafter: files("nano-assistant") });
}"""


@pytest.fixture(scope="module")
def replayed(
    site: Path, browsers: Browsers, tmp_path_factory: pytest.TempPathFactory
) -> list[Replay]:
    """What the real engine gave, and what the fake one did."""
    store = Store(tmp_path_factory.mktemp("store"))
    with serving(site, store=store) as url, browsers.page(url + BLANK) as page:
        body = SCRIPT.read_text("utf-8")
        page.route(
            "**/replayed_calls.js",
            lambda route: route.fulfill(body=body, content_type="text/javascript"),
        )
        return [page.evaluate(REPLAY, is_fake) for is_fake in (False, True)]


def is_known(path: str, shapes: Shapes) -> bool:
    """Tell whether there was an object around a field, and no empty array or map."""
    if path.endswith((".*", "[]")):
        return path in shapes
    parent = path.rpartition(".")[0]
    return parent == "" or "object" in shapes.get(parent, [])


def differences(real: Shapes, fake: Shapes) -> list[str]:
    """Name every field in which the fake one does what the real one never did."""
    lines = []
    for path in sorted({*real, *fake}):
        ours, theirs = fake.get(path, ["absent"]), real.get(path, ["absent"])
        if not is_known(path, fake) or not is_known(path, real) or set(ours) <= set(theirs):
            continue
        lines.append(f"{path}: the real one gave {theirs}, the fake one {ours}")
    return lines


def test_the_fake_engine_answers_in_the_shapes_of_the_real_one(replayed: list[Replay]) -> None:
    real, fake = replayed
    assert fake["shapes"].keys() == real["shapes"].keys()
    lines = [
        f"{what}{line}"
        for what in real["shapes"]
        for line in differences(real["shapes"][what], fake["shapes"][what])
    ]
    assert lines == [], "\n".join(lines)


def test_the_fake_engines_events_come_in_the_order_of_the_real_ones(replayed: list[Replay]) -> None:
    real, fake = replayed
    assert fake["orders"] == real["orders"]


def test_the_fake_engine_fails_as_the_real_one_does(replayed: list[Replay]) -> None:
    real, fake = replayed
    assert fake["errors"] == real["errors"]
    assert real["errors"] == {
        "an aborted load": "AbortError",
        "a wrong request": "RequestError",
        "an unknown parameter": "RequestError",
        "embeddings": "RequestError",
        "a stop": "AbortError",
        "after unloading": "RequestError",
    }


def test_the_calls_reach_what_they_are_for(replayed: list[Replay]) -> None:
    shapes = replayed[0]["shapes"]
    assert {"generate: delta", "load: progress", "score: logits", "generate: error"} <= set(shapes)
    assert shapes["chat with usage, last chunk"][".usage.total_tokens"] == ["number"]
    assert shapes["chat"][".choices[].logprobs.content[].top_logprobs[].token"] == ["string"]
    # A field that the fake one lacks is found.
    lacking = {path: types for path, types in shapes["info"].items() if path != ".device"}
    assert differences(shapes["info"], lacking) == [
        ".device: the real one gave ['string'], the fake one ['absent']"
    ]
