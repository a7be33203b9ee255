"""Answers as Markdown in <leadout-chat>: safe, the same streamed or whole, branches, copying."""

from __future__ import annotations

import json
import re
from typing import Any

from attacks import ATTACKS, watch
from pages import Chat, OpenPage
from playwright.sync_api import Page, expect
from test_widget import events, open_widget

MARKDOWN = """# A heading

Some **bold**, *slanted* and `code`, with [a link](https://example.com/a "x") and
a line break. See [below].

- one
- two

  with a paragraph

3. three
4. four
   - inner

```python
def f(x):
    return x  # [no](https://link)

```

| name | number |
|:-----|-------:|
| a    |      1 |

> A quote

![a picture](https://example.com/p.png)

    indented code

***

[below]: https://example.com/below
"""

#: What may stand in an answer, and with which attributes; the rest is ours to explain.
ALLOWED: dict[str, set[str]] = {
    "a": {"href", "target", "rel", "title"},
    "button": {"type", "class"},
    "code": {"class"},
    "div": {"class", "tabindex", "role", "aria-label"},
    "ol": {"start"},
    "pre": {"tabindex", "role", "aria-label"},
    "td": {"align"},
    "th": {"align"},
}
PLAIN = (
    *("p", "br", "hr", "strong", "em", "s", "blockquote", "ul", "li", "h3", "h4", "h5", "h6"),
    *("table", "thead", "tbody", "tr", "span"),
)
ALLOWED |= {name: set() for name in PLAIN}

ELEMENTS = """
() => [...document.querySelector("leadout-chat").shadowRoot.querySelectorAll(".content *")]
  .map((element) => [
    element.localName,
    Object.fromEntries([...element.attributes].map(({ name, value }) => [name, value])),
  ])
"""


#: What texts are drawn from, to be cut anywhere.
PIECES = [
    *(
        "word ",
        "\n",
        "\n\n",
        "- item\n",
        "  - inner\n",
        "1. one\n",
        "2. two\n",
        "   more\n",
        "> quote\n",
    ),
    *(
        "```\ncode\n",
        "```\n",
        "~~~x\n",
        "| a | b |\n|---|---|\n",
        "| 1 | 2 |\n",
        "# head\n",
        "===\n",
    ),
    *("---\n", "    indented\n", "**bold", "** ", "[x]", "[x]: https://a.b\n", "(https://c.d)"),
    *("<b>", "`", "*", "\\", "  \n", "\t", "https://e.f/g ", "![i](https://h.i/j)", "&amp;"),
    *("<!-- ", "-->\n", "\r\n", "\u202e"),
]

#: Where a last line that is not whole yet looks like something else.
DELICATE = [
    "1. one\n\n2. two\n\n3. three\n\nend",
    "- a\n\n  b\n\n- c\n\n\n- d\n      code\n\n    e\n",
    "- a\n\n--\n\n---\n\n* * *\n- b",
    "> a\nb\n\n> c\n> - d\n> \n> e\n",
    "a\n=\n\nb\n-\n\n# c\n#d\n",
    "```\na\n\n``\n```\n\n    b\n\n\n    c\n",
    "| a |\n|---|\n| b |\n\n| c |\n|--\n",
    "[a] [b]\n\n[a]: https://a.b\n[b]: <https://c.d>\n'x'\n\n[a]",
]

