"""In-memory SQLite with the tables of the store, for tables of runs that no store has."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping, Select, delete, event
from sqlalchemy.pool import StaticPool

from agentnb._support.fork import after_fork_in_child
from agentnb.store import opening
from agentnb.store.recent import recent_runs
from agentnb.store.schema import content, metadata, run
from agentnb.store.store import Store
from agentnb.store.writer import Entry, Writer


class MemoryStore(Store):
    """A store in memory; its one connection serves one thread at a time."""

    def __init__(self) -> None:
        engine = sa.create_engine(
            "sqlite://",
            hide_parameters=True,
            poolclass=StaticPool,
            connect_args={"check_same_thread": False},
        )
        event.listen(engine, "connect", opening.configure_sqlite)
        event.listen(engine, "begin", opening.begin_sqlite)
        self._lock = threading.RLock()
        super().__init__(engine)
        with self.begin() as connection:
            metadata.create_all(connection)

    @contextmanager
    def begin(self, timeout: int | None = None) -> Generator[Connection]:
        """Begin a write transaction."""
        with self._lock, super().begin(timeout) as connection:
            yield connection

    @contextmanager
    def connect(self) -> Generator[Connection]:
        """Begin a read transaction."""
        with self._lock, super().connect() as connection:
            yield connection


class _RecentRuns:
    """A store of the runs of this process, updated when it is read."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self._lock = threading.Lock()
        self._writer = Writer()
        self._entries: dict[str, Entry] = {}

    def update(self) -> Store:
        with self._lock:
            runs = {each.local_id: each for each in recent_runs()}
            if dropped := self._entries.keys() - runs.keys():
                with self.store.begin() as connection:
                    connection.execute(delete(run).where(run.c.key.in_(dropped)))
                for key in dropped:
                    del self._entries[key]
            for key, each in runs.items():
                entry = self._entries.setdefault(key, Entry(each))
                if not entry.closed:
                    self._writer.add(entry)
            self._writer.write_due(self.store, ending=False)
            return self.store


_lock = threading.Lock()
_recent: _RecentRuns | None = None
_scratch: MemoryStore | None = None


def memory_store() -> Store:
    """Return an in-memory store of the runs of this process, as they are now."""
    return _recent_runs().update()


def private_store() -> Store:
    """Return the same store without the runs that started since it was last read."""
    return _recent_runs().store


def _recent_runs() -> _RecentRuns:
    global _recent
    with _lock:
        _recent = _recent or _RecentRuns()
        return _recent


def select_from(
    rows: Iterable[tuple[dict[str, Any], dict[str, Any] | None]], statement: Select[Any]
) -> Sequence[RowMapping]:
    """Return the result of ``statement`` over rows of `run`, each with its row of `content`."""
    global _scratch
    with _lock:
        _scratch = _scratch or MemoryStore()
    pairs = list(rows)
    texts = [text for _, text in pairs if text is not None]
    with _scratch.begin() as connection:
        if pairs:
            connection.execute(run.insert(), [row for row, _ in pairs])
        if texts:
            connection.execute(content.insert(), texts)
        try:
            return connection.execute(statement).mappings().all()
        finally:
            connection.execute(delete(run))


def _after_fork() -> None:
    global _lock, _recent, _scratch
    _lock, _recent, _scratch = threading.Lock(), None, None


after_fork_in_child(_after_fork)
