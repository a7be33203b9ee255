"""Checkpoints: a GGUF file, or config.json with safetensors, behind one description.

Only headers and small JSON files are read here; tensors stay where they are until a LoadPlan
streams them to a device.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from leadout.checkpoint.gguf import GgufHeader, Value
from leadout.checkpoint.gguf_split import GgufFiles, group_ggufs, read_gguf_files
from leadout.checkpoint.json_file import read_json_object, read_text
from leadout.checkpoint.mlx import joined
from leadout.checkpoint.names import (
    GGUF_ARCHITECTURES,
    PLAIN_NORMS,
    GgufArchitecture,
    text_name_of_gguf,
    text_name_of_safetensors,
)
from leadout.checkpoint.safetensors import read_safetensors_header, read_sharded_headers
from leadout.checkpoint.source import FileSource, MemorySource, Source
from leadout.checkpoint.tensors import TensorInfo, check_formats
from leadout.config import config_from_gguf, text_config_of
from leadout.errors import (
    CheckpointError,
    TensorError,
    UnsupportedModelError,
)
from leadout.shown import shown

__all__ = [
    "Checkpoint",
    "FileSource",
    "MemorySource",
    "Source",
    "TensorInfo",
    "check_tensors",
    "open_checkpoint",
]

CONFIG = "config.json"
SAFETENSORS = "model.safetensors"
SAFETENSORS_INDEX = "model.safetensors.index.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
GENERATION_CONFIG = "generation_config.json"
CHAT_TEMPLATE = "chat_template.jinja"

_LM_HEAD = "lm_head.weight"

#: Far more than the largest vocabulary has; a GGUF can hold many times as many.
MAX_SUPPRESS_TOKENS = 1_000_000


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds, whatever its format.

    Attributes:
        name: for people: the GGUF's file name, or what config.json calls the model.
        kind: "gguf", "safetensors", or "synthetic" (see synthetic.py).
        sources: the files that tensors lie in; none where weights are to be made up.
        tensors: of the text model, by Hugging Face name; vision and audio towers are left out.
        metadata: GGUF's keys and values (its vocabulary among them); {} for safetensors.
        config: the text model's part of config.json (with a drafter's own fields), or the same
            fields made of GGUF metadata; `config.read_config` checks it.
        norms_are_folded: nothing has to be added to norm weights: the 1 of (1 + weight) is in them
            already, or the model multiplies by the weight alone.
        tokenizer_json: tokenizer.json, where there is one.
        chat_template: the Jinja template of a chat, where there is one.
        eos_token_ids: tokens that end a text.
        bos_token_id: the token that begins one, where the model has one.
        suppress_tokens: tokens that are never chosen, all of them in the vocabulary.
        generation_config: generation_config.json, {} where there is none.
    """

    name: str
    kind: str
    sources: list[Source]
    tensors: dict[str, TensorInfo]
    config: dict[str, object]
    norms_are_folded: bool
    eos_token_ids: tuple[int, ...]
    bos_token_id: int | None
    suppress_tokens: tuple[int, ...] = ()
    metadata: dict[str, Value] = field(default_factory=dict)
    tokenizer_json: Source | None = None
    chat_template: str | None = None
    generation_config: dict[str, object] = field(default_factory=dict)

    @property
    def num_parameters(self) -> int:
        """Values in all tensors of the text model."""
        return sum(tensor.num_elements for tensor in self.tensors.values())

    @property
    def tensor_bytes(self) -> int:
        """Bytes of all tensors of the text model, as they are stored."""
        return sum(tensor.bytes for tensor in self.tensors.values())


async def open_checkpoint(files: Mapping[str, Source]) -> Checkpoint:
    """Read a checkpoint's headers and describe it.

    Args:
        files: by file name, without folders: one .gguf, or all parts of one; or config.json with
            model.safetensors, or with model.safetensors.index.json and its shards. tokenizer.json,
            tokenizer_config.json, generation_config.json and chat_template.jinja are used where
            they are given, other files are ignored.

    Raises:
        UnsupportedModelError: an architecture that Leadout does not run.
        UnsupportedFormatError: a file format, version or tensor type that it does not read.
        TensorError: a tensor occurs twice, or is not where the index says.
        CheckpointError: files are missing, malformed or contradict each other.
        SourceError: reading failed.
    """
    ggufs = group_ggufs(list(files))
    has_safetensors = SAFETENSORS in files or SAFETENSORS_INDEX in files
    if len(ggufs) > 1 or (ggufs and has_safetensors):
        found = [group.name for group in ggufs]
        found += [name for name in (SAFETENSORS, SAFETENSORS_INDEX) if name in files]
        raise CheckpointError(
            f"found several models ({', '.join(found)}); give one GGUF file, or safetensors",
            found=found,
        )
    if ggufs:
        return await _open_gguf(ggufs[0], files)
    if has_safetensors and CONFIG in files:
        return await _open_safetensors(files)
    wanted = f"a .gguf file, or {CONFIG} with {SAFETENSORS} (or {SAFETENSORS_INDEX} and its shards)"
    found = sorted(files)
    raise CheckpointError(
        f"found no model among the {len(files):,} files given "
        f"({', '.join(found[:8]) or 'none'}); wanted {wanted}",
        found=found,
    )


