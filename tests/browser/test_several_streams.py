"""Several streams at once of the real Nano on the built site, in Chromium's own WebGPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsers import Browsers
from pages import static_host
from playwright.sync_api import Page

from leadout_build.serving.headless import BLANK

#: For a load and some texts without a GPU, on a machine that other work shares.
PATIENCE_MS = 600_000

#: Of different lengths, so that lanes are at different positions.
PROMPTS = [
    "Hello!",
    "Who are you?",
    "What is the price of ABC?",
    "Write a brief.",
    "asset,price,1d\nABC,12.50,+2.10%\nXYZ,7.25,-0.40%\n\nHow many assets are up today?",
    "Which asset fell most this week?",
    "Thank you very much for this.",
    "What can you do?",
]

#: Sampled, so that a neighbour's seed or place would be seen in the ids.
ASKED = {"max_tokens": 24, "temperature": 1, "top_k": 64, "ignore_eos": True}

# `write` runs a prompt and gives its ids; `left` is told how many have come.
LOAD = """async ({ parallel, asked }) => {
  const { Leadout } = await import(new URL("./leadout.js", location.href).href);
  window.asked = asked;
  window.healing = 0;
  window.engine = await Leadout.load({ model: "nano", parallel, onHealing: () => { healing++; } });
  engine.addEventListener("healing", () => { healing++; });
  window.write = async (prompt, seed, { signal, onTokens = () => {} } = {}) => {
    const messages = [{ role: "user", content: prompt }];
    const onDelta = (text, { tokens }) => onTokens(tokens.length);
    const { tokens } = await engine.generate({ messages, seed, ...asked }, { signal, onDelta });
    return tokens;
  };
}"""

ALONE = """async (prompts) => {
  const all = [];
  for (const [seed, prompt] of prompts.entries()) all.push(await write(prompt, seed));
  return all;
}"""

# Cancels one of them once it has brought some tokens, while all others are under way.
CANCEL_ONE = """async ({ prompts, cancelled, after }) => {
  const counts = prompts.map(() => 0);
  const leaving = new AbortController();
  let atCancel = null;
  const all = await Promise.all(prompts.map((prompt, seed) => {
    const onTokens = (number) => {
      counts[seed] += number;
      if (seed === cancelled && counts[seed] >= after && !leaving.signal.aborted) {
        atCancel = [...counts];
        leaving.abort();
      }
    };
    const signal = seed === cancelled ? leaving.signal : null;
    return write(prompt, seed, { signal, onTokens }).catch(({ name }) => name);
  }));
  return { all, atCancel };
}"""

# The texts of two choices, alone and of one call, and whose each of its chunks was.
CHOICES = """async (content) => {
  const asking = { messages: [{ role: "user", content }], ...asked };
  const alone = [];
  for (const seed of [8, 9]) {
    const { choices: [{ message }] } = await engine.chat.completions.create({ ...asking, seed });
    alone.push(message.content);
  }
  const together = ["", ""];
  const indices = [];
  const params = { ...asking, seed: 8, n: 2, stream: true };
  const stream = await engine.chat.completions.create(params);
  for await (const { choices: [{ index, delta }] } of stream) {
    indices.push(index);
    together[index] += delta.content ?? "";
  }
  return [alone, together, indices];
}"""

# Begins all, and returns when each has brought something; they go on.
BEGIN_ALL = """async (prompts) => {
  const begin = (prompt, seed) => new Promise((begun, failed) => {
    write(prompt, seed, { onTokens: begun }).catch(failed);
  });
  await Promise.all(prompts.map(begin));
}"""


@pytest.fixture(scope="module")
def url(site: Path) -> Iterator[str]:
    with static_host(site) as host:
        yield host


def load(page: Page, url: str, parallel: int) -> None:
    """Load Nano into a page that has nothing else."""
    page.set_default_timeout(PATIENCE_MS)
    page.goto(url + BLANK)
    page.evaluate(LOAD, {"parallel": parallel, "asked": ASKED})


def test_eight_streams_one_cancelled_then_the_tab_closed(browsers: Browsers, url: str) -> None:
    """One test, since a load for eight takes long here."""
    context = browsers.engine.new_context()
    first = context.new_page()
    load(first, url, parallel=8)
    alone = first.evaluate(ALONE, PROMPTS)
    assert {len(ids) for ids in alone} == {ASKED["max_tokens"]}
    assert len({tuple(ids) for ids in alone}) == len(PROMPTS)

    cancelled = 4
    asked = {"prompts": PROMPTS, "cancelled": cancelled, "after": 3}
    found = first.evaluate(CANCEL_ONE, asked)
    others = [i for i in range(len(PROMPTS)) if i != cancelled]
    assert found["all"][cancelled] == "AbortError"
    assert [found["all"][i] for i in others] == [alone[i] for i in others]
    # It left in the midst of others, some of whose prompts may still have waited.
    under_way = [i for i in others if 0 < found["atCancel"][i] < ASKED["max_tokens"]]
    assert len(under_way) >= 4
    # Its lane is as good as any other.
    again = first.evaluate(
        "([prompt, seed]) => write(prompt, seed)", [PROMPTS[cancelled], cancelled]
    )
    assert again == alone[cancelled]

    texts, together, indices = first.evaluate(CHOICES, PROMPTS[1])
    assert together == texts
    assert texts[0] != texts[1]
    assert indices != sorted(indices)  # they came beside one another

    first.evaluate(BEGIN_ALL, PROMPTS)
    crashes: list[str] = []
    first.on("crash", lambda page: crashes.append(page.url))
    first.close()
    assert crashes == []
    second = context.new_page()
    second.on("crash", lambda page: crashes.append(page.url))
    load(second, url, parallel=1)
    assert second.evaluate("(prompt) => write(prompt, 0)", PROMPTS[0]) == alone[0]
    assert second.evaluate("healing") == 0
    assert crashes == []
    context.close()
