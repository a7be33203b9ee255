"""What each command of `leadout` takes, and what it says of wrong arguments."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from leadout_build import DIST
from leadout_build.cli import values
from leadout_build.cli.terminal import say_error

BAD_USAGE = 2

_MODEL_HELP = (
    "nano, which is built in; or a name in the model store; or a path: a .gguf file, or a folder "
    "with config.json and *.safetensors"
)
#: Those of pyapp/leadout/checkpoint/synthetic.py, which is not imported for a --help.
_SHAPES = ("e2b", "e4b", "12b", "26b-a4b", "31b", "tiny")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse arguments; `run` of the result runs the command and returns the exit code.

    Args:
        argv: the arguments; None: the process's own.

    Raises:
        SystemExit: they are wrong, which is said; or help was asked for.
    """
    parser = _parser()
    args, rest = parser.parse_known_args(argv)
    # argparse takes a PROMPT right after MODEL or never; ours may come after options too.
    while hasattr(args, "prompts") and rest and not rest[0].startswith("-"):
        args.prompts.append(rest.pop(0))
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return args


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage in front of it."""

    def error(self, message: str) -> NoReturn:
        say_error(f"{message} (see `{self.prog} --help`)")
        raise SystemExit(BAD_USAGE)


class _HelpFormatter(argparse.HelpFormatter):
    """Names an option's default where it says something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        silent = action.default in (None, argparse.SUPPRESS)
        if silent or isinstance(action.default, (bool, list)):
            return action.help
        return f"{action.help} (default: %(default)s)"


# ---- the commands ----------------------------------------------------------------------------


def _command(name: str) -> Callable[[argparse.Namespace], int]:
    """Return what runs a command: `run` of the file of its name, imported only then."""

    def run(args: argparse.Namespace) -> int:
        code: int = importlib.import_module(f"leadout_build.cli.{name}").run(args)
        return code

    return run


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="leadout",
        description="Gemma in a browser tab. Models are kept in LEADOUT_HOME "
        "(default ~/.cache/leadout).",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, text: str) -> _Parser:
        command = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            formatter_class=_HelpFormatter,
        )
        command.set_defaults(run=_command(name))
        assert isinstance(command, _Parser)
        return command

    _add_serve_arguments(add("serve", "serve the built site and the models, here alone"))
    build = add("build", "build the site, for any static host and any sub-path")
    build.add_argument("--out", type=Path, default=DIST, metavar="FOLDER", help="where to")
    build.add_argument(
        "--package",
        type=Path,
        metavar="FOLDER",
        help="also write the npm package there, for `npm pack ./FOLDER`",
    )
    _add_origin_argument(build)
    pull = add("pull", "fetch a model into the store; resumes and verifies")
    pull.add_argument(
        "model",
        metavar="MODEL",
        help="gemma3-270m, a short name from README's table, a path, or "
        "hf:owner/name[@revision][:file] from the Hugging Face Hub; file is a .gguf or a "
        "quantisation, such as Q4_K_M. The model's drafter comes along where the hub has one",
    )
    models = add("models", "list, remove or verify the models in the store")
    models.add_argument(
        "action", nargs="?", choices=("list", "remove", "verify"), default="list", help="what to do"
    )
    models.add_argument("names", nargs="*", metavar="NAME", help="which ones; verify: default all")
    models.add_argument("--json", action="store_true", help="list as one JSON object")
    inspect = add("inspect", "show a model's architecture, tensors and sizes")
    inspect.add_argument("model", metavar="MODEL", help=_MODEL_HELP)
    inspect.add_argument(
        "--context",
        type=values.whole(2),
        metavar="N",
        help="say what a load with so many tokens takes",
    )
    inspect.add_argument(
        "--kv-dtype", choices=("f32", "f16"), default="f32", help="storage of the KV cache"
    )
    _add_placement_argument(inspect)
    inspect.add_argument("--json", action="store_true", help="print one JSON object")
    _add_generate_arguments(add("generate", "continue a prompt"))
    _add_bench_arguments(add("bench", "measure loading, prefill and decoding"))
    return parser


