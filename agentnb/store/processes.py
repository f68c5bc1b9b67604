"""Processes that record: who this one is, and which of the others are gone."""

from __future__ import annotations

import getpass
import os
import threading
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from agentnb._support.fork import after_fork_in_child
from agentnb.store.host import found_process, host_name, is_unique, lives
from agentnb.store.timestamps import now

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, RowMapping

    from agentnb.store.store import Store

__all__ = [
    "GONE",
    "HEARTBEAT",
    "end_process",
    "is_gone",
    "mark_interrupted",
    "process_id",
    "process_is_gone",
    "process_row",
    "user_name",
    "write_process",
]

#: How often a process with live runs says that it lives, in seconds.
HEARTBEAT: Final = 15.0
#: The error of a run that nobody will finish.
GONE: Final = "The process that ran it went away."

# A process of another machine that said nothing for as long, in microseconds, is taken for gone.
_SILENT: Final = 120_000_000
# One that said something as lately lives, unless this very machine knows better.
_FRESH: Final = int(2 * HEARTBEAT * 1_000_000)
# How often the others are looked at, in seconds.
_LOOK: Final = 5.0
# How long a reader waits for writers when it marks what it found, in milliseconds.
_PATIENCE: Final = 250

_UNFINISHED: Final = ("queued", "running")


