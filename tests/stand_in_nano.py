"""A stand-in for Nano: a tiny Gemma 4 and its drafter as the two files that ship.

They are the trained tiny pair of vectors/gemma4-tiny as GGUF, so that drafts are accepted; what
they write means nothing. With them, tests of how Nano ships do not depend on what it learned.
"""

from __future__ import annotations

from pathlib import Path

from gemma4_gguf import write_gemma4_gguf

TINY = Path(__file__).parent / "vectors" / "gemma4-tiny"

#: As Gemma 4 marks turns.
CHAT_TEMPLATE = """\
{{- bos_token -}}
{%- for message in messages -%}
{%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
{{- '<|turn>' + role + '\\n' + message['content'] | trim + '<turn|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|turn>model\\n' -}}{%- endif -%}
"""


def write_stand_in(folder: Path, chat_template: str = CHAT_TEMPLATE) -> Path:
    """Write nano.gguf and nano-assistant.gguf into a new folder, and return it."""
    folder.mkdir(parents=True)
    for name, checkpoint in (("nano", "trained-e2b"), ("nano-assistant", "trained-e2b-assistant")):
        path = folder / f"{name}.gguf"
        write_gemma4_gguf(path, TINY / checkpoint, "Q8_0", chat_template=chat_template)
    return folder
