"""Code in the documentation is true: every name and option that it uses exists, by TypeScript."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from leadout_build import ROOT

WEB = ROOT / "web"
DOCUMENTS = [
    *sorted((ROOT / "static/docs").glob("*.md")),
    ROOT / "README.md",
    WEB / "README.md",
    WEB / "adapters/README.md",
]

#: What the snippets take for granted; and a package that is not installed here.
TAKEN_FOR_GRANTED = """
import type { Engine, Leadout as Door } from "leadout";
import type { LeadoutChat, LeadoutModels } from "leadout/define";
declare global {
  const Leadout: typeof Door;
  const engine: Engine;
  const model: string;
  const messages: { role: string; content: string }[];
  const signal: AbortSignal;
  const schema: Record<string, unknown>;
  const onProgress: () => void;
  const show: () => void;
  const showProgress: () => void;
  const tools: any;
  const weather: any;
  const yours: (event: unknown) => boolean;
  const clients: any;
  const skipWaiting: () => void;
  const OpenAI: typeof import("openai").default;
  interface HTMLElementTagNameMap { "leadout-chat": LeadoutChat; "leadout-models": LeadoutModels }
  interface WindowEventMap { fetch: any; install: any; activate: any }
  interface Event { detail?: any }
}
"""
SHIMS = 'declare module "@ai-sdk/react" { export const useChat: any; }\n'


def snippets() -> dict[str, str]:
    """Return each JavaScript block, by a file name that says where it stands."""
    found = {}
    for path in DOCUMENTS:
        text = path.read_text("utf-8")
        name = "_".join(path.relative_to(ROOT).with_suffix("").parts)
        for match in re.finditer(r"^```js\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            line = text.count("\n", 0, match.start()) + 1
            found[f"{name}_{line}.js"] = match[1] + "\nexport {};\n"
    return found


def check(folder: Path, code: dict[str, str]) -> str:
    """Return what tsc says about these files."""
    types = json.loads((ROOT / "tests/types/tsconfig.json").read_text("utf-8"))
    paths = {
        name: [str((ROOT / "tests/types" / path).resolve()) for path in places]
        for name, places in types["compilerOptions"]["paths"].items()
    }
    exports = json.loads((WEB / "package.json").read_text("utf-8"))["exports"]
    for name, entry in exports.items():
        if "default" in entry:
            paths[f"leadout{name[1:]}"] = [str(WEB / entry["default"])]
    config = {
        "extends": str(WEB / "tsconfig.json"),
        "compilerOptions": {
            "paths": paths,
            "typeRoots": [str(WEB / "node_modules/@types")],
            "strictNullChecks": False,
            "strict": False,
            "noUnusedLocals": False,
        },
        "include": ["*.js", "*.d.ts", str(WEB / "globals.d.ts")],
    }
    (folder / "tsconfig.json").write_text(json.dumps(config))
    (folder / "granted.d.ts").write_text(TAKEN_FOR_GRANTED)
    (folder / "shims.d.ts").write_text(SHIMS)
    for name, text in code.items():
        (folder / name).write_text(text)
    tsc = WEB / "node_modules/typescript/bin/tsc"
    command = ["node", str(tsc), "-p", str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8")
    # Modules of web/ have their own, stricter check.
    return "\n".join(line for line in done.stdout.splitlines() if re.match(r"[\w-]+\.js\(", line))


def test_snippets_use_names_and_options_that_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = snippets()
    assert len(code) > 25
    # What is wrong is found: an option, a method and an import.
    code["wrong.js"] = (
        'import { Leadout, nothing } from "leadout";\n'
        'await Leadout.load({ model: "x", contextLenght: 1 });\n'
        "engine.nonsense();\n"
        "await engine.chat.completions.create({ messages, temprature: 1 });\n"
    )
    problems = check(tmp_path, code).splitlines()
    assert [line for line in problems if not line.startswith("wrong.js")] == []
    assert {re.search(r"\((\d)", line)[1] for line in problems} == {"1", "2", "3", "4"}


def test_elements_in_snippets_have_attributes_that_exist() -> None:
    code = "".join(path.read_text("utf-8") for path in (WEB / "widget").glob("*.js"))
    known = set(re.findall(r'(?:get|has)Attribute\("([a-z]+)"\)', code))
    for observed in re.findall(r"observedAttributes = \[([^\]]*)\]", code):
        known |= set(re.findall(r'"(\w+)"', observed))
    used = set()
    for path in DOCUMENTS:
        for tag in re.findall(r"<leadout-(?:chat|models)\b([^>]*)>", path.read_text("utf-8")):
            used |= set(re.findall(r"([\w-]+)(?:=|\s|$)", re.sub(r'"[^"]*"', "", tag)))
    assert used >= {"model", "assets", "open"}
    assert used <= known
