"""The page, from the first look to the last error, over a worker that is not there."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pages import (
    LISTED_NANO,
    WITH_ADAPTER,
    WITHOUT_ADAPTER,
    WITHOUT_WEBGPU,
    OpenPage,
)
from playwright.sync_api import expect

LONG_TEXT = '"word ".repeat(2000)'

#: After Stop, how long the page may take to be ready; a frame or two is usual.
STOP_MS = 500

#: The contrast of every visible piece of text with what lies behind it, as WCAG computes it.
CONTRASTS = """
() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const toRgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => {
      const s = c / 255;
      return s <= 0.03928 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement ?? e.getRootNode().host) {
      const rgb = toRgb(getComputedStyle(e).backgroundColor);
      if (rgb[3] === 255) return rgb;
    }
    return [255, 255, 255];
  };
  const found = [];
  const roots = [document, document.querySelector("leadout-chat").shadowRoot];
  for (const element of roots.flatMap((root) => [...root.querySelectorAll("body *, *")])) {
    const own = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE);
    const text = own.map((node) => node.data).join("");
    const isShown = element.checkVisibility() && !element.disabled;
    if (!text.trim() || !isShown || element.closest("head, textarea, script")) continue;
    const [a, b] = [luminance(toRgb(getComputedStyle(element).color)), luminance(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push({ text: text.trim().slice(0, 40), ratio });
  }
  return found;
}
"""

#: Keeps how much of the window has moved, and what did.
WITH_SHIFTS = """
window.shifts = [];
const nameOf = ({ node }) => `${node?.nodeName}#${node?.id}.${node?.className}`;
new PerformanceObserver((list) => {
  const shifts = list.getEntries();
  window.shifts.push(...shifts.map(({ value, sources }) => [value, sources.map(nameOf)]));
}).observe({ type: "layout-shift", buffered: true });
"""

#: Up to here a page is said to be good.
MAX_SHIFT = 0.1

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


def test_the_sites_default_model_loads_by_itself_on_this_machine(open_page: OpenPage) -> None:
    chat = open_page()
    (load,) = chat.received("load")
    assert load["model"]["name"] == "gemma3-270m"
    (file,) = load["model"]["files"]
    assert file["url"].startswith("http://127.0.0.1:")
    assert file["url"].endswith("/models/gemma3-270m/model.gguf")
    assert chat.page.locator("#model").input_value() == "0"


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_moves_while_the_page_opens(open_page: OpenPage, width: int) -> None:
    chat = open_page(
        models=[LISTED_NANO],
        info={"has_chat_template": True, "context_length": 2048},
        init=WITH_ADAPTER + WITH_SHIFTS,
        context_options={"viewport": {"width": width, "height": 844}},
    )
    chat.wait_until("chat.messages.length === 2 && chat.state === 'ready'")
    shifts = chat.value("shifts")
    assert sum(value for value, _ in shifts) < MAX_SHIFT, shifts


def test_the_bar_says_the_phase_and_the_bytes(open_page: OpenPage) -> None:
    chat = open_page(loadMs=60_000, wait_for="loading_weights")
    expect(chat.loading).to_contain_text(re.compile(r"Loading weights, \d+ of 253 MB"))
    bar = chat.page.get_by_role("progressbar", name="Loading weights")
    expect(bar).to_have_js_property("max", 1)
    before = bar.evaluate("bar => bar.value")
    chat.wait_until(f"chat.shadowRoot.querySelector('progress').value > {before}")


def test_every_phase_shows_as_the_elements_state(open_page: OpenPage) -> None:
    record = """
    window.phases = [];
    addEventListener("leadout-phase", (event) => window.phases.push(event.detail.phase));
    """
    chat = open_page(init=WITH_ADAPTER + record)
    assert list(dict.fromkeys(chat.page.evaluate("window.phases"))) == [
        "loading_runtime",
        "loading_package",
        "loading_weights",
        "compiling_kernels",
        "warming_up",
        "ready",
    ]


def test_the_continuation_streams_after_the_prompt_in_order(open_page: OpenPage) -> None:
    text = "".join(f" word{index}" for index in range(100))
    chat = open_page(text=json.dumps(text), tokensPerSecond=50)
    chat.write("Once")
    assert chat.value("chat.state") == "generating"
    chat.wait_until("chat.continuation.length > 40")
    half = chat.value("chat.continuation")
    assert len(half) < len(text)
    assert text.startswith(half)
    chat.wait_for_state("ready")
    expect(chat.text_area).to_have_value("Once" + text)
    expect(chat.page.locator("[part=continuation]")).to_have_text(text, use_inner_text=True)
    assert chat.received("generate")[0]["request"]["prompt"] == "Once"


def test_what_the_model_wrote_looks_different_from_what_the_person_wrote(
    open_page: OpenPage,
) -> None:
    chat = open_page()
    chat.write("The capital of France is")
    chat.wait_for_state("ready")
    colours = chat.page.locator(".copy span:not(.end)").evaluate_all(
        "spans => spans.map((span) => [span.textContent, getComputedStyle(span).color])"
    )
    assert [text for text, _ in colours] == ["The capital of France is", " Paris."]
    assert colours[0][1] != colours[1][1]


def test_stop_stops_at_once_and_the_next_continue_works(open_page: OpenPage) -> None:
    chat = open_page(text=LONG_TEXT, tokensPerSecond=50)
    chat.write("Go")
    chat.wait_until("chat.continuation.length > 10")
    chat.stop.click()
    chat.wait_for_state("ready", timeout_ms=STOP_MS)
    stopped = chat.value("chat.text")
    (generate,) = chat.received("generate")
    assert [message["target"] for message in chat.received("abort")] == [generate["id"]]
    expect(chat.status).to_have_text(re.compile(r"^Stopped after \d+ tokens\.$"))
    chat.page.wait_for_timeout(300)
    assert chat.value("chat.text") == stopped
    chat.send.click()
    chat.wait_until(f"chat.text.length > {len(stopped)} + 10")
    assert chat.received("generate")[1]["request"]["prompt"] == stopped
    chat.stop.click()


def test_the_figures_are_the_workers(open_page: OpenPage) -> None:
    chat = open_page(text='" one two three"', tokensPerSecond=50, info={"device": "A card"})
    assert chat.figure("memory") == "301 MB"
    assert chat.figure("adapter") == "A card"
    assert chat.figure("speed") == "–"
    chat.write("Zero")
    chat.wait_for_state("ready")
    assert chat.figure("tokens") == "3"
    assert re.fullmatch(r"\d+ ms", chat.figure("first_token"))
    assert re.fullmatch(r"\d+(\.\d)? tokens/s", chat.figure("speed"))
    seed = chat.received("generate")[0]["request"]["seed"]
    assert chat.figure("seed") == str(seed)
    expect(chat.status).to_have_text("The text ended after 3 tokens.")


def test_a_limit_of_tokens_pauses_the_text_and_says_so(open_page: OpenPage) -> None:
    chat = open_page(text=LONG_TEXT)
    chat.value("chat.settings = { max_tokens: 5 }")
    chat.write("Go")
    expect(chat.status).to_have_text("Paused after 5 tokens, the most you allowed.")


@pytest.mark.parametrize(
    ("init", "title", "advice"),
    [
        (WITHOUT_WEBGPU, "This browser has no WebGPU.", "Update Chrome or Edge"),
        (WITHOUT_ADAPTER, "found no graphics adapter", "graphics acceleration"),
    ],
)
def test_a_browser_that_cannot_gets_told_what_to_do(
    open_page: OpenPage, init: str, title: str, advice: str
) -> None:
    chat = open_page(init=init, wait_for="unsupported")
    notice = chat.page.get_by_role("alert").filter(has_text=title)
    expect(notice).to_contain_text(advice)
    expect(chat.send).to_be_hidden()
    assert chat.received("boot") == []


def test_a_model_that_does_not_fit_is_said_plainly_and_another_can_be_chosen(
    open_page: OpenPage,
) -> None:
    error = {"name": "OutOfMemoryError", "message": "The device refused 806 MB after 1.2 GB."}
    chat = open_page(loadError=error, wait_for="failed")
    expect(chat.notice).to_contain_text("does not fit into the graphics memory")
    expect(chat.notice).to_contain_text("refused 806 MB after 1.2 GB")
    expect(chat.notice.get_by_role("button", name="Load again")).to_be_visible()
    chat.page.select_option("#model", "1")
    _, load = chat.wait_for_loads(2)
    assert load["model"]["name"] == "gemma3-1b-it"


def test_a_device_lost_twice_keeps_the_text_and_the_model_can_be_loaded_again(
    open_page: OpenPage,
) -> None:
    chat = open_page(text=LONG_TEXT, loseDeviceAfterTokens=5)
    chat.write("Go ")
    chat.wait_for_state("failed")
    text = "Go" + 10 * " word"
    assert chat.value("chat.text") == text
    expect(chat.notice).to_contain_text("The graphics device was lost")
    chat.notice.get_by_role("button", name="Load again").click()
    chat.wait_for_state("ready")
    expect(chat.notice).to_be_hidden()
    assert chat.value("chat.text") == text


def test_a_worker_that_crashes_twice_fails_what_it_was_doing(open_page: OpenPage) -> None:
    chat = open_page(text=LONG_TEXT, crashAfterTokens=3)
    chat.write("Go ")
    chat.wait_for_state("failed")
    expect(chat.notice).to_contain_text("The model's worker stopped")
    expect(chat.notice).to_contain_text("the fake worker crashed")


def test_a_worker_that_cannot_be_fetched_fails_the_load(open_page: OpenPage) -> None:
    chat = open_page()
    chat.page.route("**/worker.js", lambda route: route.fulfill(status=404))
    chat.page.reload()
    chat.wait_for_state("failed")
    expect(chat.notice).to_contain_text("its script could not be loaded")


def test_an_error_of_one_request_leaves_the_model_usable(open_page: OpenPage) -> None:
    error = {"name": "ContextLengthError", "message": "The prompt has 5000 tokens; 4096 fit."}
    chat = open_page(generateError=error)
    chat.write("Too long")
    expect(chat.notice).to_contain_text("too long for this model")
    expect(chat.notice).to_contain_text("5000 tokens; 4096 fit")
    assert chat.value("chat.state") == "ready"
    chat.notice.get_by_role("button", name="Dismiss").click()
    expect(chat.notice).to_be_hidden()
    assert chat.value("chat.text") == "Too long"


def test_an_error_that_nobody_named_shows_its_last_line_alone(open_page: OpenPage) -> None:
    error = {"name": "PythonError", "message": "Traceback\n  File x\nKeyError: 'y'\n"}
    chat = open_page(loadError=error, wait_for="failed")
    expect(chat.notice).to_contain_text("KeyError: 'y'")
    expect(chat.notice).not_to_contain_text("Traceback")


def test_every_setting_reaches_the_worker(open_page: OpenPage) -> None:
    chat = open_page()
    chat.page.get_by_text("Settings", exact=True).click()
    wanted: dict[str, Any] = {
        "Temperature": 1.25,
        "Max tokens": 17,
        "Top-k": 40,
        "Top-p": 0.9,
        "Min-p": 0.05,
        "Repetition penalty": 1.1,
        "Seed": 4294967295,
    }
    for label, value in wanted.items():
        chat.page.get_by_label(label, exact=True).fill(str(value))
    chat.page.get_by_label("Stop at").fill("\\n\\n\nEND")
    chat.write("Go")
    chat.wait_for_state("ready")
    assert chat.received("generate")[0]["request"] == {
        "prompt": "Go",
        "temperature": 1.25,
        "max_tokens": 17,
        "top_k": 40,
        "top_p": 0.9,
        "min_p": 0.05,
        "repetition_penalty": 1.1,
        "seed": 4294967295,
        "stop": ["\n\n", "END"],
    }


def test_a_setting_out_of_its_range_is_shown_and_not_sent(open_page: OpenPage) -> None:
    chat = open_page()
    chat.value("chat.settings = { top_p: 7 }")
    chat.write("Go")
    field = chat.page.get_by_label("Top-p", exact=True)
    expect(field).to_be_focused()
    assert field.evaluate("input => input.validity.rangeOverflow")
    assert chat.received("generate") == []


def test_an_empty_seed_is_another_one_each_time(open_page: OpenPage) -> None:
    chat = open_page()
    for _ in range(2):
        chat.write("Go")
        chat.wait_for_state("ready")
    first, second = (message["request"]["seed"] for message in chat.received("generate"))
    assert first != second


def test_html_in_the_output_is_text(open_page: OpenPage) -> None:
    html = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script><b>bold</b>"
    chat = open_page(text=json.dumps(html))
    chat.write("Go ")
    chat.wait_for_state("ready")
    assert chat.value("chat.continuation") == html
    assert chat.value("chat.shadowRoot.querySelectorAll('img, script, b').length") == 0
    assert chat.page.evaluate("window.hacked") is None


def test_the_keyboard_is_enough(open_page: OpenPage) -> None:
    chat = open_page(text=LONG_TEXT, tokensPerSecond=50)
    chat.text_area.focus()
    chat.page.keyboard.type("Go ")
    chat.page.keyboard.press("Control+Enter")
    chat.wait_for_state("generating")
    chat.page.keyboard.press("Escape")
    chat.wait_for_state("ready", timeout_ms=STOP_MS)
    expect(chat.text_area).to_be_focused()
    chat.page.keyboard.press("Tab")
    expect(chat.send).to_be_focused()
    chat.page.keyboard.press("Enter")
    chat.wait_for_state("generating")
    expect(chat.stop).to_be_focused()
    chat.page.keyboard.press("Enter")
    chat.wait_for_state("ready", timeout_ms=STOP_MS)
    expect(chat.send).to_be_focused()


def test_the_status_is_polite_and_silent_between_start_and_end(open_page: OpenPage) -> None:
    chat = open_page(text='" one two three four five six"', tokensPerSecond=50)
    chat.page.evaluate(
        """() => {
          window.said = [];
          const status = document.querySelector("leadout-chat").shadowRoot
            .querySelector("[role=status]");
          new MutationObserver(() => window.said.push(status.textContent))
            .observe(status, { childList: true, characterData: true, subtree: true });
        }"""
    )
    chat.write("Go")
    chat.wait_for_state("ready")
    said = chat.page.evaluate("window.said")
    assert said[0] == "Writing…"
    assert said[-1] == "The text ended after 6 tokens."
    assert len(said) <= 3


@pytest.mark.parametrize("state", ["ready", "loading_weights", "failed", "unsupported"])
def test_a_phone_shows_all_without_scrolling_sideways(open_page: OpenPage, state: str) -> None:
    unbroken = "x" * 300
    error = {"name": "SourceError", "message": unbroken} if state == "failed" else None
    chat = open_page(
        context_options=PHONE,
        wait_for=state,
        text=json.dumps(f" {unbroken}"),
        loadMs=60_000 if state == "loading_weights" else 0,
        init=WITHOUT_WEBGPU if state == "unsupported" else WITH_ADAPTER,
        **({"loadError": error} if error else {}),
    )
    if state == "ready":
        chat.page.get_by_text("Settings", exact=True).click()
        chat.page.get_by_role("button", name="Name or URL").click()
        chat.write("Go")
        chat.wait_for_state("ready")
    assert chat.page.evaluate("document.documentElement.scrollWidth") == 360
    heights = chat.page.locator(
        "button:visible, select:visible, summary:visible, input:visible"
    ).evaluate_all(
        "elements => elements.map((e) => [e.outerHTML, e.getBoundingClientRect().height])"
    )
    assert len(heights) >= 3
    assert [found for found in heights if found[1] < 44] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(open_page: OpenPage, scheme: str) -> None:
    chat = open_page(context_options={"color_scheme": scheme, "reduced_motion": "reduce"})
    chat.write("The capital of France is")
    chat.wait_for_state("ready")
    expect(chat.send).to_be_enabled()
    contrasts = chat.page.evaluate(CONTRASTS)
    assert len(contrasts) > 20
    assert [found for found in contrasts if found["ratio"] < 4.5] == []


def test_a_model_with_a_chat_template_chats(open_page: OpenPage) -> None:
    chat = open_page(text='"Paris."', info={"has_chat_template": True})
    message = chat.page.get_by_role("textbox", name="Message")
    message.fill("What is the capital of France?")
    chat.page.keyboard.press("Control+Enter")
    expect(chat.page.locator("[part=answer] .content")).to_have_text("Paris.")
    expect(message).to_have_value("")
    chat.wait_for_state("ready")
    message.fill("And of Spain?")
    chat.page.get_by_role("button", name="Send").click()
    chat.wait_for_state("ready")
    assert chat.received("generate")[1]["request"]["messages"] == [
        {"role": "user", "content": "What is the capital of France?"},
        {"role": "assistant", "content": "Paris."},
        {"role": "user", "content": "And of Spain?"},
    ]


def test_the_notice_that_gemmas_terms_require_is_there(open_page: OpenPage) -> None:
    chat = open_page()
    expect(chat.page.get_by_role("contentinfo")).to_contain_text(
        "Gemma is provided under and subject to the Gemma Terms of Use found at "
        "ai.google.dev/gemma/terms"
    )


def test_the_example_page_loads_nothing_before_a_click(open_page: OpenPage) -> None:
    chat = open_page(path="examples/embed.html", models=[LISTED_NANO], wait_for="idle")
    expect(chat.notice).to_contain_text("14 MB, to be loaded into this tab.")
    assert chat.received("boot") == []
    chat.notice.get_by_role("button", name="Load model").click()
    chat.wait_for_state("ready")
    chat.write("Go")
    expect(chat.page.locator("#count")).to_have_text("1")
