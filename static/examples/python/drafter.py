# A drafter proposes what may come next. The model checks all of it in one pass, so a good one saves time, and a bad one
# changes nothing but the time.
from leadout import load

engine = await load("nano", drafter="given")
prompt = [{"role": "user", "content": "Table:\nasset,price,1d\nBTC,81658,+2.0%\n\nWrite the market brief."}]
plain = await engine.generate(prompt, max_tokens=60)


def what_followed(ids):
    """Find the last two tokens where they stood before, and propose what came after them there."""
    for at in range(len(ids) - 3, 0, -1):
        if ids[at - 1 : at + 1] == ids[-2:]:
            return ids[at + 1 : at + 6]
    return []


for name, drafter in (("looks back", what_followed), ("knows it all", lambda ids: plain.tokens[len(ids) - len(plain.prompt_tokens) :])):
    drafted = await engine.generate(prompt, max_tokens=60, drafter=drafter)
    stats = drafted.stats
    print(
        f"{name}: {stats.accepted_tokens} of {stats.drafted_tokens} drafts accepted, "
        f"{stats.cycles} passes instead of {plain.stats.cycles}; the same text: {drafted.tokens == plain.tokens}"
    )
await engine.close()