#: Shows drawn texts as they come, a letter at a time, and whole; gives those that differ.
DRAWN = """
async ([given, pieces, rounds]) => {
  const { AnswerText } = await importApp("widget/answer_text.js");
  const { Markdown } = await importApp("widget/markdown.js");
  const markdown = await Markdown.load();
  let state = 7;
  const draw = (count) => (state = (state * 1103515245 + 12345) % 2147483648) % count;
  performance.now = () => 0; // as if it took no time: each letter is shown at once
  const differing = [];
  const drawn = Array.from({ length: rounds }, () =>
    Array.from({ length: 4 + draw(9) }, () => pieces[draw(pieces.length)]).join(""));
  for (const text of [...given, ...drawn]) {
    const [streamed, whole] = [new AnswerText(), new AnswerText(text)];
    for (const one of [streamed, whole]) one.setMarkdown(markdown);
    for (const letter of text) {
      streamed.append([{ text: letter, reasoning: "", is_draft: false }]);
    }
    streamed.finish();
    if (streamed.element.innerHTML !== whole.element.innerHTML) differing.push(text);
  }
  return differing;
}
"""


def check_elements(page: Page) -> None:
    """Assert that there is nothing but what Markdown may become."""
    elements: list[tuple[str, dict[str, str]]] = page.evaluate(ELEMENTS)
    assert elements
    for name, attributes in elements:
        assert name in ALLOWED, name
        assert set(attributes) <= ALLOWED[name], (name, attributes)
        if "href" in attributes:
            assert re.match(r"https?://|mailto:", attributes["href"]), attributes
            assert attributes["rel"] == "noopener noreferrer nofollow"
        if name == "code" and "class" in attributes:
            assert re.fullmatch(r"language-[\w+#.-]+", attributes["class"])


def open_chat(open_page: OpenPage, **options: Any) -> Chat:
    chat = open_widget(open_page, {"mode": "chat"}, **options)
    chat.value("chat.settings = { max_tokens: 20000 }")
    return chat


def ask(chat: Chat, question: str, num_messages: int) -> None:
    """Send a message by the keyboard, and wait for the answer."""
    message = chat.page.get_by_role("textbox", name="Message", exact=True)
    message.fill(question)
    message.press("Enter")
    chat.wait_until(f"chat.messages.length === {num_messages} && chat.state === 'ready'")


