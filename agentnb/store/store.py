"""The store of runs: a database that every kernel of a user, or of a team, writes to.

By default that is an SQLite file in the user's data folder, which only the user can read.  It is in
WAL mode, so that readers never wait for writers; a write takes the lock at its beginning (``BEGIN
IMMEDIATE``) and waits for its turn.  WAL needs memory that all its users share, which a network
file system does not give: there the file is in the rollback mode ``DELETE``, in which readers wait
while a write is committed; see `netfs` for how that is told.

A store that cannot be used is left as it is: nothing is renamed, removed or repaired.
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

from agentnb._support.fork import after_fork_in_child, around_fork, keep_forever
from agentnb._support.quiescence import Quiescence
from agentnb.errors import HistoryError
from agentnb.store import opening, recorder
from agentnb.store.failures import warn
from agentnb.store.location import Place, keeps_content, place

__all__ = ["Store", "current_place", "is_off", "reopen", "store", "use"]

# After a failure it is tried again, but not by every cell: reaching a database that is down takes
# seconds.
_RETRY_SECONDS: Final = 30.0
# How long a fork waits for a store that is being opened, in seconds.
_FORK_SECONDS: Final = 5.0
# The log of SQLite is written back after so many seconds, or when it grew by so many bytes.  Where
# nobody does it between transactions (`Store.write_back_in_time`), one waits for it later.
_WRITE_BACK: Final = 5.0
_WRITE_BACK_AT_LAST: Final = 10.0
_LOG_GROWTH: Final = 4_000_000
# No file.
_NONE: Final = (0, 0)


class Store:
    """An open store, at the newest schema.

    ``url`` is its address without the password, ``dialect`` is ``sqlite`` or ``postgresql``.
    ``store_content`` tells whether prompts, answers, reasoning, tool arguments and results, and
    events are kept.  ``engine`` begins read transactions; to write, use `begin`.
    """

    def __init__(self, engine: Engine, *, store_content: bool = True) -> None:
        self.engine = opening.reading(engine)
        self.store_content = store_content
        self._writing = opening.writing(engine)
        self._bare = opening.bare(engine)
        self._quiescence = Quiescence()
        self._is_closed = False
        # What tells its files from others; SQLite keeps the log and its index as long as a
        # connection is open, and the pool keeps one.
        self._log = next((path for path in self._paths() if path.name.endswith("-wal")), None)
        self._log_size = 0
        self._written_back_at = time.monotonic()
        self._changed_at = self._changed()
        self._files = self._existing(self._paths())
        self._has_new_log = False
        # The pool that it comes from may not be there any more to close it.
        event.listen(engine, "checkin", self._given_back)

    @property
    def url(self) -> str:
        return opening.masked(self.engine.url)

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        return "sqlite" if self.engine.dialect.name == "sqlite" else "postgresql"

    @property
    def path(self) -> Path | None:
        """The file of an SQLite store."""
        return Path(self.engine.url.database or "") if self.dialect == "sqlite" else None

    @property
    def is_lost(self) -> bool:
        """Whether a file that is open is not at its place any more, or another one is.

        What is written to it, or to its log (``-wal``), nobody else sees.
        """
        return not self._is_closed and bool(self._lost_files())

    @property
    def is_moved(self) -> bool:
        """Whether the database itself is not at its place any more, or another one is."""
        return self.path in self._lost_files()

    @contextmanager
    def begin(self) -> Generator[Connection]:
        """A write transaction, committed at the end of the block, rolled back on an exception.

        SQLite: ``BEGIN IMMEDIATE``, which waits up to 30 s for other writers.  PostgreSQL: ``READ
        COMMITTED``.
        """
        with self._quiescence.use(), self._writing.begin() as connection:
            yield connection
        if self._has_new_log:
            self._has_new_log = False
            self._files |= self._existing(self._paths()[1:])
        self.write_back_in_time(_WRITE_BACK_AT_LAST)

    @contextmanager
    def connect(self) -> Generator[Connection]:
        """A read transaction, which sees one state of the store; writing in it is an error."""
        with self._quiescence.use(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def autocommit(self) -> Generator[Connection]:
        """A connection without a transaction, for statements that refuse one, such as VACUUM."""
        with self._quiescence.use(), self._bare.connect() as connection:
            yield connection

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """Return the database's own INSERT, which has ``on_conflict_do_update``."""
        return sqlite.insert(table) if self.dialect == "sqlite" else postgresql.insert(table)

    def write_back(self) -> None:
        """Write SQLite's log back into the file, as far as readers allow; they are not held up.

        A log that was removed is written back only where nobody can have begun another one since.
        """
        self._written_back_at = time.monotonic()
        if self.is_moved or any(_identity(path) != _NONE for path in self._lost_files()):
            return
        if self.dialect == "sqlite":
            # It stays in the log where there is no room in the file.
            with suppress(SQLAlchemyError), self.autocommit() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")

    def write_back_in_time(self, every: float = _WRITE_BACK) -> None:
        """Do so once in ``every`` seconds, or when much was written; of several processes, one."""
        if self._log is None or self._is_closed:
            return
        try:
            size = self._log.stat().st_size
            if (
                size - self._log_size < _LOG_GROWTH
                and time.monotonic() - self._written_back_at < every
            ):
                return
        except OSError:
            return
        self._log_size = size
        if self._changed() == self._changed_at:
            self.write_back()
        self._changed_at, self._written_back_at = self._changed(), time.monotonic()

    def _changed(self) -> int:
        """Return when the file itself was changed, as happens only when a log is written back."""
        try:
            return 0 if self.path is None else self.path.stat().st_mtime_ns
        except OSError:
            return 0

    def close(self) -> None:
        """Close the idle connections; those in use close when they are given back."""
        self._is_closed = True
        self.engine.dispose()

    def begin_fork(self) -> None:
        """Wait for transactions of other threads, and close the connections to a file.

        SQLite remembers the locks of a file once for all connections of a process, and a forked
        child has that memory without the locks.  A child that inherits an open file therefore takes
        locks for held that are not: its parent, the only one to hold any, deletes the log that the
        child writes to.
        """
        if self.dialect == "sqlite" and self._quiescence.begin_fork():
            self.engine.dispose()
            # SQLite removes its log with the last connection; the next transaction makes another.
            self._files = self._existing(self._paths()[:1])
            self._has_new_log = True

    def end_fork(self) -> None:
        """Let transactions begin again, in the process that was forked."""
        self._quiescence.end_fork()

    def _paths(self) -> list[Path]:
        if self.path is None:
            return []
        return [self.path, *(self.path.with_name(self.path.name + end) for end in ("-wal", "-shm"))]

    @staticmethod
    def _existing(paths: list[Path]) -> dict[Path, tuple[int, int] | None]:
        return {path: known for path in paths if (known := _identity(path)) != _NONE}

    def _lost_files(self) -> list[Path]:
        return [path for path, known in self._files.items() if _identity(path) not in (known, None)]

    def _given_back(self, _connection: object, record: ConnectionPoolEntry) -> None:
        if self._is_closed:
            record.close()

    def __repr__(self) -> str:
        return f"<Store {self.url}>"


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells the file at ``path`` from others; `_NONE` where there is none."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return _NONE
    except OSError:
        # Of a disk that does not answer, nobody knows.
        return None
    return found.st_dev, found.st_ino


