"""How a model on the hub is written: hf:owner/name[@revision][:file], or without the "hf:".

Keep in step with web/hub/names.js; tests/vectors/hub has cases for both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_NAME = re.compile(
    rf"(?:hf:)?(?P<repo>{_PART}/{_PART})"
    r"(?:@(?P<revision>[A-Za-z0-9_][A-Za-z0-9_./-]{0,199}))?"
    r"(?::(?P<file>[^\x00-\x1f\x7f]{1,500}))?"
)


@dataclass(frozen=True)
class HubName:
    """A model's name on the hub.

    Attributes:
        repo: "owner/name".
        revision: a branch, a tag or a commit; None: the main branch.
        file: a .gguf's path in the repository, or its quantisation ("Q4_K_M").
    """

    repo: str
    revision: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        """Return the name in its whole form."""
        revision = f"@{self.revision}" if self.revision else ""
        return f"hf:{self.repo}{revision}{f':{self.file}' if self.file else ''}"


def parse_hub_name(text: str) -> HubName | None:
    """Return the parts of a name, or None where it is none: "x/y.gguf" is a path."""
    match = _NAME.fullmatch(text)
    if match is None:
        return None
    if match["repo"].lower().endswith(".gguf") and not text.startswith("hf:"):
        return None
    return HubName(match["repo"], match["revision"], match["file"])
