"""Finds the files of a folder that are a checkpoint."""

from __future__ import annotations

from pathlib import Path

from leadout.checkpoint.gguf_split import group_ggufs
from leadout.errors import ModelNotFoundError
from leadout_build.store.drafter_files import is_drafter_gguf

#: Files of a model besides *.gguf and *.safetensors. Other files of a folder are ignored.
CHECKPOINT_FILES = frozenset(
    {
        "config.json",
        "model.safetensors.index.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    }
)


def is_checkpoint_file(name: str) -> bool:
    """Return whether a file of that name is part of a checkpoint."""
    is_weights = name.endswith((".gguf", ".safetensors")) and not name.startswith(".")
    return is_weights or name in CHECKPOINT_FILES


def parts_beside(path: Path) -> dict[str, Path]:
    """Return a file, or for a split GGUF all parts in the same folder: file name → path."""
    beside = [other.name for other in path.parent.glob("*.gguf") if other.is_file()]
    for group in group_ggufs(beside):
        if path.name in group.names:
            return {name: path.parent / name for name in group.names}
    return {path.name: path}


def resolve_folder(folder: Path) -> dict[str, Path]:
    """Return the files of the only model in a folder: config.json and the files with it, or a GGUF.

    Raises:
        ModelNotFoundError: there is no model, or there are several (drafters do not count).
    """
    files = {
        path.name: path
        for path in sorted(folder.iterdir())
        if is_checkpoint_file(path.name) and path.is_file()
    }
    if "config.json" in files and any(name.endswith(".safetensors") for name in files):
        return {name: path for name, path in files.items() if not name.endswith(".gguf")}
    ggufs = group_ggufs(list(files))
    if len(ggufs) > 1:
        ggufs = [group for group in ggufs if not is_drafter_gguf(files[group.names[0]])]
    if len(ggufs) == 1:
        # Ignore a config.json beside a GGUF: the GGUF has its own configuration.
        names = (*ggufs[0].names, "tokenizer.json")
        return {name: files[name] for name in names if name in files}
    raise ModelNotFoundError(
        f"{folder} holds no model: wanted config.json with *.safetensors, or one .gguf file; "
        f"found {', '.join(files) or 'neither'}.",
        folder=str(folder),
        found=list(files),
    )
