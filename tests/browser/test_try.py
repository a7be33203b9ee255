import json, sys, time
from pages import *
TEXT = r'''Some **bold** text.

```python
def f(x):
    return x + 1
```
'''
def test_try(open_page):
    for (name, opts) in [("d-light", dict(viewport=dict(width=1280,height=900))), ("p-dark", dict(viewport=dict(width=390,height=844), color_scheme="dark"))]:
        chat = open_page(text=json.dumps(TEXT), info={"has_chat_template": True}, context_options=opts, tokensPerSecond=400)
        page = chat.page
        page.on("console", lambda m: print("CONSOLE", m.text))
        for q in ["What is this?", "Another one <b>x</b> ‮evil", "Third"]:
            page.locator("#chat-new").click()
            m = chat.page.get_by_role("textbox", name="Message")
            m.fill(q); m.press("Enter")
            chat.wait_until("chat.messages.length === 2 && chat.state === 'ready'")
        page.wait_for_timeout(500)
        if name[0]=="p": page.locator("#chats-toggle").click()
        page.locator("#chats-list .menu").first.click()
        page.screenshot(path=f"/tmp/chat/{name}-list.png")
        page.reload()
        chat.wait_for_state("ready")
        print(chat.value("chat.messages"))
        page.screenshot(path=f"/tmp/chat/{name}-reload.png", full_page=True)
        if name[0]=="p": page.locator("#chats-toggle").click()
        page.locator("#chats-search").fill("bold")
        page.wait_for_timeout(400)
        print(page.locator("#chats-list .open").all_inner_texts())
        page.locator("#chats-list .menu").nth(1).click()
        page.locator("#chats-list .delete:visible").click()
        page.wait_for_timeout(500)
        print(page.locator("#chats-list .open").all_inner_texts(), page.locator("#chats-undo").inner_text())
        page.get_by_role("button", name="Undo").click()
        page.wait_for_timeout(600)
        if name[0]=="p": page.locator("#chats-toggle").click()
        print(page.locator("#chats-list .open").all_inner_texts(), chat.value("chat.messages.length"))
