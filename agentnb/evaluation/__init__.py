"""Judging answers: simple checks over a table of runs, and two of them compared.

    found = agentnb.evaluate(table, {"right": tolerance(column="price", rel=0.01), "brief": brief})
    found.summary()
    found.compare(agentnb.evaluate(other, ...))

A check is one of these, or one made by a function of this module, each of which can take what it
expects from a column of the same row:

- a function of the answer, or of the answer and its row, that returns a bool or a score
- a compiled regular expression, which the answer has to match somewhere
- a str, which the answer has to be, spaces around it aside
- a JSON schema, or a pydantic model or another type that pydantic knows, for answers in JSON

Intervals need SciPy, and JSON schemas the package jsonschema:
``pip install 'jupyter-agentnb[evaluate]'``.
"""

from __future__ import annotations

from agentnb.evaluation.check import Check
from agentnb.evaluation.checks import CheckLike
from agentnb.evaluation.evaluation import Evaluation
from agentnb.evaluation.forms import json_schema
from agentnb.evaluation.judging import evaluate
from agentnb.evaluation.numbers import tolerance
from agentnb.evaluation.texts import contains, exact, regex

__all__ = [
    "Check",
    "CheckLike",
    "Evaluation",
    "contains",
    "evaluate",
    "exact",
    "json_schema",
    "regex",
    "tolerance",
]
