"""The table to evaluate, with the answer and the outcome of each row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol, cast, runtime_checkable

from agentnb.errors import RequestError
from agentnb.evaluation.check import Row, is_missing
from agentnb.platforms.base import RemoteRun
from agentnb.recording.base_run import BaseRun
from agentnb.tables.run_list import RunList

if TYPE_CHECKING:
    import pandas as pd

# Column of answers in the tables of `agent.map`, and in those of runs.
_ANSWER_COLUMNS: Final = ("answer", "text")
_FAILED: Final = frozenset(("failed", "cancelled", "truncated", "interrupted"))
_UNFINISHED: Final = frozenset(("queued", "running", "paused"))


class Outcome(Enum):
    """The outcome of a row's run."""

    ANSWERED = "answered"
    FAILED = "failed"
    UNFINISHED = "unfinished"


@runtime_checkable
class _Labelled(Protocol):
    """A comparison of several agents."""

    labels: list[str]

    def DataFrame(self) -> pd.DataFrame: ...


class Convertible(Protocol):
    """A table of another library, such as one of Polars."""

    def to_pandas(self, *options: Any, **more: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Answers:
    """A table with the answer and the outcome of each row, in order."""

    table: pd.DataFrame
    texts: list[str]
    outcomes: list[Outcome]

    def rows(self) -> Iterator[Row]:
        """Yield the rows, in order."""
        names = list(self.table.columns)
        for values in self.table.itertuples(index=False, name=None):
            yield dict(zip(names, values, strict=True))


def answers(data: Any, column: Any = None) -> Answers:
    """Return the table and the answers in ``column``, by default in "answer", else in "text".

    A failed, truncated, cancelled or interrupted run has no answer, even if it has text; nor has a
    row without text.  A running or missing run is unfinished.

    Raises:
        RequestError: ``data`` is neither a table nor runs, or has no such column.
    """
    table = _table(data)
    column = _column(table, column)
    values = _values(table, column)
    outcomes = [
        _outcome(value, status)
        for value, status in zip(values, _statuses(table, column), strict=True)
    ]
    return Answers(table, [_text(value) for value in values], outcomes)


def _table(data: Any) -> pd.DataFrame:
    import pandas as pd

    kind = type(data).__name__
    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, BaseRun):
        return RunList([data]).DataFrame()
    if isinstance(data, _Labelled):
        # Labels pair the rows with those of another comparison of the same agents.
        return data.DataFrame().set_axis(data.labels, axis="index")
    if isinstance(data, RunList):
        return cast("RunList[Any]", data).DataFrame()
    convert: Any = getattr(data, "to_pandas", None)
    if convert is not None:
        if isinstance(converted := convert(), pd.DataFrame):
            return converted
    elif isinstance(data, Iterable) and not isinstance(data, str):
        runs = list(cast("Iterable[Any]", data))
        if all(isinstance(run, BaseRun | RemoteRun) for run in runs):
            return RunList[Any](runs).DataFrame()
    raise RequestError(
        f"evaluate takes a table or runs, not {kind}.",
        hint="Such as what agent.map() or agentnb.runs() returns, a run, or a list of runs.",
    )


def _column(table: pd.DataFrame, column: Any) -> Any:
    if table.columns.nlevels > 1:
        raise RequestError("evaluate takes a table whose columns have names of one level.")
    candidates = _ANSWER_COLUMNS if column is None else (column,)
    answer_column = next((name for name in candidates if name in table.columns), None)
    names = ", ".join(map(str, table.columns))
    if answer_column is None:
        missing = " or ".join(repr(name) for name in candidates)
        raise RequestError(
            f"The table has no column {missing}.",
            hint=f"Name the column of the answers: answer=. There are: {names or 'none'}.",
        )
    if list(table.columns).count(answer_column) > 1:
        raise RequestError(f"The table has several columns {answer_column!r}.")
    return answer_column


def _statuses(table: pd.DataFrame, column: Any) -> list[Any]:
    """Return the statuses for the answers of ``column``; both columns may have a prefix."""
    name = "status"
    for plain in _ANSWER_COLUMNS:
        if isinstance(column, str) and column.endswith(plain):
            name = column.removesuffix(plain) + name
            break
    if list(table.columns).count(name) != 1:
        return ["completed"] * len(table)
    return _values(table, name)


def _values(table: pd.DataFrame, column: Any) -> list[Any]:
    frame: Any = table
    return frame[column].tolist()


def _outcome(value: Any, status: Any) -> Outcome:
    missing = is_missing(value)
    if is_missing(status):
        return Outcome.UNFINISHED if missing or value == "" else Outcome.ANSWERED
    if status in _UNFINISHED:
        return Outcome.UNFINISHED
    return Outcome.FAILED if missing or status in _FAILED else Outcome.ANSWERED


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if is_missing(value) else str(value)
