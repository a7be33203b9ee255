"""A conversation's branches (web/widget/message_tree.js), in Node."""

from __future__ import annotations

from typing import Any

from node_script import ask_node


def run(*steps: dict[str, Any], state: dict[str, Any] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = ask_node("message_tree.mjs", {"state": state, "steps": steps})
    return found


def say(content: str, **where: str | None) -> dict[str, Any]:
    return {"do": "say", "content": content, **where}


def placed(content: str, key: str, parent: str | None, at_ms: int = 1) -> dict[str, Any]:
    return {"role": "user", "content": content, "id": key, "parent": parent, "created_ms": at_ms}


def test_versions_are_stepped_through_with_what_was_shown_behind_them() -> None:
    found = run(
        *(say("a"), say("b"), say("c"), say("B", after="a"), say("C")),
        *({"do": "step", "at": "B", "by": -1}, {"do": "step", "at": "b", "by": 1}),
        {"do": "step", "at": "B", "by": 1},
    )
    assert found["shown"][2:] == ["a b c", "a B", "a B C", "a b c", "a B C", "a B C"]
    times = {message["content"]: message["created_ms"] for message in found["messages"]}
    assert times["a"] < times["b"] < times["c"]


def test_what_is_taken_back_makes_room_for_another_version_or_what_came_before() -> None:
    steps = (say("a"), say("b"), say("B", after="a"))
    found = run(*steps, {"do": "remove", "at": "B"}, {"do": "remove", "at": "b"})
    assert found["shown"][3:] == ["a b", "a"]
    # What has something behind it stays.
    assert run(*steps, {"do": "remove", "at": "a"})["shown"][-1] == "a B"


def test_two_copies_become_one_whatever_the_order_and_a_message_only_grows() -> None:
    state = {"messages": [placed("a", "1", None), placed("b, growing", "2", "1")], "leaf": "2"}
    older = placed("b", "2", "1")
    children_first = [placed("d", "4", "3"), placed("c", "3", "2"), placed("x", "5", "1")]
    found = run({"do": "merge", "messages": [older, *children_first]}, state=state)
    assert found["shown"] == ["a b, growing c d"]
    assert len(found["messages"]) == 5
    longer = placed("b, growing and grown", "2", "1")
    again = run({"do": "merge", "messages": [longer]}, state=state)
    assert again["shown"] == ["a b, growing and grown"]


def test_messages_that_follow_nothing_or_each_other_hang_nobody_up() -> None:
    circle = [placed("a", "1", "2"), placed("b", "2", "1")]
    found = run(say("c"), state={"messages": circle, "leaf": "1"})
    assert found["shown"][0].endswith("c")
    orphan = run(say("c"), state={"messages": [placed("b", "2", "gone")], "leaf": None})
    assert orphan["shown"] == ["b c"]
