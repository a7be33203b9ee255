"""`leadout build`: the site, for any static host."""

from __future__ import annotations

import argparse

from leadout_build.site.assemble import build_site


def run(args: argparse.Namespace) -> int:
    """Build the site; see `build_site` for what it raises."""
    build_site(args.out, allow_origins=args.allow_origin)
    return 0
