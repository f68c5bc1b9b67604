"""Filters and orders as SQL expressions, and the connections to read with."""

from __future__ import annotations

import difflib
import json
import re
import sqlite3
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    Table,
    Text,
    and_,
    any_,
    false,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import SQLAlchemyError

from agentnb.config import config
from agentnb.config.names import AgentName, suggestion
from agentnb.errors import RequestError
from agentnb.platforms import registry
from agentnb.store import interruption, recorder
from agentnb.store.failures import explained
from agentnb.store.filters import Filters, Order
from agentnb.store.memory import memory_store
from agentnb.store.prices import Price, cost_columns
from agentnb.store.record import column_info
from agentnb.store.schema import content, run, tool_call
from agentnb.store.store import Store, reopen, store

# Rows fetched at once; bounds memory besides the table itself.
_PAGE_SIZE: Final = 20_000
# Above so many names they are sent as one value: databases limit the number of parameters.
_MAX_PARAMETERS: Final = 500
_CONTAINS: Final = "agentnb_contains"
# How long a table waits for the recorder, in seconds.
_FLUSH_TIMEOUT: Final = 5.0
# Similarity of names above which an agent without runs is taken for a misspelling.
_SIMILARITY: Final = 0.85


def open_store(*, required: bool = False) -> Store:
    """Return the store with everything that has arrived.

    Without a usable store it is one in memory with the runs of this process.

    Raises:
        HistoryError: with ``required``, instead of a store in memory.
    """
    current = store(required=True) if required else store()
    if current is None:
        return memory_store()
    recorder.flush(timeout=_FLUSH_TIMEOUT)
    if current.is_lost:
        # A recorder has reopened it by now.
        current = store(required=True) if required else store()
        if current is not None and current.is_lost:
            current = reopen(current)
        if current is None:
            return memory_store()
    interruption.mark_interrupted(current)
    return current


@contextmanager
def reading(store: Store) -> Generator[Connection, None, None]:
    """Yield a connection that sees one snapshot of the store and has the functions of the filters.

    Raises:
        HistoryError: the database fails.
    """
    try:
        with store.connect() as connection:
            driver = connection.connection.driver_connection
            if isinstance(driver, sqlite3.Connection):
                driver.create_function(_CONTAINS, 2, _contains, deterministic=True)
            yield connection
    except SQLAlchemyError as error:
        raise explained(error, store.url) from error


