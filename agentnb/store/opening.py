"""Opening a store: its engine, what a connection is set to, and what a failure means."""

from __future__ import annotations

import errno
import os
import random
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy import URL, Connection, Engine, ExceptionContext, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from agentnb._support.installing import install_hint, upgrade_hint
from agentnb.errors import HistoryError
from agentnb.store import migrations
from agentnb.store.failures import LEFT_ALONE, explained, is_busy, is_locked
from agentnb.store.location import Place, refused
from agentnb.store.network_drives import is_network

__all__ = ["bare", "masked", "open_engine", "reading", "writing"]

# Seconds that a statement waits for other processes' locks.
_BUSY: Final = 30.0
# Pauses between two looks at the lock of writers, in seconds: they grow with the time waited.
_SHORTEST_PAUSE: Final = 0.0005
_LONGEST_PAUSE: Final = 0.025
# A kernel should not hang on a store that somebody keeps locked; a write waits longer.
_BUSY_AT_OPENING: Final = 5.0
# What the log shrinks to once it has been written back.
_LOG_BYTES: Final = 64 * 1024 * 1024
# Any number that everybody who migrates agrees on.
_ADVISORY_LOCK: Final = 0x6167_656E_746E_62
_SECRET_OPTIONS: Final = ("password", "sslpassword")
_MODE: Final = "agentnb_transaction"


def open_engine(place: Place) -> Engine:
    """Return the engine of the store at ``place``, made or brought to the newest schema.

    Raises:
        HistoryError: it cannot be used; it was left as it was.
    """
    engine = _sqlite(place.path) if place.path is not None else _postgresql(place)
    try:
        if place.path is not None:
            _prepare_file(engine)
        _migrate(engine)
    except HistoryError:
        engine.dispose()
        raise
    except Exception as error:
        engine.dispose()
        raise explained(error, _shown(engine)) from None
    return engine


def reading(engine: Engine) -> Engine:
    """Return ``engine`` with transactions that see one state and cannot write."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**{_MODE: "read"})
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def writing(engine: Engine) -> Engine:
    """Return ``engine`` with transactions that hold the lock of writers from their beginning."""
    return engine.execution_options(**{_MODE: "write"})


def bare(engine: Engine) -> Engine:
    """Return ``engine`` without transactions."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**{_MODE: "none"})
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def masked(url: URL) -> str:
    """Return ``url`` as text without what is secret in it."""
    plain = url.difference_update_query(_SECRET_OPTIONS)
    return plain.render_as_string(hide_password=True)


# --- SQLite


def _sqlite(given: Path) -> Engine:
    path = given
    try:
        path = given.expanduser().absolute()
        _make_file(path)
    except (OSError, RuntimeError) as error:
        raise HistoryError(
            f"The store of runs {path} cannot be made: {getattr(error, 'strerror', error)}.",
            hint="Name another place in AGENTNB_HISTORY, or 'off'.",
        ) from None
    engine = sa.create_engine(
        URL.create("sqlite", database=str(path)),
        # Otherwise a statement's parameters, which are prompts and answers, stand in its errors.
        hide_parameters=True,
        connect_args={"timeout": _BUSY_AT_OPENING},
    )
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: sqlite3.Connection, _record: object) -> None:
    # The driver's own BEGIN comes late and is deferred: two that read and then write at once would
    # fail at the lock instead of waiting for it. It is left out, and `_on_begin` says it.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA journal_size_limit={_LOG_BYTES}")
    # As part of a commit it would hold up other writers, and a commit that succeeded would fail
    # where the disk is full: `Store` does it.
    connection.execute("PRAGMA wal_autocheckpoint=0")
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    # With WAL, a power cut can cost the last commits, but never the file; without, the file is only
    # safe if every commit is waited for.
    connection.execute(f"PRAGMA synchronous={'NORMAL' if mode == 'wal' else 'FULL'}")


def _make_file(path: Path) -> None:
    """Make an empty file that only the user can read, and its folder; SQLite's own are like it."""
    if path.exists():
        # Not even to look at: closing a file frees all locks that this process has on it.
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        # Another kernel was faster.
        return


def _on_begin(connection: Connection) -> None:
    mode = connection.get_execution_options().get(_MODE, "read")
    if mode == "none":
        _set_query_only(connection, False)
        return
    _set_query_only(connection, mode == "read")
    if mode == "read":
        connection.exec_driver_sql("BEGIN")
    else:
        _begin_to_write(connection)


def _begin_to_write(connection: Connection) -> None:
    """Take the lock of writers as soon as it is free, waiting as long as the connection waits.

    SQLite looks again after up to 100 ms, where a transaction takes some 2: with several kernels
    that write, most of the time would pass with the lock free.
    """
    driver = cast("sqlite3.Connection", connection.connection.driver_connection)
    patience = driver.execute("PRAGMA busy_timeout").fetchone()[0]
    begun = time.monotonic()
    driver.execute("PRAGMA busy_timeout=0")
    try:
        while (waited := time.monotonic() - begun) < patience / 1000:
            try:
                driver.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not is_busy(error):
                    break
            else:
                return
            pause = min(max(waited / 8, _SHORTEST_PAUSE), _LONGEST_PAUSE)
            time.sleep(pause * random.uniform(0.5, 1.5))
        # By SQLAlchemy, which raises what it makes of the error.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    finally:
        driver.execute(f"PRAGMA busy_timeout={patience}")


