"""Processes that record: the row of this one, and whether another one is gone."""

from __future__ import annotations

import getpass
import os
import uuid
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from agentnb._support.fork import after_fork_in_child
from agentnb.store.host import host_name, is_process_alive, is_unique_host, process_info
from agentnb.store.values import now

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, RowMapping

    from agentnb.store.store import Store

#: Interval at which a process with live runs updates ``seen_at``, in seconds.
HEARTBEAT: Final = 15.0

# A process of another machine without a heartbeat for so many microseconds is taken for gone.
_MAX_SILENCE: Final = 120_000_000
# After a heartbeat so recent, a process of a machine that may not be this one is alive.
_FRESH: Final = int(2 * HEARTBEAT * 1_000_000)

_process_id = uuid.uuid4().hex


def process_id() -> str:
    """Return the ``process.id`` of this process: 32 hexadecimal digits."""
    return _process_id


def user_name() -> str | None:
    """Return the user: ``AGENTNB_USER``, JupyterHub's user, the system's, or None."""
    for variable in ("AGENTNB_USER", "JUPYTERHUB_USER"):
        if name := os.environ.get(variable, "").strip():
            return name
    return _login()


@cache
def _login() -> str | None:
    # The error for a user without a name, as in containers, depends on the version of Python.
    with suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return None


def process_row() -> dict[str, Any]:
    """Return this process as a row of the table ``process``, with ``seen_at`` set to now.

    ``host`` is the machine's name and, where available, the boot id, the container and, after an
    ``@``, the start of the process in clock ticks since the boot.
    """
    pid = os.getpid()
    seen = now()
    info = process_info(pid)
    start = "" if info is None or info.ticks is None else f" @{info.ticks}"
    return {
        "id": process_id(),
        "host": host_name() + start,
        "pid": pid,
        "user_name": user_name(),
        "started_at": seen if info is None else info.started_at,
        "seen_at": seen,
        "ended_at": None,
    }


def is_gone(
    host: str, pid: int, started_at: int, seen_at: int, *, moment: int | None = None
) -> bool:
    """Return whether the process of such a row has ended, as far as can be known here.

    A process of this machine, since its boot, is gone when its pid is free or belongs to a process
    started at another time.  Machines may share a name: where they cannot be distinguished, the
    process must also have missed two heartbeats.  A process of another machine is gone after two
    minutes without a heartbeat.  ``moment`` is the present by the clock of ``seen_at``.
    """
    silence = (now() if moment is None else moment) - seen_at
    machine, _, start = host.partition(" @")
    if machine != host_name() or (alive := is_process_alive(pid, started_at, start)) is None:
        return silence > _MAX_SILENCE
    return not alive and (is_unique_host() or silence >= _FRESH)


def is_process_gone(connection: Connection, id_: str | None) -> bool:
    """Return whether the process ``id_`` has ended, is gone, or is not in the store."""
    from sqlalchemy import select

    from agentnb.store.schema import process

    if id_ == process_id():
        return False
    columns = (*liveness_columns(connection), process.c.ended_at)
    row = connection.execute(select(*columns).where(process.c.id == id_)).mappings().first()
    return row is None or row["ended_at"] is not None or is_row_gone(row)


def liveness_columns(connection: Connection) -> list[ColumnElement[Any]]:
    """Return the columns that `is_row_gone` reads."""
    from agentnb.store.schema import process

    columns = (process.c.host, process.c.pid, process.c.started_at, process.c.seen_at)
    return [*columns, database_time(connection).label("moment")]


def is_row_gone(row: RowMapping) -> bool:
    """Return `is_gone` of a row with `liveness_columns`."""
    columns = (row["host"], row["pid"], row["started_at"], row["seen_at"])
    return is_gone(*columns, moment=row["moment"])


def database_time(connection: Connection) -> ColumnElement[int]:
    """Return the present by the clock that all users of the store share, in microseconds."""
    from sqlalchemy import BigInteger, cast, func, literal

    if connection.dialect.name == "postgresql":
        return cast(func.extract("epoch", func.clock_timestamp()) * 1_000_000, BigInteger)
    return literal(now(), BigInteger)


def write_process(connection: Connection, store: Store) -> bool:
    """Write a heartbeat; return whether another process had marked this one as ended."""
    from sqlalchemy import select

    from agentnb.store.schema import process

    row = {**process_row(), "seen_at": database_time(connection)}
    ended_at = select(process.c.ended_at).where(process.c.id == row["id"]).with_for_update()
    was_ended = connection.execute(ended_at).scalar() is not None
    insert = store.insert(process).values(row)
    updated = {name: insert.excluded[name] for name in ("seen_at", "ended_at")}
    connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=updated))
    return was_ended


def _after_fork() -> None:
    # A forked child is a process of its own.
    global _process_id
    _process_id = uuid.uuid4().hex


after_fork_in_child(_after_fork)
