"""Sentence forms of values and extremes: what one cell holds, and which is highest or lowest."""

from __future__ import annotations

from nano.forms import group

SENTENCES = (
    group(
        "value.price",
        """
        {asset} [trades|is trading|stands|is] at {value}.
        The price of {asset} is {value}.
        {asset}'s price is {value}.
        {asset} is priced at {value}.
        {asset} [was last|last traded] at {value}.
        The table [shows|has] {asset} at {value}.
        """,
        column="price",
    ),
    group(
        "value.change",
        """
        {asset} [is|stands] at {value} {over}.
        {Over}, {asset} [is|stands] at {value}.
        {asset} shows a change of {value} {over}.
        The {adj} [change|move] of {asset} is {value}.
        {asset}'s {adj} [change|move] is {value}.
        """,
    ),
    group(
        "value.vol",
        """
        {asset} [trades|is trading] at {value} its average volume.
        {asset}'s volume [is|stands at] {value} its average.
        Volume in {asset} [is|stands at|runs at] {value} its average.
        The volume of {asset} is {value} its average.
        """,
        column="vol",
    ),
    group(
        "value.rsi",
        """
        {asset} has an RSI of {value}.
        The RSI of {asset} [is|stands at|reads] {value}.
        {asset}'s RSI [is|stands at|reads] {value}.
        {asset} shows an RSI of {value}.
        """,
        column="rsi",
    ),
    group(
        "value.avg",
        """
        {asset} [is|stands] at {value} [against|relative to|versus] its {avg}.
        Against its {avg}, {asset} [is|stands] at {value}.
        {asset}'s distance from its {avg} is {value}.
        The distance of {asset} from its {avg} is {value}.
        """,
    ),
    group(
        "line.price",
        """
        {asset} [trades|stands|is] at {value}, with {moves}.
        {asset} [trades|stands] at {value}; it is at {moves}.
        {asset} is priced at {value} and stands at {moves}.
        """,
    ),
    group(
        "line.moves",
        """
        {asset} [is|stands] at {moves}.
        {asset} shows {moves}.
        The moves of {asset}: {moves}.
        """,
    ),
    group(
        "extreme.change.high",
        """
        {asset} leads the {unit} [at|with] {value}.
        {asset} is the strongest asset {over} at {value}.
        The [best|strongest] performer of the {unit} is {asset} at {value}.
        {asset} is the {unit}'s [leader|top performer] at {value}.
        {Over}, {asset} [leads|is ahead|is strongest] at {value}.
        {asset} has the highest {adj} change at {value}.
        """,
        end="high",
    ),
    group(
        "extreme.change.gain",
        """
        {asset} [gained|rose] [most|the most] {over}, at {value}.
        {asset} is the {unit}'s [biggest|largest] gainer at {value}.
        The [biggest|largest] gain of the {unit} belongs to {asset} at {value}.
        {asset} made the [biggest|largest] gain of the {unit} at {value}.
        """,
        end="high",
        sense="gain",
    ),
    group(
        "extreme.change.low",
        """
        {asset} is the weakest asset {over} at {value}.
        The [worst|weakest] performer of the {unit} is {asset} at {value}.
        {asset} is the {unit}'s [laggard|weakest performer] at {value}.
        {Over}, {asset} [lags|is last|is weakest] at {value}.
        {asset} has the lowest {adj} change at {value}.
        {asset} [brings up the rear|comes last] {over} at {value}.
        """,
        end="low",
    ),
    group(
        "extreme.change.loss",
        """
        {asset} [fell|lost|dropped] [most|the most] {over}, at {value}.
        {asset} is the {unit}'s [biggest|largest] loser at {value}.
        The [biggest|largest] loss of the {unit} belongs to {asset} at {value}.
        {asset} took the [biggest|largest] loss of the {unit} at {value}.
        """,
        end="low",
        sense="loss",
    ),
    group(
        "extreme.price.high",
        """
        {asset} has the highest price at {value}.
        The highest price belongs to {asset} at {value}.
        {asset} is the [most expensive|highest-priced] asset at {value}.
        {asset} trades at the highest price: {value}.
        """,
        end="high",
        column="price",
    ),
    group(
        "extreme.price.low",
        """
        {asset} has the lowest price at {value}.
        The lowest price belongs to {asset} at {value}.
        {asset} is the [cheapest|lowest-priced] asset at {value}.
        {asset} trades at the lowest price: {value}.
        """,
        end="low",
        column="price",
    ),
    group(
        "extreme.vol.high",
        """
        {asset} has the [highest|heaviest] volume against its average at {value}.
        Volume is [highest|heaviest] in {asset} at {value} its average.
        {asset} [is the busiest asset|trades most heavily] at {value} its average volume.
        {asset} [shows|has] the most activity, with {value} its average volume.
        """,
        end="high",
        column="vol",
    ),
    group(
        "extreme.vol.low",
        """
        {asset} has the [lowest|lightest] volume against its average at {value}.
        Volume is [lowest|lightest] in {asset} at {value} its average.
        {asset} is the quietest asset at {value} its average volume.
        {asset} [shows|has] the least activity, with {value} its average volume.
        """,
        end="low",
        column="vol",
    ),
    group(
        "extreme.rsi.high",
        """
        {asset} [has|shows] the highest RSI at {value}.
        The highest RSI belongs to {asset} at {value}.
        RSI is highest in {asset} at {value}.
        """,
        end="high",
        column="rsi",
    ),
    group(
        "extreme.rsi.low",
        """
        {asset} [has|shows] the lowest RSI at {value}.
        The lowest RSI belongs to {asset} at {value}.
        RSI is lowest in {asset} at {value}.
        """,
        end="low",
        column="rsi",
    ),
    group(
        "extreme.avg.high",
        """
        {asset} stands highest against its {avg} at {value}.
        {asset} is strongest [against|relative to] its {avg} at {value}.
        Relative to its {avg}, {asset} [is strongest|stands highest] at {value}.
        """,
        end="high",
    ),
    group(
        "extreme.avg.gain",
        """
        {asset} [is|stands|trades] furthest above its {avg} at {value}.
        Furthest above its {avg} is {asset} at {value}.
        """,
        end="high",
        sense="gain",
    ),
    group(
        "extreme.avg.low",
        """
        {asset} stands lowest against its {avg} at {value}.
        {asset} is weakest [against|relative to] its {avg} at {value}.
        Relative to its {avg}, {asset} [is weakest|stands lowest] at {value}.
        """,
        end="low",
    ),
    group(
        "extreme.avg.loss",
        """
        {asset} [is|stands|trades] furthest below its {avg} at {value}.
        Furthest below its {avg} is {asset} at {value}.
        """,
        end="low",
        sense="loss",
    ),
    group(
        "tie",
        """
        {names} tie for the {end} {metric} at {value}.
        {names} share the {end} {metric} at {value}.
        It is a tie: {names} have the {end} {metric} at {value}.
        """,
    ),
    group(
        "nobody.change.gain",
        """
        No asset [rose|gained] {over}; the strongest is {asset} at {value}.
        None [rose|gained] {over}; {asset} [does|held up] best at {value}.
        """,
        end="high",
    ),
    group(
        "nobody.change.loss",
        """
        No asset [fell|lost ground] {over}; the weakest is {asset} at {value}.
        None [fell|lost ground] {over}; the smallest move is {asset} at {value}.
        """,
        end="low",
    ),
    group(
        "nobody.avg.gain",
        """
        No asset is above its {avg}; the strongest is {asset} at {value}.
        None stands above its {avg}; {asset} is strongest at {value}.
        """,
        end="high",
    ),
    group(
        "nobody.avg.loss",
        """
        No asset is below its {avg}; the weakest is {asset} at {value}.
        None stands below its {avg}; {asset} is weakest at {value}.
        """,
        end="low",
    ),
)
