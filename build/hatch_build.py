"""Puts into the wheel what `leadout serve` and `pull` of an installed package look for.

That is the built site, and the list of known models, which lies among the page's modules.

The site is dist/ as `leadout build` left it; `make wheel` builds it first. Nano's weights are in
the wheel already, as data of leadout_build, so those in the site's models/ stay out. Without a
built site the wheel has none, and an editable install needs none: it serves the checkout's dist/.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: Where leadout_build/__init__.py looks for it.
SITE_IN_WHEEL = "leadout_build/dist"


#: Where leadout_build/store/known_models.py looks for it.
KNOWN_MODELS_IN_WHEEL = "leadout_build/store/known_models.json"


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the site's files one by one; see the module's docstring."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Extend what goes into the wheel; see hatchling."""
        site = Path(self.root) / "dist"
        if version == "editable":
            return
        known_models = Path(self.root) / "web/hub/known_models.json"
        build_data["force_include"][str(known_models)] = KNOWN_MODELS_IN_WHEEL
        if not (site / "build.json").is_file():
            return
        for path in sorted(site.rglob("*")):
            if path.is_file() and path.suffix != ".gguf":
                name = path.relative_to(site).as_posix()
                build_data["force_include"][str(path)] = f"{SITE_IN_WHEEL}/{name}"
