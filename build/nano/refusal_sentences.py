"""Sentence forms of refusals. None holds a figure, so that nothing in them can be wrong."""

from __future__ import annotations

from nano.forms import group

SENTENCES = (
    group(
        "refusal.no_asset.named",
        """
        {asset} is not in the table.
        The table does not [list|hold|include] {asset}.
        There is no row for {asset} in the table.
        I cannot find {asset} in the table.
        """,
        reason="no_asset",
    ),
    group(
        "refusal.no_asset",
        """
        That asset is not in the table.
        The table does not [list|hold|include] that asset.
        There is no row for that asset in the table.
        """,
        reason="no_asset",
    ),
    group(
        "refusal.no_column",
        """
        The table has no column for that.
        The table does not [show|hold|give] that figure.
        That figure is not in the table.
        The table does not tell; it has no such column.
        """,
        reason="no_column",
    ),
    group(
        "refusal.no_cell.named",
        """
        The table gives no value for {asset} there.
        That cell is empty for {asset}.
        The value for {asset} is missing in the table.
        For {asset}, the table leaves that value out.
        """,
        reason="no_cell",
    ),
    group(
        "refusal.no_cell",
        """
        The table gives no value there.
        That cell is empty in the table.
        That value is missing in the table.
        """,
        reason="no_cell",
    ),
    group(
        "refusal.no_mood",
        """
        No fear-and-greed index is given.
        The table comes without a fear-and-greed index.
        There is no fear-and-greed index with this table.
        I see no fear-and-greed index here.
        """,
        reason="no_mood",
    ),
    group(
        "refusal.no_reason",
        """
        The table shows moves, not their causes.
        The table does not say why.
        The table gives no reasons for a move.
        """,
        reason="no_reason",
    ),
    group(
        "refusal.off_topic",
        """
        I can only answer questions about the market table.
        That is outside the table; I only speak about its data.
        I only [read|know] the market table, so I cannot help with that.
        My subject is the table alone; please ask about its data.
        """,
        reason="off_topic",
    ),
    group(
        "refusal.advice",
        """
        I give no advice and no predictions; I only describe the table.
        I cannot [say|tell] what to buy or sell, or what comes next; I only describe the table.
        The table shows what was, not what will be, and I give no advice.
        I do not [give advice|make predictions]; I can only describe the data.
        """,
        reason="advice",
    ),
    group(
        "refusal.no_table",
        """
        There is no market table yet; please paste one as CSV or Markdown.
        I see no market table. Please paste one as CSV or Markdown.
        Please paste a market table first, as CSV or Markdown.
        I need a market table to answer; please paste one as CSV or Markdown.
        """,
        reason="no_table",
    ),
    group(
        "refusal.other_language",
        """
        I can only answer in English about the table.
        Please ask in English; I only [speak|know] English.
        I only understand English; please ask about the table in English.
        """,
        reason="other_language",
    ),
    group(
        "refusal.empty",
        """
        Please ask a question about the table.
        What would you like to know about the table?
        I am ready for a question about the table.
        """,
        reason="empty",
    ),
)
