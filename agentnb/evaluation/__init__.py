"""Evaluation of answers: checks over a table of runs, and comparison of two evaluations.

    checks = {"right": tolerance(column="price", rel=0.01), "brief": brief}
    evaluation = agentnb.evaluate(table, checks)
    evaluation.summary()
    evaluation.compare(agentnb.evaluate(other, ...))

A check is one of the following, or made by a function of this module, which can take the expected
value from a column of the same row:

- a function of the answer, or of the answer and its row, that returns a bool or a score
- a compiled regular expression, which has to match somewhere in the answer
- a str, which the answer has to equal but for surrounding whitespace
- a JSON schema, a pydantic model or another type that pydantic can validate, for JSON answers

Intervals need SciPy, and JSON schemas the package jsonschema:
``pip install 'jupyter-agentnb[evaluate]'``.
"""

from __future__ import annotations

from agentnb.evaluation.check import Check, contains, exact, json_schema, regex, tolerance
from agentnb.evaluation.evaluation import Evaluation
from agentnb.evaluation.judging import evaluate
from agentnb.evaluation.read_checks import CheckLike

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