def pages(
    connection: Connection, statement: Select[Any], *, size: int = _PAGE_SIZE
) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of ``statement`` in lists of ``size``."""
    streamed = connection.execute(statement, execution_options={"yield_per": size})
    with streamed:
        for page in streamed.partitions():
            yield cast("list[tuple[Any, ...]]", page)


def check_names(store: Store, filters: Filters, *, empty: bool) -> None:
    """Reject misspelled names of platforms and agents; ``empty``: there are no matching runs.

    A platform must be known or have runs.  An agent may have no runs yet, and is rejected only if
    one with a similar name has.  The store is read only if a name is in doubt.

    Raises:
        RequestError: a name is unknown.
    """
    if not filters.platform and not (empty and filters.agent):
        # Looking up installed platforms takes longer than a table of some runs.
        return
    current, builtin = config(), registry.names()
    platforms = {*current.platform_names(builtin), "local"}
    unknown = [name for name in filters.platform or () if name not in platforms]
    if not unknown and not (empty and filters.agent):
        return
    pairs = _names(store)
    platforms |= {platform for platform, _ in pairs}
    for name in unknown:
        if name not in platforms:
            hint = suggestion(name, platforms) or f"There are {', '.join(sorted(platforms))}."
            raise RequestError(f"There is no platform '{name}'.", hint=hint)
    if not empty:
        return
    agents = {agent for _, agent in pairs} | {str(AgentName(*pair)) for pair in pairs}
    for name in filters.agent or ():
        if name in agents or name in current.all_aliases():
            continue
        # Names that differ only in digits are a series, of which some may have no runs.
        others = [agent for agent in agents if _without_digits(agent) != _without_digits(name)]
        if near := difflib.get_close_matches(name, others, n=1, cutoff=_SIMILARITY):
            raise RequestError(
                f"No run of an agent '{name}' is known.", hint=f"Did you mean '{near[0]}'?"
            )


def _names(store: Store) -> set[tuple[str, str]]:
    """Return the platforms and agents of all known runs."""
    with reading(store) as connection:
        rows = connection.execute(select(run.c.platform, run.c.agent).distinct())
        return {(platform, agent or "") for platform, agent in rows}


def _without_digits(name: str) -> str:
    return re.sub(r"\d+", "", name)


def needs_content(filters: Filters) -> bool:
    """Return whether the filters read the table `content`."""
    return filters.text is not None


def conditions(filters: Filters, dialect: str) -> list[ColumnElement[bool]]:
    """Return the conditions; join `content` if `needs_content`."""
    names = (
        (run.c.platform, filters.platform),
        (run.c.status, filters.status),
        (run.c.session_id, filters.session),
        (run.c.user_name, filters.user),
        (run.c.model, filters.model),
        (run.c.source, filters.source),
    )
    where = [_one_of(column, values, dialect) for column, values in names if values is not None]
    if filters.agent is not None:
        # An agent's own id may hold a colon, too.
        pairs = [name.split(":", 1) for name in filters.agent if ":" in name]
        where.append(
            or_(
                _one_of(run.c.agent, filters.agent, dialect),
                *(and_(run.c.platform == p, run.c.agent == a) for p, a in pairs),
            )
        )
    if filters.run is not None:
        by = (run.c.key, run.c.run_id)
        where.append(or_(*(_one_of(column, filters.run, dialect) for column in by)))
    if filters.since is not None:
        where.append(run.c.started_at >= filters.since)
    if filters.until is not None:
        where.append(run.c.started_at < filters.until)
    if filters.this_kernel:
        from agentnb.store.processes import process_id

        where.append(run.c.process == process_id())
    if filters.text is not None:
        texts = (content.c.prompt, content.c.text)
        where.append(or_(*(_contains_text(column, filters.text, dialect) for column in texts)))
    return where


def select_runs(
    columns: Sequence[ColumnElement[Any]], *, with_content: bool, inner: Table | None = None
) -> Select[Any]:
    """Return a SELECT of ``columns`` of the runs, with their `content`, or rows of ``inner``."""
    source = run if inner is None else run.join(inner, inner.c.run == run.c.key)
    if with_content:
        source = source.outerjoin(content, content.c.run == run.c.key)
    return select(*columns).select_from(source)


def tool_call_fields() -> dict[str, ColumnElement[Any]]:
    """Return the columns of `TOOL_CALL_COLUMNS` as SQL expressions."""
    return {
        "run_id": func.coalesce(run.c.run_id, run.c.key),
        "platform": run.c.platform,
        "agent": run.c.agent,
        "session_id": run.c.session_id,
        "position": tool_call.c.position,
        "call_id": tool_call.c.call_id,
        "name": tool_call.c.name,
        "status": tool_call.c.status,
        "started_at": run.c.started_at + func.coalesce(tool_call.c.started, 0),
        "duration": tool_call.c.finished - tool_call.c.started,
        "arguments": tool_call.c.arguments,
        "result": tool_call.c.result,
        "error": tool_call.c.error,
        "local_id": run.c.key,
    }


def run_fields(price_list: Mapping[str, Price]) -> dict[str, ColumnElement[Any]]:
    """Return the columns of `agentnb.runs` as SQL expressions; ``remote`` as JSON."""
    cost, cost_source = cost_columns(price_list)
    tables = {"run": run, "content": content}
    fields = {
        info.label or name: tables[info.table].c[name]
        for name, info in column_info().items()
        if info.dtype is not None
    }
    return {
        **fields,
        "run_id": func.coalesce(run.c.run_id, run.c.key),
        "cost_usd": cost,
        "cost_source": cost_source,
        "remote": content.c.remote,
    }


def ordered(
    order: Order, columns: Mapping[str, ColumnElement[Any]], *last: ColumnElement[Any]
) -> list[ColumnElement[Any]]:
    """Return the ORDER BY: missing values come last; ``last`` breaks ties."""
    column = columns[order.column]
    by = column.desc() if order.descending else column.asc()
    nullable = not (isinstance(column, Column) and not column.nullable)
    rest = [each.desc() if order.descending else each.asc() for each in last]
    # On a column that is never NULL it would prevent the use of an index.
    return [by.nulls_last() if nullable else by, *rest]


def _one_of(column: Column[Any], values: tuple[str, ...], dialect: str) -> ColumnElement[bool]:
    values = tuple(value for value in values if _storable(value, dialect))
    if len(values) <= _MAX_PARAMETERS:
        return column.in_(values)
    if dialect == "sqlite":
        listed = func.json_each(json.dumps(values)).table_valued(Column("value", Text))
        return column.in_(select(listed.c.value))
    return column == any_(literal(list(values), ARRAY(Text)))


def _contains_text(column: Column[Any], text: str, dialect: str) -> ColumnElement[bool]:
    """Return whether the column contains ``text``, ignoring case, also of non-ASCII letters."""
    if not _storable(text, dialect):
        return false()
    if dialect == "sqlite":
        # SQLite's LIKE ignores case of ASCII letters only.
        return getattr(func, _CONTAINS)(column, text) == 1
    # PostgreSQL's case folding depends on its locale, so both cases are spelled out.
    return column.op("~", is_comparison=True)(literal("".join(map(_either_case, text)), Text))


def _storable(text: str, dialect: str) -> bool:
    """Return whether the database can store the text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return dialect == "sqlite" or "\0" not in text


def _either_case(letter: str) -> str:
    forms = {letter, letter.lower(), letter.upper()}
    single = sorted(form for form in forms if len(form) == 1)
    if len(single) > 1:
        return f"[{''.join(single)}]"
    return letter if letter.isalnum() or letter.isspace() else re.escape(letter)


def _contains(text: Any, part: str) -> bool:
    return isinstance(text, str) and part in text.lower()