def check_tensors(checkpoint: Checkpoint, expected: Mapping[str, Sequence[int]]) -> None:
    """Refuse a checkpoint that lacks a tensor or has one of another shape; extra ones are fine.

    Args:
        checkpoint: to look at.
        expected: name to shape, what the model's configuration implies.

    Raises:
        TensorError: naming the tensor and, for a wrong shape, both shapes.
    """
    tensors = checkpoint.tensors
    missing = [name for name in expected if name not in tensors]
    if missing:
        more = f" (nor {len(missing) - 1:,} others)" if len(missing) > 1 else ""
        raise TensorError(
            f"{checkpoint.name} has no tensor {missing[0]!r}{more}, which its configuration calls "
            "for; use a complete checkpoint",
            missing=missing[:16],
            num_missing=len(missing),
        )
    for name, shape in expected.items():
        found, wanted = list(tensors[name].shape), list(shape)
        if found != wanted:
            raise TensorError(
                f"{checkpoint.name}: tensor {name!r} has shape {found}, but the configuration "
                f"calls for {wanted}; use the configuration that came with these weights",
                tensor=name,
                found=found,
                wanted=wanted,
            )


# ---- GGUF ---------------------------------------------------------------------------------


async def _open_gguf(group: GgufFiles, files: Mapping[str, Source]) -> Checkpoint:
    name = group.name
    sources, header = await read_gguf_files(group, files)
    metadata = header.metadata
    architecture = _gguf_architecture(name, metadata)
    tensors = _renamed(
        header.tensors, {t.name: text_name_of_gguf(architecture, t.name) for t in header.tensors}
    )
    shapes = {tensor.name: tensor.shape for tensor in tensors.values()}
    vocab_size = _vocab_size(name, header)
    config = config_from_gguf(architecture.model_type, metadata, vocab_size, shapes)
    config["tie_word_embeddings"] = _LM_HEAD not in tensors
    generation_config = await _generation_config(files)
    suppressed: object = metadata.get("tokenizer.ggml.suppress_tokens")
    if suppressed is None:
        suppressed = generation_config.get("suppress_tokens")
    template = metadata.get("tokenizer.chat_template")
    chat_template = template if isinstance(template, str) else await _chat_template(files)
    return Checkpoint(
        name=name,
        kind="gguf",
        sources=sources,
        tensors=tensors,
        config=config,
        norms_are_folded=architecture.norms_are_folded,
        eos_token_ids=_gguf_eos(name, metadata, architecture, chat_template is not None),
        bos_token_id=_token_id(name, metadata, "tokenizer.ggml.bos_token_id"),
        suppress_tokens=_suppress_tokens(suppressed, tensors),
        metadata=metadata,
        tokenizer_json=files.get(TOKENIZER),
        chat_template=chat_template,
        generation_config=generation_config,
    )


def _gguf_architecture(name: str, metadata: Mapping[str, Value]) -> GgufArchitecture:
    found = metadata.get("general.architecture")
    architecture = GGUF_ARCHITECTURES.get(found) if isinstance(found, str) else None
    if architecture is None:
        raise UnsupportedModelError(
            f"{name} holds a model of architecture {shown(found)}; Leadout runs "
            f"{', '.join(GGUF_ARCHITECTURES)}",
            architecture=found if isinstance(found, str) else None,
            supported=list(GGUF_ARCHITECTURES),
        )
    return architecture


def _vocab_size(name: str, header: GgufHeader) -> int:
    """Return the rows of the embedding: converters trim it, and do not always say the size."""
    for tensor in header.tensors:
        if tensor.name == "token_embd.weight":
            return tensor.shape[0] if tensor.shape else 0
    raise TensorError(
        f"{name} has no tensor 'token_embd.weight'; use a complete checkpoint",
        missing=["token_embd.weight"],
    )


def _gguf_eos(
    name: str, metadata: Mapping[str, Value], architecture: GgufArchitecture, is_chat: bool
) -> tuple[int, ...]:
    """Return the end-of-text ids. Converters leave some out for chats, so they are looked up."""
    keys = ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id")
    ids = [_token_id(name, metadata, key) for key in keys]
    tokens = metadata.get("tokenizer.ggml.tokens")
    if is_chat and isinstance(tokens, list):
        for end_token in architecture.end_tokens:
            ids += [i for i, token in enumerate(tokens) if token == end_token]
    return tuple(dict.fromkeys(token_id for token_id in ids if token_id is not None))


def _token_id(name: str, metadata: Mapping[str, Value], key: str) -> int | None:
    value = metadata.get(key)
    return None if value is None else _checked_id(value, f"{name}: {key}")


# ---- safetensors --------------------------------------------------------------------------


