"""The command line: `leadout COMMAND`."""

from leadout_build.cli.arguments import main

__all__ = ["main"]
