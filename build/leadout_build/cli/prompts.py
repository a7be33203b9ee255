"""The prompts of `leadout generate`: one or several, from the command line or a file."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leadout.errors import RequestError
from leadout_build.cli.table_prompt import read_table, system_of


@dataclass(frozen=True)
class Asked:
    """A prompt.

    Attributes:
        name: the prompt's beginning, to print.
        plain: the prompt's fields of a `GenerateRequest`, for models that do not chat.
        chat: the same for models that chat; with --raw or ids it is `plain`.
    """

    name: str
    plain: dict[str, Any]
    chat: dict[str, Any]


#: A prompt in a file: text, or ids.
Prompt = str | list[int]


def prompts_of(args: argparse.Namespace) -> list[Asked]:
    """Return the prompts, in their order.

    Raises:
        RequestError: a prompt is empty, the file has no prompts or is broken, or --table names a
            file that is not a table.
        OSError: a file cannot be read.
    """
    if args.prompts_file is not None:
        prompts = read_prompts(args.prompts_file)
    elif args.prompt_ids is not None:
        prompts = [args.prompt_ids]
    else:
        prompts = list(args.prompts)
    table = None if args.table is None else read_table(args.table)
    asked = []
    for number, prompt in enumerate(prompts, 1):
        which = "The prompt" if len(prompts) == 1 else f"Prompt {number}"
        if isinstance(prompt, list):
            if table is not None:
                raise RequestError(f"{which} is ids; --table goes before text.")
            fields: dict[str, Any] = {"prompt_ids": prompt}
            asked.append(Asked(" ".join(map(str, prompt)), fields, fields))
        elif args.raw:
            asked.append(Asked(prompt, {"prompt": prompt}, {"prompt": prompt}))
        elif not prompt.strip():
            raise RequestError(f"{which} is empty; ask something.")
        else:
            text = prompt if table is None else f"{table}\n\n{prompt}"
            system = [] if table is None else system_of(args.model)
            messages = [*system, {"role": "user", "content": text}]
            asked.append(Asked(prompt, {"prompt": text}, {"messages": messages}))
    return asked


def read_prompts(path: Path) -> list[Prompt]:
    """Return the prompts of a file, at least one.

    Args:
        path: text in UTF-8 with one prompt per line. In a .jsonl file each line is JSON: a string,
            or an object with "prompt" or "prompt_ids". Blank lines are skipped.

    Raises:
        RequestError: the file has no prompts, or a line is not a prompt.
        OSError: the file cannot be read.
    """
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise RequestError(f"{path} holds no prompts: it is not UTF-8 text.") from None
    is_json = path.suffix == ".jsonl"
    prompts = [
        _from_json(line, f"{path}, line {number}") if is_json else line.strip()
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    if not prompts:
        raise RequestError(f"{path} holds no prompts; write one a line.")
    return prompts


def _from_json(line: str, where: str) -> Prompt:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{where} is not JSON ({error}).") from None
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and len(value) == 1:
        text, ids = value.get("prompt"), value.get("prompt_ids")
        if isinstance(text, str):
            return text
        if isinstance(ids, list) and all(type(token) is int and token >= 0 for token in ids):
            return ids
    raise RequestError(
        f'{where}: wanted a string, {{"prompt": "text"}} or {{"prompt_ids": [2, 5, 9]}}.'
    )
