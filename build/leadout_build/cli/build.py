"""`leadout build`: the site, for any static host; and the npm package."""

from __future__ import annotations

import argparse
import shlex

from leadout_build.site.assemble import build_site
from leadout_build.site.package import build_package


def run(args: argparse.Namespace) -> int:
    """Build; see `build_site` and `build_package` for what they raise."""
    build_site(args.out, allow_origins=args.allow_origin)
    print(f"The site is in {args.out}, for any static host.")
    if args.package is not None:
        build_package(args.package, args.out)
        # `npm pack` takes a name without a slash for one of the registry.
        folder = args.package.absolute()
        pack = f"npm pack {shlex.quote(str(folder))}"
        print(f"The npm package is in {folder}; `{pack}` makes one file of it.")
    return 0
