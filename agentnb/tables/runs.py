"""Runs, their sessions and tool calls as DataFrames."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Unpack, cast

from agentnb._support.fork import imported
from agentnb.platforms.base import RemoteRun
from agentnb.store.filters import Filters, Order, Some, read_filters, read_limit, read_order
from agentnb.store.prices import cost_columns, prices
from agentnb.store.record import RunRecord
from agentnb.store.values import to_micros
from agentnb.tables.columns import (
    RECORD_COLUMNS,
    REMOTE_COLUMNS,
    RUN_COLUMNS,
    SESSION_COLUMNS,
    TOOL_CALL_COLUMNS,
)
from agentnb.tables.filters import RunFilters, stored_columns, takes_filters
from agentnb.tables.frame import columns_of, frame_from_columns

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Select

#: Columns that a database can sort runs by.
SORTABLE_COLUMNS: Final = tuple(RECORD_COLUMNS)
# `remote` has the REMOTE_COLUMNS as JSON.
_FIELDS: Final = (*SORTABLE_COLUMNS, "remote")


@takes_filters
def runs(
    *,
    limit: int | None = None,
    order: str = "-started_at",
    **given: Unpack[RunFilters],
) -> pd.DataFrame:
    """Return the recorded runs of all kernels that share the store, newest first.

    ``agent`` is an id or ``platform:agent``; ``status`` is one of queued, running, paused,
    completed, failed, cancelled, truncated, interrupted; ``source`` is recorded (by agentnb),
    platform (pulled from it) or both.  Each of these, and ``platform``, ``session``, ``user`` and
    ``model``, is one value or a list of alternatives.  ``since`` (included) and ``until``
    (excluded) bound ``started_at``: a datetime or date (UTC unless it has a zone), its ISO form, or
    an age such as ``"7d"`` or ``"12h"``.  ``text`` is a case-insensitive part of the prompt or the
    answer.  ``this_kernel`` keeps the runs of this process.  ``order`` is a column, prefixed with
    "-" for descending; missing values come last.

    The columns and dtypes are those of `RUN_COLUMNS`, also for an empty table: text as ``string``,
    names and status as ``category``, timestamps in UTC, durations as timedeltas, counts as nullable
    integers, ``cost_usd`` in US dollars.  ``cost_usd`` is the cost that the platform reported, else
    computed with the prices of `set_prices`, else missing; ``cost_source`` says which.  Values that
    were not reported are missing, never 0.  ``run_id`` is the platform's id of a run, or agentnb's
    where the platform has none; ``local_id`` is always agentnb's.  The columns from ``created_at``
    on come from the platform's own entry, for runs that were pulled from it.

    In all tables, control characters that a terminal would act on are replaced by symbols, such as
    ``␛[31m``; `agentnb.history.load` returns the original text.

    Raises:
        RequestError: a filter or the order is invalid, the platform is unknown, or the agent is
            unknown and one of nearly the same name exists.
        HistoryError: the store fails.
    """
    filters = read_filters(**given)
    by, limit = read_order(order, SORTABLE_COLUMNS), read_limit(limit)
    return _run_frame(stored_columns(_select_runs, _FIELDS, filters, by, limit))


def _select_runs(filters: Filters, by: Order, dialect: str) -> Select[Any]:
    from agentnb.store.schema import run
    from agentnb.store.statements import conditions, ordered, run_fields, select_runs

    fields = run_fields(prices())
    return (
        select_runs([fields[name] for name in _FIELDS], with_content=True)
        .where(*conditions(filters, dialect))
        .order_by(*ordered(by, fields, run.c.key))
    )


def run_table(runs: Iterable[Any], *, platform: str | None = None) -> pd.DataFrame:
    """Return runs as a table like that of `runs`, one row each, in order.

    A run is one of this process, or a `RemoteRun` as ``platform`` lists it.
    """
    imported("agentnb.store.statements")
    from agentnb.store.memory import select_from
    from agentnb.store.rows import run_rows
    from agentnb.store.statements import run_fields, select_runs

    rows: dict[str, Any] = {}
    keys: list[str] = []
    for each in runs:
        if isinstance(each, RemoteRun):
            record = RunRecord.from_remote(each, platform=platform or "", entry=each.raw)
            pair = record.run_row(), record.content_row()
        else:
            pair = run_rows(each)
        keys.append(pair[0]["key"])
        rows[keys[-1]] = pair
    fields = run_fields(prices())
    statement = select_runs([fields[name].label(name) for name in _FIELDS], with_content=True)
    selected = select_from(rows.values(), statement)
    by_key = {row["local_id"]: tuple(row.values()) for row in selected}
    return _run_frame(columns_of([by_key[key] for key in keys], _FIELDS))


def _run_frame(columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    return frame_from_columns({**columns, **_remote_columns(columns["remote"])}, RUN_COLUMNS)


def _remote_columns(entries: Sequence[str | None]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [None] * len(entries) for name in REMOTE_COLUMNS}
    for row, text in enumerate(entries):
        try:
            entry = None if text is None else json.loads(text)
        except ValueError:
            continue
        if isinstance(entry, dict):
            for name, value in _remote_fields(cast("dict[str, Any]", entry)).items():
                columns[name][row] = value
    return columns


def _remote_fields(entry: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, dtype in REMOTE_COLUMNS.items():
        values: list[Any] = [entry.get(spelling) for spelling in _SPELLINGS[name]]
        values = [value for value in values if value is not None]
        if values:
            # An empty value counts only if no other spelling has a value.
            fields[name] = _convert(next((value for value in values if value), values[0]), dtype)
    return fields


def _spellings(name: str) -> tuple[str, ...]:
    names = (name, "meta_data") if name == "metadata" else (name,)
    camel = (re.sub(r"_([a-z])", lambda match: match[1].upper(), each) for each in names)
    return tuple(dict.fromkeys([*names, *camel]))


_SPELLINGS: Final = {name: _spellings(name) for name in REMOTE_COLUMNS}


def _convert(value: Any, dtype: str) -> Any:
    if dtype.startswith("datetime"):
        from agentnb.platforms._bodies import parse_time

        timestamp = parse_time(value)
        return None if timestamp is None else to_micros(timestamp)
    if dtype == "string":
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return value


@takes_filters
def sessions(
    *,
    limit: int | None = None,
    order: str = "-last_at",
    **given: Unpack[RunFilters],
) -> pd.DataFrame:
    """Return the sessions of the runs that match the filters, the last used first.

    The filters are those of `agentnb.runs`; runs without a session are left out.  The columns and
    dtypes are those of `SESSION_COLUMNS`: ``agent`` and ``status`` are those of the last run,
    ``total_tokens`` and ``cost_usd`` are sums over the runs where they are known.

    Raises:
        RequestError: a filter or the order is invalid.
        HistoryError: the store fails.
    """
    filters = read_filters(**given)
    by, limit = read_order(order, SESSION_COLUMNS), read_limit(limit)
    columns = stored_columns(_select_sessions, SESSION_COLUMNS, filters, by, limit)
    return frame_from_columns(columns, SESSION_COLUMNS)


def _select_sessions(filters: Filters, by: Order, dialect: str) -> Select[Any]:
    from sqlalchemy import case, func, select

    from agentnb.store.schema import content, run
    from agentnb.store.statements import conditions, needs_content, ordered, select_runs

    session = (run.c.platform, run.c.session_id)
    oldest_first = (run.c.started_at, run.c.key)
    cost, _ = cost_columns(prices())
    numbered = (
        select_runs(
            [
                *session,
                run.c.key,
                run.c.agent,
                run.c.status,
                run.c.started_at,
                run.c.total_tokens,
                cost.label("cost_usd"),
                func.row_number().over(partition_by=session, order_by=oldest_first).label("number"),
                func.row_number()
                .over(partition_by=session, order_by=[column.desc() for column in oldest_first])
                .label("from_end"),
            ],
            with_content=needs_content(filters),
        )
        .where(run.c.session_id.is_not(None), *conditions(filters, dialect))
        .subquery()
    )
    row = numbered.c
    is_last = row.from_end == 1
    grouped = (
        select(
            row.session_id,
            row.platform,
            func.max(case((is_last, row.agent))).label("agent"),
            func.count().label("runs"),
            func.max(case((row.number == 1, row.key))).label("first_key"),
            func.max(case((is_last, row.key))).label("last_key"),
            func.min(row.started_at).label("started_at"),
            func.max(row.started_at).label("last_at"),
            func.max(case((is_last, row.status))).label("status"),
            func.sum(row.total_tokens).label("total_tokens"),
            func.sum(row.cost_usd).label("cost_usd"),
        )
        .group_by(row.platform, row.session_id)
        .subquery()
    )
    first, last = content.alias("first_content"), content.alias("last_content")
    fields = {
        **dict(grouped.c),
        "first_prompt": first.c.prompt,
        "last_prompt": last.c.prompt,
    }
    return (
        select(*(fields[name] for name in SESSION_COLUMNS))
        .select_from(
            grouped.outerjoin(first, first.c.run == grouped.c.first_key).outerjoin(
                last, last.c.run == grouped.c.last_key
            )
        )
        .order_by(*ordered(by, fields, grouped.c.last_key))
    )


@takes_filters
def tool_calls(
    *,
    run: Any = None,
    name: Some | None = None,
    limit: int | None = None,
    order: str = "-started_at",
    **given: Unpack[RunFilters],
) -> pd.DataFrame:
    """Return the tool calls of the runs that match the filters, the latest call first.

    The filters are those of `runs` and apply to the run, ``status`` too.  ``run`` is a run's id,
    the platform's or agentnb's, or a `Run`; ``name`` is a tool's name; both may be lists.  The
    columns and dtypes are those of `TOOL_CALL_COLUMNS`; ``status`` is running, completed, failed or
    abandoned, ``position`` counts a run's calls from 0, ``arguments`` and ``result`` are as the
    platform sent them.

    Raises:
        RequestError: a filter or the order is invalid.
        HistoryError: the store fails.
    """
    filters = read_filters(**given, run=run)
    names = read_filters(model=name).model
    by, limit = read_order(order, TOOL_CALL_COLUMNS), read_limit(limit)
    select = partial(_select_tool_calls, names)
    columns = stored_columns(select, TOOL_CALL_COLUMNS, filters, by, limit)
    return frame_from_columns(columns, TOOL_CALL_COLUMNS)


def _select_tool_calls(
    names: Sequence[str] | None, filters: Filters, by: Order, dialect: str
) -> Select[Any]:
    from agentnb.store import statements
    from agentnb.store.schema import tool_call

    fields = statements.tool_call_fields()
    statement = (
        statements.select_runs(
            [fields[name] for name in TOOL_CALL_COLUMNS],
            with_content=statements.needs_content(filters),
            inner=tool_call,
        )
        .where(*statements.conditions(filters, dialect))
        .order_by(*statements.ordered(by, fields, tool_call.c.run, tool_call.c.position))
    )
    return statement if names is None else statement.where(tool_call.c.name.in_(names))
