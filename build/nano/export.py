"""Nano between transformers' format and the two GGUF files that ship.

    python -m nano.export pack FOLDER      FOLDER/, FOLDER/assistant/ → what ships
    python -m nano.export unpack FOLDER    what ships → FOLDER/, FOLDER/assistant/

Matrices ship as Q8_0, vectors as F32. What is unpacked holds the very values that ship, and
transformers loads it as it is.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import gguf
import torch
from gguf.quants import dequantize
from transformers import Gemma4AssistantForCausalLM, Gemma4ForCausalLM

from leadout.checkpoint.names import GGUF_ARCHITECTURES, text_name_of_gguf
from leadout.errors import UnsupportedModelError
from leadout_build.store.built_in import FOLDER, NANO, NANO_DRAFTER
from nano.gemma4_gguf import Array, write_gemma4_gguf
from nano.saving import CHAT_TEMPLATE, save_model
from nano.shapes import assistant_config, target_config
from nano.tokenizer import STOP_IDS
from nano.vocabulary import tokenizer_of, vocabulary_of


def pack(folder: Path, out: Path = FOLDER) -> list[Path]:
    """Write the two GGUF files of a pair that transformers saved.

    Args:
        folder: the target's; the drafter's is FOLDER/assistant.
        out: made if it is not there.

    Returns:
        The target's file and the drafter's.
    """
    out.mkdir(parents=True, exist_ok=True)
    vocabulary = vocabulary_of(folder / "tokenizer.json")
    template = CHAT_TEMPLATE.read_text()
    pairs = (
        (NANO, "Leadout Nano", folder),
        (NANO_DRAFTER, "Leadout Nano's drafter", folder / "assistant"),
    )
    return [
        write_gemma4_gguf(
            out / f"{name}.gguf", source, vocabulary, "Q8_0", name=title, chat_template=template
        )
        for name, title, source in pairs
    ]


def unpack(folder: Path, source: Path = FOLDER) -> None:
    """Write what ships as transformers loads it, in float32.

    Args:
        folder: for the target; FOLDER/assistant is the drafter's.
        source: where the GGUF files lie.
    """
    tokenizer = tokenizer_of(source / f"{NANO}.gguf")
    target, assistant = load_models(source)
    save_model(target, folder, tokenizer)
    save_model(assistant, folder / "assistant", tokenizer, is_drafter=True)


def load_models(source: Path = FOLDER) -> tuple[Gemma4ForCausalLM, Gemma4AssistantForCausalLM]:
    """Return target and drafter as transformers' models, in float32, with the values that ship."""
    target = Gemma4ForCausalLM(target_config(STOP_IDS))
    assistant = Gemma4AssistantForCausalLM(assistant_config(STOP_IDS))
    for name, model in ((NANO, target), (NANO_DRAFTER, assistant)):
        values = read_tensors(source / f"{name}.gguf")
        with torch.no_grad():
            for key, tensor in model.state_dict().items():
                if key != "lm_head.weight":  # tied
                    tensor.copy_(torch.from_numpy(values.pop(key)).view_as(tensor))
    return target, assistant


def read_tensors(path: Path) -> dict[str, Array]:
    """Return a file's tensors under transformers' names: float32, and integers as they are."""
    reader = gguf.GGUFReader(path)
    field = reader.get_field("general.architecture")
    if field is None:
        raise UnsupportedModelError(f"{path.name} does not say its architecture")
    architecture = GGUF_ARCHITECTURES[field.contents()]
    tensors: dict[str, Array] = {}
    for tensor in reader.tensors:
        name = text_name_of_gguf(architecture, tensor.name)
        if name is not None:
            is_float = tensor.tensor_type != gguf.GGMLQuantizationType.I32
            values = dequantize(tensor.data, tensor.tensor_type) if is_float else tensor.data
            tensors[name] = values.copy()  # the file is mapped
    return tensors


def main() -> None:
    """Pack or unpack."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("action", choices=("pack", "unpack"))
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    if arguments.action == "unpack":
        unpack(arguments.folder)
        return
    for path in pack(arguments.folder):
        print(f"{path.name}: {path.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
