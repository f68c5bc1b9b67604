"""`Check`: a criterion for an answer, and the value that it expects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentnb.errors import RequestError

Row = Mapping[Any, Any]
"""A row of the table: column -> value."""


@dataclass(frozen=True, slots=True)
class Check:
    """A criterion for an answer.

    ``judge`` takes an answer and its row and returns a bool or a score; ``columns`` are required in
    the table; ``reads_row``: whether ``judge`` uses the row.
    """

    name: str
    judge: Callable[[str, Row], Any] = field(repr=False)
    columns: tuple[Any, ...] = ()
    reads_row: bool = False


class Expected:
    """The value that a check expects: one for all rows, or each row's own in a column.

    Raises:
        RequestError: both or neither are given.
    """

    def __init__(self, check: str, value: Any, column: Any) -> None:
        if (value is None) == (column is None):
            raise RequestError(
                f"{check} takes the expected value, or column= with the name of its column."
            )
        self._check, self._value, self._column = check, value, column

    def value_in(self, row: Row) -> Any:
        """Return the value expected for a row.

        Raises:
            ValueError: the row has no value in the column.
        """
        if self._column is None:
            return self._value
        if is_missing(value := row[self._column]):
            raise ValueError(f"no value is expected in column {self._column!r}")
        return value

    def check(self, judge: Callable[[str, Row], Any], *, name: str | None = None) -> Check:
        """Return the check that judges by this value."""
        columns = () if self._column is None else (self._column,)
        return Check(name or self._check, judge, columns, reads_row=bool(columns))


def is_missing(value: Any) -> bool:
    """Return whether a cell is empty: None, NaN, NaT or NA."""
    import pandas as pd

    if value is None:
        return True
    # For a list or an array `isna` returns an array.
    api: Any = pd
    return bool(api.api.types.is_scalar(value) and api.isna(value))
