"""What a map has done, in a file of SQLite or in the history, written on a thread of its own.

A row is known by two digests: of all that is the same for every row (the agent and its settings),
and of its prompt and attachments together with which one of several equal rows it is.  Neither
prompts nor keys are kept; answers are.
"""

from __future__ import annotations

import json
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from agentnb.batch.rows import RowResult
from agentnb.errors import ConfigError, HistoryError
from agentnb.store.map_rows import KeptRow, add_rows, is_name, new_name, read_rows

__all__ = ["Checkpoint", "keep"]

# "agnm", as a number: by it our files are known.
_KIND: Final = 0x61676E6D
_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE row (
    settings BLOB NOT NULL,
    key BLOB NOT NULL,
    result TEXT NOT NULL,
    PRIMARY KEY (settings, key)
) WITHOUT ROWID
"""
# For how long what arrives is gathered before it is written, in seconds, and how much at most.
_GATHER: Final = 0.1
_AT_ONCE: Final = 1_000
# How long another process that writes the same file is waited for, in seconds.
_BUSY: Final = 30.0
# What a key or a place in one input is, is no part of what came of a row.
_KEPT: Final = tuple(
    field.name for field in fields(RowResult) if field.name not in ("position", "key", "parsed")
)


_Write = Callable[[Sequence[KeptRow]], object]


class Checkpoint:
    """The rows of one map that are done, in the file ``place``, which only the user can read.

    ``place`` may also be a name that `keep` returned.  ``settings`` is the digest of what the rows
    have in common; rows of other maps in the same place are left alone.  `put` and `close` are
    called from any thread.

    Raises:
        ConfigError: the file is none of this kind, or cannot be made or opened; or nothing is kept
            under the name.
    """

    def __init__(self, place: str | Path, settings: bytes) -> None:
        #: What the writing failed by; None while it goes well.
        self.error: Exception | None = None
        self._settings = settings
        self._queue: queue.SimpleQueue[RowResult | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        try:
            if isinstance(place, str) and is_name(place):
                self.place: str | Path = place
                self._known = read_rows(place, settings)
            else:
                self.place = Path(place).expanduser().absolute()
                self._known = _read_file(self.place, settings)
        except HistoryError as error:
            raise ConfigError(error.message, hint=error.hint) from error
        except (OSError, RuntimeError, ValueError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(
                f"The checkpoint '{place}' cannot be used: {reason}.",
                hint="It is the name of a file that map() makes, or made before.",
            ) from error

    def take(self, key: bytes) -> RowResult | None:
        """Return what came of the row before, None where it was not done; once for each row."""
        found = self._known.pop(key, None)
        if found is None:
            return None
        told: dict[str, Any] = json.loads(found)
        return RowResult(position=-1, key=key, **{k: v for k, v in told.items() if k in _KEPT})

    def put(self, result: RowResult) -> None:
        """Have a row written that is done; returns at once."""
        self._queue.put(result)
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._serve, name="agentnb-checkpoint", daemon=True
                    )
                    self._thread.start()

    def close(self) -> None:
        """Write what is left; blocks until it is."""
        with self._starting:
            thread = self._thread
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _serve(self) -> None:
        try:
            with self._writing() as write:
                while self._write(write):
                    pass
        except Exception as error:
            # Rows go on: what they brought is in the table, and who waits is told.
            self.error = error

    @contextmanager
    def _writing(self) -> Generator[_Write]:
        """Yield what writes rows."""
        if isinstance(self.place, str):
            name = self.place
            yield lambda rows: add_rows(name, rows)
            return
        with closing(_open(self.place)) as connection:

            def write(rows: Sequence[KeptRow]) -> None:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(
                    "INSERT OR REPLACE INTO row (settings, key, result) VALUES (?, ?, ?)",
                    [row[:3] for row in rows],
                )
                connection.execute("COMMIT")

            yield write

    def _write(self, write: _Write) -> bool:
        """Write what is there, and what comes within a moment; return whether more may come."""
        found = [self._queue.get()]
        until = time.monotonic() + _GATHER
        with suppress(queue.Empty):
            while found[-1] is not None and len(found) < _AT_ONCE:
                found.append(self._queue.get(timeout=max(0.0, until - time.monotonic())))
        write([_row(self._settings, each) for each in found if each is not None])
        return found[-1] is not None


def keep(settings: bytes, results: Sequence[RowResult]) -> tuple[str, bool]:
    """Keep what a map without a checkpoint did; return its name, and whether others can read it.

    It is in the history, or where that keeps no answers, in the memory of this process.
    """
    name = new_name()
    return name, add_rows(name, [_row(settings, each) for each in results])


def _row(settings: bytes, result: RowResult) -> KeptRow:
    return KeptRow(settings, result.key, _text(result), result.local_id)


def _read_file(path: Path, settings: bytes) -> dict[bytes, str]:
    _make(path)
    with closing(_open(path)) as connection:
        found = connection.execute("SELECT key, result FROM row WHERE settings = ?", (settings,))
        return dict(found)


def _text(result: RowResult) -> str:
    told = {name: getattr(result, name) for name in _KEPT}
    return json.dumps({name: value for name, value in told.items() if value is not None})


def _make(path: Path) -> None:
    """Make an empty file that only the user can read; what SQLite puts beside it is like it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _open(path: Path) -> sqlite3.Connection:
    # Without the driver's own transactions, which leave some statements out.
    connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        (kind,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if kind != _KIND and (kind or tables):
            raise ValueError("it is another kind of database")
        if version > _VERSION:
            raise ValueError("it was written by a newer agentnb")
        if not tables:
            # In one transaction: a process that dies in between leaves no half of it.
            connection.execute(_SCHEMA)
            connection.execute(f"PRAGMA application_id = {_KIND}")
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection
