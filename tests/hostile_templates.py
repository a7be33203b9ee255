"""Chat templates that mean no good: each once hung an engine for good, or took gigabytes."""

from __future__ import annotations

from collections.abc import Mapping

#: A text of a million characters in `big`, in as many ways as template languages have.
_BIG = (
    "{% set s = namespace(t='ab') %}{% for _ in range(19) %}{% set s.t = s.t ~ s.t %}{% endfor %}"
)
_LIST = (
    "{% set s = namespace(t=[1]) %}{% for _ in range(40) %}{% set s.t = [s.t, s.t] %}{% endfor %}"
)


def _loop(body: str, rounds: int = 99_999) -> str:
    return "{% for _ in range(" + str(rounds) + ") %}" + body + "{% endfor %}"


#: Bodies that can stand in one template beside others.
BOMBS: Mapping[str, str] = {
    "round": "{{ 1|round(1000000000,'ceil') }}",
    "slice": "{{ messages|slice(1000000000)|list }}",
    "batch": "{{ messages|batch(1000000000, 'x')|list }}",
    "shared list, tojson": _LIST + "{{ s.t|tojson }}",
    "shared list, text": _LIST + "{{ s.t }}",
    "shared list, joined": _LIST + "{{ 'a' ~ s.t }}",
    "shared list, compared": _LIST
    + "{% set r = namespace(t=[1]) %}"
    + "{% for _ in range(40) %}{% set r.t = [r.t, r.t] %}{% endfor %}"
    + "{{ raise_exception(s.t == r.t) }}",
    "search": _BIG
    + "{% set a = s.t ~ s.t %}"
    + _loop("{{ raise_exception('found') if 'abb' in a }}")
    + _loop("{{ raise_exception('found') if 'bba' in a }}")
    + "{{ raise_exception('too quick') }}",
    "center": "{{ 'a'|center(3000000000) }}",
    "indent": "{{ 'a\nb'|indent(500000000, true) }}",
    "replace": _BIG + "{{ s.t|replace('a', s.t) }}",
    "replace method": _BIG + "{{ s.t.replace('a', s.t) }}",
    "join": _BIG + "{{ s.t|join(s.t) }}",
    "format": "{{ '%3000000000d' % 1 }}",
    "format method": "{{ '{:3000000000d}'.format(1) }}",
    "kept": "{% set k = namespace(a=[]) %}"
    + _BIG
    + _loop("{% set k.a = k.a + [s.t ~ loop.index] %}", 3000)
    + "{{ k.a|length }}",
    "doubled": "{% set d = namespace(t='a') %}"
    + _loop("{% set d.t = d.t ~ d.t %}", 99)
    + "{{ d.t }}",
    "loops": _loop(_loop("")),
    "recursion": "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
    "branching": "{% macro f(n) %}{{ f(n - 1) ~ f(n - 1) if n }}{% endmacro %}{{ f(40) }}",
    "power": "{% set p = namespace(n=9) %}" + _loop("{% set p.n = p.n ** 9 %}", 99) + "{{ p.n }}",
    "json indent": "{{ [[[1, 2], 3], 4]|tojson(indent=900000000) }}",
    "refused": "{{ raise_exception('no') }}",
}

#: Whole sources: these take long, or too much stack, before anything is rendered.
LONE_BOMBS: Mapping[str, str] = {
    "sum": "{{ " + "1+" * 80_000 + "1 }}",
    "nested lists": "{{ " + "[" * 50_000 + "]" * 50_000 + " }}",
    "nested ifs": "{% if 1 %}" * 12_000 + "{% endif %}" * 12_000,
    "no end": "{{ '" + "a" * 200_000,
}


def choosing(bodies: Mapping[str, str]) -> str:
    """Return one template with the body that the last message names."""
    source = "{% set wanted = messages[-1]['content'] %}"
    for name, body in bodies.items():
        source += "{% if wanted == '" + name + "' %}" + body + "{% endif %}"
    return source + "{{ bos_token }}the capital"
