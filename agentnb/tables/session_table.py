"""Sessions as a table: what belongs together of the runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from agentnb.store.filters import Filters, Moment, Order, Some, read_filters, read_limit, read_order
from agentnb.store.prices import Price, prices
from agentnb.tables.columns import SESSION_COLUMNS
from agentnb.tables.frame import columns_of, frame
from agentnb.tables.records import kept_runs

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Select

__all__ = ["sessions"]


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
    """Return the sessions of the runs that the filters keep, the last used first.

    The filters are those of `agentnb.runs`; runs without a session are in none.  The columns and
    dtypes are those of `SESSION_COLUMNS`: ``agent`` and ``status`` are those of the last run,
    ``total_tokens`` and ``cost_usd`` sums over the runs where they are known.

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
        since=since,
        until=until,
        text=text,
        this_kernel=this_kernel,
    )
    by, most = read_order(order, SESSION_COLUMNS), read_limit(limit)
    from agentnb.store.statements import check_names, open_store, pages, reading

    store = open_store()
    if store is None:
        rows = by.sort(_sessions(record for _, record in kept_runs(filters)))[:most]
        check_names(store, filters, empty=not rows)
        return frame({c: [row[c] for row in rows] for c in SESSION_COLUMNS}, SESSION_COLUMNS)
    statement = _statement(filters, by, prices(), store.dialect).limit(most)
    with reading(store) as connection:
        found = [row for page in pages(connection, statement) for row in page]
    check_names(store, filters, empty=not found)
    return frame(columns_of(found, list(SESSION_COLUMNS)), SESSION_COLUMNS)


def _statement(
    filters: Filters, by: Order, known: Mapping[str, Price], dialect: str
) -> Select[Any]:
    from sqlalchemy import case, func, select

    from agentnb.store.prices import cost_columns
    from agentnb.store.schema import content, run
    from agentnb.store.statements import conditions, needs_content, ordered, select_runs

    session = (run.c.platform, run.c.session_id)
    moment = (run.c.started_at, run.c.key)
    cost, _ = cost_columns(known)
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
                func.row_number().over(partition_by=session, order_by=moment).label("place"),
                func.row_number()
                .over(partition_by=session, order_by=[each.desc() for each in moment])
                .label("from_end"),
            ],
            with_content=needs_content(filters),
        )
        .where(run.c.session_id.is_not(None), *conditions(filters, dialect))
        .subquery()
    )
    of = numbered.c
    is_last = of.from_end == 1
    together = (
        select(
            of.session_id,
            of.platform,
            func.max(case((is_last, of.agent))).label("agent"),
            func.count().label("runs"),
            func.max(case((of.place == 1, of.key))).label("first_key"),
            func.max(case((is_last, of.key))).label("last_key"),
            func.min(of.started_at).label("started_at"),
            func.max(of.started_at).label("last_at"),
            func.max(case((is_last, of.status))).label("status"),
            func.sum(of.total_tokens).label("total_tokens"),
            func.sum(of.cost_usd).label("cost_usd"),
        )
        .group_by(of.platform, of.session_id)
        .subquery()
    )
    first, last = content.alias("first_content"), content.alias("last_content")
    fields = {
        **dict(together.c),
        "first_prompt": first.c.prompt,
        "last_prompt": last.c.prompt,
    }
    return (
        select(*(fields[name] for name in SESSION_COLUMNS))
        .select_from(
            together.outerjoin(first, first.c.run == together.c.first_key).outerjoin(
                last, last.c.run == together.c.last_key
            )
        )
        .order_by(*ordered(by, fields, together.c.last_key))
    )


def _sessions(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the sessions of this process's runs, given oldest first; the last one comes first."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for record in records:
        if record["session_id"] is None:
            continue
        known = found.setdefault(
            (record["platform"], record["session_id"]),
            {
                "session_id": record["session_id"],
                "platform": record["platform"],
                "runs": 0,
                "first_prompt": record["prompt"],
                "started_at": record["started_at"],
                "total_tokens": None,
                "cost_usd": None,
            },
        )
        known["runs"] += 1
        known.update(
            agent=record["agent"],
            last_prompt=record["prompt"],
            last_at=record["started_at"],
            status=record["status"],
        )
        for name in ("total_tokens", "cost_usd"):
            if record[name] is not None:
                known[name] = (known[name] or 0) + record[name]
    return list(found.values())[::-1]
