"""bench.html: anyone measures their own machine; over the fake worker."""

from __future__ import annotations

import json
from typing import Any

from pages import LISTED_NANO, WITHOUT_WEBGPU, Chat, OpenPage
from playwright.sync_api import Page, expect

from fake_bench import a_profile

#: An adapter with a name, so that it counts as a graphics card.
WITH_CARD = """
Object.defineProperty(Navigator.prototype, "gpu", {
  configurable: true,
  get: () => ({ requestAdapter: async () => ({ info: { vendor: "nvidia" }, features: [] }) }),
});
"""


def open_bench(open_page: OpenPage, **options: Any) -> Page:
    options = {"init": WITH_CARD, "path": "bench.html", "wait_for": None, **options}
    chat: Chat = open_page(**options)
    return chat.page


def measure(page: Page, model: str) -> None:
    page.get_by_label("Model").select_option(model)
    page.get_by_role("button", name="Measure").click()


def test_a_shape_is_measured_and_its_figures_can_be_copied(open_page: OpenPage) -> None:
    page = open_bench(
        open_page,
        text='"a b c d ".repeat(3)',
        profile=a_profile(),
        context_options={"permissions": ["clipboard-read", "clipboard-write"]},
    )
    expect(page.locator("#about")).to_contain_text("graphics memory")
    measure(page, "e2b")
    expect(page.locator("#results")).to_be_visible(timeout=60_000)
    loads = [m for m in page.evaluate("window.received") if m["type"] == "load"]
    assert [load["model"] for load in loads] == [{"name": "e2b", "shape": "e2b"}]
    assert loads[0]["drafter"] == {"name": "e2b", "shape": "e2b"}
    figures = page.locator("#figures dt").all_inner_texts()
    ways = [f"Plain, {how}" for how in ("greedy", "sampling as the page does")]
    assert figures[:4] == [
        ways[0],
        f"{ways[0]}, behind 3,500 tokens",
        ways[1],
        f"{ways[1]}, behind 3,500 tokens",
    ]
    assert page.locator("#drafts tbody tr").count() == 2 * 4
    first = page.locator("#profile tbody tr").first
    expect(first).to_contain_text("layers.*.self_attn")
    expect(first).to_contain_text("25 %")
    page.get_by_role("button", name="Copy the JSON").click()
    expect(page.locator("#copied")).to_have_text("Copied.")
    report = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert report["model"] == "e2b"
    assert report["adapter"]["vendor"] == "nvidia"
    assert [entry["draft_tokens"] for entry in report["drafts"]] == [0, 1, 3, 7] * 2
    assert [entry["context_tokens"] for entry in report["decode"]] == [512, 3500] * 2


def test_nano_s_texts_are_compared_with_those_without_drafts(open_page: OpenPage) -> None:
    page = open_bench(open_page, text='"a b c d ".repeat(3)', models=[LISTED_NANO])
    measure(page, "nano")
    expect(page.locator("#results")).to_be_visible(timeout=60_000)
    rows = page.locator("#drafts tbody tr").all_inner_texts()
    assert len(rows) == 2 * 5
    assert all(row.endswith("yes") for row in rows)
    # The fake has no device that could be profiled.
    expect(page.locator("#profile-about")).to_contain_text("this device gives no timestamps")


def test_stop_ends_it_and_the_page_can_measure_again(open_page: OpenPage) -> None:
    page = open_bench(open_page, loadMs=30_000)
    measure(page, "e2b")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Measure")).to_be_visible()
    expect(page.locator("#results")).to_be_hidden()
    expect(page.locator("#problem")).to_be_hidden()


def test_memory_that_is_missing_is_said_with_what_is_needed(open_page: OpenPage) -> None:
    error = {"name": "OutOfMemoryError", "message": "the device has no 1.5 GB for it."}
    page = open_bench(open_page, loadError=error)
    measure(page, "31b")
    expect(page.locator("#problem")).to_contain_text("the device has no 1.5 GB for it.")
    expect(page.locator("#problem")).to_contain_text("takes about 21.3 GB")
    expect(page.get_by_role("button", name="Measure")).to_be_enabled()


def test_a_browser_without_webgpu_is_told_so_before_anything_is_tried(open_page: OpenPage) -> None:
    page = open_bench(open_page, init=WITHOUT_WEBGPU)
    expect(page.locator("#problem")).to_contain_text("WebGPU")
    expect(page.get_by_role("button", name="Measure")).to_be_disabled()


def test_a_large_shape_is_refused_where_the_cpu_renders(open_page: OpenPage) -> None:
    software = WITH_CARD.replace('vendor: "nvidia"', 'architecture: "swiftshader"')
    page = open_bench(open_page, init=software)
    measure(page, "e2b")
    expect(page.locator("#problem")).to_contain_text("only the CPU")
    assert page.evaluate("window.received") == []


def test_on_a_phone_nothing_is_wider_than_the_screen(open_page: OpenPage) -> None:
    phone = {"viewport": {"width": 360, "height": 740}}
    page = open_bench(
        open_page, text='"a b c d ".repeat(3)', profile=a_profile(), context_options=phone
    )
    measure(page, "e2b")
    expect(page.locator("#results")).to_be_visible(timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
