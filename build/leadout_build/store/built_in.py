"""The built-in models: Nano and its drafter. Their files are data of this package.

Their names mean the same on every machine: they are looked up before the store and before the disk,
and they need no pull. A model of the same name in the store is hidden. It can still be named by the
path of its folder, as "./nano" names a folder in the current directory. `leadout pull` refuses to
store a model under such a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from leadout.errors import ModelNotFoundError

#: The folder of their files, in a checkout and in an installed package.
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
        name: the model's name, also on the server.
        files: the model's files, file name → path.
        drafter_name: the drafter's name.
        drafter_files: the drafter's files, file name → path.
    """

    name: str
    files: Mapping[str, Path]
    drafter_name: str
    drafter_files: Mapping[str, Path]


def is_built_in(name: str) -> bool:
    """Return whether a name is that of a built-in model or drafter."""
    return name in DRAFTERS or name in DRAFTERS.values()


def built_in_files(name: str, folder: Path | None = None) -> dict[str, Path]:
    """Return the files of a built-in model or drafter: file name → path.

    Args:
        name: a name for which `is_built_in` is true.
        folder: the folder of the files; default: in this package.

    Raises:
        ModelNotFoundError: the files are missing in this copy of Leadout.
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
    """Return the built-in models, with their drafters, or an empty list if files are missing.

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
        return []  # asking for a missing model by name is an error elsewhere
