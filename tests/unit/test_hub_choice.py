"""What a hub's names and listings mean: the same in the command line and in the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from leadout.errors import LeadoutError
from leadout_build.store.hub_choice import choose_drafter_files, choose_files, drafter_repos
from leadout_build.store.hub_names import parse_hub_name
from node_script import ask_node

TESTS = Path(__file__).parents[1]
CASES: dict[str, list[dict[str, Any]]] = json.loads(
    (TESTS / "vectors/hub/cases.json").read_text(encoding="utf-8")
)


def in_python(kind: str, case: dict[str, Any]) -> Any:
    if kind == "names":
        name = parse_hub_name(case["text"])
        return None if name is None else [name.repo, name.revision, name.file]
    if kind == "drafter_repos":
        return drafter_repos(case["repo"])
    try:
        chosen = choose_files("some/repo", case["files"], case.get("wanted"))
        drafter = choose_drafter_files("some/repo", case["files"], chosen)
    except LeadoutError as error:
        return {"error": type(error).__name__, "message": error.message}
    return {"is": chosen, "drafter": drafter}


@pytest.fixture(scope="module")
def node() -> dict[str, list[Any]]:
    """What web/hub makes of the cases."""
    answers: dict[str, list[Any]] = ask_node("hub_cases.mjs")
    return answers


@pytest.mark.parametrize("side", ["python", "javascript"])
@pytest.mark.parametrize("kind", list(CASES))
def test_names_and_listings_mean_what_the_cases_say(
    kind: str, side: str, node: dict[str, list[Any]]
) -> None:
    for number, case in enumerate(CASES[kind]):
        found = node[kind][number] if side == "javascript" else in_python(kind, case)
        if kind != "choices":
            assert found == case["is"], case
        elif "error" in case:
            assert found["error"] == case["error"], case
            assert case["says"] in found["message"], case
        elif any(path.endswith(".gguf") for path in case["is"]):
            assert found == {"is": case["is"], "drafter": case.get("drafter")}, case
        else:
            # The small files of a safetensors model come in no order of note.
            assert sorted(found["is"]) == sorted(case["is"]), case


def test_both_sides_say_the_same(node: dict[str, list[Any]]) -> None:
    for case, found in zip(CASES["choices"], node["choices"], strict=True):
        if "error" in case:
            assert found == in_python("choices", case)
