"""Tool calls as a DataFrame, from the store or, without one, from this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentnb.store.filters import Moment, Some, read_filters, read_limit, read_order
from agentnb.store.timestamps import span
from agentnb.tables.columns import TOOL_CALL_COLUMNS
from agentnb.tables.frame import columns_of, frame_from_columns
from agentnb.tables.records import filter_runs
from agentnb.tables.runs import table_store

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["tool_calls"]


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
    by, limit = read_order(order, TOOL_CALL_COLUMNS), read_limit(limit)
    store = table_store()
    from agentnb.store import statements
    from agentnb.store.schema import tool_call

    if store is None:
        calls = [
            call
            for each, record in filter_runs(filters)[::-1]
            for call in reversed(_records(each, record))
            if names is None or call["name"] in names
        ]
        rows = [tuple(call[name] for name in TOOL_CALL_COLUMNS) for call in by.sort(calls)[:limit]]
        is_empty = not calls
    else:
        fields = statements.tool_call_fields()
        statement = (
            statements.select_runs(
                [fields[name] for name in TOOL_CALL_COLUMNS],
                with_content=statements.needs_content(filters),
                inner=tool_call,
            )
            .where(*statements.conditions(filters, store.dialect))
            .order_by(*statements.ordered(by, fields, tool_call.c.run, tool_call.c.position))
            .limit(limit)
        )
        if names is not None:
            statement = statement.where(tool_call.c.name.in_(names))
        with statements.reading(store) as connection:
            rows = [row for page in statements.pages(connection, statement) for row in page]
        is_empty = not rows
    statements.check_names(store, filters, empty=is_empty)
    return frame_from_columns(columns_of(rows, TOOL_CALL_COLUMNS), TOOL_CALL_COLUMNS)


def _records(run: Any, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    shared = {
        name: record[name] for name in ("run_id", "platform", "agent", "session_id", "local_id")
    }
    with run.lock:
        return [
            {
                **shared,
                "position": position,
                "call_id": call.call_id,
                "name": call.name,
                "status": call.status,
                "started_at": record["started_at"] + (span(call.started) or 0),
                "duration": span(call.duration),
                "arguments": call.arguments,
                "result": call.result,
                "error": call.error,
            }
            for position, call in enumerate(run.transcript.tool_calls)
        ]
