"""The command line: `leadout COMMAND`.

    arguments.py, values.py    what each command takes; COMMAND.py has its `run`
    pull_*.py, catalogue.py    the sources of `pull`
    headers.py                 opens a model for `inspect`, at the hub too
    prompts.py, answers.py     the prompts of `generate`, and how it prints answers
    table_prompt.py            `generate --table`
    native.py                  the engine in this process
    progress.py, terminal.py   output on a terminal

A command's module is imported only when the command runs. So `--help` answers at once, and a
command does not need packages that only another command uses.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from leadout.errors import LeadoutError
from leadout_build.cli.arguments import parse
from leadout_build.cli.terminal import say_error

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the process's exit code.

    Args:
        argv: the arguments; default: the process's own.
    """
    try:
        args = parse(argv)
        code: int = args.run(args)
        sys.stdout.flush()
    except LeadoutError as error:
        say_error(error.message)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (head, less) closed the pipe; keep Python from flushing at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        say_error(f"{error.filename or 'the system'}: {error.strerror or error}")
        return 1
    return code