def _set_query_only(connection: Connection, value: bool) -> None:
    if connection.info.get("query_only", False) is not value:
        connection.exec_driver_sql(f"PRAGMA query_only={int(value)}")
        connection.info["query_only"] = value


# --- PostgreSQL


def _postgresql(place: Place) -> Engine:
    try:
        import psycopg as psycopg
    except ImportError:
        raise HistoryError(
            "A store in PostgreSQL needs the package psycopg.",
            hint=install_hint("postgresql"),
        ) from None
    try:
        given = sa.make_url(place.url.get_secret_value() if place.url else "")
    except (SQLAlchemyError, ValueError):
        # Neither message nor cause: they may quote the password.
        raise refused(place.named_by, "the address cannot be read") from None
    secrets = {name: SecretStr(value) for name, value in _secrets(given)}
    # Not for `_secrets.mask`: a password such as "postgres" is a word of prompts and answers, which
    # the address has no part in.
    # `URL.set` takes None for "as it is".
    url = URL.create(
        given.drivername, given.username, None, given.host, given.port, given.database, given.query
    ).difference_update_query(_SECRET_OPTIONS)
    settings: dict[str, Any] = {"connect_timeout": 5, "application_name": "agentnb"}
    engine = sa.create_engine(
        url,
        hide_parameters=True,
        # The connection of a kernel that slept is gone.
        pool_pre_ping=True,
        connect_args={k: v for k, v in settings.items() if k not in url.query},
    )

    def connect(dialect: Any, _record: object, arguments: Any, options: Any) -> Any:
        # Added here, and the driver's own frames taken away: tracebacks that show local variables
        # would show the password.
        try:
            return dialect.connect(
                *arguments, **options, **{k: v.get_secret_value() for k, v in secrets.items()}
            )
        except Exception as error:
            raise error.with_traceback(None) from None

    def close_cursor(context: ExceptionContext) -> None:
        # SQLAlchemy leaves the cursor of a lost connection open, and psycopg warns of it.
        cursor: Any = getattr(context.execution_context, "cursor", None)
        if context.is_disconnect and cursor is not None:
            with suppress(Exception):
                cursor.close()

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "handle_error", close_cursor)
    return engine


def _secrets(url: URL) -> list[tuple[str, str]]:
    found = {name: url.query.get(name) for name in _SECRET_OPTIONS}
    found["password"] = url.password or found["password"]
    return [(name, value) for name, value in found.items() if isinstance(value, str)]


# --- The schema


def _prepare_file(engine: Engine) -> None:
    """Choose WAL, or DELETE where the file is on a network; it stays so for all who open it."""
    path = Path(engine.url.database or "")
    wanted = "delete" if is_network(path) else "wal"
    until = time.monotonic() + _BUSY_AT_OPENING
    with bare(engine).connect() as connection:
        # A file that is not to be used is not to be changed, either.
        _version(connection, _shown(engine))
        while connection.exec_driver_sql("PRAGMA journal_mode").scalar() != wanted:
            try:
                connection.exec_driver_sql(f"PRAGMA journal_mode={wanted}").scalar()
            except DBAPIError as error:
                # SQLite does not wait by itself here when several open a new file at once.
                if not is_locked(error) or time.monotonic() > until:
                    raise
                time.sleep(0.05)
    # Connections from now on: as patient as writers need, and as safe as the mode asks for.
    engine.dispose()
    event.listen(engine, "connect", _be_patient)


def _be_patient(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute(f"PRAGMA busy_timeout={int(_BUSY * 1000)}")


def _migrate(engine: Engine) -> None:
    """Bring the store to the newest schema; of several processes, one does."""
    with reading(engine).begin() as connection:
        if _version(connection, _shown(engine)) == migrations.HEAD:
            return
    # Not while the lock is held: other processes wait for it.
    migrations.load()
    with writing(engine).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
        # Another one may have done it while this one waited.
        if _version(connection, _shown(engine)) != migrations.HEAD:
            migrations.upgrade(connection)


def _shown(engine: Engine) -> str:
    is_file = engine.dialect.name == "sqlite"
    return str(engine.url.database) if is_file else masked(engine.url)


def _version(connection: Connection, shown: str) -> str | None:
    """Return the store's schema; None of one that is empty."""
    inspector = sa.inspect(connection)
    tables = inspector.get_table_names()
    if not tables:
        return None
    if "alembic_version" not in tables:
        if connection.dialect.name == "sqlite" or "run" in tables:
            raise HistoryError(
                f"{shown} is a database of something else than runs.",
                hint="Name another place in AGENTNB_HISTORY, or 'off'.",
            )
        return None
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
    # Of a page that is damaged, SQLite may take whatever stands there for the row.
    version = found[0] if len(found) == 1 else None
    if not isinstance(version, str) or not migrations.is_revision(version):
        raise HistoryError(
            f"The store of runs {shown} does not say which schema it has: it is damaged.",
            hint=LEFT_ALONE,
        )
    if version not in migrations.REVISIONS:
        raise HistoryError(
            f"The store of runs {shown} was made by a newer agentnb: its schema is {version}, and"
            f" this one knows {migrations.HEAD} at most.",
            hint=f"Upgrade with {upgrade_hint()}, or name another place in AGENTNB_HISTORY.",
        )
    return version
