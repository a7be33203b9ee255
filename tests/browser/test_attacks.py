"""Published attacks and our own, through every field that shows a text of somebody else's."""

from __future__ import annotations

import json
import re

from attacks import PUBLISHED, TEXTS, census, parts, watch
from pages import LISTED_MODELS, LISTED_NANO, OpenPage
from playwright.sync_api import expect
from test_chat_text import check_elements, open_chat
from test_kept_chats import CHATS, ask, import_file

#: Shows each text a letter at a time, and whole, in the element; gives those that differ.
STREAM = """
async (texts) => {
  const { AnswerText } = await importApp("widget/answer_text.js");
  const { Markdown } = await importApp("widget/markdown.js");
  const markdown = await Markdown.load();
  const shadow = document.querySelector("leadout-chat").shadowRoot;
  performance.now = () => 0; // as if it took no time: each letter is shown at once
  const differing = [];
  for (const text of texts) {
    const [streamed, whole] = [new AnswerText(), new AnswerText(text)];
    for (const one of [streamed, whole]) {
      shadow.append(one.element);
      one.setMarkdown(markdown);
    }
    for (const letter of text) {
      streamed.append([{ text: letter, reasoning: "", is_draft: false }]);
    }
    streamed.finish();
    if (streamed.element.innerHTML !== whole.element.innerHTML) differing.push(text);
  }
  return differing;
}
"""

#: Drops one file on the page.
DROP = """
(name) => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File(["GGUF"], name));
  document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, dataTransfer }));
}
"""

#: Writes each text into a table's header, as an asset and as a number; gives what the page says to
#: it, and whether all of that can be seen.
FILL = """
(texts) => {
  const [table, problem] = ["table", "table-problem"].map((id) => document.getElementById(id));
  const hidden = /[\\x00-\\x1f\\u200b\\u2028-\\u202e\\u2066-\\u2069]/;
  const tables = (text) =>
    [`asset,${text}\\nBTC,1`, `asset,price\\n${text},1`, `asset,price\\nBTC,${text}`];
  return texts.flatMap(tables).map((text) => {
    table.value = text;
    table.dispatchEvent(new Event("input", { bubbles: true }));
    const said = problem.textContent;
    return [said, problem.children.length === 0 && !hidden.test(said)];
  });
}
"""

#: Answers with the question, or fails with it.
ECHO = """({ messages }) => {
  const { content } = messages.at(-1);
  if (content.startsWith("Fail")) throw { name: "RequestError", message: content };
  return content;
}"""

ALL = " ".join(TEXTS)


def test_each_text_alone_is_harmless_as_an_answer_streamed_and_whole(open_page: OpenPage) -> None:
    assert len(PUBLISHED) > 400
    chat = open_chat(open_page, context_options={})
    found = watch(chat.page)
    assert chat.page.evaluate(STREAM, TEXTS) == []
    check_elements(chat.page)
    census(chat.page)
    assert found == []


def test_names_titles_presets_and_errors_stay_text(open_page: OpenPage) -> None:
    plain = census(open_page(info=CHATS).page)
    drafter = {"kind": "mtp", "name": ALL, "num_parameters": 1, "weights_bytes": 1}
    chat = open_page(
        models=[LISTED_MODELS[0], *({**LISTED_MODELS[1], "name": text} for text in TEXTS)],
        info={**CHATS, "name": ALL, "device": ALL, "drafter": drafter},
        text=ECHO,
    )
    page = chat.page
    found = watch(page)
    options = page.locator("#model option")
    assert options.count() > len(TEXTS)
    expect(chat.page.locator('[data-figure="adapter"]')).to_contain_text("<script>alert(123)")

    # An error, an answer and a title, all of what somebody typed; and a title typed alone.
    page.get_by_role("textbox", name="Message", exact=True).fill(f"Fail: {ALL}")
    page.keyboard.press("Enter")
    expect(chat.notice).to_contain_text("<script>alert(123)")
    assert census(page) == plain
    ask(chat, ALL, 2)
    page.locator("#chats-list").get_by_role("button", name="More for").first.click()
    page.locator("#chats-list").get_by_role("button", name="Rename").first.click()
    page.get_by_role("textbox", name="Name of the conversation").fill(ALL)
    page.keyboard.press("Enter")
    expect(page.locator("#chats-list .open").first).to_have_text(re.compile("^<script>"))
    assert census(page) == plain

    conversations = [
        {
            "id": f"{index:032x}",
            "title": text[:100],
            "is_named": True,
            "created_ms": index,
            "changed_ms": index,
            "leaf": None,
            "messages": [],
        }
        for index, text in enumerate(parts(80))
    ]
    file = {"format": "leadout-conversations", "version": 1, "conversations": conversations}
    import_file(page, json.dumps(file))
    expect(page.locator("#chats-toggle")).to_contain_text(f"({len(conversations) + 1})")

    page.get_by_text("Settings", exact=True).click()
    chat.element.evaluate("(chat, text) => { chat.settings = { system_prompt: text }; }", ALL)
    for name in parts(1000):
        page.get_by_label("Name of a new preset").fill(name)
        page.get_by_label("Name of a new preset").press("Enter")
    expect(page.locator("#preset option")).to_have_count(len(parts(1000)) + 4)
    for name in parts(4000):
        page.evaluate(DROP, name)
    expect(options.filter(has_text="Power")).to_have_count(2)  # one listed, one dropped
    assert census(page) == plain

    # What is kept is shown again.
    page.reload()
    chat.wait_for_state("ready")
    page.get_by_text("Settings", exact=True).click()
    expect(page.locator("#preset option")).to_have_count(len(parts(1000)) + 4)
    assert census(page) == plain
    assert found == []


def test_cells_of_a_table_stay_text(open_page: OpenPage) -> None:
    info = {**CHATS, "context_length": 2048}
    chat = open_page(models=[LISTED_NANO], info=info, text=ECHO, context_options={})
    chat.wait_until("chat.messages.length === 2 && chat.state === 'ready'")
    plain = census(chat.page)
    found = watch(chat.page)
    chat.page.get_by_label("Market table").fill(ALL)
    chat.page.get_by_role("textbox", name="Message").fill("Write a brief.")
    chat.send.click()
    expect(chat.page.locator("#table-problem")).to_be_visible()
    said = chat.page.evaluate(FILL, TEXTS)
    assert any("<script>" in problem for problem, _ in said)
    assert [problem for problem, is_plain in said if not is_plain] == []
    assert census(chat.page) == plain
    assert found == []
