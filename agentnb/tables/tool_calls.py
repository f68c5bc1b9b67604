"""Tool calls as a DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentnb._support.fork import imported
from agentnb.store.filters import Moment, Some, read_filters, read_limit, read_order
from agentnb.tables.columns import TOOL_CALL_COLUMNS
from agentnb.tables.frame import columns_of, frame_from_columns

if TYPE_CHECKING:
    import pandas as pd


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
    imported("agentnb.store.statements")
    from agentnb.store import statements
    from agentnb.store.schema import tool_call

    store = statements.open_store()
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
    statements.check_names(store, filters, empty=not rows)
    return frame_from_columns(columns_of(rows, TOOL_CALL_COLUMNS), TOOL_CALL_COLUMNS)
