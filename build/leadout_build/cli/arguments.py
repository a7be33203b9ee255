"""The arguments of each command of `leadout`, and the messages about wrong arguments."""

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
    "nano (built in), a name in the model store, or a path: a .gguf file, or a folder with "
    "config.json and *.safetensors"
)
#: The shapes of pyapp/leadout/checkpoint/synthetic.py, which is not imported for a --help.
_SHAPES = ("e2b", "e4b", "12b", "26b-a4b", "31b", "tiny")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse arguments; `run` of the result runs the command and returns the exit code.

    Args:
        argv: the arguments; None: the process's own.

    Raises:
        SystemExit: an argument is wrong (a message was printed), or help was asked for.
    """
    parser = _parser()
    args, rest = parser.parse_known_args(argv)
    # argparse accepts a PROMPT only right after MODEL. Ours may also come after options.
    while hasattr(args, "prompts") and rest and not rest[0].startswith("-"):
        args.prompts.append(rest.pop(0))
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return args


class _Parser(argparse.ArgumentParser):
    """Prints what is wrong in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        say_error(f"{message} (see `{self.prog} --help`)")
        raise SystemExit(BAD_USAGE)


class _HelpFormatter(argparse.HelpFormatter):
    """Prints an option's default in its help, if the default is informative."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        silent = action.default in (None, argparse.SUPPRESS)
        if silent or isinstance(action.default, (bool, list)):
            return action.help
        return f"{action.help} (default: %(default)s)"


# ---- the commands ----------------------------------------------------------------------------


def _command(name: str) -> Callable[[argparse.Namespace], int]:
    """Return a function that imports the module of a command and calls its `run`."""

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

    _add_serve_arguments(add("serve", "serve the built site and the models, to this machine only"))
    build = add("build", "build the site, for any static host and any sub-path")
    build.add_argument("--out", type=Path, default=DIST, metavar="FOLDER", help="where to put it")
    build.add_argument(
        "--package",
        type=Path,
        metavar="FOLDER",
        help="also write the npm package there, for `npm pack ./FOLDER`",
    )
    _add_origin_argument(build)
    pull = add("pull", "download a model into the store; resumes and verifies")
    pull.add_argument(
        "model",
        metavar="MODEL",
        help="gemma3-270m; a short name such as gemma-4-e2b; a path; or "
        "hf:owner/name[@revision][:file] from the Hugging Face Hub, where file is a .gguf or a "
        "quantisation such as Q4_K_M. The model's drafter is downloaded too, if the hub has one",
    )
    models = add("models", "list, remove or verify the models in the store")
    models.add_argument(
        "action", nargs="?", choices=("list", "remove", "verify"), default="list", help="what to do"
    )
    models.add_argument(
        "names", nargs="*", metavar="NAME", help="which models; verify: all by default"
    )
    models.add_argument("--json", action="store_true", help="print the list as one JSON object")
    inspect = add("inspect", "show a model's architecture, tensors and sizes")
    inspect.add_argument(
        "model",
        metavar="MODEL",
        help=f"{_MODEL_HELP}; or, to look before a pull, a short name such as gemma-4-e2b, or "
        "hf:owner/name[@revision][:file]",
    )
    inspect.add_argument(
        "--context",
        type=values.whole(2),
        metavar="N",
        help="say how much GPU memory a context of N tokens takes",
    )
    inspect.add_argument(
        "--kv-dtype", choices=("f32", "f16"), default="f32", help="how the KV cache is stored"
    )
    inspect.add_argument(
        "--parallel",
        type=int,
        choices=values.PARALLEL,
        default=1,
        metavar="N",
        help="say how much GPU memory N requests at once take: 1, 2, 4 or 8",
    )
    _add_placement_argument(inspect)
    inspect.add_argument("--json", action="store_true", help="print one JSON object")
    _add_generate_arguments(add("generate", "continue a prompt, or answer it"))
    _add_bench_arguments(add("bench", "measure loading, prefill and decoding"))
    return parser


def _add_serve_arguments(parser: _Parser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address to listen on")
    parser.add_argument(
        "--port", type=values.whole(0, 65535), default=8000, help="the port; 0 takes a free one"
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument(
        "--model",
        metavar="NAME_OR_PATH",
        help=f"the model that the page starts with: {_MODEL_HELP}. The drafter beside it is "
        "offered too (default: nano)",
    )
    _add_origin_argument(parser)
    parser.add_argument(
        "--cors",
        action="append",
        default=[],
        metavar="URL",
        help="let pages of this origin, such as http://localhost:5173, read what is served here "
        "(CORS), so that they can embed Leadout from this address; repeatable",
    )


def _add_origin_argument(parser: _Parser) -> None:
    parser.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="URL",
        help="let the page download models from this origin too, such as https://example.org; "
        "the Hugging Face Hub is always allowed; repeatable",
    )


def _add_placement_argument(parser: _Parser) -> None:
    parser.add_argument(
        "--placement",
        choices=("auto", "gpu", "paged"),
        default="auto",
        help="where E2B's and E4B's per-layer embeddings are kept. gpu: in GPU memory; paged: in "
        "the file, from which rows are read when they are used; auto: paged if the GPU has no "
        "room. The text is the same",
    )


def _add_precision_argument(parser: _Parser) -> None:
    parser.add_argument(
        "--precision",
        choices=("accurate", "fast"),
        default="accurate",
        help="fast: while decoding, the GPU multiplies quantised weights by activations of 8 "
        "bits instead of 16. Faster with drafts, but the text sometimes differs",
    )


def _add_generate_arguments(parser: _Parser) -> None:
    parser.add_argument("model", metavar="MODEL", help=_MODEL_HELP)
    parser.add_argument(
        "prompts",
        metavar="PROMPT",
        nargs="*",
        help="the text to continue, in quotes; with --parallel, several of them",
    )
    add = parser.add_argument
    add("--prompt-ids", type=values.ids, metavar="IDS", help='the prompt as token ids: "2 5 9"')
    add(
        "--prompts",
        dest="prompts_file",
        type=Path,
        metavar="FILE",
        help="one prompt a line. In a .jsonl each line is JSON: a string, or an object with "
        '"prompt" or "prompt_ids". Answers come in the same order, each under its number',
    )
    add(
        "--parallel",
        type=int,
        choices=values.PARALLEL,
        metavar="N",
        help="write N answers at once: 1, 2, 4 or 8. Each needs a KV cache of its own. The "
        "answers are the same as one by one",
    )
    add(
        "--table",
        type=Path,
        metavar="FILE",
        help="put this market table (CSV or Markdown) before PROMPT; nano reads such tables",
    )
    add("--max-tokens", type=values.whole(1), default=256, metavar="N", help="stop after N tokens")
    add(
        "--device",
        choices=("webgpu", "numpy"),
        default="webgpu",
        help="webgpu: run the built site in a headless Chromium; numpy: run in this process",
    )
    add(
        "--drafter",
        choices=("auto", "none", "mtp", "ngram"),
        default="auto",
        help="what guesses tokens ahead; the text is the same with any. auto: the drafter beside "
        "MODEL, if there is one (X-assistant in the store; MODEL/assistant, MODEL-assistant, or a "
        ".gguf drafter beside a .gguf); mtp: the same, but an error if there is none; ngram: what "
        "followed the same words earlier in the text",
    )
    add("--drafter-model", metavar="MODEL", help=f"the drafter, if it is elsewhere: {_MODEL_HELP}")
    add(
        "--draft-tokens",
        type=values.draft_tokens,
        default="auto",
        metavar="K",
        help="tokens to guess per cycle, 0 to 7; auto: as many as pay",
    )
    add("--thinking", action="store_true", help="let the model reason first (on stderr)")
    add(
        "--temperature",
        type=values.number(lambda value: 0 <= value <= 100, "0 (greedy) to 100"),
        default=0.0,
        metavar="T",
        help="0: always the likeliest token; 1: sample as the model was trained",
    )
    add(
        "--top-k",
        type=values.whole(0),
        default=0,
        metavar="K",
        help="choose among the K likeliest tokens; 0 is off",
    )
    add(
        "--top-p",
        type=values.number(lambda value: 0 < value <= 1, "above 0, up to 1"),
        default=1.0,
        metavar="P",
        help="choose among the likeliest tokens that together have this probability; 1 is off",
    )
    add(
        "--min-p",
        type=values.number(lambda value: 0 <= value <= 1, "0 to 1"),
        default=0.0,
        metavar="P",
        help="drop tokens below this share of the likeliest one's probability; 0 is off",
    )
    add(
        "--repetition-penalty",
        type=values.number(lambda value: 0 < value <= 1000, "above 0, up to 1000"),
        default=1.0,
        metavar="R",
        help="above 1: tokens that were already used get less likely; 1 is off",
    )
    add(
        "--presence-penalty",
        type=values.number(lambda value: -2 <= value <= 2, "-2 to 2"),
        default=0.0,
        metavar="P",
        help="subtract P from the logit of each token that was already written; 0 is off",
    )
    add(
        "--frequency-penalty",
        type=values.number(lambda value: -2 <= value <= 2, "-2 to 2"),
        default=0.0,
        metavar="P",
        help="subtract P from a token's logit for each time it was written; 0 is off",
    )
    add(
        "--logit-bias",
        action="append",
        type=values.bias,
        default=[],
        metavar="ID=B",
        help="add B to the logit of token ID: -100 (never) to 100; repeatable",
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
        help="with --json: each token's log-probability, and those of the N likeliest tokens",
    )
    keeping = parser.add_mutually_exclusive_group()
    keeping.add_argument(
        "--schema", type=Path, metavar="FILE", help="answer with JSON that fits this JSON Schema"
    )
    keeping.add_argument(
        "--grammar", type=Path, metavar="FILE", help="answer with text that fits this EBNF grammar"
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
        help="how many cycles to queue on the GPU (default: as many as keep it busy)",
    )
    add(
        "--context-length",
        type=values.whole(1),
        metavar="N",
        help="tokens that fit into the context",
    )
    _add_placement_argument(parser)
    _add_precision_argument(parser)
    add("--raw", action="store_true", help="use the prompt as it is, without the chat template")
    add("--ignore-eos", action="store_true", help="continue after the model's own end")
    add(
        "--json",
        action="store_true",
        help="print one JSON object per answer, with ids and figures",
    )

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
        help="instead of MODEL: made-up weights in the shape of this Gemma 4 and its drafter. "
        "tiny is not a real model, but runs anywhere",
    )
    add("--runtime", choices=("chromium", "node"), default="chromium", help="where WebGPU runs")
    add(
        "--rows",
        type=values.rows,
        default=[1, 2, 4, 8],
        metavar="N,N,…",
        help="measure cycles that check N rows at once. N drafts need N + 1 rows, rounded up to "
        "1, 2, 4 or 8. 1 row, plain decoding, is always measured (default: 1,2,4,8)",
    )
    add(
        "--draft-tokens",
        type=values.counts(0, values.MAX_DRAFT_TOKENS),
        metavar="K,K,…",
        help="instead of --rows: measure cycles that draft K tokens, and plain decoding",
    )
    add(
        "--sampling",
        type=values.samplings,
        default=list(values.SAMPLINGS),
        metavar="greedy,page",
        help="how tokens are chosen. greedy: the likeliest; page: temperature 1, top-k 64, top-p "
        "0.95, as on the page (default: both)",
    )
    add(
        "--context",
        type=values.counts(1),
        metavar="N,N,…",
        help="measure decoding after N tokens (default: 512)",
    )
    add(
        "--prompt",
        type=values.counts(1),
        metavar="N,N,…",
        help="measure reading prompts of N tokens (default: 32,256,512,2048)",
    )
    add(
        "--parallel",
        type=values.parallel,
        metavar="N,N,…",
        help="also measure N requests at once (1, 2, 4 or 8), without drafts and with 1, 3 and 7 "
        "of them, as far as --rows or --draft-tokens includes these",
    )
    add(
        "--constrained",
        action="store_true",
        help="also compare answers that follow a JSON Schema with free ones",
    )
    add("--kv-dtype", choices=("f32", "f16"), help="how the KV cache is stored")
    _add_placement_argument(parser)
    _add_precision_argument(parser)
    add("--rounds", type=values.whole(1), metavar="N", help="how often to measure each thing")
    add(
        "--profile",
        action="store_true",
        help="show what each operation costs: time, bytes, share of the best bandwidth",
    )
    add(
        "--drafter",
        choices=("auto", "none", "mtp", "ngram"),
        default="auto",
        help="which drafter to measure; auto: all that there are, mtp if a drafter is beside MODEL",
    )
    add("--json", action="store_true", help="print one JSON object")

    def check(args: argparse.Namespace) -> int:
        if args.model is not None and args.shape is not None:
            parser.error("wanted either MODEL or --shape, not both")
        return _command("bench")(args)

    parser.set_defaults(run=check)
