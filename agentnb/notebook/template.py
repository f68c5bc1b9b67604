"""``{{expression}}`` in a question, replaced by its value."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable
from typing import Any, Final

from agentnb.errors import RequestError

__all__ = ["expand"]

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
    pieces: list[str] = []
    position = 0
    while (start := text.find("{{", position)) >= 0:
        found = _expression(text, start)
        if found is None:
            pieces.append(text[position : start + 2])
            position = start + 2
            continue
        source, end = found
        pieces.append(text[position:start])
        try:
            pieces.append(str(evaluate(source)))
        except Exception as error:
            raise RequestError(
                f"{{{{{source}}}}} could not be evaluated: {type(error).__name__}: {error}."
            ) from error
        position = end
    pieces.append(text[position:])
    return "".join(pieces)


def _expression(text: str, start: int) -> tuple[str, int] | None:
    """Return the expression that the ``{{`` at ``start`` opens, and where its ``}}`` ends."""
    end = start + 2
    # An expression may hold braces itself, as in {{ {"a": {"b": 1}}["a"] }}: the first "}}" that
    # leaves valid Python is the closing one.
    for _ in range(_TRIES):
        close = text.find("}}", end, start + _LONGEST)
        if close < 0:
            break
        source = text[start + 2 : close].strip()
        if source and _is_expression(source):
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
