"""``{{expression}}`` in a question, replaced by its value."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Container
from typing import Any, Final

from agentnb.errors import RequestError

__all__ = ["evaluated", "expand", "taken_apart"]

# What closes an expression is found by trying; a text full of braces must not be tried for ever.
_LONGEST: Final = 2000
_TRIES: Final = 16


def expand(text: str, evaluate: Callable[[str], Any]) -> str:
    """Replace every ``{{expression}}`` in ``text`` once by ``str`` of its value.

    What a value brings is not looked at again, single braces are left alone, and a ``{{`` that no
    valid Python expression follows stays as it is, so that LaTeX, JSON and other templates pass.

    Raises:
        RequestError: an expression raised.
    """
    texts, sources = taken_apart(text)
    pieces = [texts[0]]
    for source, following in zip(sources, texts[1:], strict=True):
        pieces += (str(evaluated(source, evaluate)), following)
    return "".join(pieces)


def taken_apart(text: str, names: Container[str] = ()) -> tuple[list[str], list[str]]:
    """Return the literal texts of ``text`` and the expressions between them, one fewer.

    ``names`` are taken for expressions also where they are no Python.
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


def evaluated(source: str, evaluate: Callable[[str], Any]) -> Any:
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
    for _ in range(_TRIES):
        close = text.find("}}", end, start + _LONGEST)
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
            # Of text that only might be Python.
            warnings.simplefilter("ignore")
            ast.parse(source, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True