async def _open_safetensors(files: Mapping[str, Source]) -> Checkpoint:
    root = await read_json_object(files[CONFIG])
    config = text_config_of(root)
    sources: list[Source]
    if SAFETENSORS in files:
        sources = [files[SAFETENSORS]]
        infos = await read_safetensors_header(files[SAFETENSORS])
    else:
        sources, infos = await read_sharded_headers(files[SAFETENSORS_INDEX], files)
    infos = [info for info in infos if text_name_of_safetensors(info.name) is not None]
    infos = joined(infos, config)
    names = {info.name: text_name_of_safetensors(info.name) for info in infos}
    if config["tie_word_embeddings"] is True:  # a copy of the embedding, where it is there
        names = {name: None if text == _LM_HEAD else text for name, text in names.items()}
    tensors = _renamed(infos, names)
    generation_config = await _generation_config(files)
    return Checkpoint(
        name=_model_name(root) or str(config["model_type"]),
        kind="safetensors",
        sources=sources,
        tensors=tensors,
        config=config,
        norms_are_folded=config["model_type"] in PLAIN_NORMS,
        eos_token_ids=_eos_of(generation_config, config),
        bos_token_id=_bos_of(generation_config, config),
        suppress_tokens=_suppress_tokens(generation_config.get("suppress_tokens"), tensors),
        tokenizer_json=files.get(TOKENIZER),
        chat_template=await _chat_template(files),
        generation_config=generation_config,
    )


def _model_name(root: Mapping[str, object]) -> str | None:
    """Return what config.json calls the model, where that can be shown."""
    path = root.get("_name_or_path")
    if not isinstance(path, str):
        return None
    name = path.rstrip("/").rsplit("/", 1)[-1]
    return name if 0 < len(name) <= 100 and name.isprintable() else None


def _eos_of(*configs: Mapping[str, object]) -> tuple[int, ...]:
    """Return the ids of the first config that has any: generation_config.json goes first."""
    for config in configs:
        value = config.get("eos_token_id")
        if value is not None:
            ids = value if isinstance(value, list) else [value]
            return tuple(_checked_id(token_id, "eos_token_id") for token_id in ids)
    return ()


def _bos_of(*configs: Mapping[str, object]) -> int | None:
    for config in configs:
        value = config.get("bos_token_id")
        if value is not None:
            return _checked_id(value, "bos_token_id")
    return None


# ---- both ---------------------------------------------------------------------------------


def _renamed(
    infos: Sequence[TensorInfo], text_names: Mapping[str, str | None]
) -> dict[str, TensorInfo]:
    """Return the text model's tensors under their Hugging Face names, readable formats only."""
    tensors: dict[str, TensorInfo] = {}
    for info in infos:
        name = text_names[info.name]
        if name is None:
            continue
        if name in tensors:
            raise TensorError(
                f"tensor {shown(name)} occurs twice, once as {shown(info.name)}; "
                "use a checkpoint of one model",
                tensor=name,
            )
        tensors[name] = replace(info, name=name)
    check_formats(tensors)
    return tensors


def _suppress_tokens(value: object, tensors: Mapping[str, TensorInfo]) -> tuple[int, ...]:
    """Return the ids of tokens that are never chosen; those past the vocabulary never are."""
    if value is None:
        return ()
    if not isinstance(value, list | array):
        raise CheckpointError(
            f"suppress_tokens is {shown(value)}; wanted a list of token ids; "
            "download the file again",
            found=shown(value),
        )
    embedding = tensors.get("model.embed_tokens.weight")
    vocab_size = embedding.shape[0] if embedding is not None and embedding.shape else 0
    if len(value) > MAX_SUPPRESS_TOKENS:
        raise CheckpointError(
            f"suppress_tokens has {len(value):,} ids, at most {MAX_SUPPRESS_TOKENS:,} are allowed; "
            "download the file again",
            found=len(value),
        )
    ids = dict.fromkeys(_checked_id(token_id, "suppress_tokens") for token_id in value)
    return tuple(token_id for token_id in ids if token_id < vocab_size)


def _checked_id(value: object, what: str) -> int:
    if type(value) is not int or not 0 <= value < 1 << 31:
        raise CheckpointError(
            f"{what} is {shown(value)}; wanted a token id; download the file again",
            found=shown(value),
        )
    return value


async def _generation_config(files: Mapping[str, Source]) -> dict[str, object]:
    file = files.get(GENERATION_CONFIG)
    return {} if file is None else await read_json_object(file)


async def _chat_template(files: Mapping[str, Source]) -> str | None:
    """Return chat_template.jinja, else the template in tokenizer_config.json."""
    if CHAT_TEMPLATE in files:
        return await read_text(files[CHAT_TEMPLATE])
    if TOKENIZER_CONFIG not in files:
        return None
    template = (await read_json_object(files[TOKENIZER_CONFIG])).get("chat_template")
    if isinstance(template, list):  # several, by name
        by_name = {
            entry.get("name"): entry.get("template")
            for entry in template
            if isinstance(entry, dict) and isinstance(entry.get("name"), str)
        }
        template = by_name.get("default")
    if template is None or isinstance(template, str):
        return template
    raise CheckpointError(
        f"{TOKENIZER_CONFIG}: chat_template is a {type(template).__name__}; wanted a string; "
        "download the file again"
    )
