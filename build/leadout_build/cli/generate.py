"""`leadout generate`: continue a prompt, on either device, through the same public interfaces.

`webgpu` drives the built site in a headless Chromium by its JavaScript API; `numpy` runs the
engine in this process. Both print the same object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leadout.errors import LeadoutError, RequestError
from leadout_build.cli.progress import progress_of
from leadout_build.cli.table_prompt import read_table, system_of
from leadout_build.cli.terminal import shown_text
from leadout_build.serving.headless import BLANK, evaluate, headless_page, serving
from leadout_build.serving.server import find_model
from leadout_build.store.drafters import Drafter, drafter_named, drafter_of, require_drafter
from leadout_build.store.model_store import Store

#: Called with every piece of final text: of the answer, and of the reasoning.
OnText = Callable[[str, str], None]

# What the page does for us: load, then one request. The arguments come as one object.
_SCRIPT = """async ({name, options, request, prompt, messages}) => {
  const { Leadout } = await import(new URL("./leadout.js", location.href).href);
  const phases = { onProgress: (p) => leadoutProgress(p.loaded_bytes, p.total_bytes) };
  const engine = await Leadout.load({ model: name, ...options, ...phases });
  if (prompt !== null) {
    if (engine.info.has_chat_template && messages) request.messages = messages;
    else request.prompt = prompt;
  }
  const onDelta = (text, { reasoning }) => leadoutText(text, reasoning);
  return engine.generate(request, { onDelta });
}"""


def run(args: argparse.Namespace) -> int:
    """Run the command; see `leadout generate --help`."""
    store = Store()
    drafter = find_drafter(args, store)
    request = request_of(args)
    said = said_of(args)
    on_text: OnText = (lambda text, reasoning: None) if args.json else _print_text
    if args.device == "numpy":
        generated = asyncio.run(_on_numpy(args, request, said, store, drafter, on_text))
    else:
        generated = _on_webgpu(args, request, said, store, on_text)
    if args.json:
        print(json.dumps({"model": args.model, **generated}, ensure_ascii=False))
    else:
        print()
    return 0


@dataclass(frozen=True)
class Said:
    """What was asked in words.

    Attributes:
        prompt: for models that do not chat; None where ids were given.
        messages: for those that do; None where the prompt is to be taken as it is.
    """

    prompt: str | None
    messages: list[dict[str, str]] | None


def said_of(args: argparse.Namespace) -> Said:
    """Return what was asked in words.

    Raises:
        RequestError: nothing was asked, or --table names no table.
        OSError: the table cannot be read.
    """
    if args.prompt is None or args.raw:
        return Said(args.prompt, None)
    if not args.prompt.strip():
        raise RequestError("The prompt is empty; ask something.")
    if args.table is None:
        return Said(args.prompt, [{"role": "user", "content": args.prompt}])
    prompt = f"{read_table(args.table)}\n\n{args.prompt}"
    return Said(prompt, [*system_of(args.model), {"role": "user", "content": prompt}])


def find_drafter(args: argparse.Namespace, store: Store) -> Drafter | None:
    """Return the drafter to load beside the model, or None.

    Raises:
        RequestError: --drafter-model names weights that --drafter does without.
        DrafterError: --drafter mtp, and there is none beside the model.
        ModelNotFoundError: no such model, or no such --drafter-model.
        StoreError: a stored model is incomplete.
    """
    if args.drafter in ("none", "ngram"):
        if args.drafter_model is not None:
            raise RequestError(
                f"--drafter {args.drafter} needs no weights, and --drafter-model names some; leave "
                "one of the two out."
            )
        return None
    if args.drafter_model is not None:
        return drafter_named(store, args.drafter_model)
    if args.drafter == "mtp":
        return require_drafter(store, args.model)
    return drafter_of(store, args.model)


def request_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the request of web/messages.js but for the prompt's text."""
    request: dict[str, Any] = {
        "max_tokens": args.max_tokens,
        "temperature": args.temperature,
        "top_k": args.top_k,
        "top_p": args.top_p,
        "min_p": args.min_p,
        "repetition_penalty": args.repetition_penalty,
        "presence_penalty": args.presence_penalty,
        "frequency_penalty": args.frequency_penalty,
        "logit_bias": dict(args.logit_bias),
        "seed": args.seed,
        "stop": args.stop,
        "ignore_eos": args.ignore_eos,
    }
    if args.logprobs is not None:
        request |= {"logprobs": True, "top_logprobs": args.logprobs}
    request |= constraint_of(args)
    if args.run_ahead is not None:
        request["run_ahead"] = args.run_ahead
    if args.draft_tokens != "auto":
        request["draft_tokens"] = args.draft_tokens
    if args.thinking:
        request["enable_thinking"] = True
    if args.prompt_ids is not None:
        request["prompt_ids"] = args.prompt_ids
    return request


