"""Runs the page's scripts, one at a time, and stops them."""

from __future__ import annotations

import asyncio
import io
import sys
import traceback

from pyodide.code import eval_code_async

FILENAME = "script.py"

# Without buffers, as in `python -u`: pieces of an answer are seen as they come, not line by line.
sys.stdout = io.TextIOWrapper(open(1, "wb", 0, closefd=False), "utf-8", write_through=True)

_running: asyncio.Future[object] | None = None


async def run(source: str) -> str:
    """Run a script, with nothing of the one before.

    Returns:
        how it ended: "done", "stopped", or "failed", with its traceback printed.
    """
    global _running
    names = {"__name__": "__main__"}
    _running = asyncio.ensure_future(eval_code_async(source, names, filename=FILENAME))
    try:
        await _running
    except asyncio.CancelledError:
        return "stopped"
    except BaseException as error:
        # What ran the script is of no interest to who wrote it.
        shown = error.__traceback__
        while shown is not None and shown.tb_frame.f_code.co_filename != FILENAME:
            shown = shown.tb_next
        traceback.print_exception(type(error), error, shown)
        return "failed"
    finally:
        _running = None
    return "done"


def stop() -> None:
    """End the script that runs, where it waits next."""
    if _running is not None:
        _running.cancel()
