"""`leadout serve`: the site and the models, for the browser of this machine."""

from __future__ import annotations

import argparse

from leadout_build.serving.server import serve


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted; see `serving.server.serve` for what it raises."""
    serve(
        args.host,
        args.port,
        open_browser=args.open,
        model=args.model,
        allow_origins=args.allow_origin,
        cors_origins=args.cors,
    )
    return 0
