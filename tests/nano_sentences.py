"""Sentences about tables, written and judged by hand, by the kind of what they claim."""

from __future__ import annotations

from leadout_build.cli.market_table import Table, parse_table

MARKET = parse_table(
    """\
asset,price,1d,7d,30d,vol,rsi,50d,200d
AAA,100.00,+2.00%,+5.00%,-1.00%,2.50x,75.0,+3.00%,+9.00%
BBB,50.00,-1.00%,-4.00%,-2.00%,0.80x,25.0,-2.00%,+1.00%
CCC,75.50,0.00%,+1.00%,-3.00%,2.00x,50.0,-6.00%,-8.00%
DDD,,+1.50%,,-4.00%,1.00x,70.0,+1.00%,
fear-and-greed index: 24"""
)
TIED = parse_table("asset,1d,rsi\nXX,+1.00%,30.0\nYY,+1.00%,70.0\nZZ,-1.00%,50.0")
ONE = parse_table("asset,price,1d\nAAA,1.00,0.00%")
GAPS = parse_table("asset,price,1d\nAAA,1.00,+1.00%\nBBB,2.00,")
MOVES = "+2.00% today and +5.00% this week"  # AAA's

#: Per kind of claim: true sentences, then false ones.
BY_HAND: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "value": (
        (
            "AAA trades at 100.00.",
            "AAA is at +2.00% today.",
            "This week, BBB stands at -4.00%.",
            "AAA trades at 2.50x its average volume.",
            "The RSI of BBB is 25.0.",
            "AAA is at +3.00% against its 50-day average.",
        ),
        (
            "AAA trades at 50.00.",
            "AAA trades at 100.0.",
            "DDD trades at 100.00.",
            "EEE trades at 100.00.",
            "AAA is at +2.00% this week.",
            "AAA is at -2.00% today.",
            "AAA is at +3.00% against its 200-day average.",
        ),
    ),
    "line": (
        (
            "AAA trades at 100.00, with +2.00% today, +5.00% this week and -1.00% this month.",
            "DDD is at +1.50% today and -4.00% this month.",
        ),
        (
            "AAA trades at 100.00, with +5.00% today and +2.00% this week.",
            "AAA is at +2.00% today and +2.00% on the day.",
            "DDD trades at 100.00, with +1.50% today and -4.00% this month.",
        ),
    ),
    "extreme": (
        (
            "AAA leads the day at +2.00%.",
            "AAA leads the month at -1.00%.",
            "BBB fell the most this week, at -4.00%.",
            "BBB has the lowest price at 50.00.",
            "The highest RSI belongs to AAA at 75.0.",
            "CCC is furthest below its 200-day average at -8.00%.",
            "The largest distance below the 200-day average is CCC's at -8.00%.",
            "Volume is lowest in BBB at 0.80x its average.",
        ),
        (
            "DDD leads the day at +1.50%.",
            "AAA gained the most this month, at -1.00%.",
            "AAA fell the most this week, at -4.00%.",
            "BBB has the highest price at 50.00.",
            "CCC has the lowest price at 75.50.",
            "BBB is furthest below its 200-day average at +1.00%.",
        ),
    ),
    "nobody": (
        ("No asset rose this month; the strongest is AAA at -1.00%.",),
        (
            "No asset rose today; the strongest is AAA at +2.00%.",
            "No asset rose this month; the strongest is BBB at -2.00%.",
            "No asset fell this month; the weakest is DDD at -4.00%.",
            "No asset fell this month; the weakest is AAA at -1.00%.",
        ),
    ),
    "list": (
        (
            "AAA (+2.00%) and DDD (+1.50%) are up today.",
            "Down today: BBB.",
            "Above the 50-day average: AAA (+3.00%) and DDD (+1.00%).",
            "Up today are AAA (+2.00%) and DDD (+1.50%).",
            "RSI is above 70 in AAA (75.0).",
            "Unusual volume: AAA (2.50x).",
        ),
        (
            "AAA (+2.00%) is up today.",
            "AAA (+2.00%), CCC (0.00%) and DDD (+1.50%) are up today.",
            "AAA (+1.50%) and DDD (+2.00%) are up today.",
            "AAA (+2.00%) and DDD (+1.50%) are down today.",
            "Down today: BBB and CCC.",
            "RSI is above 70 in AAA (75.0) and DDD (70.0).",
            "Unusual volume: AAA (2.50x) and CCC (2.00x).",
        ),
    ),
    "count": (
        (
            "Up today: AAA and DDD; that makes 2.",
            "Up today: AAA and DDD; that makes 2 of 4 assets.",
            "Up today: AAA and DDD. That makes 2 assets.",
            "No asset is up this month, so the count is 0.",
            "Oversold: BBB; that is 1.",
        ),
        (
            "Up today: AAA and DDD; that makes 3.",
            "Up today: AAA and DDD; that makes 1.",
            "Up today: AAA, CCC and DDD; that makes 3.",
            "Up today: AAA and DDD; that makes 2 of 5 assets.",
            "No asset is up this month, so the count is 1.",
            "No asset is up today, so the count is 0.",
            "Oversold: BBB; that is 2.",
        ),
    ),
    "none": (
        ("No asset is up this month.",),
        (
            "No asset is up today.",
            "No asset is overbought.",
            "No asset is below its 200-day average.",
            "No asset shows unusual volume.",
        ),
    ),
    "breadth": (
        ("2 of 4 assets are up today.", "2 of 4 assets are up today, led by AAA at +2.00%."),
        (
            "3 of 4 assets are up today.",
            "2 of 3 assets are up today.",
            "2 of 4 assets are up this week.",  # of one, nobody knows
            "2 of 4 assets are up today, led by DDD at +1.50%.",
            "1 of 4 assets is up today.",
        ),
    ),
    "every": (
        (
            "Every asset is down this month.",
            "All assets are down this month, with DDD weakest at -4.00%.",
        ),
        (
            "Every asset is up today.",
            "Every asset is up this month.",
            "All assets are down this month, with AAA weakest at -1.00%.",
            "Every asset is above its 50-day average.",
        ),
    ),
    "most": (
        ("Most assets are down this month, with DDD weakest at -4.00%.",),
        (
            "Most assets are up today, led by AAA at +2.00%.",  # two of four
            "Most assets are down this month, with CCC weakest at -3.00%.",
        ),
    ),
    "range": (
        (
            "Moves today range from BBB at -1.00% to AAA at +2.00%.",
            "The day is mixed, from BBB at -1.00% to AAA at +2.00%.",
            "Prices run from BBB at 50.00 to AAA at 100.00.",
        ),
        (
            "Moves today range from AAA at +2.00% to BBB at -1.00%.",
            "Moves today range from BBB at -1.00% to DDD at +1.50%.",
            "The month is mixed, from DDD at -4.00% to AAA at -1.00%.",
            "Prices run from CCC at 75.50 to AAA at 100.00.",
        ),
    ),
    "pair": (
        ("The day's leader is AAA at +2.00%; its laggard is BBB at -1.00%.",),
        (
            "The day's leader is BBB at -1.00%; its laggard is AAA at +2.00%.",
            "The week's leader is AAA at +2.00%; its laggard is BBB at -1.00%.",
            "The day's leader is AAA at +2.00%; its laggard is CCC at 0.00%.",
        ),
    ),
    "double": (
        ("Both the day and the week are led by AAA, at +2.00% and +5.00%.",),
        (
            "Last on both the day and the month is BBB, at -1.00% and -2.00%.",
            "Both the day and the week are led by AAA, at +5.00% and +2.00%.",
            "Both the day and the day are led by AAA, at +2.00% and +2.00%.",
        ),
    ),
    "covers": (
        ("The table covers 4 assets: AAA, BBB, CCC and DDD.",),
        (
            "The table covers 3 assets: AAA, BBB and CCC.",
            "The table covers 5 assets: AAA, BBB, CCC and DDD.",
        ),
    ),
    "compare": (
        (
            "AAA trades at 100.00 and BBB at 50.00, so AAA is higher.",
            "BBB is at -1.00% and AAA at +2.00% today, so AAA is stronger.",
            "RSI: BBB 25.0, CCC 50.0; CCC is higher.",
        ),
        (
            "AAA trades at 100.00 and BBB at 50.00, so BBB is higher.",
            "AAA trades at 50.00 and BBB at 100.00, so AAA is higher.",
            "AAA trades at 100.00 and BBB at 50.00, so CCC is higher.",
            "AAA trades at 100.00 and DDD at 50.00, so AAA is higher.",
            "RSI: CCC 50.0, CCC 50.0; CCC is higher.",
        ),
    ),
    "lines": (
        (f"AAA is at {MOVES}; DDD is at +1.50% today and -4.00% this month.",),
        (
            f"BBB is at {MOVES}; AAA is at -1.00% today and -4.00% this week.",
            f"AAA is at {MOVES}; AAA is at {MOVES}.",
            f"AAA shows {MOVES}, DDD shows +1.50% today and -4.00% this week.",
        ),
    ),
    "state": (
        (
            "Worth watching is an overbought AAA, with an RSI of 75.0.",
            "AAA is overbought: its RSI is 75.0, above 70.",
            "BBB has an RSI of 25.0, which is below 30, so it is oversold.",
            "DDD has an RSI of 70.0, between 30 and 70, so it is neither overbought nor oversold.",
            "Yes, AAA is overbought with an RSI of 75.0.",
        ),
        (
            "DDD is overbought: its RSI is 70.0, above 70.",
            "BBB is overbought: its RSI is 25.0, above 70.",
            "AAA is overbought: its RSI is 74.0, above 70.",
            "Yes, AAA is oversold with an RSI of 75.0.",
        ),
    ),
    "unstate": (
        (
            "No, AAA is not oversold: its RSI is 75.0.",
            "No, DDD is not overbought: its RSI is 70.0.",
        ),
        (
            "No, AAA is not overbought: its RSI is 75.0.",
            "No, BBB is not oversold: its RSI is 25.0.",
            "No, AAA is not oversold: its RSI is 50.0.",
        ),
    ),
    "direction": (
        (
            "Yes, AAA is up today at +2.00%.",
            "No, CCC is unchanged today at 0.00%.",
            "AAA trades above its 50-day average at +3.00%.",
        ),
        (
            "No, AAA is down today at +2.00%.",
            "Yes, CCC is up today at 0.00%.",
            "Yes, AAA is up today at +5.00%.",
            "AAA trades below its 50-day average at +3.00%.",
        ),
    ),
    "position": (
        (
            "AAA trades above both its 50-day (+3.00%) and its 200-day average (+9.00%).",
            "BBB is below its 50-day average (-2.00%) but above its 200-day one (+1.00%).",
        ),
        (
            "AAA is above its 50-day average (+3.00%) but below its 200-day one (+9.00%).",
            "AAA is above its 50-day average (+3.00%) but above its 200-day one (+9.00%).",
            "BBB trades below both its 50-day (-2.00%) and its 200-day average (+1.00%).",
            "AAA trades above both its 50-day (+9.00%) and its 200-day average (+3.00%).",
        ),
    ),
    "busy": (
        ("Volume stands out in AAA at 2.50x its average.",),
        (
            "Volume stands out in CCC at 2.00x its average.",
            "Volume stands out in BBB at 2.50x its average.",
        ),
    ),
    "mood": (
        (
            "The fear-and-greed index is at 24, which is extreme fear.",
            "Sentiment reads 24 on the fear-and-greed index: extreme fear.",
        ),
        (
            "The fear-and-greed index is at 24, which is fear.",
            "The fear-and-greed index is at 25, which is extreme fear.",
            "The fear-and-greed index is at 24, which is extreme greed.",
        ),
    ),
    "refusal": (
        ("EEE is not in the table.", "The table shows moves, not their causes."),
        ("AAA is not in the table.", "No fear-and-greed index is given."),
    ),
}

