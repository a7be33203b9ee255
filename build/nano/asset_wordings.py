"""Wordings of questions about one asset or two."""

from __future__ import annotations

from nano.forms import group

WORDINGS = (
    group(
        "lookup.price",
        """
        What is the price of {asset}?
        What's the price of {asset}?
        What does {asset} cost?
        Where does {asset} trade?
        Price of {asset}?
        {asset} price?
        How much is {asset}?
        At what price does {asset} trade?
        At what price is {asset} trading?
        Give me the price of {asset}.
        What is {asset} [trading at|at|worth]?
        Tell me {asset}'s price.
        Where is {asset} now?
        """,
    ),
    group(
        "lookup.change",
        """
        How did {asset} do {when}?
        How has {asset} done {when}?
        What did {asset} do {when}?
        How much did {asset} move {when}?
        How much has {asset} moved {when}?
        What is the {per} [change|move] of {asset}?
        What's {asset}'s {per} change?
        {asset} {when}?
        {per} [change|move] of {asset}?
        How is {asset} doing {when}?
        By how much has {asset} changed {when}?
        Give me the {per} change for {asset}.
        What is the [change|move] of {asset} {when}?
        """,
    ),
    group(
        "lookup.vol",
        """
        What is the volume of {asset}?
        How is {asset}'s volume [against its average|relative to average|compared with usual]?
        Volume of {asset}?
        {asset} volume?
        How busy is trading in {asset}?
        What is the relative volume of {asset}?
        How does {asset}'s volume compare with its average?
        Is there much volume in {asset}?
        Give me the volume for {asset}.
        What volume does {asset} have?
        """,
    ),
    group(
        "lookup.rsi",
        """
        What is the RSI of {asset}?
        What's {asset}'s RSI?
        RSI of {asset}?
        {asset} RSI?
        How high is the RSI of {asset}?
        Where is {asset}'s RSI?
        Give me {asset}'s RSI.
        Tell me the RSI for {asset}.
        What RSI does {asset} have?
        What does the RSI say for {asset}?
        """,
    ),
    group(
        "lookup.avg",
        """
        How far is {asset} from its {ma}?
        What is {asset}'s distance from the {ma}?
        Where does {asset} stand against its {ma}?
        {asset} vs its {ma}?
        How does {asset} compare with its {ma}?
        Distance of {asset} from the {ma}?
        What is {asset} relative to its {ma}?
        Where is {asset} relative to the {ma}?
        How far above or below the {ma} is {asset}?
        Give me {asset} against its {ma}.
        """,
    ),
    group(
        "lookup.all",
        """
        How is {asset} doing?
        How's {asset}?
        Tell me about {asset}.
        What about {asset}?
        What can you say about {asset}?
        How does {asset} look?
        Give me {asset}.
        Anything on {asset}?
        Describe {asset}.
        Show me {asset}.
        """,
    ),
    group(
        "compare.price",
        """
        Which is more expensive, {asset} or {asset2}?
        Which has the higher price, {asset} or {asset2}?
        Compare the prices of {asset} and {asset2}.
        {asset} or {asset2}: which costs more?
        Is {asset} or {asset2} more expensive?
        """,
    ),
    group(
        "compare.change",
        """
        Which is stronger {when}, {asset} or {asset2}?
        Compare {asset} and {asset2} {when}.
        {asset} or {asset2} {when}?
        Did {asset} or {asset2} do better {when}?
        Which did better {when}, {asset} or {asset2}?
        {asset} vs {asset2} {when}?
        How does {asset} compare with {asset2} {when}?
        Who is ahead {when}, {asset} or {asset2}?
        Compare the {per} change of {asset} and {asset2}.
        """,
    ),
    group(
        "compare.vol",
        """
        Which is busier, {asset} or {asset2}?
        Compare the volume of {asset} and {asset2}.
        Which has more volume against its average, {asset} or {asset2}?
        {asset} vs {asset2} by volume?
        """,
    ),
    group(
        "compare.rsi",
        """
        Which has the higher RSI, {asset} or {asset2}?
        Compare the RSI of {asset} and {asset2}.
        {asset} vs {asset2} by RSI?
        RSI: {asset} or {asset2}?
        """,
    ),
    group(
        "compare.avg",
        """
        Which is stronger against its {ma}, {asset} or {asset2}?
        Compare {asset} and {asset2} against the {ma}.
        {asset} vs {asset2} against the {ma}?
        Which stands higher relative to its {ma}, {asset} or {asset2}?
        """,
    ),
    group(
        "compare.all",
        """
        Compare {asset} and {asset2}.
        Compare {asset} with {asset2}.
        {asset} vs {asset2}?
        {asset} or {asset2}?
        How do {asset} and {asset2} compare?
        How does {asset} compare with {asset2}?
        {asset} against {asset2}?
        """,
    ),
    group(
        "state.asked",
        """
        Is {asset} {state:side}?
        Is {asset} {state:side} [now|right now|at the moment]?
        Does {asset} look {state:side}?
        Is {asset} {state:side} by RSI?
        Would you call {asset} {state:side}?
        Is the RSI of {asset} {state:side}?
        """,
    ),
    group(
        "state.open",
        """
        Is {asset} overbought or oversold?
        Is {asset} overbought, oversold or neither?
        What does the RSI of {asset} mean?
        Overbought or oversold: {asset}?
        Does the RSI of {asset} flag anything?
        Is the RSI of {asset} extreme?
        """,
    ),
    group(
        "direction.change",
        """
        Is {asset} {dir} {when}?
        Is {asset} {dir} {when}, yes or no?
        Did {asset} go {side} {when}?
        Has {asset} gone {side} {when}?
        Was {asset} {dir} {when}?
        {asset} {dir} {when}?
        Is {asset} trading {side} {when}?
        """,
    ),
    group(
        "direction.avg",
        """
        Is {asset} {where} its {ma}?
        Does {asset} trade {where} the {ma}?
        Is {asset} {where} the {ma}?
        {asset} {where} its {ma}?
        Is {asset} trading {where} its {ma}?
        Does {asset} stand {where} its {ma}?
        """,
    ),
    group(
        "again.asset",
        """
        And {asset}?
        What about {asset}?
        And for {asset}?
        How about {asset}?
        Same for {asset}?
        And what about {asset}?
        {asset}?
        """,
    ),
    group(
        "again.period",
        """
        And {when}?
        What about {when}?
        How about {when}?
        And what about {when}?
        Same question, {when}?
        And {when} only?
        """,
    ),
    group(
        "foreign",
        """
        What is the {thing} of {asset}?
        What's {asset}'s {thing}?
        {asset} {thing}?
        Do you know the {thing} of {asset}?
        Tell me the {thing} for {asset}.
        And the {thing} of {asset}?
        How high is the {thing} of {asset}?
        """,
    ),
    group(
        "reason",
        """
        Why is {asset} [up|down]?
        Why did {asset} [fall|rise|move]?
        What is the reason for {asset}'s move?
        What caused the move in {asset}?
        Why is {asset} so [weak|strong]?
        Why did the market [fall|rise]?
        What news moved {asset}?
        What is behind the move of {asset}?
        """,
    ),
)
