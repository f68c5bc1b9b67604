"""Adding up in the database: runs grouped by names and by periods of a time zone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Double,
    Select,
    case,
    cast,
    func,
    literal_column,
    select,
)

from agentnb.store.filters import Filters
from agentnb.store.prices import cost_columns, prices
from agentnb.store.schema import run, run_hour
from agentnb.store.statements import conditions, needs_content, pages, reading, select_runs
from agentnb.store.store import Store
from agentnb.tables.columns import USAGE_PERIODS
from agentnb.tables.periods import DAY, HOUR, beginning, offsets
from agentnb.tables.usage import FAILED, SUMMED, Figures, Group

__all__ = ["grouped", "ungrouped"]

# The order of the names in the index `ix_run_usage`, after the hour: grouped in it, SQLite need not
# sort a million rows.
_INDEXED: Final = ("agent", "platform", "model", "user_name", "status")
_COLUMNS: Final[dict[str, Column[Any]]] = {
    "agent": run.c.agent,
    "platform": run.c.platform,
    "model": run.c.model,
    "user_name": run.c.user_name,
    "session_id": run.c.session_id,
    "status": run.c.status,
    "source": run.c.source,
    "error_class": run.c.error_class,
    "error_code": run.c.error_code,
}
# Written out, and not sent apart from the statement, like those of the index.
_AN_HOUR: Final = literal_column(str(HOUR), BigInteger)


def grouped(
    store: Store,
    by: Sequence[str],
    zone: ZoneInfo,
    filters: Filters,
    *,
    as_floats: bool = False,
) -> Iterator[tuple[Group, Figures]]:
    """Yield groups and their figures, as `usage` has them; a group may come several times.

    ``as_floats`` adds up floating-point numbers, for sums that SQLite's whole numbers cannot hold.
    """
    with reading(store) as connection:
        shifts = _shifts(connection, by, zone)
        names = [name for name in by if name not in USAGE_PERIODS]
        in_hours = set(names) == set(_INDEXED[: len(names)]) and all(
            offset % HOUR == 0 for _, offset in shifts
        )
        figures = _figures(as_floats=as_floats)
        if store.dialect == "sqlite" and in_hours:
            statement = _by_hours(store, by, filters, shifts, figures)
        else:
            keys = [_key(name, _COLUMNS, run.c.started_at, shifts) for name in by]
            statement = _select(store, filters, [*keys, *figures])
        statement = statement.group_by(*_first(len(by)))
        finish = _finish(by, zone)
        for page in pages(connection, statement):
            for row in page:
                yield finish(row), row[len(by) :]


def ungrouped(
    store: Store, by: Sequence[str], zone: ZoneInfo, filters: Filters
) -> Iterator[tuple[Group, int | None, int | None]]:
    """Yield each run's group, duration and time to first token."""
    with reading(store) as connection:
        shifts = _shifts(connection, by, zone)
        keys = [_key(name, _COLUMNS, run.c.started_at, shifts) for name in by]
        statement = _select(store, filters, [*keys, run.c.duration, run.c.first_token])
        finish = _finish(by, zone)
        for page in pages(connection, statement):
            for row in page:
                yield finish(row), row[-2], row[-1]


def _by_hours(
    store: Store,
    by: Sequence[str],
    filters: Filters,
    shifts: Sequence[tuple[int, int]],
    figures: Sequence[ColumnElement[Any]],
) -> Select[Any]:
    """Return the sums of sums of each hour: the latter come out of the index as it is sorted."""
    names = [name for name in _INDEXED if name in by]
    inner = (
        _select(
            store,
            filters,
            [
                run_hour.label("hour"),
                *(_COLUMNS[name].label(name) for name in names),
                *(figure.label(f"figure_{place}") for place, figure in enumerate(figures)),
            ],
        )
        .group_by(*_first(1 + len(names)))
        .subquery()
    )
    keys = [_key(name, dict(inner.c), inner.c.hour * _AN_HOUR, shifts) for name in by]
    sums = [func.sum(inner.c[f"figure_{place}"]) for place in range(len(figures))]
    return select(*keys, *sums)


def _select(store: Store, filters: Filters, columns: Sequence[ColumnElement[Any]]) -> Select[Any]:
    where = conditions(filters, store.dialect)
    if store.dialect == "sqlite":
        # Said of the hour, too, so that the index over it is used.
        if filters.since is not None:
            where.append(run_hour >= filters.since // HOUR)
        if filters.until is not None:
            where.append(run_hour <= filters.until // HOUR)
    return select_runs(columns, with_content=needs_content(filters)).where(*where)


def _figures(*, as_floats: bool) -> list[ColumnElement[Any]]:
    def total(column: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.sum(cast(column, Double) if as_floats else column)

    failed = run.c.status.in_(FAILED)
    cost, _ = cost_columns(prices())
    tokens = [total(run.c[name]) for name in SUMMED if name != "cost_usd"]
    spans = [
        each
        for column in (run.c.duration, run.c.first_token)
        for each in (total(column), func.count(column))
    ]
    return [
        func.count(),
        func.count(case((run.c.status == "completed", 1))),
        func.count(case((failed, 1))),
        *tokens,
        func.sum(cost),
        *spans,
    ]


def _shifts(connection: Connection, by: Sequence[str], zone: ZoneInfo) -> list[tuple[int, int]]:
    if zone.key == "UTC" or not any(name in USAGE_PERIODS for name in by):
        return [(0, 0)]
    # Each by itself is looked up in the index.
    low = connection.execute(select(func.min(run.c.started_at))).scalar()
    high = connection.execute(select(func.max(run.c.started_at))).scalar()
    return [(0, 0)] if low is None or high is None else offsets(zone, low, high)


def _key(
    name: str,
    columns: Mapping[str, ColumnElement[Any]],
    moment: ColumnElement[int],
    shifts: Sequence[tuple[int, int]],
) -> ColumnElement[Any]:
    """Return what to group by: a name, the beginning of the hour, or the day's number."""
    if name not in USAGE_PERIODS:
        return columns[name]
    local = moment
    if len(shifts) > 1:
        after = [(moment >= start, offset) for start, offset in reversed(shifts)]
        local = moment + case(*after[:-1], else_=after[-1][1])
    elif shifts[0][1]:
        local = moment + shifts[0][1]
    if name == "hour":
        return moment - local % _AN_HOUR
    # Those of a week or a month are put together later: there are few of them.
    return local // literal_column(str(DAY), BigInteger)


def _finish(by: Sequence[str], zone: ZoneInfo) -> Callable[[Sequence[Any]], Group]:
    """Return what makes a group of the first columns of a row."""
    days = {name: beginning(name, zone) for name in by if name in USAGE_PERIODS}
    reads = [None if name == "hour" else days.get(name) for name in by]

    def finish(row: Sequence[Any]) -> Group:
        return tuple(
            value if read is None else read(value)
            for value, read in zip(row[: len(by)], reads, strict=True)
        )

    return finish


def _first(count: int) -> list[ColumnElement[Any]]:
    # By place: a database does not know an expression again whose values are sent apart from it.
    return [literal_column(str(place)) for place in range(1, count + 1)]
