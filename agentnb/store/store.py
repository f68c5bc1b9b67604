"""The store of runs: a database that every kernel of a user, or of a team, writes to.

By default that is an SQLite file in the user's data folder, which only the user can read.  It is in
WAL mode, so that readers never wait for writers; a write transaction takes the lock at its start
(``BEGIN IMMEDIATE``) and waits for its turn.  WAL needs shared memory, which a network file system
does not provide: there the journal mode is ``DELETE``, in which readers wait while a write is
committed; `network_drives` detects such file systems.

A store that cannot be used is left unchanged: nothing is renamed, removed or repaired.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal, overload

from sqlalchemy import Connection, Engine, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from agentnb._support.fork import Quiescence, after_fork_in_child, around_fork, keep_forever
from agentnb.errors import HistoryError
from agentnb.store import opening
from agentnb.store.failures import warn
from agentnb.store.location import StoreLocation, keeps_content, place

# Interval between two attempts to open a store that failed: reaching a database that is down takes
# seconds.
_RETRY_SECONDS: Final = 30.0
# How long a fork waits for a store that is being opened, in seconds.
_FORK_SECONDS: Final = 5.0
# Interval between checkpoints of SQLite's log, in seconds; a growth of so many bytes is a reason,
# too.  After the longer interval, a transaction does what the recorder's thread did not.
_CHECKPOINT_INTERVAL: Final = 5.0
_MAX_CHECKPOINT_INTERVAL: Final = 10.0
_LOG_GROWTH: Final = 4_000_000
# Identity of a file that does not exist.
_MISSING: Final = (0, 0)


class Store:
    """An open store, at the newest schema.

    ``url`` is its address without the password, ``dialect`` is ``sqlite`` or ``postgresql``.
    ``store_content``: prompts, answers, reasoning, tool arguments and results, and events are
    stored.  ``engine`` begins read transactions; to write, use `begin`.
    """

    def __init__(self, engine: Engine, *, store_content: bool = True) -> None:
        self.engine = opening.reading(engine)
        self.store_content = store_content
        self._writing = opening.writing(engine)
        self._bare = opening.bare(engine)
        self._quiescence = Quiescence()
        self._is_closed = False
        # Identities of its files; SQLite keeps the log and its index as long as a connection is
        # open, and the pool keeps one.
        self._log = next((path for path in self._paths() if path.name.endswith("-wal")), None)
        self._log_size = 0
        self._checkpointed_at = time.monotonic()
        self._modified_at = self._modified()
        self._files = self._existing(self._paths())
        self._has_new_log = False
        # A connection that is returned after `close` has no pool to close it.
        event.listen(engine, "checkin", self._on_checkin)

    @property
    def url(self) -> str:
        return opening.masked(self.engine.url)

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        return "sqlite" if self.engine.dialect.name == "sqlite" else "postgresql"

    @property
    def path(self) -> Path | None:
        """The file of an SQLite store."""
        file = self.engine.url.database if self.dialect == "sqlite" else None
        return Path(file) if file else None

    @property
    def is_lost(self) -> bool:
        """Whether a file was moved, removed or replaced while it was open.

        Other processes do not see what is written to it, or to its log (``-wal``).
        """
        return not self._is_closed and bool(self._lost_files())

    @property
    def is_moved(self) -> bool:
        """Whether the database file itself was moved, removed or replaced."""
        return self.path in self._lost_files()

    @contextmanager
    def begin(self, timeout: int | None = None) -> Generator[Connection]:
        """Begin a write transaction, committed at the end of the block, rolled back on an error.

        SQLite: ``BEGIN IMMEDIATE``, which waits up to 30 s for other writers.  PostgreSQL: ``READ
        COMMITTED``.  ``timeout`` is a shorter wait, in milliseconds.
        """
        engine = self._writing if timeout is None else opening.writing(self._writing, timeout)
        with self._quiescence.use(), engine.begin() as connection:
            if timeout is not None and self.dialect == "postgresql":
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {timeout}")
            yield connection
        if self._has_new_log:
            self._has_new_log = False
            self._files |= self._existing(self._paths()[1:])
        self.checkpoint_if_due(_MAX_CHECKPOINT_INTERVAL)

    @contextmanager
    def connect(self) -> Generator[Connection]:
        """Begin a read transaction, which sees one snapshot; writing in it is an error."""
        with self._quiescence.use(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def autocommit(self) -> Generator[Connection]:
        """Connect without a transaction, for statements that refuse one, such as VACUUM."""
        with self._quiescence.use(), self._bare.connect() as connection:
            yield connection

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """Return the dialect's INSERT, which has ``on_conflict_do_update``."""
        return sqlite.insert(table) if self.dialect == "sqlite" else postgresql.insert(table)

    def checkpoint(self) -> None:
        """Write SQLite's log back into the file, as far as readers allow, without blocking them.

        A log that was removed is written back only if no other process can have started a new one.
        """
        self._checkpointed_at = time.monotonic()
        if self.is_moved or any(_identity(path) != _MISSING for path in self._lost_files()):
            return
        if self.dialect == "sqlite":
            # Where the file has no room, the data stays in the log.
            with suppress(SQLAlchemyError), self.autocommit() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")

    def checkpoint_if_due(self, every: float = _CHECKPOINT_INTERVAL) -> None:
        """Call `checkpoint` once in ``every`` seconds or when the log grew, in one process only."""
        if self._log is None or self._is_closed:
            return
        try:
            size = self._log.stat().st_size
            if (
                size - self._log_size < _LOG_GROWTH
                and time.monotonic() - self._checkpointed_at < every
            ):
                return
        except OSError:
            return
        self._log_size = size
        if self._modified() == self._modified_at:
            self.checkpoint()
        self._modified_at, self._checkpointed_at = self._modified(), time.monotonic()

    def _modified(self) -> int:
        """Return when the file was modified, which only a checkpoint does."""
        try:
            return 0 if self.path is None else self.path.stat().st_mtime_ns
        except OSError:
            return 0

    def close(self) -> None:
        """Close idle connections, and those in use when they are returned."""
        self._is_closed = True
        self.engine.dispose()

    def begin_fork(self) -> None:
        """Wait for transactions of other threads, and close the connections to a file.

        SQLite tracks the locks of a file for all connections of a process, and a forked child
        inherits that state without the locks.  With an open file it would assume locks that it does
        not have, and its parent would delete the log that the child writes to.
        """
        if self.dialect == "sqlite" and self._quiescence.begin_fork():
            self.engine.dispose()
            # SQLite removes the log with the last connection; the next transaction creates one.
            self._files = self._existing(self._paths()[:1])
            self._has_new_log = True

    def end_fork(self) -> None:
        """Allow transactions again, in the parent."""
        self._quiescence.end_fork()

    def _paths(self) -> list[Path]:
        if self.path is None:
            return []
        return [self.path, *(self.path.with_name(self.path.name + end) for end in ("-wal", "-shm"))]

    @staticmethod
    def _existing(paths: list[Path]) -> dict[Path, tuple[int, int] | None]:
        return {path: known for path in paths if (known := _identity(path)) != _MISSING}

    def _lost_files(self) -> list[Path]:
        return [path for path, known in self._files.items() if _identity(path) not in (known, None)]

    def _on_checkin(self, _connection: object, record: ConnectionPoolEntry) -> None:
        if self._is_closed:
            record.close()

    def __repr__(self) -> str:
        return f"<Store {self.url}>"