class _Process:
    """What this process has open; a forked child begins with its own."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.chosen: str | Path | None = None
        self.store: Store | None = None
        self.is_off = False
        self.failure: HistoryError | None = None
        self.retry_at = 0.0
        # Reasons that were warned of.
        self.told: set[str] = set()
        # Whether the lock is held by a thread that forks.
        self.is_locked = False


_process = _Process()
# The store that waits for the end of a fork.
_forking: list[Store] = []


@overload
def store(*, required: Literal[True]) -> Store: ...
@overload
def store(*, required: bool = False) -> Store | None: ...
def store(*, required: bool = False) -> Store | None:
    """Return this process's store, opened and brought to the newest schema at the first call.

    None where history is off, and where the store cannot be used: then one `HistoryWarning` said
    why.  It is tried again, at most every 30 s, without another warning for the same reason; with
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
        is_news = failure is not None and not required and failure.message not in state.told
        if failure is not None and is_news:
            state.told.add(failure.message)
    if ready is not None or not (required or is_news):
        return ready
    if failure is None:
        raise HistoryError(
            "History is off.", hint="Unset AGENTNB_HISTORY, or take 'off' out of [history]."
        )
    if required:
        # A new one: the one that is kept would hold the traceback of everyone who asked.
        raise HistoryError(failure.message, hint=failure.hint)
    warn(f"{failure} Runs go on unrecorded.")
    return None


def is_off() -> bool:
    """Tell whether no store is wanted, as the last call of `store` found it."""
    return _process.is_off


def current_place() -> Place:
    """Return where this process's store is, or would be, without opening it.

    Raises:
        HistoryError: what says where it is names no place of a store.
    """
    return place(_process.chosen)


def use(url: str | Path | None) -> None:
    """Close this process's store and go on with another one.

    What has arrived is written to the one that is left; runs that go on are ``interrupted`` there,
    and written wholly to the other one.  Waits seconds at most where the store does not answer.
    ``url`` is a path, ``sqlite:///path``, ``postgresql+psycopg://user@host/database``, or ``off``;
    None looks again for what the environment and the configuration say.  It is opened when it is
    first needed.

    Raises:
        HistoryError: ``url`` is no place of a store.
    """
    if url is not None:
        place(url)
    state = _process
    with recorder.leaving(lambda: state.store):
        with state.lock:
            old, state.store = state.store, None
            state.chosen = url
            state.is_off = False
            state.failure, state.retry_at = None, 0.0
            state.told.clear()
        if old is not None:
            old.close()


def reopen(lost: Store) -> Store | None:
    """Close a store whose file is not at its place any more; return what `store` gives then."""
    state = _process
    with state.lock:
        if state.store is lost:
            state.store = None
            state.failure, state.retry_at = None, 0.0
    lost.write_back()
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
    """Close at the end of the process: SQLite writes its log back then."""
    if _process.store is not None:
        _process.store.close()


def _after_fork() -> None:
    global _process
    old, _process = _process, _Process()
    _process.chosen = old.chosen
    _process.told = set(old.told)
    _forking.clear()
    # Closing the connections to a server would end them for the parent, too.
    keep_forever(old.store)


def _before_fork() -> None:
    # No store is opened meanwhile.
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
