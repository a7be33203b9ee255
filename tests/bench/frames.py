"""Frames a second while an answer streams into <leadout-chat>, in a headless Chromium.

    .venv/bin/python tests/bench/frames.py                       # 500 tokens/s for 8 s
    .venv/bin/python tests/bench/frames.py --messages 10000      # behind so many messages

The model is the fake one of web/testing.js, in a worker of its own, so what is measured is the
widget: Markdown, figures, scrolling. The answer is Markdown with lists, tables and code. A frame is
the time between two calls of requestAnimationFrame; the first second is left out. Build the site
first (`make build`); close what else runs: without a GPU the browser draws on the CPU as well.
"""

from __future__ import annotations

import argparse
import json
import statistics

from playwright.sync_api import sync_playwright

from leadout_build.serving.browser import launch_options
from leadout_build.serving.headless import serving

#: Stands for the worker; as in tests/browser/pages.py.
WORKER = """
import { createFakeBackend } from "./testing.js";
const options = { text: %(text)s, tokensPerSecond: %(rate)s, info: { has_chat_template: true } };
const receive = createFakeBackend((message) => postMessage(message), options);
addEventListener("message", ({ data }) => receive(data));
"""

ADAPTER = """
Object.defineProperty(Navigator.prototype, "gpu", {
  configurable: true, get: () => ({ requestAdapter: async () => ({}) }),
});
"""

SECTION = """
## Part %(number)d

The day's leader is **SOL** at +3.1 percent, and ETH is last; see `price` in the table below.

- one point with *some* weight
- another point, and [a link](https://example.org)

| asset | price | day |
|---|---|---|
| BTC | 81,658 | +2.0 |
| ETH | 2,382 | +1.1 |

```python
def change(before, after):
    return 100 * (after - before) / before
```
"""

#: Fills the conversation, asks, and measures until the answer has ended.
MEASURE = """async ({ numMessages }) => {
  const chat = document.querySelector("leadout-chat");
  const until = async (isTrue) => {
    while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  await until(() => chat.state === "idle" || chat.state === "ready");
  if (chat.state === "idle") await chat.load();
  const role = (i) => (i % 2 ? "assistant" : "user");
  const messages = Array.from({ length: numMessages }, (_, i) => ({ role: role(i), content: `Message **${i}**` }));
  const began = performance.now();
  if (numMessages) chat.messages = messages;
  await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  const filled_ms = performance.now() - began;
  const frames = [];
  const longTasks = [];
  new PerformanceObserver((list) => {
    longTasks.push(...list.getEntries().map(({ startTime, duration }) => [startTime, duration]));
  }).observe({ type: "longtask" });
  let numTokens = 0;
  chat.addEventListener("leadout-delta", ({ detail }) => (numTokens += detail.tokens.length));
  chat.settings = { max_tokens: 100000 };
  chat.text = "Go on.";
  const started = performance.now();
  const sending = chat.send();
  let isOver = false;
  let last = null;
  const step = (now) => {
    if (last !== null && now - started > 1000) frames.push(now - last);
    last = now;
    if (!isOver) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
  await sending;
  isOver = true;
  const took_ms = performance.now() - started;
  const late = longTasks.filter(([at]) => at > started + 1000 && at < started + took_ms).map(([, ms]) => ms);
  return { frames, longTasks: late, numTokens, took_ms, filled_ms };
}"""  # noqa: E501 - JavaScript


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens-per-s", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--messages", type=int, default=0)
    args = parser.parse_args()
    wanted = int(args.tokens_per_s * args.seconds)
    text, number = "", 0
    while len(text.split()) < wanted:
        number += 1
        text += SECTION % {"number": number}
    worker = WORKER % {"text": json.dumps(text), "rate": args.tokens_per_s}
    with serving() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launch_options(software=True))
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.add_init_script(ADAPTER)
        page.route(
            "**/worker.js",
            lambda route: route.fulfill(body=worker, content_type="text/javascript"),
        )
        page.goto(f"{url}examples/embed.html")
        found = page.evaluate(MEASURE, {"numMessages": args.messages})
        browser.close()
    frames = sorted(found["frames"])
    rate = 1000 * len(frames) / sum(frames)
    slow = sum(ms > 34 for ms in frames)
    print(f"{found['numTokens']} tokens in {found['took_ms'] / 1000:.1f} s: "
          f"{1000 * found['numTokens'] / found['took_ms']:.0f} tokens/s")  # fmt: skip
    print(f"{rate:.1f} frames/s; median {statistics.median(frames):.1f} ms, 99 % within "
          f"{frames[int(0.99 * len(frames))]:.1f} ms, longest {frames[-1]:.1f} ms; "
          f"{slow} of {len(frames)} took more than two ticks")  # fmt: skip
    tasks = found["longTasks"]
    print(f"{len(tasks)} tasks above 50 ms, the longest {max(tasks, default=0):.0f} ms")
    if args.messages:
        print(f"{args.messages} messages were shown in {found['filled_ms']:.0f} ms")


if __name__ == "__main__":
    main()