#: As above, about other tables.
ELSEWHERE: dict[str, tuple[tuple[Table, str, bool], ...]] = {
    "tie": (
        (TIED, "XX and YY tie for the highest daily change at +1.00%.", True),
        (TIED, "A tie for the highest daily change: XX and YY, each at +1.00%.", True),
        (TIED, "XX, YY and ZZ tie for the highest daily change at +1.00%.", False),
        (TIED, "XX and ZZ tie for the highest daily change at +1.00%.", False),
        (TIED, "XX and YY tie for the lowest daily change at +1.00%.", False),
        (MARKET, "AAA and DDD tie for the highest daily change at +2.00%.", False),
    ),
    "level": (
        (TIED, "XX and YY are level at +1.00% in daily change.", True),
        (TIED, "XX and ZZ are level at +1.00% in daily change.", False),
        (TIED, "XX and XX are level at +1.00% in daily change.", False),
    ),
    "calm": (
        (TIED, "No asset is overbought or oversold.", True),
        (MARKET, "No asset is overbought or oversold.", False),
        (ONE, "No asset is overbought or oversold.", False),  # it has no RSI
    ),
    "single": (
        (ONE, "AAA is the only asset here and trades at 1.00.", True),
        (ONE, "AAA is the only asset here and trades at 2.00.", False),
        (MARKET, "AAA is the only asset here and trades at 100.00.", False),
    ),
    "most": ((TIED, "Most assets are up today, led by XX at +1.00%.", True),),
    "every": (
        (GAPS, "Every asset is up today.", False),  # of one, nobody knows
        (GAPS, "Every asset is down today.", False),
    ),
    "none": ((ONE, "No asset is up today.", True), (ONE, "No asset is overbought.", False)),
    "mood": ((ONE, "The fear-and-greed index is at 24, which is extreme fear.", False),),
    "refusal": ((ONE, "No fear-and-greed index is given.", True),),
}

#: Kind, table, sentence, and whether it is true.
SENTENCES = [
    *(
        (kind, MARKET, text, is_true)
        for kind, pair in BY_HAND.items()
        for texts, is_true in zip(pair, (True, False), strict=True)
        for text in texts
    ),
    *((kind, *sentence) for kind, sentences in ELSEWHERE.items() for sentence in sentences),
]
