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
from typing import Any

from leadout.errors import LeadoutError, RequestError
from leadout_build.headless import BLANK, headless_page, serving
from leadout_build.progress import progress_of
from leadout_build.serve import find_model
from leadout_build.store import Store

#: Called with every piece of final text.
OnText = Callable[[str], None]

# What the page does for us: load, then one request. The arguments come as one object.
_SCRIPT = """async ({name, options, request, prompt, raw}) => {
  const { Leadout } = await import(new URL("./leadout.js", location.href).href);
  const phases = { onProgress: (p) => leadoutProgress(p.loaded_bytes, p.total_bytes) };
  const engine = await Leadout.load({ model: name, ...options, ...phases });
  if (prompt !== null) {
    if (engine.info.has_chat_template && !raw) {
      request.messages = [{ role: "user", content: prompt }];
    } else request.prompt = prompt;
  }
  return engine.generate(request, { onDelta: (text) => leadoutText(text) });
}"""


def run(args: argparse.Namespace) -> int:
    """Run the command; see `leadout generate --help`."""
    if args.drafter == "mtp" or args.drafter_model is not None:
        raise RequestError(f"{args.model} has no drafter; use --drafter none.")
    if args.drafter == "ngram":
        raise RequestError("The n-gram drafter needs a model with a verify pass; use none.")
    request = request_of(args)
    on_text: OnText = (lambda text: None) if args.json else _print_text
    if args.device == "numpy":
        generated = asyncio.run(_on_numpy(args, request, on_text))
    else:
        generated = _on_webgpu(args, request, on_text)
    if args.json:
        print(json.dumps({"model": args.model, **generated}, ensure_ascii=False))
    else:
        print()
    return 0


def request_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the request of web/messages.js but for the prompt's text."""
    request: dict[str, Any] = {
        "max_tokens": args.max_tokens,
        "temperature": args.temperature,
        "top_k": args.top_k,
        "top_p": args.top_p,
        "min_p": args.min_p,
        "repetition_penalty": args.repetition_penalty,
        "seed": args.seed,
        "stop": args.stop,
        "ignore_eos": args.ignore_eos,
    }
    if args.run_ahead is not None:
        request["run_ahead"] = args.run_ahead
    if args.prompt_ids is not None:
        request["prompt_ids"] = args.prompt_ids
    return request


def _print_text(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


async def _on_numpy(
    args: argparse.Namespace, request: dict[str, Any], on_text: OnText
) -> dict[str, Any]:
    from leadout.engine import LoadOptions
    from leadout.request import GenerateRequest
    from leadout_build.native import load_engine

    with progress_of("Loading") as progress:
        engine = await load_engine(
            Store().resolve(args.model),
            LoadOptions(context_length=args.context_length),
            progress,
        )
    if args.prompt is not None:
        if engine.info()["has_chat_template"] and not args.raw:
            request["messages"] = [{"role": "user", "content": args.prompt}]
        else:
            request["prompt"] = args.prompt
    generated = await engine.generate(
        GenerateRequest.from_json(request), lambda text, tokens, rate: on_text(text)
    )
    return generated.to_json()


def _on_webgpu(
    args: argparse.Namespace, request: dict[str, Any], on_text: OnText
) -> dict[str, Any]:
    from playwright.sync_api import Error as PlaywrightError

    options = {} if args.context_length is None else {"contextLength": args.context_length}
    name, _ = find_model(Store(), args.model)
    with (
        serving(model=args.model) as url,
        headless_page(url + BLANK) as page,
        progress_of("Loading") as progress,
    ):
        page.expose_function("leadoutProgress", progress)
        page.expose_function("leadoutText", on_text)
        arguments = {
            "name": name,
            "options": options,
            "request": request,
            "prompt": args.prompt,
            "raw": args.raw,
        }
        try:
            generated: dict[str, Any] = page.evaluate(
                f"async (args) => ({_SCRIPT})(args).then((value) => ({{value}}), (error) => "
                "({error: {name: error.name, message: error.message, detail: error.detail}}))",
                arguments,
            )
        except PlaywrightError as error:
            raise LeadoutError(f"Chromium: {error.message.splitlines()[0]}") from error
    if "error" in generated:
        from leadout import errors

        kind = getattr(errors, generated["error"]["name"], LeadoutError)
        raise kind(generated["error"]["message"], **(generated["error"]["detail"] or {}))
    value: dict[str, Any] = generated["value"]
    return value
