"""Checks of an answer as text: equal to one, holding one, matching an expression."""

from __future__ import annotations

import re
from typing import Any

from agentnb.errors import RequestError
from agentnb.evaluation.check import Check
from agentnb.evaluation.expected import Row, expected

__all__ = ["contains", "exact", "regex"]


def exact(text: str | None = None, *, column: Any = None, ignore_case: bool = False) -> Check:
    """Return a check that the answer is this text, or the row's in ``column``.

    Space around either does not count.  A value of a column that is no text is compared as it is
    written: 42 as "42".

    Raises:
        RequestError: there is a text and a column, or neither.
    """
    wanted = expected("exact", text, column)

    def judge(answer: str, row: Row) -> bool:
        return _plain(answer, ignore_case) == _plain(str(wanted.of(row)), ignore_case)

    return Check("exact", judge, wanted.columns, reads_row=column is not None)


def contains(*parts: str, column: Any = None, ignore_case: bool = False) -> Check:
    """Return a check that the answer has all of these texts in it, or the row's in ``column``.

    Raises:
        RequestError: there are texts and a column, or neither, or a text is empty.
    """
    wanted = expected("contains", parts or None, column)
    if "" in parts:
        raise RequestError("Every answer contains an empty text.")

    def judge(answer: str, row: Row) -> bool:
        value = wanted.of(row)
        texts = parts or (str(value),)
        if "" in texts:
            raise ValueError(f"the text in column {column!r} is empty")
        found = _folded(answer, ignore_case)
        return all(_folded(text, ignore_case) in found for text in texts)

    return Check("contains", judge, wanted.columns, reads_row=column is not None)


def regex(
    pattern: str | re.Pattern[str] | None = None, *, column: Any = None, flags: int = 0
) -> Check:
    """Return a check that the answer matches the expression somewhere, or the row's in ``column``.

    Raises:
        RequestError: there is an expression and a column, or neither, or it is not well formed.
    """
    wanted = expected("regex", pattern, column)
    if pattern is not None:
        try:
            compiled = re.compile(pattern, flags)
        except (re.error, ValueError) as error:
            raise RequestError(f"The expression cannot be used: {error}.") from error
        # What a caller without types may give.
        if isinstance(compiled.pattern, bytes):
            raise RequestError("The expression is one of bytes, and answers are text.")

    def judge(answer: str, row: Row) -> bool:
        # Compiled once: re keeps those that were used last.
        return re.search(wanted.of(row), answer, flags) is not None

    return Check("regex", judge, wanted.columns, reads_row=column is not None)


def _plain(text: str, ignore_case: bool) -> str:
    return _folded(text.strip(), ignore_case)


def _folded(text: str, ignore_case: bool) -> str:
    return text.casefold() if ignore_case else text
