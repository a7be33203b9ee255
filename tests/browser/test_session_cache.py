"""Sessions over the real worker: Pyodide and WebGPU in a real Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import Browsers
from playwright.sync_api import Page

from leadout_build.serving.headless import BLANK, serving
from leadout_build.serving.server import find_model
from leadout_build.store.model_store import Store
from stand_in_nano import write_stand_in

#: Longer than what is worth a copy between lanes, which is 64 tokens.
SYSTEM = "Say the capital of the country. " * 6

#: Two conversations with one system prompt, a turn that goes on, one that no longer fits; and what
#: an engine says that reads everything anew, since its only lane has just had another prompt.
_TALK = """async ([model, system]) => {
  const { Leadout } = await import(new URL("./leadout.js", location.href).href);
  const load = { model, drafter: "none", contextLength: 512 };
  const engine = await Leadout.load({ ...load, parallel: 2 });
  const sampling = { temperature: 1.2, seed: 5, max_tokens: 6, ignore_eos: true };
  const session = engine.session({ system, ...sampling });
  const answers = [await session.send("the capital ".repeat(24))];
  const other = engine.session({ system, ...sampling });
  answers.push(await other.send("of the country"));
  answers.push(await session.send("of the country"));
  let long = "";
  const size = async () => (await engine.tokenize(system + long)).length;
  while ((await size()) < 512 - 60) long += "and so on ";
  const named = await session.send(long).catch(({ name }) => name);
  answers.push(await session.fork().send(long, { context_overflow: "drop_oldest" }));
  const saved = session.export();
  engine.dispose();
  const fresh = await Leadout.load({ ...load, keptPrompts: 0 });
  const again = fresh.importSession(saved);
  const wanted = [];
  for (const [said, count] of [[again, 2], [other, 2], [again, 4]]) {
    const messages = said.messages.slice(0, count);
    await fresh.completions.create({ prompt_ids: [7, 8], max_tokens: 1 });
    wanted.push(await fresh.chat.completions.create({ messages, ...sampling }));
  }
  return { answers, wanted, named, saved };
}"""


@pytest.fixture
def page_and_model(site: Path, browsers: Browsers, tmp_path: Path) -> Iterator[tuple[Page, str]]:
    path = write_stand_in(tmp_path / "models") / "nano.gguf"
    store = Store(tmp_path / "store")
    with (
        serving(site, store=store, model=str(path)) as url,
        browsers.page(url + BLANK) as page,
    ):
        yield page, find_model(store, str(path), None)[0]


def test_sessions_share_and_keep_what_was_read_and_say_the_same(page_and_model) -> None:
    page, model = page_and_model
    found: dict[str, Any] = page.evaluate(_TALK, [model, SYSTEM])
    answers = found["answers"]
    usages = [answer["usage"] for answer in answers]
    cached = [usage["prompt_tokens_details"]["cached_tokens"] for usage in usages]
    assert cached[0] == 0
    assert 64 < cached[1] < usages[1]["prompt_tokens"]
    # The last answer and the question are new.
    assert cached[2] >= usages[0]["prompt_tokens"] - 8
    wanted = found["wanted"]
    assert [answer["usage"]["prompt_tokens_details"]["cached_tokens"] for answer in wanted] == [
        *[0] * 3
    ]
    for answer, same in zip(answers, wanted, strict=False):
        assert answer["choices"] == same["choices"]
    assert found["named"] == "ContextLengthError"
    assert answers[3]["leadout"]["dropped_messages"] == 4
    assert len(found["saved"]["messages"]) == 5
    assert all(isinstance(token, int) for token in found["saved"]["tokens"])
