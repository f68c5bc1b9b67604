"""What keeps writers of the same runs apart, and what is done where they met all the same.

SQLite has one writer at a time.  On PostgreSQL a pull and a recorder that write the same run for
the first time do not see each other's rows: each takes the runs' locks before it looks.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, TypeVar

from sqlalchemy import ARRAY, Connection, Integer, cast, func, literal, select
from sqlalchemy.exc import DBAPIError

from agentnb.store.keys import platform_key

if TYPE_CHECKING:
    from agentnb.store.store import Store

__all__ = ["in_transaction", "lock_runs"]

T = TypeVar("T")

# The first half of the locks' numbers, which sets them apart from anybody else's: "agnb".
_SPACE: Final = 0x61676E62
# A server holds some thousand locks in all; runs that share one merely wait for each other.
_LOCKS: Final = 1024
# A transaction that failed by one of these succeeds when it is done again: serialization_failure,
# deadlock_detected, and foreign_key_violation, where what a row belongs to was deleted meanwhile.
_AGAIN: Final = frozenset({"40001", "40P01", "23503"})
_ATTEMPTS: Final = 3
# At most so long a pause in front of another attempt, in seconds.
_PAUSE: Final = 0.1


def lock_runs(connection: Connection, store: Store, runs: Iterable[tuple[str, str | None]]) -> None:
    """Keep others from writing ``runs``, each a platform and a run's id, to the transaction's end.

    It is to come before anything else that locks.  Runs without an id are nobody else's.
    """
    if store.dialect != "postgresql":
        return
    numbers = sorted({_number(platform, run_id) for platform, run_id in runs if run_id})
    if numbers:
        # All in the same order, so that nobody waits for somebody who waits for them.
        each = func.unnest(cast(literal(numbers, ARRAY(Integer)), ARRAY(Integer))).column_valued()
        connection.execute(select(func.pg_advisory_xact_lock(_SPACE, each)))


def in_transaction(store: Store, work: Callable[[Connection], T]) -> T:
    """Return what ``work`` returns; done again, twice at the most, where writers met."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with store.begin() as connection:
                return work(connection)
        except DBAPIError as error:
            if attempt == _ATTEMPTS or getattr(error.orig, "sqlstate", None) not in _AGAIN:
                raise
            time.sleep(random.uniform(0, _PAUSE))
    raise AssertionError("the last attempt returns or raises")


def _number(platform: str, run_id: str) -> int:
    return int(platform_key(platform, run_id), 16) % _LOCKS