def test_no_text_becomes_markup_that_runs_or_fetches(open_page: OpenPage) -> None:
    assert len(ATTACKS) >= 100
    # Several parse differently beside others, so: each alone as a message, then all in one stream.
    chat = open_chat(open_page, text="\n\n".join(text for _, text in ATTACKS), context_options={})
    found = watch(chat.page)
    messages = [
        {"role": role, "content": text, "reasoning_content": text}
        for _, text in ATTACKS
        for role in ("assistant", "user")
    ]
    calls = [{"id": "1", "type": "function", "function": {"name": text, "arguments": text}}
             for _, text in ATTACKS]  # fmt: skip
    for start in range(0, len(messages), 40):
        part = messages[start : start + 40]
        part[0] = {**part[0], "tool_calls": calls[start // 2 : start // 2 + 20]}
        chat.element.evaluate("(chat, messages) => { chat.messages = messages; }", part)
        expect(chat.page.locator(".content.markdown")).to_have_count(len(part) // 2)
        check_elements(chat.page)
    chat.value("chat.messages = []")
    ask(chat, ATTACKS[0][1], 2)
    check_elements(chat.page)
    text = chat.page.locator("[part=answer] .content").inner_text()
    assert "⟦U+202E⟧" in text
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\ufeff]", text)
    # Somebody clicks on everything that is no link.
    chat.page.locator(".copy-code").last.click()
    assert found == []


def test_a_streamed_answer_is_the_whole_one_and_leaves_what_stands_alone(
    open_page: OpenPage,
) -> None:
    chat = open_chat(open_page, text=MARKDOWN, tokensPerSecond=150)
    message = chat.page.get_by_role("textbox", name="Message", exact=True)
    message.fill("Show me")
    message.press("Enter")
    content = chat.page.locator("[part=answer] .content")
    # The heading's own node is still there in the end, and nothing below the log has moved.
    heading = content.locator("h3").element_handle()
    top = chat.page.locator("[part=actions]").bounding_box()
    chat.wait_until("chat.continuation.includes('indented')")
    chat.wait_for_state("ready")
    assert heading is not None
    assert heading.evaluate("node => node.isConnected")
    assert chat.page.locator("[part=actions]").bounding_box() == top
    streamed = content.inner_html()
    chat.value("chat.conversation = chat.conversation")
    assert content.inner_html() == streamed
    check_elements(chat.page)
    assert content.locator("a").evaluate_all("links => links.map((link) => link.href)") == [
        "https://example.com/a",
        "https://example.com/below",
        "https://example.com/p.png",
    ]
    assert content.locator("td").last.get_attribute("align") == "right"
    assert content.locator("ol").first.get_attribute("start") == "3"


def test_any_text_is_the_same_streamed_and_whole(open_page: OpenPage) -> None:
    chat = open_chat(open_page)
    assert chat.page.evaluate(DRAWN, [DELICATE, PIECES, 100]) == []


def test_drafted_tokens_can_be_seen_letter_for_letter(open_page: OpenPage) -> None:
    chat = open_chat(open_page, text="**one** two three four five")
    ask(chat, "Go", 2)
    content = chat.page.locator("[part=answer] .content")
    expect(content.locator("strong")).to_have_text("one")
    chat.value("chat.settings = { mark_drafts: true }")
    expect(content).to_have_text("**one** two three four five")
    expect(content.locator("strong")).to_have_count(0)
    chat.value("chat.settings = { mark_drafts: false }")
    expect(content.locator("strong")).to_have_text("one")


def test_questions_and_answers_have_versions(open_page: OpenPage) -> None:
    chat = open_chat(open_page, text="An answer.")
    page = chat.page
    ask(chat, "First", 2)
    ask(chat, "Second", 4)
    page.locator("[part=answer] .regenerate").first.click()
    chat.wait_until("chat.messages.length === 2 && chat.state === 'ready'")
    expect(page.locator(".place").nth(1)).to_have_text("2/2")
    page.get_by_role("button", name="Previous version").click()
    # What followed the first answer is there again.
    assert [message["content"] for message in chat.value("chat.messages")] == [
        *("First", "An answer.", "Second", "An answer."),
    ]
    expect(page.get_by_role("button", name="Next version")).to_be_focused()
    page.locator("[part=question] .edit").last.click()
    editor = page.get_by_role("textbox", name="Your message, to be sent again")
    editor.fill("Second, again")
    editor.press("Enter")
    chat.wait_until("chat.state === 'ready' && chat.messages[2]?.content === 'Second, again'")
    expect(page.locator(".place").nth(2)).to_have_text("2/2")
    state = chat.value("chat.conversation")
    assert len(state["messages"]) == 7
    page.evaluate(
        """() => {
          window.changes = [];
          addEventListener("leadout-conversation", ({ detail }) => changes.push(detail));
        }"""
    )
    chat.element.evaluate("(chat, state) => { chat.conversation = state; }", state)
    assert chat.value("chat.conversation") == state
    assert page.evaluate("changes") == []  # a page that sets a conversation is not told of it
    page.get_by_role("button", name="Take back").click()
    (change,) = page.evaluate("changes")
    assert len(change["removed"]) == 2
    assert chat.value("chat.messages.length") == 4
    assert chat.value("chat.messages[2].content") == "Second"


def test_a_system_prompt_and_tools_go_along_and_calls_are_shown(open_page: OpenPage) -> None:
    call = {"name": "price", "arguments": '{"coin": "BTC"}'}
    chat = open_chat(open_page, text="Let me see.", calls=[call])
    chat.page.evaluate(
        """() => {
          const chat = document.querySelector("leadout-chat");
          chat.settings = { system_prompt: "Be brief." };
          chat.tools = [{ type: "function", function: { name: "price", parameters: {} } }];
          const { create } = chat.engine.chat.completions;
          chat.engine.chat.completions.create = (params) => {
            window.asked = params.messages;
            return create.call(chat.engine.chat.completions, params);
          };
        }"""
    )
    ask(chat, "BTC?", 2)
    assert chat.page.evaluate("window.asked") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "BTC?"},
    ]
    summary = chat.page.locator("[part=tool-call] summary")
    expect(summary).to_have_text("Calls price")
    summary.click()
    expect(chat.page.locator("[part=tool-call] pre")).to_have_text('{\n  "coin": "BTC"\n}')
    (finish,) = events(chat, "leadout-finish")
    assert finish["tool_calls"][0]["function"] == call


