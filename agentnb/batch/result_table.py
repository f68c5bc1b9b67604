"""The table that a map returns: its input, and beside each row what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from agentnb.batch.items import Items
from agentnb.batch.rows import RowResult
from agentnb.batch.structured import Structured
from agentnb.errors import RequestError
from agentnb.store.timestamps import span
from agentnb.tables.columns import RUN_COLUMNS
from agentnb.tables.frame import frame_from_columns, mark

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RESULT_COLUMNS", "check_names", "joined"]

# What the table of runs has not, or calls by another name.
_OWN: Final = {"answer": "string", "attempts": "Int64"}

#: Column -> dtype of what a map adds to its input, in order; what was asked for as structured
#: output follows ``status``.
RESULT_COLUMNS: Final[dict[str, str]] = {
    name: _OWN.get(name) or RUN_COLUMNS[name]
    for name in (
        *("answer", "status", "run_id", "session_id"),
        *("started_at", "finished_at", "duration", "time_to_first_token"),
        *("input_tokens", "output_tokens", "total_tokens", "cached_tokens", "reasoning_tokens"),
        *("cost_usd", "attempts", "error", "error_code", "local_id"),
    )
}

_MADE: Final[dict[str, Callable[[RowResult], Any]]] = {
    "finished_at": lambda row: (
        None
        if row.started_at is None or row.duration is None
        else row.started_at + (span(row.duration) or 0)
    ),
    "duration": lambda row: span(row.duration),
    "time_to_first_token": lambda row: span(row.time_to_first_token),
}


def result_dtypes(structured: Structured | None, prefix: str) -> dict[str, str]:
    """Return the columns that a map adds, by name, and their dtypes."""
    dtypes: dict[str, str] = {}
    for name, dtype in RESULT_COLUMNS.items():
        dtypes[prefix + name] = dtype
        if name == "status" and structured is not None:
            dtypes |= {prefix + column: kind for column, kind in structured.columns.items()}
    return dtypes


def check_names(items: Items, structured: Structured | None, prefix: str) -> None:
    """Refuse input that has a column already which the map is to add.

    Raises:
        RequestError: it has.
    """
    added = result_dtypes(structured, prefix)
    clashing = [name for name in items.names() or () if name in added]
    if clashing:
        raise RequestError(
            f"The input has {', '.join(map(repr, clashing))} already, which the answers are to be.",
            hint="Give a prefix for what is added, as in prefix='new_'.",
        )


def joined(
    items: Items, results: Mapping[int, RowResult], structured: Structured | None, prefix: str
) -> pd.DataFrame:
    """Return ``items`` with what came of each; ``results`` are by position, and may be missing."""
    import pandas as pd

    given = items.frame()
    # One for all that was not asked: it is only read.
    nothing = RowResult(position=-1, status=None)
    rows = [results.get(position, nothing) for position in range(len(given))]
    columns: dict[str, list[Any]] = {}
    for name in RESULT_COLUMNS:
        read = _MADE.get(name)
        columns[prefix + name] = [read(row) if read else getattr(row, name) for row in rows]
    dtypes = result_dtypes(structured, prefix)
    if structured is not None:
        parsed = [structured.values(row.parsed) if row.parsed is not None else None for row in rows]
        for place, name in enumerate(structured.columns):
            columns[prefix + name] = [None if each is None else each[place] for each in parsed]
    plain = {name: dtype for name, dtype in dtypes.items() if dtype != "object"}
    made = frame_from_columns(columns, plain)
    for place, (name, dtype) in enumerate(dtypes.items()):
        if dtype == "object":
            made.insert(place, name, pd.Series(columns[name], dtype=object))
    made.index = given.index
    if (levels := given.columns.nlevels) > 1:
        made.columns = pd.MultiIndex.from_tuples(
            [(name, *[""] * (levels - 1)) for name in made.columns], names=given.columns.names
        )
    # Of tables that are put together, pandas forgets what they hold.
    return mark(pd.concat([given, made], axis=1) if len(given.columns) else made)
