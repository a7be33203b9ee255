"""JSON Schemas drawn at random, of all kinds that answers can keep to."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

NUMBERS = st.integers(-30, 30) | st.floats(-30, 30).map(lambda value: round(value, 3))
LEAVES: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([{"type": "null"}, {"type": "boolean"}, {"type": "string"}]),
    st.builds(
        lambda kind, low, high: {
            "type": kind,
            "minimum": min(low, high),
            "maximum": max(low, high),
        },
        st.sampled_from(["integer", "number"]),
        NUMBERS,
        NUMBERS,
    ),
    st.builds(
        lambda kind, key, value: {"type": kind, key: value},
        st.sampled_from(["integer", "number"]),
        st.sampled_from(["exclusiveMinimum", "exclusiveMaximum"]),
        NUMBERS,
    ),
    st.builds(
        lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more},
        st.integers(0, 2),
        st.integers(0, 2),
    ),
    st.builds(lambda values: {"enum": values}, st.lists(st.text(max_size=3), min_size=1)),
    st.sampled_from(["^[a-c]{1,3}$", "^(x|yz)+$", "é|日", "^\\w\\W$"]).map(
        lambda pattern: {"type": "string", "pattern": pattern}
    ),
)
NAMES = st.sampled_from(["a", "b", "name", "an é", "q\"'"])


def compound(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(
            lambda items, low, more: {
                "type": "array",
                "items": items,
                "minItems": low,
                "maxItems": low + more,
            },
            inner,
            st.integers(0, 2),
            st.integers(0, 2),
        ),
        st.builds(
            lambda prefix, items: {"type": "array", "prefixItems": prefix, "items": items},
            st.lists(inner, min_size=1, max_size=2),
            st.sampled_from([False, {"type": "null"}]),
        ),
        st.builds(
            lambda properties, required, rest: {
                "type": "object",
                "properties": properties,
                "required": required,
                **({} if rest is None else {"additionalProperties": rest}),
            },
            st.dictionaries(NAMES, inner, max_size=3),
            st.lists(NAMES, max_size=2, unique=True),
            st.sampled_from([None, False, {"type": "boolean"}]),
        ),
        st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"allOf": parts}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda options: {"oneOf": options}, st.lists(inner, min_size=1, max_size=2)),
    )


SCHEMAS_DRAWN: st.SearchStrategy[Any] = st.recursive(LEAVES, compound, max_leaves=5)
