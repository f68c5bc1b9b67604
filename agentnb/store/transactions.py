"""Writing the new rows of several runs in one transaction, locks, and retries after conflicts.

SQLite has one writer at a time.  On PostgreSQL a pull and a recorder that write the same run for
the first time do not see each other's rows, so each locks the runs before it reads them.

A run that replaces another one, after a decision on an approval, has all events from the beginning;
the rows of the replaced run are deleted when its own are written.  A run that was pulled from its
platform before its id was known here is merged with that row.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import (
    ARRAY,
    Connection,
    Executable,
    Integer,
    Table,
    bindparam,
    cast,
    delete,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from agentnb.store.deduplication import merge_attached, settle
from agentnb.store.schema import content, event_chunk, run, tool_call
from agentnb.store.values import platform_key

if TYPE_CHECKING:
    from agentnb.store.rows import Rows
    from agentnb.store.store import Store

T = TypeVar("T")

# First half of the numbers of advisory locks, to tell them from other applications': "agnb".
_LOCK_SPACE: Final = 0x61676E62
# A server has some thousand locks in all; runs that share one merely wait for each other.
_MAX_LOCKS: Final = 1024
# serialization_failure, deadlock_detected, and foreign_key_violation, where the parent row was
# deleted meanwhile.
_RETRYABLE: Final = frozenset({"40001", "40P01", "23503"})
_MAX_ATTEMPTS: Final = 3
# In seconds.
_MAX_DELAY: Final = 0.1
# Columns that are filled in from the platform where the recorded run has no value.
_FILLED: Final = frozenset(
    {
        "prompt",
        *("agent", "title", "run_id", "session_id", "model", "cost_usd"),
        *("input_tokens", "output_tokens", "total_tokens", "cached_tokens", "reasoning_tokens"),
    }
)
# Columns that only pulling changes.
_PULL_COLUMNS: Final = frozenset({"source", "pulled_at", "remote"})
# Statements are built once: that takes longer than executing them, and other writers wait.
_DELETE_RUN: Final = delete(run).where(run.c.key == bindparam("key_"))
_DELETE_CHUNKS: Final = delete(event_chunk).where(event_chunk.c.run == bindparam("run_"))
_PULLED_ROWS: Final = (
    select(run, content.c.prompt, content.c.remote)
    .select_from(run.outerjoin(content, content.c.run == run.c.key))
    .where(run.c.key.in_(bindparam("keys", expanding=True)))
    .order_by(run.c.key)
)


def write(connection: Connection, store: Store, runs: Sequence[Rows]) -> None:
    """Write ``runs``, whose process has a row already."""
    # One order for all writers prevents deadlocks.
    runs = sorted(runs, key=lambda item: item.run["key"])
    lock_runs(connection, store, [(r.run["platform"], r.run["run_id"]) for r in runs])
    if replaced := [{"key_": key} for item in runs for key in item.replaced]:
        connection.execute(_DELETE_RUN, replaced)
    if fresh := [{"run_": item.run["key"]} for item in runs if item.is_fresh]:
        connection.execute(_DELETE_CHUNKS, fresh)
    _upsert(connection, store, run, [item.run for item in runs])
    texts = [item.content for item in runs if item.content is not None]
    _upsert(connection, store, content, texts)
    new = [item.run for item in runs if item.may_be_pulled and not item.attach_ended]
    _merge_pulled(connection, store, new)
    chunks = [chunk for item in runs for chunk in item.chunks]
    _upsert(connection, store, event_chunk, chunks)
    calls = [call for item in runs for call in item.tool_calls]
    _upsert(connection, store, tool_call, calls)
    for item in runs:
        # A pulled row is merged only into a row that has more.
        if item.attach_ended and merge_attached(connection, item.run):
            _merge_pulled(connection, store, [item.run])
    settle(connection, [item.run["key"] for item in runs if item.has_ended])


def _upsert(
    connection: Connection, store: Store, table: Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    if not rows:
        return
    connection.execute(_upsert_statement(store.dialect, table, tuple(rows[0])), rows)


@cache
def _upsert_statement(dialect: str, table: Table, names: tuple[str, ...]) -> Executable:
    insert = sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
    keys = [column.name for column in table.primary_key]
    values = {
        name: func.coalesce(insert.excluded[name], table.c[name])
        if name in _FILLED and table in (run, content)
        else insert.excluded[name]
        for name in names
        if name not in keys and name not in _PULL_COLUMNS
    }
    return insert.on_conflict_do_update(index_elements=keys, set_=values)


def _merge_pulled(connection: Connection, store: Store, rows: Sequence[Mapping[str, Any]]) -> None:
    """Merge pulled rows into the recorded ``rows``; both are locked."""
    ours = {
        platform_key(row["platform"], row["run_id"]): row["key"] for row in rows if row["run_id"]
    }
    if not ours:
        return
    result = connection.execute(_PULLED_ROWS, {"keys": list(ours)})
    for pulled in result.mappings().all():
        key = ours[pulled["key"]]
        filled = {
            name: func.coalesce(run.c[name], pulled[name])
            for name in _FILLED - {"prompt"}
            if pulled[name] is not None
        }
        connection.execute(
            update(run)
            .where(run.c.key == key)
            .values(source="both", pulled_at=pulled["pulled_at"], **filled)
        )
        texts = {name: pulled[name] for name in ("prompt", "remote") if pulled[name] is not None}
        if texts:
            insert = store.insert(content).values(run=key, **texts)
            kept = {name: func.coalesce(content.c[name], insert.excluded[name]) for name in texts}
            connection.execute(insert.on_conflict_do_update(index_elements=["run"], set_=kept))
        connection.execute(delete(run).where(run.c.key == pulled["key"]))


def lock_runs(connection: Connection, store: Store, runs: Iterable[tuple[str, str | None]]) -> None:
    """Lock ``runs``, each a platform and a run's id, until the end of the transaction.

    Call it before anything else that locks.  Runs without an id are not shared.
    """
    if store.dialect != "postgresql":
        return
    numbers = sorted({_lock_number(platform, run_id) for platform, run_id in runs if run_id})
    if numbers:
        # One order for all writers prevents deadlocks.
        each = func.unnest(cast(literal(numbers, ARRAY(Integer)), ARRAY(Integer))).column_valued()
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK_SPACE, each)))


def in_transaction(store: Store, work: Callable[[Connection], T]) -> T:
    """Call ``work`` in a write transaction and return its result; retry a conflict twice."""
    for attempt in range(1, _MAX_ATTEMPTS + 1):
        try:
            with store.begin() as connection:
                return work(connection)
        except DBAPIError as error:
            if attempt == _MAX_ATTEMPTS or getattr(error.orig, "sqlstate", None) not in _RETRYABLE:
                raise
            time.sleep(random.uniform(0, _MAX_DELAY))
    raise AssertionError("the last attempt returns or raises")


def _lock_number(platform: str, run_id: str) -> int:
    return int(platform_key(platform, run_id), 16) % _MAX_LOCKS
