import json, sys
from pages import *
TEXT = r'''# Heading one

Some **bold**, *em*, ~~gone~~ and `code` with a [link](https://example.com/a) and [bad](javascript:alert(1)) <b>html</b> ![pic](https://x.y/z.png)

1. one
2. two
   - nested

```python
def f(x):
    return x + 1  # a rather long line that goes on and on and on, so that somebody has to scroll it sideways
```

| a | b |
|---|--:|
| x | 1 |
| y | 22 |

> A quote, with hidden ‮evil‬ text.

The end.
'''
def test_try(open_page):
    for (name, opts) in [("d-light", dict(viewport=dict(width=1280,height=1600))), ("p-dark", dict(viewport=dict(width=390,height=1600), color_scheme="dark"))]:
        chat = open_page(text=json.dumps(TEXT), info={"has_chat_template": True}, context_options=opts, tokensPerSecond=400)
        m = chat.page.get_by_role("textbox", name="Message")
        m.fill("What is this?"); m.press("Enter")
        chat.wait_for_state("generating"); chat.wait_for_state("ready")
        stream = chat.page.locator("[part=answer] .content").inner_html()
        chat.page.locator("[part=answer] .regenerate").click()
        chat.wait_for_state("generating"); chat.wait_for_state("ready")
        chat.page.screenshot(path=f"/tmp/chat/{name}.png")
        whole = chat.value("(() => { chat.conversation = chat.conversation; return chat.shadowRoot.querySelector('[part=answer] .content').innerHTML; })()")
        print(whole)
        assert stream == whole
        print(chat.value("chat.messages"))
