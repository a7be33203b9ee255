from leadout import load

engine = await load("nano")
print("Runs on", engine.info["device"], "with the drafter", engine.info["drafter"]["name"])

messages = [{
    "role": "user",
    "content": """Table:
asset,price,1d,7d
BTC,81658,+2.0%,+5.1%
ETH,2382.34,+1.1%,-0.4%
SOL,86.74,+3.1%,+8.2%

Write the market brief.""",
}]
stream = engine.stream(messages, max_tokens=120)
async for piece in stream:
    print(piece, end="")

stats = stream.result.stats
print()
print(f"\n{stats.decode_tokens_per_s:.0f} tokens/s, {stats.tokens_per_cycle:.1f} tokens per pass")
await engine.close()
