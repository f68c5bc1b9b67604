"""What a check expects: a value for all rows, or each row's own, from a column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentnb.errors import RequestError

__all__ = ["Expected", "Row", "expected", "is_missing"]

Row = Mapping[Any, Any]
"""A row of the table: column -> value."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A value, or the column that has one for each row."""

    value: Any = None
    column: Any = None

    @property
    def columns(self) -> tuple[Any, ...]:
        """The columns that a table has to have."""
        return () if self.column is None else (self.column,)

    def of(self, row: Row) -> Any:
        """Return what is expected of this row.

        Raises:
            ValueError: the row has no value in the column.
        """
        if self.column is None:
            return self.value
        if is_missing(value := row[self.column]):
            raise ValueError(f"nothing is expected in column {self.column!r}")
        return value


def expected(check: str, value: Any, column: Any) -> Expected:
    """Return what a check of this name expects: exactly one of the two is given, not None.

    Raises:
        RequestError: both are, or none.
    """
    if (value is None) == (column is None):
        raise RequestError(
            f"{check} takes what it expects, or column= with the name of the column that has it."
        )
    return Expected(value, column)


def is_missing(value: Any) -> bool:
    """Tell whether a table's cell holds nothing: None, NaN, NaT or NA."""
    import pandas as pd

    if value is None:
        return True
    # Of a list or an array pandas would say which parts of it are.
    api: Any = pd
    return bool(api.api.types.is_scalar(value) and api.isna(value))
