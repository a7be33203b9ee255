"""Quantise the tiny checkpoints with mlx-lm and mlx-vlm, and note what transformers makes of them.

Run in an environment of its own, after make_tiny_gemma3.py and make_tiny_gemma4.py (see README.md
beside this file):

    python tests/vectors/make_tiny_mlx.py [NAME ...]

It writes `mlx-tiny/<name>/` as the two packages' own `convert` do, and beside the weights
`golden.npz`: `prompt_ids`, and how transformers goes on greedily in float32 on the weights as the
`mlx` package dequantises them: `generated_ids`, their `margins`, and `logits` of every position of
both. `matrices.safetensors` has random and edge-case matrices, each with `<name>.values`, what
`mx.dequantize` makes of it in float32.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import torch
import transformers
from mlx_lm import utils as lm
from mlx_vlm import utils as vlm
from mlx_vlm.convert import skip_multimodal_module
from mlx_vlm.speculative.drafters import load_drafter
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent
OUT = HERE / "mlx-tiny"
NEW_TOKENS = 24
PROMPT_TOKENS = 40

Predicate = Callable[[str, nn.Module], Any]


def mixed(path: str, _: nn.Module) -> Any:
    """Give layers bits and groups of their own, and leave some alone."""
    if path.endswith("embed_tokens_per_layer"):
        return {"group_size": 64, "bits": 8}
    if path.endswith(("layers.0.mlp.down_proj", "per_layer_model_projection")):
        return False
    return {"group_size": 32, "bits": 8} if path.endswith("o_proj") else True


def router(path: str, _: nn.Module) -> Any:
    """Give the router 8 bits, as both packages do."""
    return {"group_size": 64, "bits": 8} if "router" in path else True


#: name -> source folder, package, group_size, bits, and how a layer is told apart.
CASES: dict[str, dict[str, Any]] = {
    "gemma3-4bit": {"source": "gemma3-tiny/grouped-query", "group_size": 32, "bits": 4},
    "gemma3-8bit-f16": {"source": "gemma3-tiny/odd-scale", "group_size": 32, "bits": 8},
    "e2b-mixed": {
        "source": "gemma4-tiny/e2b",
        "package": "vlm",
        "group_size": 32,
        "bits": 4,
        "predicate": mixed,
    },
    "26b-a4b-8bit": {
        "source": "gemma4-tiny/26b-a4b",
        "group_size": 32,
        "bits": 8,
        "predicate": router,
    },
    "31b-4bit-sharded": {
        "source": "gemma4-tiny/31b",
        "group_size": 64,
        "bits": 4,
        "dtype": mx.bfloat16,
        "shard_bytes": 100_000,
    },
    "trained-e2b-4bit": {"source": "gemma4-tiny/trained-e2b", "group_size": 64, "bits": 4},
}

DRAFTERS = {"trained-e2b-4bit": "gemma4-tiny/trained-e2b-assistant"}


def published(source: Path, folder: Path) -> Path:
    """Copy a checkpoint in the form that mlx-vlm knows: a flat config, and no audio tower.

    (The tiny audio tower is of a size that mlx-vlm cannot have.)
    """
    config = json.loads((source / "config.json").read_text())
    text = config.get("text_config", config)
    full = next(iter(text.pop("per_layer_config", {}).values()), {})
    for key, value in full.items():
        text["global_head_dim" if key == "head_dim" else f"num_global_{key[4:]}"] = value
    config |= {"audio_config": None, "vocab_size": text["vocab_size"]}
    (folder / "config.json").write_text(json.dumps(config))
    for path in source.glob("*.safetensors"):
        kept = {name: tensor for name, tensor in load_file(path).items() if "audio" not in name}
        save_file(kept, folder / path.name, {"format": "pt"})
    return folder


def convert(name: str, case: dict[str, Any]) -> None:
    """Quantise a checkpoint and save it, as the package does."""
    source, folder = HERE / case["source"], OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    predicate: Predicate | None = case.get("predicate")
    if case["source"].startswith("gemma4"):
        source = published(source, Path(tempfile.mkdtemp()))
    if case.get("package") == "vlm":
        config = json.loads((source / "config.json").read_text())
        model = vlm.load_model(source)

        def of_text(path: str, module: nn.Module) -> Any:
            return not skip_multimodal_module(path) and (not predicate or predicate(path, module))

        model, config = lm.quantize_model(
            model, config, case["group_size"], case["bits"], quant_predicate=of_text
        )
        vlm.save_weights(folder, model)
        vlm.save_config(config, folder / "config.json")
    else:
        model, config = lm.load_model(source)
        if "dtype" in case:
            model.set_dtype(case["dtype"])
        model, config = lm.quantize_model(
            model, config, case["group_size"], case["bits"], quant_predicate=predicate
        )
        if "shard_bytes" in case:
            save_in_shards(folder, model, case["shard_bytes"])
        else:
            lm.save_model(folder, model)
        lm.save_config(config, folder / "config.json")


def save_in_shards(folder: Path, model: nn.Module, shard_bytes: int) -> None:
    """Save as mlx-lm does, but in shards of so few bytes."""
    whole = lm.make_shards
    lm.make_shards = lambda weights, *_: _shards(weights, shard_bytes)
    try:
        lm.save_model(folder, model)
    finally:
        lm.make_shards = whole


def _shards(weights: dict[str, mx.array], shard_bytes: int) -> list[dict[str, mx.array]]:
    shards: list[dict[str, mx.array]] = [{}]
    for name, values in weights.items():
        if sum(value.nbytes for value in shards[-1].values()) > shard_bytes:
            shards.append({})
        shards[-1][name] = values
    return shards


def convert_drafter(name: str, source: Path) -> None:
    """Quantise a drafter's projections and save it under mlx-vlm's names."""
    folder = OUT / f"{name}-assistant"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    source = published(source, Path(tempfile.mkdtemp()))
    model = load_drafter(str(source), kind="mtp")
    model = model[0] if isinstance(model, tuple) else model
    config = json.loads((source / "config.json").read_text())

    def outside_the_head(path: str, _: nn.Module) -> bool:
        return "masked_embedding" not in path

    model, config = lm.quantize_model(model, config, 32, 4, quant_predicate=outside_the_head)
    vlm.save_weights(folder, model)
    vlm.save_config(config, folder / "config.json")


def dequantised(folder: Path) -> dict[str, np.ndarray]:
    """Return all tensors of a folder in float32, by the names in the files."""
    tensors: dict[str, mx.array] = {}
    for path in sorted(folder.glob("*.safetensors")):
        tensors |= mx.load(str(path))
    quantization = json.loads((folder / "config.json").read_text())["quantization"]
    values = {}
    for name, tensor in tensors.items():
        layer = name.removesuffix(".weight")
        if name.endswith((".scales", ".biases")):
            continue
        if layer != name and f"{layer}.scales" in tensors:
            packing = quantization.get(layer, quantization)
            whole = mx.dequantize(
                tensor,
                tensors[f"{layer}.scales"].astype(mx.float32),
                tensors[f"{layer}.biases"].astype(mx.float32),
                packing["group_size"],
                packing["bits"],
            )
        else:
            whole = tensor
        values[name] = np.array(whole.astype(mx.float32))
    return values


def load_into_transformers(source: Path, values: dict[str, np.ndarray]) -> torch.nn.Module:
    """Return transformers' model of the source's shape with these weights, float32."""
    config = transformers.AutoConfig.from_pretrained(source)
    kind = getattr(transformers, config.architectures[0])
    model = kind.from_pretrained(source, dtype=torch.float32, attn_implementation="eager")
    own = model.state_dict()
    taken = set()
    for name, tensor in own.items():
        bare = name.removeprefix("model.").removeprefix("language_model.")
        if name == "lm_head.weight" or bare.startswith(
            ("vision", "audio", "embed_vision", "embed_a")
        ):
            continue
        for candidate in (f"model.{bare}", f"language_model.model.{bare}"):
            if candidate in values:
                found = values[candidate]
                taken.add(candidate)
                break
            glu = candidate.replace(".experts.", ".experts.switch_glu.")
            if f"{glu}.weight" in values:
                found = values[f"{glu}.weight"]
                taken.add(f"{glu}.weight")
                break
            gate = glu.replace("gate_up_proj", "gate_proj") + ".weight"
            if "gate_up_proj" in glu and gate in values:
                up = gate.replace("gate_proj", "up_proj")
                found = np.concatenate([values[gate], values[up]], axis=-2)
                taken |= {gate, up}
                break
        else:
            raise SystemExit(f"{name} is not in the MLX folder")
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(np.array(found)).reshape(tensor.shape))
    left = [n for n in values if n not in taken and "vision" not in n and "audio" not in n]
    print("  not taken:", left)
    return model.eval()


def write_golden(name: str, case: dict[str, Any]) -> None:
    """Note the greedy continuation, and refuse ties."""
    source, folder = HERE / case["source"], OUT / name
    model = load_into_transformers(source, dequantised(folder))
    if (source / "golden.npz").exists():
        prompt = np.load(source / "golden.npz")["prompt_ids"][:PROMPT_TOKENS]
    else:
        records = json.loads(
            (source.parent / f"{source.name}-assistant" / "assisted.json").read_text()
        )
        prompt = np.array(max((r["prompt_ids"] for r in records), key=len))
    ids = torch.tensor(prompt, dtype=torch.long)[None]
    with torch.no_grad():
        for _ in range(NEW_TOKENS):
            logits = model(input_ids=ids).logits[0]
            ids = torch.cat([ids, logits[-1].argmax()[None, None]], dim=1)
        logits = model(input_ids=ids).logits[0]
    best = logits[len(prompt) - 1 : -1].topk(2).values
    margins = (best[:, 0] - best[:, 1]).numpy()
    print(f"  least margin {margins.min():.4f} of logits up to {logits.abs().max():.1f}")
    np.savez_compressed(
        folder / "golden.npz",
        prompt_ids=prompt.astype(np.int32),
        generated_ids=ids[0, len(prompt) :].numpy().astype(np.int32),
        margins=margins.astype(np.float32),
        logits=logits.numpy().astype(np.float32),
    )


def write_matrices() -> None:
    """Quantise random matrices, and make some whose scales and quants are at their ends."""
    mx.random.seed(7)
    tensors: dict[str, mx.array] = {}
    rng = np.random.default_rng(7)
    for bits in (4, 8):
        for group in (32, 64, 128):
            for dtype in ("float16", "bfloat16"):
                kind = getattr(mx, dtype)
                name = f"q{bits}_g{group}_{dtype}"
                weights = mx.random.normal((6, 256)).astype(kind)
                packed, scales, biases = mx.quantize(weights, group, bits)
                # Below: every pattern of a word under scales and biases of any finite bits.
                words = rng.integers(0, 1 << 32, (6, packed.shape[1]), np.uint32)
                words[0], words[1] = 0, 0xFFFFFFFF
                halves = rng.integers(0, 1 << 16, (2, 6, scales.shape[1]), np.uint16)
                finite = 0x7BFF if dtype == "float16" else 0x7F7F
                edges = np.array([0, 0x8000, 1, 0x8001, finite, finite | 0x8000], np.uint16)
                halves.reshape(-1)[: len(edges)] = edges
                exponent = 0x7C00 if dtype == "float16" else 0x7F80
                halves[(halves & exponent) == exponent] = 0x0123
                made = [mx.array(half).view(kind) for half in halves]
                packed = mx.concatenate([packed, mx.array(words)])
                scales = mx.concatenate([scales, made[0]])
                biases = mx.concatenate([biases, made[1]])
                values = mx.dequantize(
                    packed, scales.astype(mx.float32), biases.astype(mx.float32), group, bits
                )
                tensors |= {
                    f"{name}.weight": packed,
                    f"{name}.scales": scales,
                    f"{name}.biases": biases,
                    f"{name}.values": values,
                }
    mx.save_safetensors(str(OUT / "matrices.safetensors"), tensors)


def main() -> None:
    """Make all of it, or the cases named."""
    names = sys.argv[1:] or list(CASES)
    for name in names:
        print(name)
        convert(name, CASES[name])
        write_golden(name, CASES[name])
        if name in DRAFTERS:
            convert_drafter(name, HERE / DRAFTERS[name])
    if not sys.argv[1:]:
        write_matrices()


if __name__ == "__main__":
    main()