def constraint_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the fields that say what the answer keeps to; none where it is free.

    Raises:
        RequestError: a file has no schema or no grammar that can be kept to.
        OSError: it cannot be read.
    """
    from leadout.grammar.constraint import Constraint, schema_of_text

    fields: dict[str, Any] = {}
    if args.schema is not None:
        schema = schema_of_text(_text_of(args.schema))
        about = {"name": args.schema.stem, "schema": schema}
        fields["response_format"] = {"type": "json_schema", "json_schema": about}
    if args.grammar is not None:
        fields["grammar"] = _text_of(args.grammar)
    if args.regex is not None:
        fields["regex"] = args.regex
    Constraint.from_request(fields)  # what is wrong is said before anything is loaded
    return fields


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(f"{path.name} is no text in UTF-8.") from error


def load_options_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return what of web/messages.js' LoadOptions is not the default."""
    options: dict[str, Any] = {}
    if args.context_length is not None:
        options["context_length"] = args.context_length
    if args.placement != "auto":
        options["placement"] = args.placement
    if args.precision != "accurate":
        options["precision"] = args.precision
    if args.drafter != "auto":
        options["drafter"] = args.drafter
    if args.draft_tokens != "auto":
        # Plans for longer drafts would be compiled for nothing.
        options["max_draft_tokens"] = args.draft_tokens
    return options


def _print_text(text: str, reasoning: str) -> None:
    # So that a pipe gets the answer alone.
    for stream, written in ((sys.stderr, reasoning), (sys.stdout, text)):
        stream.write(shown_text(written, stream))
        stream.flush()


async def _on_numpy(
    args: argparse.Namespace,
    request: dict[str, Any],
    said: Said,
    store: Store,
    drafter: Drafter | None,
    on_text: OnText,
) -> dict[str, Any]:
    from leadout.engine import LoadOptions
    from leadout.request import GenerateRequest
    from leadout_build.cli.native import load_engine

    with progress_of("Loading") as progress:
        engine = await load_engine(
            store.resolve(args.model),
            LoadOptions(**load_options_of(args)),
            progress,
            drafter_files=None if drafter is None else drafter.files,
        )
    if said.prompt is not None:
        if engine.info()["has_chat_template"] and said.messages:
            request["messages"] = said.messages
        else:
            request["prompt"] = said.prompt
    generated = await engine.generate(
        GenerateRequest.from_json(request), lambda delta: on_text(delta.text, delta.reasoning)
    )
    return generated.to_json()


def _on_webgpu(
    args: argparse.Namespace,
    request: dict[str, Any],
    said: Said,
    store: Store,
    on_text: OnText,
) -> dict[str, Any]:
    options = {_camel_case(name): value for name, value in load_options_of(args).items()}
    name, _ = find_model(store, args.model, args.drafter_model)
    with (
        serving(model=args.model, store=store, drafter=args.drafter_model) as url,
        headless_page(url + BLANK) as page,
        progress_of("Loading") as progress,
    ):
        page.expose_function("leadoutProgress", progress)
        page.expose_function("leadoutText", on_text)
        arguments = {
            "name": name,
            "options": options,
            "request": request,
            "prompt": said.prompt,
            "messages": said.messages,
        }
        generated: dict[str, Any] = evaluate(
            page,
            f"async (args) => ({_SCRIPT})(args).then((value) => ({{value}}), (error) => "
            "({error: {name: error.name, message: error.message, detail: error.detail}}))",
            arguments,
        )
    if "error" in generated:
        from leadout import errors

        kind = getattr(errors, generated["error"]["name"], LeadoutError)
        raise kind(generated["error"]["message"], **(generated["error"]["detail"] or {}))
    value: dict[str, Any] = generated["value"]
    return value


def _camel_case(name: str) -> str:
    """Return what JavaScript calls an option."""
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)