def _identity(path: Path) -> tuple[int, int] | None:
    """Return the identity of the file at ``path``, `_MISSING` if there is none."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return _MISSING
    except OSError:
        # The disk does not respond: unknown.
        return None
    return status.st_dev, status.st_ino


class _Process:
    """The store of this process; a forked child has its own."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.chosen: str | Path | None = None
        self.store: Store | None = None
        self.is_off = False
        self.failure: HistoryError | None = None
        self.retry_at = 0.0
        # Failures that a warning was given for.
        self.warned: set[str] = set()
        # Whether a thread that forks holds the lock.
        self.is_locked = False


_process = _Process()
# Stores that wait for the end of a fork.
_forking: list[Store] = []


@overload
def store(*, required: Literal[True]) -> Store: ...
@overload
def store(*, required: bool = False) -> Store | None: ...
def store(*, required: bool = False) -> Store | None:
    """Return this process's store, opened and migrated at the first call.

    None where history is off, and, after one `HistoryWarning`, where the store cannot be used.
    Opening is retried at most every 30 s, without another warning for the same reason; with
    ``required``, at once.

    Raises:
        HistoryError: with ``required``, instead of None.
    """
    state = _process
    if (ready := state.store) is not None:
        return ready
    with state.lock:
        if state.store is None and (required or time.monotonic() >= state.retry_at):
            _open(state)
        ready, failure = state.store, state.failure
        is_new = failure is not None and not required and failure.message not in state.warned
        if failure is not None and is_new:
            state.warned.add(failure.message)
    if ready is not None or not (required or is_new):
        return ready
    if failure is None:
        raise HistoryError(
            "History is off.", hint="Unset AGENTNB_HISTORY, or take 'off' out of [history]."
        )
    if required:
        # A new one: the one that is kept would collect tracebacks.
        raise HistoryError(failure.message, hint=failure.hint)
    warn(f"{failure} Runs go on unrecorded.")
    return None


