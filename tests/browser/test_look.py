import json
from pages import *
from test_chat_text import MARKDOWN
INFO = {"has_chat_template": True, "context_length": 2048}
def test_look(open_page):
    for name, opts in [("d-dark", dict(viewport=dict(width=1280,height=900), color_scheme="dark")), ("p-light", dict(viewport=dict(width=390,height=844), color_scheme="light"))]:
        chat = open_page(models=[LISTED_NANO, *LISTED_WITH_DRAFTER], info=INFO, text=json.dumps(MARKDOWN), tokensPerSecond=60, context_options=opts, reasoning="I think so. "*30)
        page = chat.page
        chat.wait_until("chat.continuation.length > 150")
        page.screenshot(path=f"/tmp/chat/{name}-desk-stream.png")
        chat.wait_for_state("ready")
        chat.value("(chat.scrollIntoView(), 0)")
        page.screenshot(path=f"/tmp/chat/{name}-desk-done.png")
        page.select_option("#model", "1")
        chat.wait_until("chat.state === 'ready'")
        page.get_by_role("button", name="New chat").click()
        page.evaluate("scrollTo(0,0)")
        page.screenshot(path=f"/tmp/chat/{name}-empty.png")
        page.get_by_text("Settings", exact=True).click()
        page.screenshot(path=f"/tmp/chat/{name}-settings.png", full_page=True)
