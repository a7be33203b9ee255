"""Wordings of questions about the whole table, and of requests for a brief."""

from __future__ import annotations

from nano.forms import group

WORDINGS = (
    group(
        "brief",
        """
        Write a brief.
        Write a [short|market|daily] brief.
        Write a brief [of|about|on] this table.
        Brief me.
        Brief me on [this|the table|the market], please.
        Please write a brief.
        Give me a brief[| of the market| of this].
        Give me [a summary|an overview|the picture].
        Summarise [this table|the table|the market].
        Summarize [this|the data|the table].
        Describe the market in a few sentences.
        What does the table [say|show|tell us]?
        What is [going on|happening] in the market?
        Write a market [report|note|summary|update|comment].
        Morning [brief|note], please.
        Tell me what [stands out|matters|is notable] here.
        How does the market look?
        [Sum it up|Sum this up|Summary, please|Overview, please].
        Can you write a brief?
        Turn this into a [brief|short report].
        """,
    ),
    group(
        "extreme.change.high",
        """
        Which asset is [strongest|the strongest|ahead] {when}?
        What is the [best|top] performer {when}?
        Who leads {when}?
        Which asset has the highest {per} change?
        Best performer {when}?
        Top asset {when}?
        What performed best {when}?
        Which one [did|is doing] best {when}?
        Who is in front {when}?
        Name the [leader|best performer] {when}.
        """,
    ),
    group(
        "extreme.change.gain",
        """
        Which asset [gained|rose] [most|the most] {when}?
        What [gained|rose|went up] [most|the most] {when}?
        What is the biggest gainer {when}?
        Biggest gainer {when}?
        Biggest gain {when}?
        Who gained the most {when}?
        Which one is up most {when}?
        What was the largest gain {when}?
        """,
    ),
    group(
        "extreme.change.low",
        """
        Which asset is [weakest|the weakest|last] {when}?
        What is the worst performer {when}?
        Who is last {when}?
        Which asset has the lowest {per} change?
        Worst performer {when}?
        Weakest asset {when}?
        What performed worst {when}?
        Which one [did|is doing] worst {when}?
        Who lags {when}?
        Name the [laggard|worst performer] {when}.
        """,
    ),
    group(
        "extreme.change.loss",
        """
        Which asset [fell|lost|dropped] [most|the most] {when}?
        What [fell|dropped|went down] [most|the most] {when}?
        What is the biggest loser {when}?
        Biggest loser {when}?
        Biggest loss {when}?
        Who lost the most {when}?
        Which one is down most {when}?
        What was the largest loss {when}?
        """,
    ),
    group(
        "extreme.price.high",
        """
        Which asset has the highest price?
        What is the most expensive asset?
        Highest price?
        Which one costs the most?
        Which is the priciest?
        What trades at the highest price?
        """,
    ),
    group(
        "extreme.price.low",
        """
        Which asset has the lowest price?
        What is the cheapest asset?
        Lowest price?
        Which one costs the least?
        Which is the cheapest?
        What trades at the lowest price?
        """,
    ),
    group(
        "extreme.vol.high",
        """
        Which asset has the [highest|heaviest] volume?
        Where is volume highest?
        Which one is busiest?
        Highest volume against average?
        What is traded most heavily?
        Where is the most activity?
        Which asset has the highest relative volume?
        """,
    ),
    group(
        "extreme.vol.low",
        """
        Which asset has the [lowest|lightest] volume?
        Where is volume lowest?
        Which one is quietest?
        Lowest volume against average?
        Where is the least activity?
        Which asset has the lowest relative volume?
        """,
    ),
    group(
        "extreme.rsi.high",
        """
        Which asset has the highest RSI?
        Highest RSI?
        Where is the RSI highest?
        What is the highest RSI?
        Who has the top RSI?
        Which one has the biggest RSI?
        """,
    ),
    group(
        "extreme.rsi.low",
        """
        Which asset has the lowest RSI?
        Lowest RSI?
        Where is the RSI lowest?
        What is the lowest RSI?
        Who has the smallest RSI?
        Which one has the lowest RSI?
        """,
    ),
    group(
        "extreme.avg.high",
        """
        Which asset is strongest against its {ma}?
        What stands highest against its {ma}?
        Strongest against the {ma}?
        Which one is highest relative to its {ma}?
        """,
    ),
    group(
        "extreme.avg.gain",
        """
        Which asset is furthest above its {ma}?
        What trades furthest above the {ma}?
        Furthest above the {ma}?
        Which one is farthest above its {ma}?
        """,
    ),
    group(
        "extreme.avg.low",
        """
        Which asset is weakest against its {ma}?
        What stands lowest against its {ma}?
        Weakest against the {ma}?
        Which one is lowest relative to its {ma}?
        """,
    ),
    group(
        "extreme.avg.loss",
        """
        Which asset is furthest below its {ma}?
        What trades furthest below the {ma}?
        Furthest below the {ma}?
        Which one is farthest below its {ma}?
        """,
    ),
    group(
        "count.change",
        """
        How many assets are {dir} {when}?
        How many are {dir} {when}?
        Count the assets that are {dir} {when}.
        Number of assets {dir} {when}?
        How many of them are {dir} {when}?
        What is the number of assets {dir} {when}?
        How many went {side} {when}?
        """,
    ),
    group(
        "count.avg",
        """
        How many assets are {where} their {ma}?
        How many trade {where} the {ma}?
        Number of assets {where} the {ma}?
        Count the assets {where} their {ma}.
        How many are {where} the {ma}?
        """,
    ),
    group(
        "count.rsi",
        """
        How many assets are {state:side}?
        How many are {state:side}?
        Count the {state:side} assets.
        Number of {state:side} assets?
        How many {state:side} ones are there?
        """,
    ),
    group(
        "list.change",
        """
        Which assets are {dir} {when}?
        Which are {dir} {when}?
        What is {dir} {when}?
        List the assets that are {dir} {when}.
        Name all assets {dir} {when}.
        Who is {dir} {when}?
        Show me everything that is {dir} {when}.
        Which ones went {side} {when}?
        """,
    ),
    group(
        "list.avg",
        """
        Which assets are {where} their {ma}?
        Which trade {where} the {ma}?
        List all assets {where} the {ma}.
        What is {where} its {ma}?
        Name the assets {where} their {ma}.
        Who is {where} the {ma}?
        """,
    ),
    group(
        "list.rsi",
        """
        Which assets are {state:side}?
        Which are {state:side}?
        What is {state:side}?
        List the {state:side} assets.
        Is anything {state:side}?
        Are any assets {state:side}?
        Anything {state:side}?
        Name everything that is {state:side}.
        """,
    ),
    group(
        "list.vol",
        """
        Which assets have unusual volume?
        Where is volume unusual?
        Is there any unusual volume?
        Which assets trade at more than twice their average volume?
        List the assets with unusual volume.
        Any unusual volume?
        What has more than 2x its average volume?
        """,
    ),
    group(
        "mood",
        """
        What is the [mood|sentiment]?
        How is the [mood|sentiment]?
        What does the fear-and-greed index say?
        Fear and greed?
        Where is the fear and greed index?
        Is the market [greedy|fearful|afraid]?
        Is there fear or greed?
        How greedy is the market?
        Market [mood|sentiment]?
        What is the fear & greed [reading|index|level]?
        How do investors feel?
        Give me the fear and greed index.
        Are people scared?
        """,
    ),
    group(
        "foreign.extreme",
        """
        Which asset has the highest {thing}?
        Which one has the lowest {thing}?
        Compare the {thing} of all assets.
        Rank them by {thing}.
        """,
    ),
)
