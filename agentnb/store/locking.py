"""Locks of runs, and retries of transactions that conflicted.

SQLite has one writer at a time.  On PostgreSQL a pull and a recorder that write the same run for
the first time do not see each other's rows, so each locks the runs before it reads them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from sqlalchemy import ARRAY, Connection, Integer, cast, func, literal, select
from sqlalchemy.exc import DBAPIError

from agentnb.store.store import Store
from agentnb.store.values import platform_key

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
