"""Pages of the history for its list: narrow rows and their total number.

The database filters, sorts and truncates.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agentnb.errors import RequestError
from agentnb.store.filters import Filters, Moment, read_filters, read_order
from agentnb.store.record import RunRecord

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection


#: Columns that a page can be sorted by; "-" before one for descending.
ORDERS: Final = ("status", "question", "agent", "started_at", "duration", "tokens", "cost")
# Counting the matches of a text search reads all texts, so it ends here.
MAX_COUNTED: Final = 10_000
_MAX_CHARS: Final = 300
_MAX_AGENTS: Final = 200
# Instructions of SQLite's virtual machine between two calls of its progress handler.
_PROGRESS_STEPS: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PageQuery:
    """Filters, order and bounds of a page.

    ``text`` is a case-insensitive part of the prompt or the answer; ``agent`` an id or
    ``platform:agent``; ``status`` one status or several; empty values filter nothing.  ``since`` is
    the earliest start, as for `agentnb.runs`.  ``order`` is one of `ORDERS`.

    Raises:
        RequestError: the status, order, time or bounds are invalid.
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
        """The filters of the query."""
        return read_filters(
            text=self.text.strip() or None,
            agent=self.agent or None,
            status=self.status or None,
            since=self.since,
        )

    @property
    def filtered(self) -> bool:
        """Whether any filter is set."""
        return self.filters != Filters()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Rows of a page, and the total number of runs that match.

    Of each row's prompt and error there is the start; its ``total_tokens`` are the sum of its parts
    where the platform gave none, and ``cost_usd`` is as in `agentnb.runs`.  Other texts are absent.

    ``more``: there are more than ``total``; matches of a text search are counted up to
    `MAX_COUNTED`.
    """

    rows: tuple[RunRecord, ...]
    total: int
    more: bool = False


def page(query: PageQuery, *, given_up: Callable[[], bool] = lambda: False) -> Page:
    """Return one page of the history; blocks while the database works.

    ``given_up`` is polled from this thread; SQLite stops once it returns True.

    Raises:
        HistoryError: the store cannot be read, or the query was cancelled.
    """
    from sqlalchemy import func, literal, select

    from agentnb.store.schema import content, run
    from agentnb.store.statements import (
        conditions,
        needs_content,
        open_store,
        ordered,
        reading,
        select_runs,
    )

    store = open_store()
    filters = query.filters
    is_search = needs_content(filters)
    where = conditions(filters, store.dialect)
    columns = _columns()
    sort_names = {"prompt": "question", "total_tokens": "tokens", "cost_usd": "cost"}
    order = read_order(query.order, ORDERS)
    sort_columns = {sort_names.get(name, name): column for name, column in columns.items()}
    sort_columns["question"] = content.c.prompt
    statement = (
        select_runs([column.label(name) for name, column in columns.items()], with_content=True)
        .where(*where)
        .order_by(*ordered(order, sort_columns, run.c.started_at, run.c.key))
        .offset(query.offset)
        .limit(query.limit)
    )
    if is_search:
        matches = select_runs([literal(1).label("one")], with_content=True).where(*where)
        count = select(func.count()).select_from(matches.limit(MAX_COUNTED + 1).subquery())
    else:
        count = select_runs([func.count()], with_content=False).where(*where)
    with reading(store) as connection, _cancellable(connection, given_up):
        total: int = connection.execute(count).scalar_one()
        page_rows = tuple(
            RunRecord.from_row(row) for row in connection.execute(statement).mappings()
        )
    more = is_search and total > MAX_COUNTED
    return Page(rows=page_rows, total=MAX_COUNTED if more else total, more=more)


def agent_names() -> list[str]:
    """Return the agents that have runs, as ``platform:agent``, at most 200, sorted.

    Raises:
        HistoryError: the store cannot be read.
    """
    from sqlalchemy import select

    from agentnb.store.schema import run
    from agentnb.store.statements import open_store, reading

    statement = (
        select(run.c.platform, run.c.agent)
        .where(run.c.agent.is_not(None))
        .distinct()
        .order_by(run.c.platform, run.c.agent)
        .limit(_MAX_AGENTS)
    )
    with reading(open_store()) as connection:
        return [f"{platform}:{agent}" for platform, agent in connection.execute(statement)]


def row_of(run: Any) -> RunRecord:
    """Return the row of a run of this process."""
    from agentnb.store.memory import select_from
    from agentnb.store.rows import run_rows
    from agentnb.store.statements import select_runs

    columns = [column.label(name) for name, column in _columns().items()]
    statement = select_runs(columns, with_content=True)
    return RunRecord.from_row(select_from([run_rows(run)], statement)[0])


@contextmanager
def _cancellable(connection: Connection, given_up: Callable[[], bool]) -> Generator[None]:
    """Have SQLite abort statements once ``given_up`` returns True."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        yield
        return
    driver.set_progress_handler(given_up, _PROGRESS_STEPS)
    try:
        yield
    finally:
        # The connection goes back to the pool.
        driver.set_progress_handler(None, _PROGRESS_STEPS)


def _columns() -> dict[str, ColumnElement[Any]]:
    from sqlalchemy import case, func

    from agentnb.store.prices import cost_columns, prices
    from agentnb.store.schema import content, run

    cost, _ = cost_columns(prices())
    has_parts = run.c.input_tokens.is_not(None) | run.c.output_tokens.is_not(None)
    parts = func.coalesce(run.c.input_tokens, 0) + func.coalesce(run.c.output_tokens, 0)
    return {
        "key": run.c.key,
        "run_id": run.c.run_id,
        "platform": run.c.platform,
        "agent": func.coalesce(run.c.agent, run.c.title, ""),
        "status": run.c.status,
        "prompt": func.substr(content.c.prompt, 1, _MAX_CHARS),
        "started_at": run.c.started_at,
        "duration": run.c.duration,
        "total_tokens": func.coalesce(run.c.total_tokens, case((has_parts, parts))),
        "cost_usd": cost,
        "error": func.substr(run.c.error, 1, _MAX_CHARS),
    }
