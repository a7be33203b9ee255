"""Parses names of models on the hub: hf:owner/name[@revision][:file], or without the "hf:".

A name may also be a URL of the public hub: that of the model's page or of one of its GGUFs. Keep in
step with web/hub/names.js; tests/vectors/hub has cases for both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_NAME = re.compile(
    rf"(?:hf:)?(?P<repo>{_PART}/{_PART})"
    r"(?:@(?P<revision>[A-Za-z0-9_][A-Za-z0-9_./-]{0,199}))?"
    r"(?::(?P<file>[^\x00-\x1f\x7f]{1,500}))?"
)
_PAGE = re.compile(
    rf"https://huggingface\.co/(?P<repo>{_PART}/{_PART})"
    r"(?:/(?:tree|blob|resolve)/(?P<revision>[\w.-]{1,200})(?:/(?P<file>[^?#]{1,500}\.gguf))?)?"
    r"/?(?:[?#].*)?",
    re.ASCII,
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
        """Return the name in its full form."""
        revision = f"@{self.revision}" if self.revision else ""
        return f"hf:{self.repo}{revision}{f':{self.file}' if self.file else ''}"


def parse_hub_name(text: str) -> HubName | None:
    """Return the parts of a name, or None if the text is not a name: "x/y.gguf" is a path."""
    page = _PAGE.fullmatch(text)
    if page is not None:
        file = _decoded(page["file"]) if page["file"] else None
        return parse_hub_name(str(HubName(page["repo"], page["revision"], file)))
    match = _NAME.fullmatch(text)
    if match is None:
        return None
    if match["repo"].lower().endswith(".gguf") and not text.startswith("hf:"):
        return None
    return HubName(match["repo"], match["revision"], match["file"])


def _decoded(path: str) -> str:
    """Decode the path of a URL as JavaScript does: if one part is invalid, decode nothing."""
    try:
        if re.search("%(?![0-9A-Fa-f]{2})", path):
            return path
        return unquote(path, errors="strict")
    except UnicodeDecodeError:
        return path
