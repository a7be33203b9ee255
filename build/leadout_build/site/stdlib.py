"""What the browser's Python does without of its standard library.

Left out are modules that need sockets, processes or a terminal, which a tab does not have, those
for people who write and test programs, and codecs of old files. What is kept imports nothing of
them unless it is asked for something that a tab cannot do (tests/unit/test_stdlib.py).
"""

from __future__ import annotations

#: Modules and packages, by path without the ending.
LEFT_OUT = (
    # Protocols, which need sockets; and what reads their texts.
    *("email", "ftplib", "http/client", "http/cookiejar", "http/cookies", "http/server", "imaplib"),
    *("importlib/metadata", "logging/config", "logging/handlers", "mailbox", "netrc", "poplib"),
    *("smtplib", "socketserver", "ssl", "_ssl", "urllib/request", "urllib/robotparser"),
    *("webbrowser", "antigravity", "wsgiref", "xmlrpc"),
    # Processes and terminals.
    *("_pyrepl", "asyncio/__main__", "cmd", "concurrent/futures/process", "getpass"),
    *("multiprocessing", "pty", "tty"),
    # Tools for programmers.
    *("bdb", "cProfile", "compileall", "doctest", "modulefinder", "pdb", "pickletools", "profile"),
    *("pstats", "pyclbr", "pydoc", "symtable", "tabnanny", "timeit", "trace", "unittest", "zipapp"),
    # Formats and bindings.
    *("ctypes", "optparse", "plistlib", "sqlite3", "xml"),
    # The same as modules in C, which are there, written in Python.
    *("_pydatetime", "_pyio"),
)

#: Of the folder `encodings`, all that stay.
CODECS = (
    *("__init__", "aliases", "ascii", "cp437", "idna", "latin_1", "punycode", "raw_unicode_escape"),
    *("unicode_escape", "utf_16", "utf_16_be", "utf_16_le", "utf_32", "utf_32_be", "utf_32_le"),
    *("utf_8", "utf_8_sig"),
)


def is_left_out(name: str) -> bool:
    """Tell whether an entry of the standard library's archive does not go along."""
    path = name.removesuffix(".py")
    if path.startswith("encodings/"):
        return path.removeprefix("encodings/") not in CODECS
    return any(path == one or path.startswith(f"{one}/") for one in LEFT_OUT)
