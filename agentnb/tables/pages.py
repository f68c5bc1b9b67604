"""The history page by page, as a list of it shows it: narrow rows, and how many there are.

Everything is filtered, sorted and cut in the database.  Where there is no store, this process's own
runs are what there is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from agentnb.errors import RequestError
from agentnb.store.filters import Filters, Moment, read_filters, read_order
from agentnb.store.recent import recent_runs

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

    from agentnb.store.store import Store

__all__ = ["COUNTED", "ORDERS", "Page", "PageQuery", "PageRow", "agent_names", "page", "row_of"]

#: What a page can be sorted by; "-" before it for descending.
ORDERS: Final = ("status", "question", "agent", "started_at", "duration", "tokens", "cost")
# Counting what a search finds reads all the texts, so it ends here.
COUNTED: Final = 10_000
# Characters of a text that a row brings along.
_CUT: Final = 300
_AGENTS: Final = 200
# How many steps of its own SQLite takes between two looks whether it was given up.
_STEPS: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PageQuery:
    """What a page shows of the history.

    ``text`` is a part of the question or the answer, in any case; ``agent`` is its id, or
    ``platform:agent``; ``status`` one status, or several; what is empty filters nothing.  ``since``
    is the earliest start, as `agentnb.runs` takes it.  ``order`` is one of `ORDERS`.

    Raises:
        RequestError: there is no such status, order, moment or page.
    """

    text: str = ""
    agent: str = ""
    status: str | tuple[str, ...] = ""
    since: Moment | None = None
    order: str = "-started_at"
    offset: int = 0
    limit: int = 20

    def __post_init__(self) -> None:
        read_order(self.order, ORDERS)
        _ = self.filters
        if not 0 <= self.offset < 2**62 or not 0 <= self.limit < 2**62:
            raise RequestError("A page begins at 0 or later and has 0 or more rows.")

    @property
    def filters(self) -> Filters:
        """What is filtered by."""
        return read_filters(
            text=self.text.strip() or None,
            agent=self.agent or None,
            status=self.status or None,
            since=self.since,
        )

    @property
    def filtered(self) -> bool:
        """Whether it leaves anything out."""
        return self.filters != Filters()


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRow:
    """One run in a list.

    ``key`` is agentnb's own id of it, ``run_id`` the platform's, where it has one.  ``started`` is
    in seconds since 1970-01-01 UTC, ``duration`` in seconds, ``cost`` in US dollars as in
    `agentnb.runs`; what is not known is None.  ``question`` and ``error`` are cut.
    """

    key: str
    run_id: str | None
    platform: str
    agent: str
    status: str
    question: str
    started: float
    duration: float | None
    tokens: int | None
    cost: float | None
    error: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-like data."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some rows, and how many the query finds altogether.

    ``more`` says that there are more than ``total``: what a search finds is counted up to
    `COUNTED`.
    """

    rows: tuple[PageRow, ...]
    total: int
    more: bool = False


def page(query: PageQuery, *, given_up: Callable[[], bool] = lambda: False) -> Page:
    """Return one page of the history; blocks while the database works.

    ``given_up`` is called now and then, from this thread; once it says so, SQLite looks no further.

    Raises:
        HistoryError: the store is there and cannot be read, or the page was given up.
    """
    from agentnb.store.statements import open_store

    store = open_store()
    return _in_memory(query) if store is None else _stored(store, query, given_up)


def agent_names() -> list[str]:
    """Return what agents the history has runs of, as ``platform:agent``, at most 200, sorted.

    Raises:
        HistoryError: the store is there and cannot be read.
    """
    from sqlalchemy import select

    from agentnb.store.schema import run
    from agentnb.store.statements import open_store, reading

    store = open_store()
    if store is None:
        return sorted({f"{run.platform}:{run.agent}" for run in recent_runs()})[:_AGENTS]
    named = (
        select(run.c.platform, run.c.agent)
        .where(run.c.agent.is_not(None))
        .distinct()
        .order_by(run.c.platform, run.c.agent)
        .limit(_AGENTS)
    )
    with reading(store) as connection:
        return [f"{platform}:{agent}" for platform, agent in connection.execute(named)]


def row_of(run: Any) -> PageRow:
    """Return the row of a run that is at hand."""
    from agentnb.store.prices import prices
    from agentnb.tables.records import run_record

    return _row_of(run, run_record(run, prices()))


