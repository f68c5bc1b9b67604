"""Runs, their events and their tool calls as pandas tables, whose columns and dtypes are fixed.

They are read from the store, filtered and ordered there.  Where there is none, this process's own
runs are what there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from agentnb._support.imports import imported
from agentnb.config.names import suggestion
from agentnb.errors import RequestError
from agentnb.event.types import Event
from agentnb.store.filters import Filters, Moment, Order, Some, read_filters, read_limit, read_order
from agentnb.store.prices import prices
from agentnb.tables.columns import EVENT_COLUMNS, REMOTE_COLUMNS, RUN_COLUMNS, TOOL_CALL_COLUMNS
from agentnb.tables.frame import columns_of, frame, table
from agentnb.tables.platform_columns import remote_columns
from agentnb.tables.records import event_records, kept_runs, run_record, tool_call_records
from agentnb.tables.session_table import sessions

if TYPE_CHECKING:
    import pandas as pd

    from agentnb.store.store import Store

__all__ = [
    "RUN_COLUMNS",
    "events",
    "record_table",
    "run_table",
    "runs",
    "sessions",
    "table",
    "tool_calls",
]

# Where a record has what all columns are made of.
_RECORD: Final = (*(name for name in RUN_COLUMNS if name not in REMOTE_COLUMNS), "remote")
# The columns that a database can sort by; the rest is inside of the platform's own entry.
_ORDERS: Final = tuple(name for name in _RECORD if name != "remote")
_EVENT_TYPES: Final = tuple(sorted(kind.type for kind in Event.__args__))
# A chunk can hold a whole run's events.
_CHUNKS: Final = 200


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
    """Return the runs that were recorded, of all kernels that share the store; newest first.

    ``agent`` is an id or ``platform:agent``; ``status`` is one of queued, running, paused,
    completed, failed, cancelled, truncated, interrupted; ``source`` is recorded (seen here),
    platform (pulled from it) or both.  Each of these, and ``platform``, ``session``, ``user`` and
    ``model``, is one value or a list of which any will do.  ``since`` (included) and ``until``
    (excluded) bound ``started_at``: a datetime or date (without a zone in UTC), its ISO form, or an
    age such as ``"7d"`` or ``"12h"``.  ``text`` is a part of the question or the answer, in any
    case.  ``this_kernel`` keeps what this process ran.  ``order`` is a column, "-" before it for
    descending; what has no value comes last.

    The columns and dtypes are those of `RUN_COLUMNS`, also where there are no rows: text as
    ``string``, names and status as ``category``, moments in UTC, durations as timedeltas, counts as
    nullable integers, ``cost_usd`` in US dollars.  ``cost_usd`` is what the platform reported, else
    what the prices of `set_prices` make it, else missing; ``cost_source`` tells which.  What was
    not reported is missing, never 0.  ``run_id`` is the platform's id of a run, and agentnb's own
    where that has none; ``local_id`` is always agentnb's.  The columns from ``created_at`` on are
    what the platform's own entry tells, of runs that were pulled from it.

    In all tables a control in a text, by which a terminal would be commanded, is a sign for it,
    such as ``␛[31m``; `agentnb.history.load` has every text as it came.

    Raises:
        RequestError: a filter or the order cannot be understood, or there is no such platform, or
            no such agent but one of nearly the same name.
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
    by, most = read_order(order, _ORDERS), read_limit(limit)
    store = _store()
    if store is None:
        # Newest first among equals, too.
        found = [record for _, record in kept_runs(filters)][::-1]
        _check(store, filters, empty=not found)
        return record_table(by.sort(found)[:most])
    from agentnb.store.schema import run
    from agentnb.store.statements import (
        conditions,
        ordered,
        pages,
        reading,
        run_fields,
        select_runs,
    )

    fields = run_fields(prices())
    statement = (
        select_runs([fields[name] for name in _RECORD], with_content=True)
        .where(*conditions(filters, store.dialect))
        .order_by(*ordered(by, fields, run.c.key))
        .limit(most)
    )
    columns: dict[str, list[Any]] = {name: [] for name in _RECORD}
    with reading(store) as connection:
        for page in pages(connection, statement):
            for name, values in zip(_RECORD, zip(*page, strict=True), strict=True):
                columns[name].extend(values)
    _check(store, filters, empty=not columns["local_id"])
    return _run_frame(columns)


def tool_calls(
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
    run: Any = None,
    name: Some | None = None,
    limit: int | None = None,
    order: str = "-started_at",
) -> pd.DataFrame:
    """Return the tool calls of the runs that the filters keep, the latest call first.

    The filters are those of `runs`, and hold for the run, ``status`` too.  ``run`` is a run's id,
    the platform's or agentnb's own, or a `Run`; ``name`` is a tool's name; both may be lists.  The
    columns and dtypes are those of `TOOL_CALL_COLUMNS`; ``status`` is running, completed, failed or
    abandoned, ``position`` counts a run's calls from 0, ``arguments`` and ``result`` are as the
    platform sent them.

    Raises:
        RequestError: a filter or the order cannot be understood.
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
        run=run,
        since=since,
        until=until,
        text=text,
        this_kernel=this_kernel,
    )
    names = read_filters(model=name).model
    by, most = read_order(order, TOOL_CALL_COLUMNS), read_limit(limit)
    store = _store()
    if store is None:
        found = [
            call
            for each, record in kept_runs(filters)[::-1]
            for call in reversed(tool_call_records(each, record))
            if names is None or call["name"] in names
        ]
        _check(store, filters, empty=not found)
        rows = by.sort(found)[:most]
        return frame({c: [row[c] for row in rows] for c in TOOL_CALL_COLUMNS}, TOOL_CALL_COLUMNS)
    from agentnb.store import statements
    from agentnb.store.schema import tool_call

    fields = statements.tool_call_fields()
    statement = (
        statements.select_runs(
            [fields[name] for name in TOOL_CALL_COLUMNS],
            with_content=statements.needs_content(filters),
            inner=tool_call,
        )
        .where(*statements.conditions(filters, store.dialect))
        .order_by(*statements.ordered(by, fields, tool_call.c.run, tool_call.c.position))
        .limit(most)
    )
    if names is not None:
        statement = statement.where(tool_call.c.name.in_(names))
    with statements.reading(store) as connection:
        found = [row for page in statements.pages(connection, statement) for row in page]
    _check(store, filters, empty=not found)
    return frame(columns_of(found, list(TOOL_CALL_COLUMNS)), TOOL_CALL_COLUMNS)


def events(
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
    run: Any = None,
    type: Some | None = None,
    limit: int | None = None,
    order: str = "-started_at",
) -> pd.DataFrame:
    """Return the events of the runs that the filters keep, a run's in the order they came.

    The filters are those of `runs`, and ``order`` is that of the runs, newest first.  ``run`` is a
    run's id, the platform's or agentnb's own, or a `Run`, or a list; ``type`` is an event's, such
    as ``"text_delta"``, or a list; ``limit`` counts events.  The columns and dtypes are those of
    `EVENT_COLUMNS`: ``at`` is the time since the run was sent, ``time`` the same as a moment,
    ``data`` what the other columns do not tell, as JSON.

    Raises:
        RequestError: a filter or the order cannot be understood.
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
        run=run,
        since=since,
        until=until,
        text=text,
        this_kernel=this_kernel,
    )
    types = read_filters(model=type).model
    for kind in types or ():
        if kind not in _EVENT_TYPES:
            hint = suggestion(kind, _EVENT_TYPES) or f"There are {', '.join(_EVENT_TYPES)}."
            raise RequestError(f"There is no event '{kind}'.", hint=hint)
    by, most = read_order(order, _ORDERS), read_limit(limit)
    store = _store()
    found = _own_events(filters, by) if store is None else _stored_events(store, filters, by)
    wanted = (row for row in found if types is None or row[_TYPE] in types)
    rows = list(wanted if most is None else islice(wanted, most))
    _check(store, filters, empty=not rows)
    return frame(columns_of(rows, list(EVENT_COLUMNS)), EVENT_COLUMNS)


