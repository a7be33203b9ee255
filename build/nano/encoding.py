"""Dialogues as text and as ids; needs no torch."""

from __future__ import annotations

from tokenizers import Tokenizer

from nano.dialogues import Dialogue
from nano.tokenizer import BOS, END_OF_TURN, TURN


def chat_text(dialogue: Dialogue) -> str:
    """Return a dialogue as chat_template.jinja renders it, without the first token."""
    turns = (f"<|turn>{turn.role}\n{turn.text}<turn|>\n" for turn in dialogue.turns)
    return "".join(turns)


def encode(tokenizer: Tokenizer, dialogue: Dialogue) -> tuple[list[int], list[bool]]:
    """Return a dialogue's ids, and which of them Nano is to write: its turns up to their ends."""
    ids = [BOS, *tokenizer.encode(chat_text(dialogue), add_special_tokens=False).ids]
    model = tokenizer.token_to_id("model")
    is_own, own = [], False
    for i, id_ in enumerate(ids):
        # A turn is <|turn> role \n text <turn|> \n.
        if i >= 3 and ids[i - 3] == TURN and ids[i - 2] == model:
            own = True
        is_own.append(own)
        if id_ == END_OF_TURN:
            own = False
    return ids, is_own