def is_off() -> bool:
    """Return whether history was off at the last call of `store`."""
    return _process.is_off


def open_or_none() -> Store | None:
    """Return the store if it is open."""
    return _process.store


def current_location() -> StoreLocation:
    """Return the location of this process's store, without opening it.

    Raises:
        HistoryError: the configured location is invalid.
    """
    return place(_process.chosen)


def switch(url: str | Path | None) -> None:
    """Close the store and use the one at ``url``; see `agentnb.history.use`."""
    state = _process
    with state.lock:
        old, state.store = state.store, None
        state.chosen = url
        state.is_off = False
        state.failure, state.retry_at = None, 0.0
        state.warned.clear()
    if old is not None:
        old.close()


def reopen(lost: Store) -> Store | None:
    """Close a store whose file was moved or removed; return the result of `store`."""
    state = _process
    with state.lock:
        if state.store is lost:
            state.store = None
            state.failure, state.retry_at = None, 0.0
    lost.checkpoint()
    lost.close()
    return store()


def _open(state: _Process) -> None:
    state.failure, state.retry_at = None, 0.0
    try:
        where = place(state.chosen)
        state.is_off = where.is_off
        if not where.is_off:
            store_content = keeps_content()
            state.store = Store(opening.open_engine(where), store_content=store_content)
    except HistoryError as error:
        state.failure = error.with_traceback(None)
        state.retry_at = time.monotonic() + _RETRY_SECONDS


def _close() -> None:
    """Close at exit: SQLite writes its log back then."""
    if _process.store is not None:
        _process.store.close()


def _after_fork() -> None:
    global _process
    old, _process = _process, _Process()
    _process.chosen = old.chosen
    _process.warned = set(old.warned)
    _forking.clear()
    # Closing connections to a server would close them for the parent, too.
    keep_forever(old.store)


def _before_fork() -> None:
    # No store is opened during the fork.
    _process.is_locked = _process.lock.acquire(timeout=_FORK_SECONDS)
    if _process.store is not None:
        _forking.append(_process.store)
        _process.store.begin_fork()


def _after_fork_in_parent() -> None:
    while _forking:
        _forking.pop().end_fork()
    if _process.is_locked:
        _process.is_locked = False
        _process.lock.release()


atexit.register(_close)
around_fork(_before_fork, _after_fork_in_parent)
after_fork_in_child(_after_fork)
