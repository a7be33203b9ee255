"""Turn `prompts.json` and `text.txt` into token ids with Gemma's own tokenizer.json.

    python make_ids.py TOKENIZER.json PROMPT_IDS.json

writes `text.json` beside this file, and the prompts' ids, which `make_llama_cpp.mjs` and
`make_greedy.py` read, wherever the second argument says.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import tokenizers

HERE = Path(__file__).parent
BOS = 2


def main(tokenizer_path: Path, prompt_ids_path: Path) -> None:
    """Write both files."""
    tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer_path))

    def encode(text: str) -> list[int]:
        return [BOS, *tokenizer.encode(text, add_special_tokens=False).ids]

    text = (HERE / "text.txt").read_text(encoding="utf-8")
    text_ids = encode(text)
    if tokenizer.decode(text_ids[1:]) != text:
        raise SystemExit("the text does not survive encoding and decoding")
    about = {
        "tokenizers": tokenizers.__version__,
        "tokenizer.json sha256": hashlib.sha256(tokenizer_path.read_bytes()).hexdigest(),
        "text.txt sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    (HERE / "text.json").write_text(json.dumps({**about, "ids": text_ids}) + "\n")

    prompts = [
        {
            "name": prompt["name"],
            "prompt_ids": encode(prompt["text"])
            if "text" in prompt
            else text_ids[: prompt["first_tokens_of_text"]],
        }
        for prompt in json.loads((HERE / "prompts.json").read_text(encoding="utf-8"))
    ]
    prompt_ids_path.write_text(json.dumps(prompts) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
