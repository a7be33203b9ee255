# What the model says behind every token of a text. Where NumPy is loaded, leave `as_bytes` out: it is an array then.
from array import array

from leadout import load

engine = await load("nano")
text = "BTC gained 2.0%"
logits = await engine.logits(text, as_bytes=True)
ids = await engine.tokenize(text)
print(len(logits), "bytes:", len(ids), "rows of", engine.vocab_size, "logits")

values = array("f", logits)
for place, id in enumerate(ids):
    row = values[place * engine.vocab_size : (place + 1) * engine.vocab_size]
    best = max(range(len(row)), key=row.__getitem__)
    shown = engine.decode([id], skip_special_tokens=False)
    print(f"behind {shown!r:>12} the likeliest is {engine.decode([best])!r}")
await engine.close()
