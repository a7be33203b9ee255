"""`leadout generate`: continue prompts on either device, through the public interfaces.

`webgpu` calls the JavaScript API of the built site in a headless Chromium. `numpy` runs the engine
in this process. Both print the same.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leadout import errors
from leadout.beside import beside
from leadout.errors import LeadoutError, RequestError
from leadout_build.cli.answers import Answers
from leadout_build.cli.progress import progress_of
from leadout_build.cli.prompts import Asked, prompts_of
from leadout_build.serving.headless import BLANK, evaluate, headless_page, serving
from leadout_build.serving.server import find_model
from leadout_build.store.drafters import Drafter, drafter_named, drafter_of, require_drafter
from leadout_build.store.model_store import Store

# The page runs this: it loads the model, then runs the prompts, as many at once as the model was
# loaded for. The arguments come as one object. A prompt that fails does not end the others.
_SCRIPT = """async ({name, options, request, prompts}) => {
  const { Leadout } = await import(new URL("./leadout.js", location.href).href);
  const toPlain = ({ name, message, detail }) => ({ name, message, detail });
  const onProgress = (p) => leadoutProgress(p.loaded_bytes, p.total_bytes);
  let engine;
  try {
    engine = await Leadout.load({ model: name, ...options, onProgress });
  } catch (error) {
    return toPlain(error);
  }
  const { has_chat_template, parallel } = engine.info;
  const waiting = prompts.entries();
  const runOneByOne = async () => {
    for (const [index, { plain, chat }] of waiting) {
      const asked = { ...request, ...(has_chat_template ? chat : plain) };
      const onDelta = (text, { reasoning }) => leadoutText(index, text, reasoning);
      const answer = engine.generate(asked, { onDelta });
      const end = await answer.then((value) => ({ value }), (error) => ({ error: toPlain(error) }));
      await leadoutEnd(index, end);
    }
  };
  await Promise.all(Array.from({ length: parallel }, runOneByOne));
  return null;
}"""


def run(args: argparse.Namespace) -> int:
    """Run the command; see `leadout generate --help`."""
    store = Store()
    drafter = find_drafter(args, store)
    request = request_of(args)
    asked = prompts_of(args)
    answers = Answers(
        args.model,
        [one.name for one in asked],
        is_json=args.json,
        is_list=len(asked) > 1 or args.prompts_file is not None,
    )
    if args.device == "numpy":
        asyncio.run(_on_numpy(args, request, asked, store, drafter, answers))
    else:
        _on_webgpu(args, request, asked, store, answers)
    return answers.close()


def find_drafter(args: argparse.Namespace, store: Store) -> Drafter | None:
    """Return the drafter to load beside the model, or None.

    Raises:
        RequestError: --drafter-model names weights, and --drafter is a kind that uses none.
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
    """Return the `GenerateRequest` of web/messages.js, without the prompt."""
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
    return request


def constraint_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the request's fields that constrain the answer; an empty dict if there are none.

    Raises:
        RequestError: a file's schema or grammar is invalid or not supported.
        OSError: a file cannot be read.
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
    Constraint.from_request(fields)  # check it before anything is loaded
    return fields


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(f"{path.name} is not UTF-8 text.") from error


def load_options_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of `LoadOptions` of web/messages.js that differ from the default."""
    options: dict[str, Any] = {}
    if args.context_length is not None:
        options["context_length"] = args.context_length
    if args.placement != "auto":
        options["placement"] = args.placement
    if args.precision != "accurate":
        options["precision"] = args.precision
    if args.parallel is not None:
        options["parallel"] = args.parallel
    if args.drafter != "auto":
        options["drafter"] = args.drafter
    if args.draft_tokens != "auto":
        # Otherwise Plans for longer drafts would be compiled, and never used.
        options["max_draft_tokens"] = args.draft_tokens
    return options


async def _on_numpy(
    args: argparse.Namespace,
    request: Mapping[str, Any],
    asked: Sequence[Asked],
    store: Store,
    drafter: Drafter | None,
    answers: Answers,
) -> None:
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
    has_chat_template = engine.info()["has_chat_template"]
    waiting = iter(enumerate(asked))

    async def answer(index: int, one: Asked) -> dict[str, Any]:
        fields = {**request, **(one.chat if has_chat_template else one.plain)}
        generated = await engine.generate(
            GenerateRequest.from_json(fields),
            lambda delta: answers.add(index, delta.text, delta.reasoning),
        )
        return generated.to_json()

    async def run_one_by_one() -> None:
        for index, one in waiting:
            try:
                answers.end(index, await answer(index, one))
            except LeadoutError as error:
                answers.end(index, error)

    await beside(*(run_one_by_one() for _ in range(args.parallel or 1)))


def _on_webgpu(
    args: argparse.Namespace,
    request: Mapping[str, Any],
    asked: Sequence[Asked],
    store: Store,
    answers: Answers,
) -> None:
    options = {_camel_case(name): value for name, value in load_options_of(args).items()}
    name, _ = find_model(store, args.model, args.drafter_model)

    def end(index: int, answer: Mapping[str, Any]) -> None:
        error = answer.get("error")
        answers.end(index, answer["value"] if error is None else _named(error))

    with (
        serving(model=args.model, store=store, drafter=args.drafter_model) as url,
        headless_page(url + BLANK) as page,
        progress_of("Loading") as progress,
    ):
        page.expose_function("leadoutProgress", progress)
        page.expose_function("leadoutText", answers.add)
        page.expose_function("leadoutEnd", end)
        prompts = [{"plain": one.plain, "chat": one.chat} for one in asked]
        arguments = {"name": name, "options": options, "request": request, "prompts": prompts}
        error = evaluate(page, _SCRIPT, arguments)
    if error is not None:
        raise _named(error)


def _named(error: Mapping[str, Any]) -> LeadoutError:
    """Return an `ErrorMessage` of web/messages.js as an error of the class in its name."""
    kind = getattr(errors, error["name"], LeadoutError)
    named: LeadoutError = kind(error["message"], **(error["detail"] or {}))
    return named


def _camel_case(name: str) -> str:
    """Return an option's name in JavaScript."""
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)
