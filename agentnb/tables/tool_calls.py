"""Tool calls as a DataFrame."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from agentnb.store.filters import Filters, Order, Some, read_filters, read_limit, read_order
from agentnb.tables.columns import TOOL_CALL_COLUMNS
from agentnb.tables.filters import RunFilters, stored_columns, takes_filters
from agentnb.tables.frame import frame_from_columns

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Select


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
    select = partial(_select, filters, names, by, limit)
    return frame_from_columns(stored_columns(filters, TOOL_CALL_COLUMNS, select), TOOL_CALL_COLUMNS)


def _select(
    filters: Filters, names: Sequence[str] | None, by: Order, limit: int | None, dialect: str
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
        .limit(limit)
    )
    return statement if names is None else statement.where(tool_call.c.name.in_(names))
