"""Sentence forms that briefs alone use: overviews, extremes, lists, and what is worth watching.

Where a sentence is true of some assets alone, it says what it claims before it names one. A brief
may say many things next; were the asset named first, its letters would be a mixture of all of
them, and whatever came out had to be given a claim afterwards. (An answer may begin with the
asset: the question has said the claim.)
"""

from __future__ import annotations

from nano.forms import group

SENTENCES = (
    group(
        "breadth",
        """
        {n} of {total} assets {be} {side} {over}.
        {Over}, {n} of {total} assets {be} {side}.
        """,
    ),
    group(
        "breadth.up.led",
        """
        {n} of {total} assets {be} up {over}, led by {asset} at {value}.
        {n} of {total} assets {be} up {over}, with {asset} in front at {value}.
        {Over}, {n} of {total} assets {be} up, and {asset} leads at {value}.
        """,
        side="up",
        end="high",
    ),
    group(
        "breadth.down.led",
        """
        {n} of {total} assets {be} down {over}, with {asset} weakest at {value}.
        {Over}, {n} of {total} assets {be} down, and {asset} is last at {value}.
        """,
        side="down",
        end="low",
    ),
    group(
        "count.overview.total",
        """
        {Side} {over}: {items}; that is {n} of {total} {assets}.
        {Side} {over} {be} {items}, {n} of {total} {assets}.
        """,
    ),
    group(
        "every",
        """
        [Every asset is|All assets are] {side} {over}.
        {Over}, [every asset is|all assets are] {side}.
        """,
    ),
    group(
        "every.up.led",
        """
        [Every asset is|All assets are] up {over}, led by {asset} at {value}.
        [Every asset is|All assets are] up {over}, with {asset} in front at {value}.
        It is a [strong|green|good] {unit}: every asset is up, led by {asset} at {value}.
        Gains across the board {over}, with {asset} in the lead at {value}.
        """,
        side="up",
        end="high",
    ),
    group(
        "every.down.led",
        """
        [Every asset is|All assets are] down {over}, with {asset} weakest at {value}.
        [Every asset is|All assets are] down {over}; {asset} falls furthest at {value}.
        It is a [weak|red|poor] {unit}: every asset is down, and {asset} is last at {value}.
        Losses across the board {over}, with {asset} weakest at {value}.
        """,
        side="down",
        end="low",
    ),
    group(
        "every.avg",
        """
        Every asset [is|trades|stands] {where} its {avg}.
        All assets [are|trade|stand] {where} their {avg}.
        """,
    ),
    group(
        "most.up.led",
        """
        Most assets are up {over}, led by {asset} at {value}.
        It is a [good|strong] {unit} for most assets, led by {asset} at {value}.
        Gains prevail {over}, with {asset} in front at {value}.
        Most of the market is up {over}; {asset} leads at {value}.
        """,
        side="up",
        end="high",
    ),
    group(
        "most.down.led",
        """
        Most assets are down {over}, with {asset} weakest at {value}.
        It is a [weak|poor] {unit} for most assets; {asset} is last at {value}.
        Losses prevail {over}, with {asset} at the bottom at {value}.
        Most of the market is down {over}; {asset} falls furthest at {value}.
        """,
        side="down",
        end="low",
    ),
    group(
        "range.change",
        """
        Moves {over} range from {asset} at {value} to {asset2} at {value2}.
        {Over}, moves [run|range] from {asset} at {value} to {asset2} at {value2}.
        The {unit} spans moves from {asset} at {value} to {asset2} at {value2}.
        """,
    ),
    group(
        "range.mixed",
        """
        The {unit} is [mixed|split], from {asset} at {value} to {asset2} at {value2}.
        It is a mixed {unit}: {asset} is last at {value} and {asset2} first at {value2}.
        The market is [mixed|split] {over}, from {asset} at {value} to {asset2} at {value2}.
        There are gains and losses {over}, from {asset} at {value} to {asset2} at {value2}.
        """,
        mixed=True,
    ),
    group(
        "range.price",
        """
        Prices [run|range] from {asset} at {value} to {asset2} at {value2}.
        By price, the table [runs|goes] from {asset} at {value} to {asset2} at {value2}.
        """,
        column="price",
    ),
    group(
        "covers",
        """
        The table [covers|holds|lists] {n} {assets}: {names}.
        {n} {assets} {be} listed: {names}.
        """,
    ),
    group(
        "single.price",
        """
        {asset} is the only asset here and trades at {value}.
        The table holds one asset, {asset}, at a price of {value}.
        """,
        column="price",
    ),
    group(
        "single.change",
        """
        {asset} is the only asset here and stands at {value} {over}.
        The table holds one asset, {asset}, which is at {value} {over}.
        """,
    ),
    group(
        "pair",
        """
        The {unit}'s leader is {asset} at {value}; its laggard is {asset2} at {value2}.
        {Over}, the lead belongs to {asset} at {value} and the last place to {asset2} at {value2}.
        [Ahead|In front] {over} is {asset} at {value}, and last is {asset2} at {value2}.
        The best of the {unit} is {asset} at {value}, the worst {asset2} at {value2}.
        """,
    ),
    group(
        "double.high",
        """
        Both the {unit} and the {unit:column2} are led by {asset}, at {value} and {value2}.
        The lead of the {unit} and of the {unit:column2} belongs to {asset} ({value} and {value2}).
        """,
        end="high",
    ),
    group(
        "double.low",
        """
        Last on both the {unit} and the {unit:column2} is {asset}, at {value} and {value2}.
        The last place of the {unit} and of the {unit:column2} goes to {asset} ({value} and {value2}).
        """,  # noqa: E501
        end="low",
    ),
    group(
        "extreme.change.high.brief",
        """
        The [best|strongest] performer of the {unit} is {asset} at {value}.
        The {unit}'s [leader|top performer] is {asset} at {value}.
        The highest {adj} change belongs to {asset} at {value}.
        [Ahead|In front|Strongest] {over} is {asset} at {value}.
        {Over}, the lead belongs to {asset} at {value}.
        """,
        end="high",
    ),
    group(
        "extreme.change.gain.brief",
        """
        The {unit}'s [biggest|largest] gainer is {asset} at {value}.
        The [biggest|largest] gain of the {unit} belongs to {asset} at {value}.
        The [biggest|largest] {adj} gain is {asset}'s at {value}.
        {Over}, the [biggest|largest] gain was made by {asset} at {value}.
        """,
        end="high",
        sense="gain",
    ),
    group(
        "extreme.change.low.brief",
        """
        The [worst|weakest] performer of the {unit} is {asset} at {value}.
        The {unit}'s [laggard|weakest performer] is {asset} at {value}.
        The lowest {adj} change belongs to {asset} at {value}.
        [Last|Weakest] {over} is {asset} at {value}.
        {Over}, the last place goes to {asset} at {value}.
        """,
        end="low",
    ),
    group(
        "extreme.change.loss.brief",
        """
        The {unit}'s [biggest|largest] loser is {asset} at {value}.
        The [biggest|largest] loss of the {unit} belongs to {asset} at {value}.
        The [biggest|largest] {adj} loss is {asset}'s at {value}.
        {Over}, the [biggest|largest] loss was taken by {asset} at {value}.
        """,
        end="low",
        sense="loss",
    ),
    group(
        "extreme.avg.high.brief",
        """
        [Strongest against|Highest relative to] its {avg} is {asset} at {value}.
        """,
        end="high",
    ),
    group(
        "extreme.avg.gain.brief",
        """
        Furthest above its {avg} is {asset} at {value}.
        The [widest|largest] distance above the {avg} is {asset}'s at {value}.
        """,
        end="high",
        sense="gain",
    ),
    group(
        "extreme.avg.low.brief",
        """
        [Weakest against|Lowest relative to] its {avg} is {asset} at {value}.
        """,
        end="low",
    ),
    group(
        "extreme.avg.loss.brief",
        """
        Furthest below its {avg} is {asset} at {value}.
        The [widest|largest] distance below the {avg} is {asset}'s at {value}.
        """,
        end="low",
        sense="loss",
    ),
    group(
        "extreme.vol.high.brief",
        """
        Volume is [highest|heaviest] in {asset} at {value} its average.
        The [highest|heaviest] volume against its average is that of {asset} at {value}.
        The most activity is in {asset}, with {value} its average volume.
        """,
        end="high",
        column="vol",
    ),
    group(
        "extreme.rsi.high.brief",
        """
        The highest RSI belongs to {asset} at {value}.
        RSI is highest in {asset} at {value}.
        """,
        end="high",
        column="rsi",
    ),
    group(
        "tie.brief",
        """
        A tie for the {end} {metric}: {names}, each at {value}.
        The {end} {metric} is shared by {names} at {value}.
        """,
    ),
    group(
        "list.change.brief",
        """
        {Side} {over}: {items}.
        {Side} {over} {be} {items}.
        """,
    ),
    group(
        "list.avg.brief",
        """
        {Where} the {avg}: {items}.
        {Where} the {avg} {be} {items}.
        """,
    ),
    group(
        "list.overbought.brief",
        """
        Overbought, with an RSI above 70: {items}.
        Overbought by RSI {be} {items}.
        RSI is above 70 in {items}.
        """,
        column="rsi",
        side="overbought",
    ),
    group(
        "list.oversold.brief",
        """
        Oversold, with an RSI below 30: {items}.
        Oversold by RSI {be} {items}.
        RSI is below 30 in {items}.
        """,
        column="rsi",
        side="oversold",
    ),
    group(
        "list.busy.brief",
        """
        Volume is [unusually high|more than twice its average] in {items}.
        More than twice the average volume: {items}.
        Unusual volume: {items}.
        """,
        column="vol",
        side="busy",
    ),
    group(
        "direction.place",
        """
        {asset} [trades|stands|is] {where} its {avg} at {value}.
        {asset} [trades|stands|remains] {where} its {avg} ({value}).
        """,
    ),
    group(
        "position.both",
        """
        {asset} [trades|stands|is] {where} both its 50-day ({value}) and its 200-day average ({value2}).
        {asset} is at {value} and {value2} against its 50-day and 200-day averages, {where} both.
        """,  # noqa: E501
        is_split=False,
    ),
    group(
        "position.split",
        """
        {asset} is {where} its 50-day average ({value}) but {where:side2} its 200-day one ({value2}).
        {asset} trades {where} its 50-day average ({value}), yet {where:side2} its 200-day one ({value2}).
        """,  # noqa: E501
        is_split=True,
    ),
    group(
        "calm",
        """
        No asset is overbought or oversold.
        By RSI, no asset is overbought or oversold.
        RSI flags nothing: no asset is above 70 or below 30.
        Every RSI lies between 30 and 70.
        """,
    ),
    group(
        "state.high",
        """
        RSI looks overbought in {asset} at {value}.
        Worth watching is an overbought {asset}, with an RSI of {value}.
        Overbought territory is reached by {asset}, with an RSI of {value}.
        Momentum looks overbought in {asset}, with an RSI of {value}.
        """,
        state="overbought",
    ),
    group(
        "state.low",
        """
        RSI looks oversold in {asset} at {value}.
        Worth watching is an oversold {asset}, with an RSI of {value}.
        Oversold territory is reached by {asset}, with an RSI of {value}.
        Momentum looks oversold in {asset}, with an RSI of {value}.
        """,
        state="oversold",
    ),
    group(
        "busy",
        """
        Volume [stands out|is unusual] in {asset} at {value} its average.
        Activity is unusual in {asset}, with {value} its average volume.
        Worth watching is the volume of {asset} at {value} its average.
        Unusual volume shows in {asset} at {value} its average.
        """,
    ),
    group(
        "mood.brief",
        """
        Sentiment [is|stands] at {value}, which is {band}.
        The mood is {band}, with the fear-and-greed index at {value}.
        Fear and greed, at {value}, [is|lies] in the {band} [range|band].
        Sentiment reads {value} on the fear-and-greed index: {band}.
        """,
    ),
)
