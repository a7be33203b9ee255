"""`leadout build`: the site, for any static host; and the npm package."""

from __future__ import annotations

import argparse

from leadout_build.site.assemble import build_site
from leadout_build.site.package import build_package


def run(args: argparse.Namespace) -> int:
    """Build; see `build_site` and `build_package` for what they raise."""
    build_site(args.out, allow_origins=args.allow_origin)
    if args.package is not None:
        build_package(args.package, args.out)
    return 0
