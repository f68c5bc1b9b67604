"""Events of runs as a DataFrame, from the store or, without one, from this process."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from agentnb.config.names import suggestion
from agentnb.errors import RequestError
from agentnb.event.types import Event, ReasoningDelta, TextDelta, event_to_dict
from agentnb.store.filters import Filters, Moment, Order, Some, read_filters, read_limit, read_order
from agentnb.store.prices import prices
from agentnb.store.timestamps import span
from agentnb.tables.columns import EVENT_COLUMNS
from agentnb.tables.frame import columns_of, frame_from_columns
from agentnb.tables.records import filter_runs
from agentnb.tables.runs import SORTABLE_COLUMNS, table_store

if TYPE_CHECKING:
    import pandas as pd

    from agentnb.store.store import Store

__all__ = ["events"]

_EVENT_TYPES: Final = tuple(sorted(kind.type for kind in Event.__args__))
_TYPE: Final = list(EVENT_COLUMNS).index("type")
# Chunks read at once; one can hold all events of a run.
_PAGE_SIZE: Final = 200


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
    """Return the events of the runs that match the filters, each run's in order of arrival.

    The filters are those of `runs`, and ``order`` sorts the runs, newest first.  ``run`` is a run's
    id, the platform's or agentnb's, or a `Run`, or a list; ``type`` is an event's type, such as
    ``"text_delta"``, or a list; ``limit`` counts events.  The columns and dtypes are those of
    `EVENT_COLUMNS`: ``at`` is the time since the request was sent, ``time`` the same as a
    timestamp, ``data`` the remaining fields as JSON.

    Raises:
        RequestError: a filter or the order is invalid.
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
    by, limit = read_order(order, SORTABLE_COLUMNS), read_limit(limit)
    store = table_store()
    from agentnb.store.statements import check_names

    all_rows = _local_rows(filters, by) if store is None else _stored_rows(store, filters, by)
    matching = (row for row in all_rows if types is None or row[_TYPE] in types)
    rows = list(islice(matching, limit))
    check_names(store, filters, empty=not rows)
    return frame_from_columns(columns_of(rows, EVENT_COLUMNS), EVENT_COLUMNS)


def _local_rows(filters: Filters, by: Order) -> Iterator[tuple[Any, ...]]:
    runs = filter_runs(filters)[::-1]
    by_id = {record["local_id"]: run for run, record in runs}
    for record in by.sort([record for _, record in runs]):
        run = by_id[record["local_id"]]
        with run.lock:
            events, times = run.events, run.event_times
        yield from _rows(record, events, times)


def _stored_rows(store: Store, filters: Filters, by: Order) -> Iterator[tuple[Any, ...]]:
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
        for page in statements.pages(connection, statement, size=_PAGE_SIZE):
            for run_id, local_id, started_at, first, payload in page:
                events, times = decode_of(local_id, payload)
                record = {"run_id": run_id, "local_id": local_id, "started_at": started_at}
                yield from _rows(record, events, times, first=first)


def _rows(
    record: Mapping[str, Any], events: Iterable[Event], times: Iterable[float], *, first: int = 0
) -> Iterator[tuple[Any, ...]]:
    """Yield events as rows of `EVENT_COLUMNS`; ``first`` is the position of the first."""
    run_id, local_id, started = record["run_id"], record["local_id"], record["started_at"]
    for position, (event, seconds) in enumerate(zip(events, times, strict=True), first):
        at = span(seconds) or 0
        yield run_id, position, at, started + at, event.type, *_fields(event), local_id


def _fields(event: Event) -> tuple[str | None, str | None, str | None, str | None, str | None]:
    """Return an event's text, part id, call id and name, and its other fields as JSON."""
    if isinstance(event, TextDelta | ReasoningDelta):
        return event.text, event.part_id, None, None, None
    rest = event_to_dict(event)
    del rest["type"]
    call_id, name = rest.pop("call_id", None), rest.pop("name", None)
    text = next((rest.pop(key) for key in ("message", "output", "result") if key in rest), None)
    data = json.dumps(rest, ensure_ascii=False, default=str) if rest else None
    return text, None, call_id, name, data
