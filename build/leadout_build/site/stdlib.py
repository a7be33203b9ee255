"""The modules of the standard library that the browser's Python does not have.

These are modules that need sockets, processes or a terminal, which a tab does not have; tools for
writing and testing programs; and codecs of old files. The other modules import none of these,
unless a program does something that a tab cannot do (tests/unit/test_stdlib.py).
"""

from __future__ import annotations

#: Modules and packages, by path without the ending.
LEFT_OUT = (
    # Protocols, which need sockets, and parsers of their messages.
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
    # Modules written in Python for which there is the same module in C.
    *("_pydatetime", "_pyio"),
)

#: The modules of the folder `encodings` that stay.
CODECS = (
    *("__init__", "aliases", "ascii", "cp437", "idna", "latin_1", "punycode", "raw_unicode_escape"),
    *("unicode_escape", "utf_16", "utf_16_be", "utf_16_le", "utf_32", "utf_32_be", "utf_32_le"),
    *("utf_8", "utf_8_sig"),
)


def is_left_out(name: str) -> bool:
    """Return whether an entry of the standard library's archive is left out."""
    path = name.removesuffix(".py")
    if path.startswith("encodings/"):
        return path.removeprefix("encodings/") not in CODECS
    return any(path == one or path.startswith(f"{one}/") for one in LEFT_OUT)
