# A logits processor sees what the model is about to choose from, and changes it.
import math

from leadout import load

engine = await load("nano")
led = [id for id in range(engine.vocab_size) if "led" in engine.decode([id])]


def never_led(ids, logits):
    """`ids` is all text so far, `logits` has a number for each token. Minus infinity rules one out."""
    for id in led:
        logits[id] = -math.inf


prompt = [{
    "role": "user",
    "content": """Table:
asset,price,1d,7d
BTC,81658,+2.0%,+5.1%
ETH,2382.34,+1.1%,-0.4%
SOL,86.74,+3.1%,+8.2%

Write the market brief.""",
}]
for name, processors in (("as it is", []), ("never \"led\"", [never_led])):
    answer = await engine.generate(prompt, max_tokens=40, processors=processors)
    print(f"{name}: {answer.text.strip()}\n")

# Drafts change the speed, never the text: with a processor, too.
plain = await engine.generate(prompt, max_tokens=40, processors=[never_led], drafter="none")
print("the same without drafts:", plain.tokens == answer.tokens)
await engine.close()
