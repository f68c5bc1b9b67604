"""Processes that record: who this one is, and which of the others are gone."""

from __future__ import annotations

import getpass
import os
import re
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agentnb.history.moments import now, to_micros

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentnb.history.store import Store

__all__ = [
    "GONE",
    "HEARTBEAT",
    "end_process",
    "is_gone",
    "mark_interrupted",
    "process_id",
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
# Clocks are set, and `ps` tells whole seconds: what two readings of one start may differ by.
_SAME_START: Final = 2_500_000
# How often the others are looked at, in seconds.
_LOOK: Final = 5.0
# How long a reader waits for writers when it marks what it found, in milliseconds.
_PATIENCE: Final = 250
# What Linux calls the numbering of processes outside of all containers.
_OUTERMOST: Final = "pid:[4026531836]"

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
    """Return this process as a row of the table ``process``, seen at this moment."""
    pid = os.getpid()
    seen = now()
    return {
        "id": process_id(),
        "host": _host(),
        "pid": pid,
        "user_name": user_name(),
        "started_at": seen if (found := _found(pid)) is None else found[1],
        "seen_at": seen,
        "ended_at": None,
    }


def is_gone(host: str, pid: int, started_at: int, seen_at: int) -> bool:
    """Tell whether the process of such a row does not live any more, as far as can be known here.

    One of this host is gone when its number is free, or belongs to one that was started at another
    time.  One of elsewhere is gone when it has said nothing for two minutes.
    """
    # On Windows the call that asks whether a process lives would end it.
    if host != _host() or sys.platform == "win32":
        return now() - seen_at > _SILENT
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # somebody else's, and alive
    found = _found(pid)
    if found is None:
        return False
    is_over, started = found
    return is_over or abs(started - started_at) > _SAME_START


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
            return sum(_interrupt(connection, store, process) for process in gone)
    # Whoever only wants to read a table is not to be kept from it.
    except Exception:
        return 0


def write_process(connection: Connection, store: Store) -> None:
    """Say that this process lives."""
    from agentnb.history.schema import process

    row = process_row()
    insert = store.insert(process).values(row)
    kept = {name: insert.excluded[name] for name in ("seen_at", "ended_at")}
    connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=kept))


def end_process(connection: Connection) -> None:
    """Say that this process ends; what is unfinished of it is ``interrupted``."""
    _end(connection, process_id())


def _gone(store: Store) -> list[str]:
    from sqlalchemy import exists, select

    from agentnb.history.schema import process, run

    unfinished = exists().where(run.c.process == process.c.id, run.c.status.in_(_UNFINISHED))
    found = select(
        process.c.id, process.c.host, process.c.pid, process.c.started_at, process.c.seen_at
    ).where(process.c.ended_at.is_(None), process.c.id != process_id(), unfinished)
    with store.connect() as connection:
        rows = connection.execute(found).all()
    return [id_ for id_, *told in rows if is_gone(*told)]


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


def _interrupt(connection: Connection, store: Store, process: str) -> int:
    from sqlalchemy import select, update

    from agentnb.history.chunks import decode
    from agentnb.history.rows import plain
    from agentnb.history.schema import content, event_chunk, run
    from agentnb.transcript import fold

    unfinished = select(run.c.key).where(run.c.process == process, run.c.status.in_(_UNFINISHED))
    keys = list(connection.execute(unfinished).scalars())
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
    _end(connection, process)
    return len(keys)


def _end(connection: Connection, id_: str) -> None:
    from sqlalchemy import select, update

    from agentnb.history.schema import process, run, tool_call

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
    connection.execute(update(process).where(process.c.id == id_).values(ended_at=now()))


def _host() -> str:
    """Return what tells this machine, or container, from others that share the store."""
    name = socket.gethostname()
    try:
        numbering = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return name
    # Containers may have one name and each its own processes of the same numbers.
    return name if numbering == _OUTERMOST else f"{name} {numbering}"


def _found(pid: int) -> tuple[bool, int] | None:
    """Return whether the process ``pid`` is over, though nobody took note of its end yet.

    And when it was started, in microseconds.  None where nobody says.
    """
    try:
        # The name of the program, in parentheses, may hold blanks and parentheses itself.
        stat = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        booted = re.search(rb"^btime (\d+)$", Path("/proc/stat").read_bytes(), re.MULTILINE)
        if booted is not None:
            ticks = int(stat[19]) / os.sysconf("SC_CLK_TCK")
            return stat[0] in (b"Z", b"X"), int((int(booted[1]) + ticks) * 1_000_000)
    except (OSError, ValueError, IndexError):
        pass
    return None if sys.platform in ("linux", "win32") else _told_by_ps(pid)


def _told_by_ps(pid: int) -> tuple[bool, int] | None:
    try:
        told = subprocess.run(
            ["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)],
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=2,
            check=True,
        ).stdout
        state, _, started = told.strip().partition(" ")
        moment = datetime.strptime(started.strip(), "%a %b %d %H:%M:%S %Y").astimezone()
        return state.startswith("Z"), to_micros(moment)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _after_fork() -> None:
    global _self
    _self = _Self()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
