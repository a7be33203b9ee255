"""Record how llama.cpp continues the prompts of gemma4-tiny, from float32 GGUF files.

Run in the project's environment; `node` needs a folder above the script that has node-llama-cpp:

    python tests/vectors/make_gemma4_llama_cpp.py prepare FOLDER
    node gemma4-tiny/make_llama_cpp.mjs FOLDER/in.json FOLDER/out.json
    python tests/vectors/make_gemma4_llama_cpp.py collect FOLDER

The second step writes `gemma4-tiny/llama_cpp.json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from gemma4_cases import FOLDER, RANDOM_NAMES, TRAINED_NAMES, load_assisted
from gemma4_gguf import write_gemma4_gguf

#: Variants of a file that have to load too; their continuations are compared, not kept.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "26b-a4b, experts apart": ("26b-a4b", {"are_experts_merged": False}),
    "e2b, Q8_0": ("e2b", {"quantization": "Q8_0"}),
    "trained-e2b, Q8_0": ("trained-e2b", {"quantization": "Q8_0"}),
    "trained-e2b, Q4_0": ("trained-e2b", {"quantization": "Q4_0"}),
    "e2b-assistant": ("e2b-assistant", {}),
    "e2b-assistant, without centroids": ("e2b-assistant", {"has_masked_embedding": False}),
    "12b-assistant": ("12b-assistant", {}),
}


def prepare(folder: Path) -> None:
    """Write the GGUF files and in.json."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: (name, {}) for name in (*RANDOM_NAMES, *TRAINED_NAMES)} | VARIANTS
    cases = {}
    for number, (label, (name, options)) in enumerate(files.items()):
        path = write_gemma4_gguf(folder / f"{number}.gguf", FOLDER / name, **options)
        cases[label] = {
            "gguf": str(path),
            "prompts": [
                {"prompt_ids": golden.prompt_ids, "num_tokens": len(golden.ids)}
                for golden in load_assisted(name.removesuffix("-assistant"))
            ],
        }
    (folder / "in.json").write_text(json.dumps(cases))


def compared(name: str, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return llama.cpp's continuations beside where they part from transformers'."""
    records = []
    for golden, result in zip(load_assisted(name), results, strict=True):
        same = [a == b for a, b in zip(golden.ids, result["ids"], strict=True)]
        parts_at = same.index(False) if False in same else None
        records.append({"prompt_ids": golden.prompt_ids, **result, "parts_at": parts_at})
    return records


def collect(folder: Path) -> None:
    """Write llama_cpp.json from out.json, and say what parted where."""
    out = json.loads((folder / "out.json").read_text())
    kept, variants = {}, {}
    for label, results in out["continuations"].items():
        if isinstance(results, dict):
            variants[label] = {**results, "log": results["log"][-4:]}
            continue
        name = VARIANTS[label][0] if label in VARIANTS else label
        records = compared(name, results)
        if label in VARIANTS:
            parted = [record["parts_at"] for record in records]
            variants[label] = {"prompts": len(parted), "same": parted.count(None)}
        else:
            kept[label] = records
        for golden, record in zip(load_assisted(name), records, strict=True):
            if (at := record["parts_at"]) is not None:
                print(f"{label}: parts at {at}, where the margin is {golden.margins[at]}")
    path = FOLDER / "llama_cpp.json"
    parts = [
        f'"versions": {json.dumps(out["versions"])}',
        f'"variants": {json.dumps(variants, indent=1)}',
        f'"continuations": {json.dumps(kept)}',
    ]
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    step, work_folder = sys.argv[1:]
    {"prepare": prepare, "collect": collect}[step](Path(work_folder))