def _add_serve_arguments(parser: _Parser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument(
        "--port", type=values.whole(0, 65535), default=8000, help="0 takes a free one"
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument(
        "--model",
        metavar="NAME_OR_PATH",
        help=f"the model that the page begins with, with the drafter beside it: {_MODEL_HELP} "
        "(default: nano)",
    )
    _add_origin_argument(parser)
    parser.add_argument(
        "--cors",
        action="append",
        default=[],
        metavar="URL",
        help="an origin, such as http://localhost:5173, whose pages may read what is served here "
        "(CORS), to embed Leadout in them from this address; repeatable. No other page may",
    )


def _add_origin_argument(parser: _Parser) -> None:
    parser.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="URL",
        help="an origin, such as https://example.org, that the page may also fetch models from, "
        "beside the Hugging Face Hub's; repeatable",
    )


def _add_placement_argument(parser: _Parser) -> None:
    parser.add_argument(
        "--placement",
        choices=("auto", "gpu", "paged"),
        default="auto",
        help="of E2B's and E4B's per-layer embeddings: gpu; paged leaves them in the file and "
        "reads rows as they are used; auto pages where the device has no room. The text is the "
        "same",
    )


def _add_precision_argument(parser: _Parser) -> None:
    parser.add_argument(
        "--precision",
        choices=("accurate", "fast"),
        default="accurate",
        help="fast lets a GPU multiply quantised weights by activations of 8 bits instead of 16 "
        "while decoding: faster with drafts, and other text now and then",
    )


def _add_generate_arguments(parser: _Parser) -> None:
    parser.add_argument("model", metavar="MODEL", help=_MODEL_HELP)
    parser.add_argument(
        "prompts",
        metavar="PROMPT",
        nargs="*",
        help="the text to go on from, in quotes; with --parallel, several",
    )
    add = parser.add_argument
    add("--prompt-ids", type=values.ids, metavar="IDS", help='the prompt as token ids: "2 5 9"')
    add(
        "--prompts",
        dest="prompts_file",
        type=Path,
        metavar="FILE",
        help="go on from each line of a file; of a .jsonl, lines are JSON: a string, or an object "
        'with "prompt" or "prompt_ids". Answers come in this order, each under its number',
    )
    add(
        "--parallel",
        type=int,
        choices=values.PARALLEL,
        metavar="N",
        help="write so many answers at once: 1, 2, 4 or 8. Each takes a KV cache, and says what "
        "it says alone",
    )
    add(
        "--table",
        type=Path,
        metavar="FILE",
        help="a market table, as CSV or Markdown, to put before PROMPT; nano reads such tables",
    )
    add("--max-tokens", type=values.whole(1), default=256, metavar="N", help="stop after so many")
    add(
        "--device",
        choices=("webgpu", "numpy"),
        default="webgpu",
        help="webgpu: the built site in a headless Chromium; numpy: in this process",
    )
    add(
        "--drafter",
        choices=("auto", "none", "mtp", "ngram"),
        default="auto",
        help="what proposes tokens; the text is the same with any. auto: the drafter that lies "
        "beside MODEL, if any (X-assistant in the store; MODEL/assistant, MODEL-assistant, or a "
        ".gguf drafter beside a .gguf); mtp: the same, and an error without one; ngram: what the "
        "text itself says elsewhere",
    )
    add("--drafter-model", metavar="MODEL", help=f"the drafter, wherever it lies: {_MODEL_HELP}")
    add(
        "--draft-tokens",
        type=values.draft_tokens,
        default="auto",
        metavar="K",
        help="tokens proposed per cycle, 0 to 7; auto follows what is accepted, and what it costs",
    )
    add("--thinking", action="store_true", help="let the model reason first (on stderr)")
    add(
        "--temperature",
        type=values.number(lambda value: 0 <= value <= 100, "0 (greedy) to 100"),
        default=0.0,
        metavar="T",
        help="0 takes the likeliest token; 1 samples as the model was trained",
    )
    add(
        "--top-k",
        type=values.whole(0),
        default=0,
        metavar="K",
        help="keep the K likeliest; 0 is off",
    )
    add(
        "--top-p",
        type=values.number(lambda value: 0 < value <= 1, "above 0, up to 1"),
        default=1.0,
        metavar="P",
        help="keep the likeliest that make up this share; 1 is off",
    )
    add(
        "--min-p",
        type=values.number(lambda value: 0 <= value <= 1, "0 to 1"),
        default=0.0,
        metavar="P",
        help="keep those with this share of the likeliest one's probability; 0 is off",
    )
    add(
        "--repetition-penalty",
        type=values.number(lambda value: 0 < value <= 1000, "above 0, up to 1000"),
        default=1.0,
        metavar="R",
        help="above 1 makes tokens that were there already less likely; 1 is off",
    )
    add(
        "--presence-penalty",
        type=values.number(lambda value: -2 <= value <= 2, "-2 to 2"),
        default=0.0,
        metavar="P",
        help="taken off the logits of tokens that were written; 0 is off",
    )
    add(
        "--frequency-penalty",
        type=values.number(lambda value: -2 <= value <= 2, "-2 to 2"),
        default=0.0,
        metavar="P",
        help="taken off a token's logit for every time that it was written; 0 is off",
    )
    add(
        "--logit-bias",
        action="append",
        type=values.bias,
        default=[],
        metavar="ID=B",
        help="add B, -100 (never) to 100, to the logit of a token id; repeatable",
    )
    add(
        "--seed",
        type=values.whole(0, 2**32 - 1),
        default=0,
        metavar="S",
        help="the same seed gives the same text",
    )
    add(
        "--logprobs",
        type=values.whole(0, 20),
        default=None,
        metavar="N",
        help="with --json, each token's log-probability, and those of the N likeliest",
    )
    keeping = parser.add_mutually_exclusive_group()
    keeping.add_argument(
        "--schema", type=Path, metavar="FILE", help="answer with JSON that fits this JSON Schema"
    )
    keeping.add_argument(
        "--grammar", type=Path, metavar="FILE", help="answer as this grammar (EBNF) has it"
    )
    keeping.add_argument(
        "--regex", metavar="TEXT", help="answer with text that this regular expression matches"
    )
    add(
        "--stop",
        action="append",
        default=[],
        metavar="TEXT",
        help="end before this text; repeatable",
    )
    add(
        "--run-ahead",
        type=values.whole(1, 8),
        metavar="N",
        help="cycles in flight; changes the speed, never the text",
    )
    add("--context-length", type=values.whole(1), metavar="N", help="rows of KV cache")
    _add_placement_argument(parser)
    _add_precision_argument(parser)
    add("--raw", action="store_true", help="take the prompt as it is, without a chat template")
    add("--ignore-eos", action="store_true", help="go on past the model's own end")
    add("--json", action="store_true", help="print a JSON object an answer, with ids and figures")

    def check(args: argparse.Namespace) -> int:
        given = (args.prompts or None, args.prompt_ids, args.prompts_file)
        if sum(one is not None for one in given) != 1:
            parser.error("wanted either PROMPT or --prompt-ids or --prompts")
        if len(args.prompts) > 1 and args.parallel is None:
            others = " ".join(args.prompts[1:])
            parser.error(f"unrecognized arguments: {others}; several prompts want --parallel")
        if args.table is not None and (args.prompt_ids is not None or args.raw):
            parser.error("--table goes before a PROMPT of a chat, without --raw or --prompt-ids")
        return _command("generate")(args)

    parser.set_defaults(run=check)


def _add_bench_arguments(parser: _Parser) -> None:
    add = parser.add_argument
    add("model", metavar="MODEL", nargs="?", help=_MODEL_HELP)
    add(
        "--shape",
        choices=_SHAPES,
        help="weights made up on the device, as a Gemma 4 and its drafter have them, instead of "
        "MODEL; tiny is no real one, but runs anywhere",
    )
    add("--runtime", choices=("chromium", "node"), default="chromium", help="where WebGPU runs")
    add(
        "--rows",
        type=values.rows,
        default=[1, 2, 4, 8],
        metavar="N,N,…",
        help="measure cycles whose verify pass has so many rows, one more than are drafted, padded "
        "to 1, 2, 4 or 8; 1, plain decoding, is always measured (default: 1,2,4,8)",
    )
    add(
        "--draft-tokens",
        type=values.counts(0, values.MAX_DRAFT_TOKENS),
        metavar="K,K,…",
        help="instead of --rows: measure cycles that draft so many tokens, and plain ones",
    )
    add(
        "--sampling",
        type=values.samplings,
        default=list(values.SAMPLINGS),
        metavar="greedy,page",
        help="how tokens are chosen: greedy; page: temperature 1, top-k 64, top-p 0.95 "
        "(default: both)",
    )
    add(
        "--context",
        type=values.counts(1),
        metavar="N,N,…",
        help="measure decoding behind so many tokens (default: 512)",
    )
    add(
        "--prompt",
        type=values.counts(1),
        metavar="N,N,…",
        help="measure prefill of prompts of so many tokens (default: 32,256,512,2048)",
    )
    add(
        "--parallel",
        type=values.parallel,
        metavar="N,N,…",
        help="also measure so many requests at once (1, 2, 4 or 8), without and with 1, 3 and 7 "
        "drafts, as far as --rows or --draft-tokens has them",
    )
    add(
        "--constrained",
        action="store_true",
        help="also measure answers that keep to a JSON Schema, beside free ones",
    )
    add("--kv-dtype", choices=("f32", "f16"), help="storage of the KV cache")
    _add_placement_argument(parser)
    _add_precision_argument(parser)
    add("--rounds", type=values.whole(1), metavar="N", help="how often each thing is measured")
    add(
        "--profile",
        action="store_true",
        help="say what every op costs: us, bytes, and its share of what the device reads at best",
    )
    add(
        "--drafter",
        choices=("auto", "none", "mtp", "ngram"),
        default="auto",
        help="what drafts; auto: everything there is, mtp where a drafter lies beside MODEL",
    )
    add("--json", action="store_true", help="print one JSON object")

    def check(args: argparse.Namespace) -> int:
        if args.model is not None and args.shape is not None:
            parser.error("wanted either MODEL or --shape, not both")
        return _command("bench")(args)

    parser.set_defaults(run=check)
