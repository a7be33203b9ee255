"""Sentence forms that briefs alone use: overviews, pairs, and what is worth watching."""

from __future__ import annotations

from leadout_build.nano.forms import group

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
        {items} {be} {side} {over}, {n} of {total} {assets}.
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
        {asset} leads the {unit} at {value}, while {asset2} lags at {value2}.
        {Over}, {asset} is ahead at {value} and {asset2} is last at {value2}.
        The {unit}'s leader is {asset} at {value}; its laggard is {asset2} at {value2}.
        {asset} is strongest {over} at {value}, and {asset2} weakest at {value2}.
        {Over}, the lead belongs to {asset} at {value} and the last place to {asset2} at {value2}.
        """,
    ),
    group(
        "double.high",
        """
        {asset} leads both the {unit} ({value}) and the {unit:column2} ({value2}).
        {asset} is ahead on the {unit} ({value}) as well as on the {unit:column2} ({value2}).
        """,
        end="high",
    ),
    group(
        "double.low",
        """
        {asset} is last on both the {unit} ({value}) and the {unit:column2} ({value2}).
        {asset} lags on the {unit} ({value}) as well as on the {unit:column2} ({value2}).
        """,
        end="low",
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
        {asset} [is|looks] overbought with an RSI of {value}.
        Worth watching: {asset} is overbought with an RSI of {value}.
        At an RSI of {value}, {asset} is in overbought territory.
        {asset} [is|looks] stretched, with an RSI of {value}.
        """,
        state="overbought",
    ),
    group(
        "state.low",
        """
        {asset} [is|looks] oversold with an RSI of {value}.
        Worth watching: {asset} is oversold with an RSI of {value}.
        At an RSI of {value}, {asset} is in oversold territory.
        {asset} looks washed out, with an RSI of {value}.
        """,
        state="oversold",
    ),
    group(
        "busy",
        """
        Volume [stands out|is unusual] in {asset} at {value} its average.
        {asset} [trades on|sees] unusual volume at {value} its average.
        Activity is unusual in {asset}, with {value} its average volume.
        Worth watching: {asset} trades at {value} its average volume.
        """,
    ),
    group(
        "mood.brief",
        """
        Sentiment [is|stands] at {value}, which is {band}.
        The mood is one of {band}, with the fear-and-greed index at {value}.
        Fear and greed at {value} [points to|shows] {band}.
        Sentiment reads {value} on the fear-and-greed index: {band}.
        """,
    ),
)
