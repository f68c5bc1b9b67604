"""Checkpoint of a map: completed rows, in a SQLite file or in the history.

A row is identified by two digests: of the agent and its settings, and of its prompt and attachments
with its number among equal rows.  Answers are stored, prompts and keys of platforms are not.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import queue
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from agentnb.batch.rows import Recipe, RowResult
from agentnb.errors import ConfigError, HistoryError
from agentnb.platforms.base import Media
from agentnb.platforms.media import MediaLike, as_media
from agentnb.run.tools import Tool
from agentnb.store.map_rows import KeptRow, add_rows, is_name, new_name, read_rows

# SQLite's application_id of our files: "agnm".
_APPLICATION_ID: Final = 0x61676E6D
_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE row (
    settings BLOB NOT NULL,
    key BLOB NOT NULL,
    result TEXT NOT NULL,
    PRIMARY KEY (settings, key)
) WITHOUT ROWID
"""
# Seconds during which rows are collected for one transaction, and their largest number.
_BATCH_SECONDS: Final = 0.1
_MAX_BATCH: Final = 1_000
# Seconds to wait for another process that writes the same file.
_BUSY_TIMEOUT: Final = 30.0
_STORED_FIELDS: Final = tuple(
    field.name for field in fields(RowResult) if field.name not in ("position", "key", "parsed")
)
_DIGEST_BYTES: Final = 16
# Options that do not change the answer.
_IGNORED: Final = frozenset({"deadlines", "retries", "stream", "timeout"})

_Write = Callable[[Sequence[KeptRow]], object]


class Checkpoint:
    """Completed rows of one map in the file ``place``, which only the user can read.

    ``place`` may also be a name that `keep` returned.  ``settings`` is the digest that the rows
    share; rows of other maps in the same file are kept.  `put` and `close` may be called from any
    thread; a thread of the checkpoint writes.

    Raises:
        ConfigError: the file is of another kind, or cannot be created or opened; or the name is
            unknown.
    """

    def __init__(self, place: str | Path, settings: bytes) -> None:
        #: The error of a failed write, None without one.
        self.error: Exception | None = None
        self._settings = settings
        self._queue: queue.SimpleQueue[RowResult | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        try:
            if isinstance(place, str) and is_name(place):
                self.place: str | Path = place
                self._rows = read_rows(place, settings)
            else:
                self.place = Path(place).expanduser().absolute()
                self._rows = _read_file(self.place, settings)
        except HistoryError as error:
            raise ConfigError(error.message, hint=error.hint) from error
        except (OSError, RuntimeError, ValueError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(
                f"The checkpoint '{place}' cannot be used: {reason}.",
                hint="It is the name of a file that map() makes, or made before.",
            ) from error

    def take(self, key: bytes) -> RowResult | None:
        """Return the stored result of the row once, None without one."""
        text = self._rows.pop(key, None)
        if text is None:
            return None
        values: dict[str, Any] = json.loads(text)
        known = {name: value for name, value in values.items() if name in _STORED_FIELDS}
        return RowResult(position=-1, key=key, **known)

    def put(self, result: RowResult) -> None:
        """Queue the result of a completed row to be written."""
        self._queue.put(result)
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._serve, name="agentnb-checkpoint", daemon=True
                    )
                    self._thread.start()

    def close(self) -> None:
        """Write the remaining rows (blocks)."""
        with self._starting:
            thread = self._thread
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _serve(self) -> None:
        try:
            with self._writer() as write:
                while self._write_batch(write):
                    pass
        except Exception as error:
            # The map continues, and warns: its table has all results.
            self.error = error

    @contextmanager
    def _writer(self) -> Generator[_Write]:
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

    def _write_batch(self, write: _Write) -> bool:
        """Write queued rows; return whether there may be more."""
        results = [self._queue.get()]
        end = time.monotonic() + _BATCH_SECONDS
        with suppress(queue.Empty):
            while results[-1] is not None and len(results) < _MAX_BATCH:
                results.append(self._queue.get(timeout=max(0.0, end - time.monotonic())))
        write([_stored(self._settings, result) for result in results if result is not None])
        return results[-1] is not None


def keep(settings: bytes, results: Sequence[RowResult]) -> tuple[str, bool]:
    """Keep the rows of a map without a checkpoint; return a name, and whether it is stored.

    They are in the history, or if that keeps no answers, in the memory of this process.
    """
    name = new_name()
    return name, add_rows(name, [_stored(settings, result) for result in results])


def _stored(settings: bytes, result: RowResult) -> KeptRow:
    values = {name: getattr(result, name) for name in _STORED_FIELDS}
    text = json.dumps({name: value for name, value in values.items() if value is not None})
    return KeptRow(settings, result.key, text, result.local_id)


def _read_file(path: Path, settings: bytes) -> dict[bytes, str]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives the files beside it the same permissions.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with closing(_open(path)) as connection:
        sql = "SELECT key, result FROM row WHERE settings = ?"
        return dict(connection.execute(sql, (settings,)))


def _open(path: Path) -> sqlite3.Connection:
    # Transactions are explicit: the driver's own leave out some statements.
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        (kind,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if kind != _APPLICATION_ID and (kind or tables):
            raise ValueError("it is another kind of database")
        if version > _VERSION:
            raise ValueError("it was written by a newer agentnb")
        if not tables:
            connection.execute(_SCHEMA)
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def settings_digest(recipe: Recipe, options: Mapping[str, Any]) -> bytes:
    """Return a digest of the agent, its address and defaults, and the ``options`` of the map.

    A Python function, also one that is a tool, is identified by its name and source.
    """
    params = {**recipe.params, **options}
    settings = {
        "agent": recipe.name,
        "base_url": recipe.base_url,
        "options": recipe.options,
        "settings": {name: value for name, value in params.items() if name not in _IGNORED},
        "function": None if recipe.function is None else _source(recipe.function),
    }
    return _digest(json.dumps(settings, sort_keys=True, default=_as_text).encode())


def _as_text(value: object) -> str:
    function = value.function if isinstance(value, Tool) else value
    return _source(function) if callable(function) else repr(value)


class RowKeys:
    """Keys of the rows of one map; equal rows are numbered in the order of the input."""

    def __init__(self) -> None:
        self._counts: Counter[bytes] = Counter()

    def key(self, prompt: str, media: tuple[MediaLike, ...]) -> bytes:
        """Return the key of the next row.

        Raises:
            RequestError: an attachment is invalid.
            OSError: a file cannot be read.
        """
        # A lone surrogate must not fail here.
        parts = [prompt.encode(errors="surrogatepass")]
        for item in media:
            parts += _media_parts(as_media(item))
        digest = _digest(b"".join(len(part).to_bytes(8) + part for part in parts))
        count = self._counts[digest]
        self._counts[digest] += 1
        return _digest(digest + count.to_bytes(8)) if count else digest


def _media_parts(media: Media) -> list[bytes]:
    names = [media.mime_type, media.name, media.url]
    content = media.data
    if media.path is not None:
        names.append(media.path.name)
        content = media.path.read_bytes()
    return [json.dumps(names).encode(), hashlib.blake2b(content or b"").digest()]


def _source(function: Callable[..., Any]) -> str:
    name = f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', '')}"
    with suppress(OSError, TypeError):
        name += f"\n{inspect.getsource(function)}"
    return name


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
