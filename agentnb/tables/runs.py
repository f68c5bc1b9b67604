"""Runs as a DataFrame."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from agentnb._support.fork import imported
from agentnb.platforms.base import RemoteRun
from agentnb.store.filters import Moment, Some, read_filters, read_limit, read_order
from agentnb.store.prices import prices
from agentnb.store.record import RunRecord
from agentnb.store.values import to_micros
from agentnb.tables.columns import RECORD_COLUMNS, REMOTE_COLUMNS, RUN_COLUMNS
from agentnb.tables.frame import columns_of, frame_from_columns

if TYPE_CHECKING:
    import pandas as pd


#: Columns that a database can sort runs by.
SORTABLE_COLUMNS: Final = tuple(RECORD_COLUMNS)
# `remote` has the REMOTE_COLUMNS as JSON.
_FIELDS: Final = (*SORTABLE_COLUMNS, "remote")


def runs(
    *,
    agent: Some | None = None,
    platform: Some | None = None,
    status: Some | None = None,
    session: Some | None = None,
    user: Some | None = None,
    model: Some | None = None,
    source: Some | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
    text: str | None = None,
    this_kernel: bool = False,
    limit: int | None = None,
    order: str = "-started_at",
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
    filters = read_filters(
        agent=agent,
        platform=platform,
        status=status,
        session=session,
        user=user,
        model=model,
        source=source,
        since=since,
        until=until,
        text=text,
        this_kernel=this_kernel,
    )
    by, limit = read_order(order, SORTABLE_COLUMNS), read_limit(limit)
    imported("agentnb.store.statements")
    from agentnb.store.schema import run
    from agentnb.store.statements import (
        check_names,
        conditions,
        open_store,
        ordered,
        pages,
        reading,
        run_fields,
        select_runs,
    )

    store = open_store()
    fields = run_fields(prices())
    statement = (
        select_runs([fields[name] for name in _FIELDS], with_content=True)
        .where(*conditions(filters, store.dialect))
        .order_by(*ordered(by, fields, run.c.key))
        .limit(limit)
    )
    columns: dict[str, list[Any]] = {name: [] for name in _FIELDS}
    with reading(store) as connection:
        for page in pages(connection, statement):
            for name, values in columns_of(page, _FIELDS).items():
                columns[name].extend(values)
    check_names(store, filters, empty=not columns["local_id"])
    return _run_frame(columns)


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
