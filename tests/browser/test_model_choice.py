"""Which model the page takes: from the disk, by URL, from a site's list."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages import WITH_ADAPTER, OpenPage
from playwright.sync_api import expect


def test_a_file_from_the_disk_loads(open_page: OpenPage, tmp_path: Path) -> None:
    chat = open_page(models=[], wait_for=None)
    file = tmp_path / "mine.gguf"
    file.write_bytes(b"GGUF")
    with chat.page.expect_file_chooser() as chooser:
        chat.page.get_by_role("button", name="Open a file").click()
    chooser.value.set_files(file)
    chat.wait_for_state("ready")
    (load,) = chat.received("load")
    assert load["model"]["name"] == "mine"
    assert [file["name"] for file in load["model"]["files"]] == ["mine.gguf"]
    assert chat.page.locator("#model option:checked").inner_text() == "mine.gguf"


def test_dropped_files_load_as_one_model(open_page: OpenPage) -> None:
    chat = open_page()
    drag = chat.page.evaluate_handle(
        """() => {
          const data = new DataTransfer();
          for (const name of ["config.json", "model.safetensors", "tokenizer.json"]) {
            data.items.add(new File(["{}"], name));
          }
          return data;
        }"""
    )
    chat.page.dispatch_event("body", "dragover", {"dataTransfer": drag})
    expect(chat.page.get_by_text("Drop a model")).to_be_visible()
    chat.page.dispatch_event("body", "drop", {"dataTransfer": drag})
    expect(chat.page.get_by_text("Drop a model")).to_be_hidden()
    _, load = chat.wait_for_loads(2)
    names = [file["name"] for file in load["model"]["files"]]
    assert names == ["config.json", "model.safetensors", "tokenizer.json"]
    chat.wait_for_state("ready")


#: Lets a drop hold folders, which no script can make.
WITH_FOLDERS = """
const folder = (name, files) => ({
  name, isFile: false, isDirectory: true,
  createReader: () => {
    const batches = [files.map((file) => ({
      name: file, isFile: true, file: (resolve) => resolve(new File(["{}"], file)),
    })), []];
    return { readEntries: (resolve) => resolve(batches.shift()) };
  },
});
const dropped = [
  folder("gemma-assistant", ["config.json", "model.safetensors"]),
  folder("gemma", ["config.json", "model.safetensors", "tokenizer.json"]),
];
DataTransferItem.prototype.webkitGetAsEntry = () => dropped.shift();
"""


def test_two_dropped_folders_load_as_a_model_and_its_drafter(open_page: OpenPage) -> None:
    chat = open_page(init=WITH_ADAPTER + WITH_FOLDERS)
    drag = chat.page.evaluate_handle(
        """() => {
          const data = new DataTransfer();
          for (const name of ["gemma-assistant", "gemma"]) data.items.add(new File([""], name));
          return data;
        }"""
    )
    chat.page.dispatch_event("body", "drop", {"dataTransfer": drag})
    _, load = chat.wait_for_loads(2)
    assert load["model"]["name"] == "gemma"
    names = [file["name"] for file in load["model"]["files"]]
    assert names == ["config.json", "model.safetensors", "tokenizer.json"]
    assert load["drafter"]["name"] == "gemma-assistant"
    assert chat.page.locator("#model option:checked").inner_text() == "gemma and 4 more"


def test_characters_that_turn_a_name_around_are_shown(open_page: OpenPage) -> None:
    chat = open_page()
    chosen = chat.page.locator("#model option:checked")
    chat.page.get_by_role("button", name="Name or URL").click()
    chat.page.locator("#url").fill("https://models.example/%E2%80%AEfugg.exe.gguf")
    chat.page.keyboard.press("Enter")
    expect(chosen).to_have_text("⟦U+202E⟧fugg.exe.gguf")
    file = {"name": "good\u202efugg.txt", "mimeType": "text/plain", "buffer": b"hello"}
    chat.page.locator("#file").set_input_files(file)
    expect(chosen).to_have_text("good⟦U+202E⟧fugg.txt")
    expect(chat.notice).to_contain_text("the files given are: good⟦U+202E⟧fugg.txt")


def test_files_that_are_no_model_are_named_in_the_error(open_page: OpenPage) -> None:
    chat = open_page()
    chat.page.locator("#file").set_input_files(
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"hello"}
    )
    chat.wait_for_state("failed")
    expect(chat.notice).to_contain_text("the files given are: notes.txt")


def test_a_url_loads_once_somebody_says_so(open_page: OpenPage) -> None:
    chat = open_page()
    chat.page.get_by_role("button", name="Name or URL").click()
    chat.page.keyboard.type("https://models.example/some/gemma.gguf?download=true")
    chat.page.keyboard.press("Enter")
    expect(chat.notice).to_contain_text("To be fetched from models.example.")
    chat.notice.get_by_role("button", name="Get", exact=True).click()
    _, load = chat.wait_for_loads(2)
    assert load["model"] == {
        "name": "gemma",
        "source": "https://models.example/some/gemma.gguf?download=true",
        "files": [
            {
                "name": "gemma.gguf",
                "url": "https://models.example/some/gemma.gguf?download=true",
            }
        ],
    }
    chat.wait_for_state("ready")


@pytest.mark.parametrize(
    ("text", "at_field", "in_widget"),
    [
        (
            "https://models.example/some/%E0%A4%A.gguf",
            "% must be followed by two hex digits",
            '"%E0%A4%A.gguf" is malformed: in an address',
        ),
        (
            "javascript:alert(1)",
            "Wanted owner/name, or a URL",
            "is not the address of a model",
        ),
    ],
)
def test_what_is_no_address_is_said_by_page_and_widget(
    open_page: OpenPage, text: str, at_field: str, in_widget: str
) -> None:
    chat = open_page()
    chat.page.get_by_role("button", name="Name or URL").click()
    chat.page.keyboard.type(text)
    chat.page.keyboard.press("Enter")
    assert at_field in chat.page.locator("#url").evaluate("input => input.validationMessage")
    assert len(chat.received("load")) == 1
    chat.element.evaluate("(chat, text) => { chat.model = text; chat.load(); }", text)
    chat.wait_for_state("failed")
    expect(chat.notice).to_contain_text(in_widget)


def test_a_site_without_models_says_how_to_go_on(open_page: OpenPage) -> None:
    chat = open_page(models=[], wait_for="idle")
    expect(chat.page.locator("#model")).to_contain_text("No models here: open a file")
    expect(chat.send).to_be_disabled()
    assert chat.received("boot") == []


def test_a_list_of_models_that_cannot_be_read_is_said(open_page: OpenPage) -> None:
    chat = open_page()
    chat.page.route("**/models/index.json", lambda route: route.fulfill(status=500))
    chat.page.reload()
    expect(chat.page.locator("#models-problem")).to_contain_text("answered 500")


def test_a_cancelled_load_stays_cancelled_and_is_offered_again(open_page: OpenPage) -> None:
    chat = open_page(loadMs=60_000, wait_for="loading_weights")
    chat.page.get_by_role("button", name="Cancel").click()
    chat.wait_for_state("idle")
    expect(chat.notice).to_contain_text("253 MB, to be loaded into this tab.")
    expect(chat.loading).to_be_hidden()
    chat.notice.get_by_role("button", name="Load model").click()
    chat.wait_for_state("loading_weights")