# -- in the database -------------------------------------------------------------------------------


def _stored(store: Store, query: PageQuery, given_up: Callable[[], bool]) -> Page:
    from sqlalchemy import func, literal, select

    from agentnb.store.schema import run
    from agentnb.store.statements import conditions, needs_content, ordered, reading, select_runs

    filters = query.filters
    searched = needs_content(filters)
    where = conditions(filters, store.dialect)
    columns = _columns()
    order = read_order(query.order, ORDERS)
    by_what = {**columns, "question": _question()}
    rows = (
        select_runs([column.label(name) for name, column in columns.items()], with_content=True)
        .where(*where)
        .order_by(*ordered(order, by_what, run.c.started_at, run.c.key))
        .offset(query.offset)
        .limit(query.limit)
    )
    if searched:
        matching = select_runs([literal(1).label("one")], with_content=True).where(*where)
        counted = select(func.count()).select_from(matching.limit(COUNTED + 1).subquery())
    else:
        counted = select_runs([func.count()], with_content=False).where(*where)
    with reading(store) as connection, _heeding(connection, given_up):
        total: int = connection.execute(counted).scalar_one()
        found = [_row(**row) for row in connection.execute(rows).mappings()]
    more = searched and total > COUNTED
    return Page(rows=tuple(found), total=COUNTED if more else total, more=more)


@contextmanager
def _heeding(connection: Connection, given_up: Callable[[], bool]) -> Generator[None, None, None]:
    """Let SQLite end what it does once it is ``given_up``."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        yield
        return
    driver.set_progress_handler(given_up, _STEPS)
    try:
        yield
    finally:
        # Others get the same connection after this.
        driver.set_progress_handler(None, _STEPS)


def _columns() -> dict[str, ColumnElement[Any]]:
    from sqlalchemy import case, func

    from agentnb.store.prices import cost_columns, prices
    from agentnb.store.schema import run

    cost, _ = cost_columns(prices())
    known = run.c.input_tokens.is_not(None) | run.c.output_tokens.is_not(None)
    parts = func.coalesce(run.c.input_tokens, 0) + func.coalesce(run.c.output_tokens, 0)
    return {
        "key": run.c.key,
        "run_id": run.c.run_id,
        "platform": run.c.platform,
        "agent": func.coalesce(run.c.agent, run.c.title, ""),
        "status": run.c.status,
        "question": func.substr(_question(), 1, _CUT),
        "started_at": run.c.started_at,
        "duration": run.c.duration,
        "tokens": func.coalesce(run.c.total_tokens, case((known, parts))),
        "cost": cost,
        "error": func.substr(run.c.error, 1, _CUT),
    }


def _question() -> ColumnElement[Any]:
    from agentnb.store.schema import content

    return content.c.prompt


def _row(*, started_at: int, duration: int | None, question: str | None, **others: Any) -> PageRow:
    took = None if duration is None else duration / 1e6
    return PageRow(started=started_at / 1e6, duration=took, question=question or "", **others)


# -- in memory -------------------------------------------------------------------------------------


def _in_memory(query: PageQuery) -> Page:
    """Return a page of the runs that this process has."""
    from agentnb.tables.records import kept_runs

    rows = [_row_of(run, record) for run, record in reversed(kept_runs(query.filters))]
    records = [{**row.to_dict(), "started_at": row.started, "row": row} for row in rows]
    in_order = read_order(query.order, ORDERS).sort(records)
    shown = in_order[query.offset : query.offset + query.limit]
    return Page(rows=tuple(record["row"] for record in shown), total=len(in_order))


def _row_of(run: Any, record: Mapping[str, Any]) -> PageRow:
    tokens = record["total_tokens"]
    if tokens is None:
        parts = [n for n in (record["input_tokens"], record["output_tokens"]) if n is not None]
        tokens = sum(parts) if parts else None
    error: str | None = record["error"]
    return _row(
        key=record["local_id"],
        run_id=run.transcript.run_id,
        platform=record["platform"],
        agent=record["agent"],
        status=record["status"],
        question=record["prompt"][:_CUT],
        started_at=record["started_at"],
        duration=record["duration"],
        tokens=tokens,
        cost=record["cost_usd"],
        error=None if error is None else error[:_CUT],
    )
