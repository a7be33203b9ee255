"""Sentence forms of lists, counts, comparisons, states and yes or no."""

from __future__ import annotations

from nano.forms import group

SENTENCES = (
    group(
        "list.change",
        """
        {Side} {over}: {items}.
        {items} {be} {side} {over}.
        {Over}, {items} {be} {side}.
        """,
    ),
    group(
        "list.change.names",
        """
        {Side} {over}: {names}.
        {names} {be} {side} {over}.
        {Over}, {names} {be} {side}.
        """,
    ),
    group(
        "list.avg",
        """
        {Where} the {avg}: {items}.
        {items} {be} {where} the {avg}.
        {items} [trade|stand] {where} the {avg}.
        """,
    ),
    group(
        "list.avg.names",
        """
        {Where} the {avg}: {names}.
        {names} {be} {where} the {avg}.
        """,
    ),
    group(
        "list.overbought",
        """
        Overbought, with an RSI above 70: {items}.
        {items} {be} overbought.
        Overbought by RSI: {items}.
        RSI is above 70 in {items}.
        """,
        column="rsi",
        side="overbought",
    ),
    group(
        "list.oversold",
        """
        Oversold, with an RSI below 30: {items}.
        {items} {be} oversold.
        Oversold by RSI: {items}.
        RSI is below 30 in {items}.
        """,
        column="rsi",
        side="oversold",
    ),
    group(
        "list.busy",
        """
        Volume is [unusually high|more than twice its average] in {items}.
        {items} {be} trading at more than twice the average volume.
        More than twice the average volume: {items}.
        Unusual volume: {items}.
        """,
        column="vol",
        side="busy",
    ),
    group(
        "count.change",
        """
        {Side} {over}: {names}; that [is|makes] {n}.
        {Side} {over}: {names}. That [is|makes] {n} {assets}.
        {Over}, {names} {be} {side}: {n} in all.
        {names} {be} {side} {over}, so the count is {n}.
        """,
    ),
    group(
        "count.change.total",
        """
        {Side} {over}: {names}; that [is|makes] {n} of {total} {assets}.
        {Side} {over}: {names}. That [is|makes] {n} of {total}.
        {names} {be} {side} {over}: {n} of {total} {assets}.
        """,
    ),
    group(
        "count.change.none",
        """
        No asset is {side} {over}, so the count is {n}.
        {n}: no asset is {side} {over}.
        No asset is {side} {over}; the count is {n}.
        """,
    ),
    group(
        "count.avg",
        """
        {Where} the {avg}: {names}; that [is|makes] {n}.
        {Where} the {avg}: {names}. That [is|makes] {n} {assets}.
        {names} {be} {where} the {avg}, so the count is {n}.
        """,
    ),
    group(
        "count.avg.none",
        """
        No asset is {where} its {avg}, so the count is {n}.
        {n}: no asset is {where} its {avg}.
        """,
    ),
    group(
        "count.state",
        """
        Overbought: {names}; that [is|makes] {n}.
        {names} {be} overbought, so the count is {n}.
        Overbought: {names}. That [is|makes] {n} {assets}.
        """,
        column="rsi",
        side="overbought",
    ),
    group(
        "count.state.low",
        """
        Oversold: {names}; that [is|makes] {n}.
        {names} {be} oversold, so the count is {n}.
        Oversold: {names}. That [is|makes] {n} {assets}.
        """,
        column="rsi",
        side="oversold",
    ),
    group(
        "count.state.none",
        """
        No asset is {state:side}, so the count is {n}.
        {n}: no asset is {state:side}.
        """,
        column="rsi",
    ),
    group(
        "none.change",
        """
        No asset is {side} {over}.
        None of the assets is {side} {over}.
        {Over}, no asset is {side}.
        """,
    ),
    group(
        "none.avg",
        """
        No asset is {where} its {avg}.
        None of the assets [stands|trades] {where} its {avg}.
        """,
    ),
    group(
        "none.state",
        """
        No asset is {state:side}.
        None of the assets is {state:side}.
        The table has no asset that is {state:side}.
        """,
        column="rsi",
    ),
    group(
        "none.busy",
        """
        No asset trades [at|on] more than twice its average volume.
        Volume is [unremarkable|not unusual]: no asset is above twice its average.
        No asset shows unusual volume.
        """,
        column="vol",
        side="busy",
    ),
    group(
        "compare.price",
        """
        {asset} trades at {value} and {asset2} at {value2}, so {winner} is [higher|more expensive].
        {asset} is at {value}, {asset2} at {value2}: {winner} has the higher price.
        The price of {asset} is {value} and that of {asset2} is {value2}; {winner} is higher.
        """,
        column="price",
    ),
    group(
        "compare.change",
        """
        {asset} is at {value} and {asset2} at {value2} {over}, so {winner} is [ahead|stronger].
        {Over}, {asset} is at {value} and {asset2} at {value2}; {winner} [is stronger|did better].
        {asset} stands at {value} {over}, {asset2} at {value2}: {winner} is ahead.
        """,
    ),
    group(
        "compare.vol",
        """
        {asset} trades at {value} its average volume and {asset2} at {value2}, so {winner} is busier.
        Volume is {value} its average in {asset} and {value2} in {asset2}; {winner} is [higher|busier].
        """,  # noqa: E501
        column="vol",
    ),
    group(
        "compare.rsi",
        """
        {asset} has an RSI of {value} and {asset2} of {value2}, so {winner} is higher.
        The RSI of {asset} is {value} and that of {asset2} is {value2}; {winner} has the higher one.
        RSI: {asset} {value}, {asset2} {value2}; {winner} is higher.
        """,
        column="rsi",
    ),
    group(
        "compare.avg",
        """
        Against the {avg}, {asset} is at {value} and {asset2} at {value2}, so {winner} is stronger.
        {asset} stands at {value} and {asset2} at {value2} against the {avg}; {winner} is higher.
        """,
    ),
    group(
        "lines",
        """
        {asset} [is|stands] at {moves}; {asset2} [is|stands] at {moves2}.
        {asset} shows {moves}, {asset2} shows {moves2}.
        """,
    ),
    group(
        "level",
        """
        {asset} and {asset2} are level at {value} in {metric}.
        {asset} and {asset2} have the same {metric}: {value}.
        It is a tie in {metric}: {asset} and {asset2} are both at {value}.
        """,
    ),
    group(
        "state.overbought",
        """
        {asset} has an RSI of {value}, which is above 70, so it is overbought.
        {asset}'s RSI is {value}, above 70: overbought.
        With an RSI of {value}, {asset} is above 70 and so overbought.
        {asset} is overbought: its RSI is {value}, above 70.
        """,
        state="overbought",
    ),
    group(
        "state.oversold",
        """
        {asset} has an RSI of {value}, which is below 30, so it is oversold.
        {asset}'s RSI is {value}, below 30: oversold.
        With an RSI of {value}, {asset} is below 30 and so oversold.
        {asset} is oversold: its RSI is {value}, below 30.
        """,
        state="oversold",
    ),
    group(
        "state.neither",
        """
        {asset} has an RSI of {value}, between 30 and 70, so it is neither overbought nor oversold.
        {asset}'s RSI is {value}, between 30 and 70: neither overbought nor oversold.
        With an RSI of {value}, {asset} is neither overbought nor oversold.
        """,
        state="neither",
    ),
    group(
        "state.yes",
        """
        Yes, {asset} is {state} with an RSI of {value}.
        Yes: its RSI is {value}, so {asset} is {state}.
        Yes, with an RSI of {value}, {asset} is {state}.
        """,
        yes="yes",
    ),
    group(
        "unstate",
        """
        No, {asset} is not {state:asked}: its RSI is {value}.
        No: the RSI of {asset} is {value}, so it is not {state:asked}.
        No, with an RSI of {value}, {asset} is not {state:asked}.
        """,
    ),
    group(
        "direction.change",
        """
        {Yes}, {asset} is {side} {over} at {value}.
        {Yes}: {asset} is at {value} {over}.
        {Yes}, {asset} stands at {value} {over}, so it is {side}.
        {asset} is at {value} {over}, so {yes}.
        """,
    ),
    group(
        "direction.avg",
        """
        {Yes}, {asset} is {where} its {avg} at {value}.
        {Yes}: {asset} stands at {value} against its {avg}.
        {asset} is at {value} against its {avg}, so {yes}.
        """,
    ),
    group(
        "mood",
        """
        The fear-and-greed index [is|stands] at {value}, which is {band}.
        The fear-and-greed index [is|reads] {value}: {band}.
        Fear and greed [is|stands] at {value}, which counts as {band}.
        The fear-and-greed index of {value} [falls|lies] in the {band} range.
        At {value}, the fear-and-greed index is in the {band} [range|band].
        """,
    ),
)
