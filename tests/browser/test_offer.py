"""What the page says of a model from elsewhere before a byte of its weights is fetched."""

from __future__ import annotations

from typing import Any

import pytest
from pages import Chat, OpenPage
from playwright.sync_api import Route, expect

REPO = "google/gemma-4-E2B-it-qat-q4_0-gguf"
DRAFTER = "google/gemma-4-E2B-it-qat-q4_0-unquantized-assistant"

#: What a hub lists, by repository: file name → bytes.
HUB = {
    REPO: {"gemma-4-E2B-it-q4_0.gguf": 2_744_000_000},
    DRAFTER: {"config.json": 1_000, "model.safetensors": 155_000_000},
}


def context(context_length: int, total_bytes: int, *, fits: bool = True) -> dict[str, Any]:
    return {
        "context_length": context_length,
        "kv_cache_bytes": 9_000_000,
        "total_bytes": total_bytes,
        "fits": fits,
    }


FORECAST = {
    "model": "gemma-4-E2B-it-q4_0.gguf",
    "drafter": "gemma4_assistant",
    "file_bytes": 2_899_000_000,
    "read_bytes": 2_700_000_000,
    "memory": {"total_bytes": 3_100_000_000},
    "device_bytes": None,
    "context_length": 4096,
    "kv_dtype": "f32",
    "max_context_length": 32768,
    "contexts": [
        context(4096, 3_100_000_000),
        context(32768, 3_350_000_000),
        context(65536, 3_700_000_000, fits=False),
    ],
    "fits": True,
    "problem": None,
    "probe": {
        "decode_tokens_per_s": 44.7,
        "cycle_ms": {"0": 22.4, "3": 35.0},
        "context_length": 512,
        "probe_ms": 2100,
    },
}
SIZE = "2.90 GB to fetch from huggingface.co (gemma-4-E2B-it-q4_0.gguf), drafter included."
MEMORY = "3.10 GB of GPU memory with 4,096 tokens of context, 3.35 GB with 32,768;"
SPEED = "About 45 tokens a second here, more when drafts are accepted."
#: The folder that the site has, which goes by no other name there.
ASSETS = "/app%2D00000000/"


def answer_hub(route: Route) -> None:
    """Answer as the public hub does; nothing but a listing is asked for."""
    repo = "/".join(route.request.url.split("?")[0].split("/")[5:7])
    files = HUB[repo]
    siblings = [{"rfilename": name, "size": size} for name, size in files.items()]
    route.fulfill(
        json={"id": repo, "sha": "a" * 40, "gated": False, "siblings": siblings},
        headers={"access-control-allow-origin": "*"},
    )


def choose(chat: Chat) -> None:
    """Pick the first known model."""
    chat.page.route("https://huggingface.co/api/models/**", answer_hub)
    chat.page.locator("#model").select_option(label="Gemma 4 E2B")


def test_what_a_known_model_takes_is_read_before_it_is_fetched(open_page: OpenPage) -> None:
    # Long enough for what comes before to be seen on a busy machine.
    chat = open_page(forecast=FORECAST, probeMs=3000)
    chat.element.evaluate(
        """(chat, assets) => {
          chat.loadOptions = { contextLength: 8192, kvDtype: "f16", runAhead: 2 };
          chat.setAttribute("assets", assets);
        }""",
        ASSETS,
    )
    choose(chat)
    expect(chat.notice).to_contain_text(SIZE)
    expect(chat.notice).to_contain_text(MEMORY)
    expect(chat.notice).to_contain_text("Measuring its speed here…")
    get = chat.notice.get_by_role("button", name="Get", exact=True)
    get.focus()
    expect(chat.notice).to_contain_text(SPEED)
    # Who was about to press it still is.
    expect(get).to_be_focused()
    words = chat.notice.locator("[aria-live=polite]")
    assert words.inner_text().split("\n\n") == [
        "gemma-4-e2b",
        SIZE,
        f"{MEMORY} the browser does not say how much there is.",
        SPEED,
    ]
    assert len(chat.received("load")) == 1  # the site's own
    (estimate,) = chat.received("estimate")
    assert (estimate["probe"], estimate["drafter"]["files"][1]["size"]) == ("auto", 155_000_000)
    assert estimate["options"] == {"context_length": 8192, "kv_dtype": "f16"}
    chat.page.keyboard.press("Enter")
    _, load = chat.wait_for_loads(2)
    assert load["model"]["source"] == f"hf:{REPO}"
    assert load["drafter"]["source"] == f"hf:{REPO}#drafter"
    assert estimate["options"].items() <= load["options"].items()
    assert chat.received("boot")[1]["assets"].endswith(f"{ASSETS}assets.json")


def test_what_does_not_fit_or_cannot_be_read_is_said_in_its_place(open_page: OpenPage) -> None:
    problem = "It takes more than one binding may have. Take a shorter context_length."
    unfit = {**FORECAST, "fits": False, "problem": problem, "probe": None}
    chat = open_page(forecast=unfit)
    choose(chat)
    expect(chat.notice).to_contain_text(problem)
    expect(chat.notice).not_to_contain_text("tokens a second")
    chat = open_page(forecast={**FORECAST, "device_bytes": 8_000_000_000})
    choose(chat)
    expect(chat.notice).to_contain_text(f"{MEMORY} there are 8.00 GB.")
    chat = open_page()  # which has no forecast
    choose(chat)
    expect(chat.notice).to_contain_text("That request does not work: No forecast was given.")
    expect(chat.notice).to_contain_text(SIZE)


def test_another_choice_ends_the_forecast(open_page: OpenPage) -> None:
    chat = open_page(forecast=FORECAST, probeMs=60_000)
    choose(chat)
    expect(chat.notice).to_contain_text("Measuring its speed here…")
    workers = len(chat.page.workers)
    chat.page.locator("#model").select_option("1")
    expect(chat.notice).to_be_hidden()
    chat.wait_for_loads(2)
    chat.wait_for_state("ready")
    assert len(chat.page.workers) == workers


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_the_forecast(open_page: OpenPage, scheme: str) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "color_scheme": scheme}
    chat = open_page(forecast=FORECAST, context_options=phone)
    choose(chat)
    expect(chat.notice).to_contain_text(SPEED)
    fetch = chat.page.get_by_role("button", name="Fetch only")
    expect(fetch).to_be_visible()
    assert chat.page.evaluate("document.documentElement.scrollWidth") == 360
    assert all(
        button.bounding_box()["height"] >= 44  # type: ignore[index]
        for button in (fetch, chat.notice.get_by_role("button", name="Get", exact=True))
    )
