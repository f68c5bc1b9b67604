"""``{{expression}}`` in a question, replaced by its value."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Container
from typing import Any, Final

from agentnb.errors import RequestError

# Bounds of the search for the end of an expression in a text full of braces.
_MAX_EXPRESSION: Final = 2000
_MAX_TRIES: Final = 16


def expand(text: str, evaluate: Callable[[str], Any]) -> str:
    """Replace every ``{{expression}}`` in ``text`` once by ``str`` of its value.

    Values are not expanded again; single braces and ``{{`` without a valid Python expression stay,
    so that LaTeX, JSON and other templates are unchanged.

    Raises:
        RequestError: an expression raised.
    """
    texts, sources = split_template(text)
    pieces = [texts[0]]
    for source, following in zip(sources, texts[1:], strict=True):
        pieces += (str(evaluate_expression(source, evaluate)), following)
    return "".join(pieces)


def split_template(text: str, names: Container[str] = ()) -> tuple[list[str], list[str]]:
    """Return the literal texts of ``text`` and the expressions between them, one fewer.

    ``names`` count as expressions even if they are not Python.
    """
    texts: list[str] = [""]
    sources: list[str] = []
    position = 0
    while (start := text.find("{{", position)) >= 0:
        found = _expression(text, start, names)
        if found is None:
            texts[-1] += text[position : start + 2]
            position = start + 2
            continue
        source, end = found
        texts[-1] += text[position:start]
        texts.append("")
        sources.append(source)
        position = end
    texts[-1] += text[position:]
    return texts, sources


def evaluate_expression(source: str, evaluate: Callable[[str], Any]) -> Any:
    """Return the value of an expression of a template.

    Raises:
        RequestError: it raised.
    """
    try:
        return evaluate(source)
    except Exception as error:
        raise RequestError(
            f"{{{{{source}}}}} could not be evaluated: {type(error).__name__}: {error}."
        ) from error


def _expression(text: str, start: int, names: Container[str]) -> tuple[str, int] | None:
    """Return the expression that the ``{{`` at ``start`` opens, and where its ``}}`` ends."""
    end = start + 2
    # An expression may hold braces itself, as in {{ {"a": {"b": 1}}["a"] }}: the first "}}" that
    # leaves valid Python is the closing one.
    for _ in range(_MAX_TRIES):
        close = text.find("}}", end, start + _MAX_EXPRESSION)
        if close < 0:
            break
        source = text[start + 2 : close].strip()
        if source and (source in names or _is_expression(source)):
            return source, close + 2
        end = close + 1
    return None


def _is_expression(source: str) -> bool:
    try:
        with warnings.catch_warnings():
            # The text may not be Python at all.
            warnings.simplefilter("ignore")
            ast.parse(source, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True