class _Self:
    """This process; a forked child is another one."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self.looked_at: float | None = None
        self.lock = threading.Lock()


_self = _Self()


def process_id() -> str:
    """Return the ``process.id`` of this process: 32 hexadecimal digits."""
    return _self.id


def user_name() -> str | None:
    """Return who runs this: ``AGENTNB_USER``, JupyterHub's user, the system's, or None."""
    for variable in ("AGENTNB_USER", "JUPYTERHUB_USER"):
        if name := os.environ.get(variable, "").strip():
            return name
    return _login()


@cache
def _login() -> str | None:
    # What is raised where a container's user has no name depends on the version of Python.
    with suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return None


def process_row() -> dict[str, Any]:
    """Return this process as a row of the table ``process``, seen at this moment.

    ``host`` is its machine's name and, where the system tells them, the boot, the container and,
    after an ``@``, the start of the process in clock ticks since the boot.
    """
    pid = os.getpid()
    seen = now()
    found = found_process(pid)
    start = "" if found is None or found.ticks is None else f" @{found.ticks}"
    return {
        "id": process_id(),
        "host": host_name() + start,
        "pid": pid,
        "user_name": user_name(),
        "started_at": seen if found is None else found.started_at,
        "seen_at": seen,
        "ended_at": None,
    }


def is_gone(
    host: str, pid: int, started_at: int, seen_at: int, *, moment: int | None = None
) -> bool:
    """Tell whether the process of such a row does not live any more, as far as can be known here.

    One of this very machine, since it was booted, is gone when its number is free, or belongs to
    one that was started at another time.  Machines may have one name: where nothing tells them
    apart, it must also have been silent for two heartbeats.  One of elsewhere is gone when it has
    said nothing for two minutes.  ``moment`` is the present by the clock that ``seen_at`` is of.
    """
    silent = (now() if moment is None else moment) - seen_at
    machine, _, start = host.partition(" @")
    if machine != host_name() or (alive := lives(pid, started_at, start)) is None:
        return silent > _SILENT
    return not alive and (is_unique() or silent >= _FRESH)


def process_is_gone(connection: Connection, id_: str | None) -> bool:
    """Tell whether the process called ``id_`` has ended or does not live any more.

    One that the store knows nothing of is gone.
    """
    from sqlalchemy import select

    from agentnb.store.schema import process

    if id_ == process_id():
        return False
    asked = select(*_told_of(connection), process.c.ended_at).where(process.c.id == id_)
    row = connection.execute(asked).mappings().first()
    if row is None:
        return True
    return row["ended_at"] is not None or _row_is_gone(row)


def mark_interrupted(store: Store, *, every: float = _LOOK) -> int:
    """Give the unfinished runs of processes that are gone the status ``interrupted``.

    Returns how many.  Looks at most once in ``every`` seconds, and never fails: a store that
    cannot be written to is left for the next time.  Runs that wait for an approval still do.
    """
    moment = time.monotonic()
    with _self.lock:
        if _self.looked_at is not None and moment - _self.looked_at < every:
            return 0
        _self.looked_at = moment
    try:
        gone = _gone(store)
        if not gone:
            return 0
        with _briefly(store) as connection:
            return sum(_interrupt(connection, store, *process) for process in gone)
    # Whoever only wants to read a table is not to be kept from it.
    except Exception:
        return 0


def write_process(connection: Connection, store: Store) -> bool:
    """Say that this process lives; return whether somebody had taken it for gone."""
    from sqlalchemy import select

    from agentnb.store.schema import process

    row = {**process_row(), "seen_at": _clock(connection)}
    known = select(process.c.ended_at).where(process.c.id == row["id"]).with_for_update()
    ended = connection.execute(known).scalar()
    insert = store.insert(process).values(row)
    kept = {name: insert.excluded[name] for name in ("seen_at", "ended_at")}
    connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=kept))
    return ended is not None


def end_process(connection: Connection) -> None:
    """Say that this process ends; what is unfinished of it is ``interrupted``."""
    _end(connection, process_id())


def _clock(connection: Connection) -> ColumnElement[int]:
    """Return the present by the clock that all who share the store go by, in microseconds."""
    from sqlalchemy import BigInteger, cast, func, literal

    if connection.dialect.name == "postgresql":
        return cast(func.extract("epoch", func.clock_timestamp()) * 1_000_000, BigInteger)
    return literal(now(), BigInteger)


def _told_of(connection: Connection) -> list[ColumnElement[Any]]:
    """Return what `is_gone` asks for of a process, and the present."""
    from agentnb.store.schema import process

    told = (process.c.host, process.c.pid, process.c.started_at, process.c.seen_at)
    return [*told, _clock(connection).label("moment")]


def _gone(store: Store) -> list[tuple[str, int]]:
    """Return the processes that are gone and left runs unfinished, and when each was last seen."""
    from sqlalchemy import exists, select

    from agentnb.store.schema import process, run

    unfinished = exists().where(run.c.process == process.c.id, run.c.status.in_(_UNFINISHED))
    with store.connect() as connection:
        found = select(process.c.id, *_told_of(connection)).where(
            process.c.ended_at.is_(None), process.c.id != process_id(), unfinished
        )
        rows = connection.execute(found).mappings().all()
    return [(row["id"], row["seen_at"]) for row in rows if _row_is_gone(row)]


def _row_is_gone(row: RowMapping) -> bool:
    told = (row["host"], row["pid"], row["started_at"], row["seen_at"])
    return is_gone(*told, moment=row["moment"])


@contextmanager
def _briefly(store: Store) -> Generator[Connection]:
    """Begin a write transaction that rather fails than waits for others."""
    if store.dialect == "postgresql":
        with store.begin() as connection:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_PATIENCE}")
            yield connection
        return
    with store.autocommit() as connection:
        before = connection.exec_driver_sql("PRAGMA busy_timeout").scalar()
        connection.exec_driver_sql(f"PRAGMA busy_timeout={_PATIENCE}")
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={before}")


def _interrupt(connection: Connection, store: Store, id_: str, seen_at: int) -> int:
    from sqlalchemy import select, update

    from agentnb.event.serialization import decode
    from agentnb.event.transcript import fold
    from agentnb.store.rows import plain
    from agentnb.store.schema import content, event_chunk, process

    # It may have said since that it lives, or somebody else was faster.
    same = (process.c.id == id_) & (process.c.seen_at == seen_at) & process.c.ended_at.is_(None)
    if connection.execute(select(process.c.id).where(same).with_for_update()).first() is None:
        return 0
    keys = _unfinished(connection, id_)
    for key in keys if store.store_content else ():
        # The texts are written from time to time only; the events are all there.
        chunks = (
            select(event_chunk.c.payload)
            .where(event_chunk.c.run == key)
            .order_by(event_chunk.c.first)
        )
        with suppress(ValueError):
            events = [e for p in connection.execute(chunks).scalars() for e in decode(p)[0]]
            transcript = fold(events)
            connection.execute(
                update(content)
                .where(content.c.run == key)
                .values(text=plain(transcript.text), reasoning=plain(transcript.reasoning))
            )
    _end(connection, id_)
    return len(keys)


def _unfinished(connection: Connection, id_: str) -> list[str]:
    from sqlalchemy import select

    from agentnb.store.schema import run

    found = select(run.c.key).where(run.c.process == id_, run.c.status.in_(_UNFINISHED))
    return list(connection.execute(found.order_by(run.c.key)).scalars())


def _end(connection: Connection, id_: str) -> None:
    from sqlalchemy import select, update

    from agentnb.store.deduplication import settle
    from agentnb.store.schema import process, run, tool_call

    keys = _unfinished(connection, id_)
    unfinished = (run.c.process == id_) & run.c.status.in_(_UNFINISHED)
    connection.execute(
        update(tool_call)
        .where(
            tool_call.c.status == "running",
            tool_call.c.run.in_(select(run.c.key).where(unfinished)),
        )
        .values(status="abandoned")
    )
    connection.execute(update(run).where(unfinished).values(status="interrupted", error=GONE))
    connection.execute(
        update(process).where(process.c.id == id_).values(ended_at=_clock(connection))
    )
    # Other rows of the same runs may have seen their end.
    settle(connection, keys)


def _after_fork() -> None:
    global _self
    _self = _Self()


after_fork_in_child(_after_fork)
