"""Aggregation of runs in the database, by names and by periods of a time zone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import (
    BigInteger,
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
from agentnb.tables.columns import FAILED_STATUSES, USAGE_KEYS, USAGE_PERIODS, USAGE_SUMS
from agentnb.tables.periods import DAY, HOUR, day_rounder, utc_offsets

Group = tuple[Any, ...]
#: Runs, completed, failed, the sums of `USAGE_SUMS`, and of duration and time to first token the
#: sum and the number of runs that have it.
Figures = Sequence[Any]

# Columns of the index `ix_run_usage` after the hour, in order: grouped in it, SQLite need not sort
# a million rows.
_INDEXED: Final = ("agent", "platform", "model", "user_name", "status")
# Inlined, not a bound parameter, as in the definition of the index.
_HOUR_LITERAL: Final = literal_column(str(HOUR), BigInteger)


def aggregated(
    store: Store,
    by: Sequence[str],
    zone: ZoneInfo,
    filters: Filters,
    *,
    as_floats: bool = False,
) -> Iterator[tuple[Group, Figures]]:
    """Yield groups and their figures; a group may come several times, with parts of its figures.

    ``as_floats`` adds floating-point numbers, for sums that overflow SQLite's integers.
    """
    with reading(store) as connection:
        offsets = _offsets(connection, by, zone)
        names = [name for name in by if name not in USAGE_PERIODS]
        whole_hours = all(offset % HOUR == 0 for _, offset in offsets)
        is_indexed = whole_hours and set(names) == set(_INDEXED[: len(names)])
        figures = _figures(as_floats=as_floats)
        if store.dialect == "sqlite" and is_indexed:
            statement = _select_by_hours(store, by, filters, offsets, figures)
        else:
            statement = _select(store, filters, [*_keys(by, offsets), *figures])
        yield from _grouped_rows(connection, statement.group_by(*_first(len(by))), by, zone)


def run_times(
    store: Store, by: Sequence[str], zone: ZoneInfo, filters: Filters
) -> Iterator[tuple[Group, Sequence[int | None]]]:
    """Yield each run's group, and its duration and time to first token."""
    with reading(store) as connection:
        keys = _keys(by, _offsets(connection, by, zone))
        statement = _select(store, filters, [*keys, run.c.duration, run.c.first_token])
        yield from _grouped_rows(connection, statement, by, zone)


def _grouped_rows(
    connection: Connection, statement: Select[Any], by: Sequence[str], zone: ZoneInfo
) -> Iterator[tuple[Group, Sequence[Any]]]:
    """Yield each row's group and its other values; days are rounded to their period."""
    rounders = [
        day_rounder(name, zone) if name in USAGE_PERIODS and name != "hour" else None for name in by
    ]
    for page in pages(connection, statement):
        for row in page:
            keys = zip(row[: len(by)], rounders, strict=True)
            yield tuple(rounder(key) if rounder else key for key, rounder in keys), row[len(by) :]


def _select_by_hours(
    store: Store,
    by: Sequence[str],
    filters: Filters,
    offsets: Sequence[tuple[int, int]],
    figures: Sequence[ColumnElement[Any]],
) -> Select[Any]:
    """Return the sums of each hour's sums, which SQLite reads in the order of the index."""
    names = [name for name in _INDEXED if name in by]
    columns = [
        run_hour.label("hour"),
        *(run.c[name].label(name) for name in names),
        *(figure.label(f"figure_{number}") for number, figure in enumerate(figures)),
    ]
    hours = _select(store, filters, columns).group_by(*_first(1 + len(names))).subquery()
    keys = [_key(name, dict(hours.c), hours.c.hour * _HOUR_LITERAL, offsets) for name in by]
    sums = [func.sum(hours.c[f"figure_{number}"]) for number in range(len(figures))]
    return select(*keys, *sums)


def _select(store: Store, filters: Filters, columns: Sequence[ColumnElement[Any]]) -> Select[Any]:
    where = conditions(filters, store.dialect)
    if store.dialect == "sqlite":
        # Conditions on the hour, too, so that SQLite uses the index.
        if filters.since is not None:
            where.append(run_hour >= filters.since // HOUR)
        if filters.until is not None:
            where.append(run_hour <= filters.until // HOUR)
    return select_runs(columns, with_content=needs_content(filters)).where(*where)


def _figures(*, as_floats: bool) -> list[ColumnElement[Any]]:
    def total(column: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.sum(cast(column, Double) if as_floats else column)

    cost, _ = cost_columns(prices())
    times = [
        figure
        for column in (run.c.duration, run.c.first_token)
        for figure in (total(column), func.count(column))
    ]
    return [
        func.count(),
        func.count(case((run.c.status == "completed", 1))),
        func.count(case((run.c.status.in_(FAILED_STATUSES), 1))),
        *(total(run.c[name]) for name in USAGE_SUMS if name != "cost_usd"),
        func.sum(cost),
        *times,
    ]


def _offsets(connection: Connection, by: Sequence[str], zone: ZoneInfo) -> list[tuple[int, int]]:
    if zone.key == "UTC" or not any(name in USAGE_PERIODS for name in by):
        return [(0, 0)]
    # One statement each: SQLite then looks it up in the index.
    low = connection.execute(select(func.min(run.c.started_at))).scalar()
    high = connection.execute(select(func.max(run.c.started_at))).scalar()
    return [(0, 0)] if low is None or high is None else utc_offsets(zone, low, high)


def _keys(by: Sequence[str], offsets: Sequence[tuple[int, int]]) -> list[ColumnElement[Any]]:
    columns = {name: run.c[name] for name in USAGE_KEYS}
    return [_key(name, columns, run.c.started_at, offsets) for name in by]


def _key(
    name: str,
    columns: Mapping[str, ColumnElement[Any]],
    time: ColumnElement[int],
    offsets: Sequence[tuple[int, int]],
) -> ColumnElement[Any]:
    """Return the expression to group by: a name, the start of the hour, or the day's number."""
    if name not in USAGE_PERIODS:
        return columns[name]
    local = time
    if len(offsets) > 1:
        latest_first = [(time >= start, offset) for start, offset in reversed(offsets)]
        local = time + case(*latest_first[:-1], else_=latest_first[-1][1])
    elif offsets[0][1]:
        local = time + offsets[0][1]
    if name == "hour":
        return time - local % _HOUR_LITERAL
    # The few days of a week or a month are merged afterwards.
    return local // literal_column(str(DAY), BigInteger)


def _first(count: int) -> list[ColumnElement[Any]]:
    # By position: a database does not recognize an expression that has bound parameters.
    return [literal_column(str(position)) for position in range(1, count + 1)]
