"""Answers that keep to a schema, a grammar or a regular expression.

    constraint.py    what a request asks for, checked → EBNF
      schema.py        JSON Schema → rules     (schema_*.py, values.py, numbers.py, formats.py)
      regexes.py       regular expression → rules
      ebnf.py          EBNF → rules
      notation.py      how values are written: JSON, or Gemma 4's calls
      expressions.py   rules as data, their checks, and as the library's EBNF
    matcher.py       which tokens may come next: masks, rows of masks, forced tokens
      after_reasoning.py  the same for models that think before they answer
    tools.py         tools and tool_choice, checked → EBNF
    tool_calls.py    calls in what a model writes, parsed while it streams

The masks are made by xgrammar's WebAssembly (web/grammar.js), in the worker and, by V8, in CPython
(grammar_native.py). Schemas, regular expressions and EBNF are not left to it: it skips keywords
that it does not know, and some of what it makes of others lets invalid JSON through.
"""
