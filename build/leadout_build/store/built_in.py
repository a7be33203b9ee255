"""The models that ship in the box: Nano and its drafter, whose files are data of this package.

Their names mean the same on every machine: they are looked up before the store and before the
disk, and nothing has to be pulled for them. A model of the same name that somebody put into the
store is hidden, not mixed with ours: the path of its folder still names it, as "./nano" names a
folder of that name here. `leadout pull` makes no such model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from leadout.errors import ModelNotFoundError

#: Where their files lie, in a checkout as in an installed package.
FOLDER = Path(__file__).with_name("nano")

#: The model that serve and the page begin with.
NANO = "nano"
NANO_DRAFTER = "nano-assistant"

#: Built-in target → its drafter.
DRAFTERS: Mapping[str, str] = {NANO: NANO_DRAFTER}


@dataclass(frozen=True)
class BuiltInModel:
    """A built-in model with its drafter.

    Attributes:
        name: under which it is asked for, and served.
        files: file name → path.
        drafter_name: the same of the drafter.
        drafter_files: as above.
    """

    name: str
    files: Mapping[str, Path]
    drafter_name: str
    drafter_files: Mapping[str, Path]


def is_built_in(name: str) -> bool:
    """Return whether a name is one of ours."""
    return name in DRAFTERS or name in DRAFTERS.values()


def built_in_files(name: str, folder: Path | None = None) -> dict[str, Path]:
    """Return the files of a built-in model or drafter: file name → path.

    Args:
        name: for which `is_built_in` holds.
        folder: where they lie; default: in this package.

    Raises:
        ModelNotFoundError: this copy of Leadout came without them.
    """
    path = (folder or FOLDER) / f"{name}.gguf"
    if not path.is_file():
        raise ModelNotFoundError(
            f'The built-in model "{name}" is not in this copy of Leadout: {path} is missing. '
            "Install Leadout again, or restore the file from its repository.",
            name=name,
        )
    return {path.name: path}


def built_in_models(folder: Path | None = None) -> list[BuiltInModel]:
    """Return the built-in models that are there with their drafters.

    Args:
        folder: as for `built_in_files`.
    """
    try:
        return [
            BuiltInModel(
                name, built_in_files(name, folder), drafter, built_in_files(drafter, folder)
            )
            for name, drafter in DRAFTERS.items()
        ]
    except ModelNotFoundError:
        return []  # whoever asks for one by name is told
