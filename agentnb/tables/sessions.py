"""Sessions as a DataFrame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentnb.store.filters import Filters, Moment, Order, Some, read_filters, read_limit, read_order
from agentnb.store.prices import Price, prices
from agentnb.tables.columns import SESSION_COLUMNS
from agentnb.tables.frame import columns_of, frame_from_columns

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Select


def sessions(
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
    order: str = "-last_at",
) -> pd.DataFrame:
    """Return the sessions of the runs that match the filters, the last used first.

    The filters are those of `agentnb.runs`; runs without a session are left out.  The columns and
    dtypes are those of `SESSION_COLUMNS`: ``agent`` and ``status`` are those of the last run,
    ``total_tokens`` and ``cost_usd`` are sums over the runs where they are known.

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
        since=since,
        until=until,
        text=text,
        this_kernel=this_kernel,
    )
    by, limit = read_order(order, SESSION_COLUMNS), read_limit(limit)
    from agentnb.store.statements import check_names, open_store, pages, reading

    store = open_store()
    statement = _statement(filters, by, prices(), store.dialect).limit(limit)
    with reading(store) as connection:
        rows = [row for page in pages(connection, statement) for row in page]
    check_names(store, filters, empty=not rows)
    return frame_from_columns(columns_of(rows, SESSION_COLUMNS), SESSION_COLUMNS)


def _statement(
    filters: Filters, by: Order, price_list: Mapping[str, Price], dialect: str
) -> Select[Any]:
    from sqlalchemy import case, func, select

    from agentnb.store.prices import cost_columns
    from agentnb.store.schema import content, run
    from agentnb.store.statements import conditions, needs_content, ordered, select_runs

    session = (run.c.platform, run.c.session_id)
    oldest_first = (run.c.started_at, run.c.key)
    cost, _ = cost_columns(price_list)
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