def run_table(runs: Iterable[Any]) -> pd.DataFrame:
    """Return runs of this process as a table of the columns and dtypes of `runs`, one row each."""
    known = prices()
    return record_table([run_record(run, known) for run in runs])


def record_table(records: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return records of runs, as `records` has them, as a table of `RUN_COLUMNS`."""
    return _run_frame({name: [record[name] for record in records] for name in _RECORD})


_TYPE: Final = list(EVENT_COLUMNS).index("type")


def _run_frame(columns: dict[str, list[Any]]) -> pd.DataFrame:
    return frame({**columns, **remote_columns(columns["remote"])}, RUN_COLUMNS)


def _store() -> Store | None:
    imported("agentnb.store.statements")
    from agentnb.store.statements import open_store

    return open_store()


def _check(store: Store | None, filters: Filters, *, empty: bool) -> None:
    from agentnb.store.statements import check_names

    check_names(store, filters, empty=empty)


def _own_events(filters: Filters, by: Order) -> Iterable[tuple[Any, ...]]:
    kept = kept_runs(filters)[::-1]
    found = {record["local_id"]: run for run, record in kept}
    for record in by.sort([record for _, record in kept]):
        run = found[record["local_id"]]
        with run.lock:
            told, times = run.events, run.event_times
        yield from event_records(record, told, times)


def _stored_events(store: Store, filters: Filters, by: Order) -> Iterable[tuple[Any, ...]]:
    from agentnb.event.serialization import decode_of
    from agentnb.store import statements
    from agentnb.store.schema import event_chunk, run

    fields = statements.run_fields(prices())
    statement = (
        statements.select_runs(
            [
                fields["run_id"],
                run.c.key.label("local_id"),
                run.c.started_at,
                event_chunk.c.first,
                event_chunk.c.payload,
            ],
            with_content=statements.needs_content(filters) or by.column in ("prompt", "text"),
            inner=event_chunk,
        )
        .where(*statements.conditions(filters, store.dialect))
        .order_by(*statements.ordered(by, fields, run.c.key), event_chunk.c.first)
    )
    with statements.reading(store) as connection:
        for page in statements.pages(connection, statement, size=_CHUNKS):
            for run_id, local_id, started_at, first, payload in page:
                told, times = decode_of(local_id, payload)
                record = {"run_id": run_id, "local_id": local_id, "started_at": started_at}
                yield from event_records(record, told, times, first=first)
