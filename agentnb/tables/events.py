"""Events of runs as a DataFrame."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Unpack

from agentnb._support.fork import imported
from agentnb.config.names import suggestion
from agentnb.errors import RequestError
from agentnb.event.types import Event, ReasoningDelta, RefusalDelta, TextDelta, event_to_dict
from agentnb.store.filters import Filters, Order, Some, read_filters, read_limit, read_order
from agentnb.store.prices import prices
from agentnb.store.values import span
from agentnb.tables.columns import EVENT_COLUMNS
from agentnb.tables.filters import RunFilters, takes_filters
from agentnb.tables.frame import columns_of, frame_from_columns
from agentnb.tables.runs import SORTABLE_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

    from agentnb.store.store import Store

_EVENT_TYPES: Final = tuple(sorted(kind.type for kind in Event.__args__))
_TYPE: Final = list(EVENT_COLUMNS).index("type")
# Chunks read at once; one can hold all events of a run.
_PAGE_SIZE: Final = 200


@takes_filters
def events(
    *,
    run: Any = None,
    type: Some | None = None,
    limit: int | None = None,
    order: str = "-started_at",
    **given: Unpack[RunFilters],
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
    filters = read_filters(**given, run=run)
    types = read_filters(model=type).model
    for kind in types or ():
        if kind not in _EVENT_TYPES:
            hint = suggestion(kind, _EVENT_TYPES) or f"There are {', '.join(_EVENT_TYPES)}."
            raise RequestError(f"There is no event '{kind}'.", hint=hint)
    by, limit = read_order(order, SORTABLE_COLUMNS), read_limit(limit)
    imported("agentnb.store.statements")
    from agentnb.store.statements import check_names, open_store

    store = open_store()
    with closing(_stored_rows(store, filters, by)) as all_rows:
        matching = (row for row in all_rows if types is None or row[_TYPE] in types)
        rows = list(islice(matching, limit))
    check_names(store, filters, empty=not rows)
    return frame_from_columns(columns_of(rows, EVENT_COLUMNS), EVENT_COLUMNS)


def _stored_rows(store: Store, filters: Filters, by: Order) -> Generator[tuple[Any, ...]]:
    from agentnb.event.serialization import decode_or_warn
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
                events, times = decode_or_warn(local_id, payload)
                for position, (event, seconds) in enumerate(zip(events, times, strict=True), first):
                    at = span(seconds) or 0
                    time = started_at + at
                    yield run_id, position, at, time, event.type, *_fields(event), local_id


def _fields(event: Event) -> tuple[str | None, str | None, str | None, str | None, str | None]:
    """Return an event's text, part id, call id and name, and its other fields as JSON."""
    if isinstance(event, TextDelta | ReasoningDelta | RefusalDelta):
        return event.text, event.part_id, None, None, None
    rest = event_to_dict(event)
    del rest["type"]
    call_id, name = rest.pop("call_id", None), rest.pop("name", None)
    text = next((rest.pop(key) for key in ("message", "output", "result") if key in rest), None)
    data = json.dumps(rest, ensure_ascii=False, default=str) if rest else None
    return text, None, call_id, name, data