def test_code_and_messages_are_copied(open_page: OpenPage) -> None:
    options = {"permissions": ["clipboard-read", "clipboard-write"]}
    chat = open_page(path="examples/embed.html", wait_for="idle", context_options=options)
    chat.value("(chat.mode = 'chat', 0)")
    content = "Look:\n\n```js\nlet a = 1;\n```"
    chat.value(f"(chat.messages = [{{ role: 'assistant', content: {json.dumps(content)} }}], 0)")
    chat.page.locator(".copy-code").click()
    expect(chat.page.locator(".copy-code")).to_have_text("Copied")
    assert chat.page.evaluate("navigator.clipboard.readText()") == "let a = 1;\n"
    chat.page.locator(".copy-message").click()
    expect(chat.page.locator(".copy-message")).to_have_text("Copied")
    assert chat.page.evaluate("navigator.clipboard.readText()") == content


#: Scrolls a log up so many times. For each: how many turns were refreshed, how far the text moved.
SCROLL_UP = """async (log, count) => {
  const turns = () => [...log.querySelectorAll("article")];
  const frame = () => new Promise(requestAnimationFrame);
  const steps = [];
  for (let step = 0; step < count; step++) {
    let refreshed = 0;
    const observer = new MutationObserver((changes) => {
      refreshed += changes.filter(({ target }) => target.className === "place").length;
    });
    observer.observe(log, { childList: true, subtree: true });
    log.scrollTop = 0;
    const before = turns();
    const top = before[0].getBoundingClientRect().top;
    while (turns().length === before.length) await frame();
    for (let i = 0; i < 3; i++) await frame();
    observer.disconnect();
    const moved = before[0].getBoundingClientRect().top - top;
    const drawn = turns().filter((turn) => turn.checkVisibility({ contentVisibilityAuto: true }));
    steps.push({ refreshed, moved, turns: turns().length, laid_out: drawn.length });
  }
  return steps;
}"""


def test_ten_thousand_messages_open_at_once_and_earlier_ones_come_by_scrolling(
    open_page: OpenPage,
) -> None:
    chat = open_chat(open_page)
    chat.value(
        """(chat.messages = Array.from({ length: 10000 }, (_, index) => ({
          role: index % 2 ? "assistant" : "user", content: `**${index}** is the number`,
        })), 0)"""
    )
    log = chat.page.get_by_role("log")
    expect(log).to_contain_text("9999 is the number")
    assert log.locator("article").count() < 100
    steps = log.evaluate(SCROLL_UP, 5)
    assert all(step["refreshed"] == 0 for step in steps)  # turns that were there stay as they were
    assert all(abs(step["moved"]) < 2 for step in steps)
    assert 0 < steps[-1]["laid_out"] < 200 < steps[-1]["turns"]  # the others are skipped
    ask(chat, "One more", 10_002)
    assert log.locator("article").count() < 300
    # Another question in the midst of a group: what came before it stays, in order.
    log.locator("article .edit").nth(5).click()
    chat.page.get_by_role("button", name="Send again").click()
    chat.wait_until("chat.messages.length < 9_900 && chat.state === 'ready'")
    shown = [re.sub(r"\D", "", text) for text in log.locator("article .content").all_inner_texts()]
    said = [re.sub(r"\D", "", message["content"]) for message in chat.value("chat.messages")]
    assert shown == said[-len(shown) :]
