"""Opening a store: its engine, the settings of its connections, and its schema."""

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

from agentnb._support import install_hint, upgrade_hint
from agentnb.errors import HistoryError
from agentnb.store import migrations
from agentnb.store.failures import LEFT_UNCHANGED, explained, is_busy, is_locked
from agentnb.store.location import StoreLocation, invalid_location
from agentnb.store.network_drives import is_network

# Seconds that a statement waits for other processes' locks.
_BUSY_TIMEOUT: Final = 30.0
# Interval between two attempts to lock for writing, in seconds; grows with the time waited.
_MIN_DELAY: Final = 0.0005
_MAX_DELAY: Final = 0.025
# A kernel should not hang on a store that is locked; a write waits longer.
_BUSY_AT_OPENING: Final = 5.0
# Size to which the log shrinks after a checkpoint.
_LOG_BYTES: Final = 64 * 1024 * 1024
# Any number, the same for all processes that migrate.
_ADVISORY_LOCK: Final = 0x6167_656E_746E_62
_SECRET_OPTIONS: Final = ("password", "sslpassword")
_MODE: Final = "agentnb_transaction"
_TIMEOUT: Final = "agentnb_timeout"


def open_engine(location: StoreLocation) -> Engine:
    """Return the engine of the store at ``location``, created or migrated to the newest schema.

    Raises:
        HistoryError: it cannot be used; it is left unchanged.
    """
    engine = _sqlite(location.path) if location.path is not None else _postgresql(location)
    try:
        if location.path is not None:
            _prepare_file(engine)
        _migrate(engine)
    except HistoryError:
        engine.dispose()
        raise
    except Exception as error:
        engine.dispose()
        raise explained(error, _display_name(engine)) from None
    return engine


def reading(engine: Engine) -> Engine:
    """Return ``engine`` with transactions that see one snapshot and cannot write."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**{_MODE: "read"})
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def writing(engine: Engine, timeout: int | None = None) -> Engine:
    """Return ``engine`` with transactions that hold the write lock from their start.

    ``timeout`` is how long SQLite waits for it, in milliseconds.
    """
    return engine.execution_options(**{_MODE: "write", _TIMEOUT: timeout})


def bare(engine: Engine) -> Engine:
    """Return ``engine`` without transactions."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**{_MODE: "none"})
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def masked(url: URL) -> str:
    """Return ``url`` as text without secrets."""
    plain = url.difference_update_query(_SECRET_OPTIONS)
    return plain.render_as_string(hide_password=True)


# --- SQLite


def _sqlite(path: Path) -> Engine:
    try:
        path = path.expanduser().absolute()
        _create_file(path)
    except (OSError, RuntimeError) as error:
        raise HistoryError(
            f"The store of runs {path} cannot be made: {getattr(error, 'strerror', error)}.",
            hint="Name another place in AGENTNB_HISTORY, or 'off'.",
        ) from None
    engine = sa.create_engine(
        URL.create("sqlite", database=str(path)),
        # Errors would contain a statement's parameters, which are prompts and answers.
        hide_parameters=True,
        connect_args={"timeout": _BUSY_AT_OPENING},
    )
    event.listen(engine, "connect", configure_sqlite)
    event.listen(engine, "begin", begin_sqlite)
    return engine


def configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """Set up a new connection."""
    # The driver's own BEGIN is deferred: of two that read and then write at once, one would fail at
    # the lock instead of waiting for it.  `begin_sqlite` replaces it.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA journal_size_limit={_LOG_BYTES}")
    # Within a commit a checkpoint would block other writers, and on a full disk fail a commit that
    # succeeded: `Store.checkpoint` does it.
    connection.execute("PRAGMA wal_autocheckpoint=0")
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    # With WAL, a power cut can cost the last commits but never the file; without, the file is safe
    # only with synchronous commits.
    connection.execute(f"PRAGMA synchronous={'NORMAL' if mode == 'wal' else 'FULL'}")


def _create_file(path: Path) -> None:
    """Create an empty file that only the user can read, and its folder; SQLite copies the mode."""
    if path.exists():
        # Not opened: closing a file would release all locks that this process has on it.
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


def begin_sqlite(connection: Connection) -> None:
    """Begin the transaction that the connection's engine is for."""
    mode = connection.get_execution_options().get(_MODE, "read")
    if mode == "none":
        _set_query_only(connection, False)
        return
    _set_query_only(connection, mode == "read")
    if mode == "read":
        connection.exec_driver_sql("BEGIN")
    else:
        _begin_immediate(connection)


def _begin_immediate(connection: Connection) -> None:
    """Acquire the write lock as soon as it is free, within the connection's timeout.

    SQLite retries after up to 100 ms, while a transaction takes some 2 ms: with several kernels
    that write, the lock would be free most of the time.
    """
    driver = cast("sqlite3.Connection", connection.connection.driver_connection)
    busy_timeout = driver.execute("PRAGMA busy_timeout").fetchone()[0]
    timeout = connection.get_execution_options().get(_TIMEOUT)
    timeout = busy_timeout if timeout is None else timeout
    started = time.monotonic()
    driver.execute("PRAGMA busy_timeout=0")
    try:
        while (waited := time.monotonic() - started) < timeout / 1000:
            try:
                driver.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not is_busy(error):
                    break
            else:
                return
            delay = min(max(waited / 8, _MIN_DELAY), _MAX_DELAY)
            time.sleep(delay * random.uniform(0.5, 1.5))
        # Through SQLAlchemy, which wraps the error.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    finally:
        driver.execute(f"PRAGMA busy_timeout={busy_timeout}")


def _set_query_only(connection: Connection, value: bool) -> None:
    if connection.info.get("query_only", False) is not value:
        connection.exec_driver_sql(f"PRAGMA query_only={int(value)}")
        connection.info["query_only"] = value


# --- PostgreSQL


def _postgresql(location: StoreLocation) -> Engine:
    try:
        import psycopg as psycopg
    except ImportError:
        raise HistoryError(
            "A store in PostgreSQL needs the package psycopg.",
            hint=install_hint("postgresql"),
        ) from None
    try:
        given = sa.make_url(location.url.get_secret_value() if location.url else "")
    except (SQLAlchemyError, ValueError):
        # Neither message nor cause: they may contain the password.
        raise invalid_location(location.named_by, "the address cannot be read") from None
    secrets = {name: SecretStr(value) for name, value in _secrets(given)}
    # Not registered as a secret to redact: a password such as "postgres" is a common word.
    # `URL.set` treats None as "unchanged".
    url = URL.create(
        given.drivername, given.username, None, given.host, given.port, given.database, given.query
    ).difference_update_query(_SECRET_OPTIONS)
    settings: dict[str, Any] = {"connect_timeout": 5, "application_name": "agentnb"}
    engine = sa.create_engine(
        url,
        hide_parameters=True,
        # Connections do not survive a suspended machine.
        pool_pre_ping=True,
        connect_args={k: v for k, v in settings.items() if k not in url.query},
    )

    def connect(dialect: Any, _record: object, arguments: Any, options: Any) -> Any:
        # Passed here, without the driver's frames: tracebacks with local variables would contain
        # the password.
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
    secrets = {name: url.query.get(name) for name in _SECRET_OPTIONS}
    secrets["password"] = url.password or secrets["password"]
    return [(name, value) for name, value in secrets.items() if isinstance(value, str)]


# --- The schema


def _prepare_file(engine: Engine) -> None:
    """Set the journal mode to WAL, or DELETE on a network file system; the file keeps it."""
    path = Path(engine.url.database or "")
    mode = "delete" if is_network(path) else "wal"
    until = time.monotonic() + _BUSY_AT_OPENING
    with bare(engine).connect() as connection:
        # A file that cannot be used must not be changed.
        _version(connection, _display_name(engine))
        while connection.exec_driver_sql("PRAGMA journal_mode").scalar() != mode:
            try:
                connection.exec_driver_sql(f"PRAGMA journal_mode={mode}").scalar()
            except DBAPIError as error:
                # SQLite does not wait here when several processes open a new file at once.
                if not is_locked(error) or time.monotonic() > until:
                    raise
                time.sleep(0.05)
    # Later connections use the long timeout and the synchronous setting of the mode.
    engine.dispose()
    event.listen(engine, "connect", _set_busy_timeout)


def _set_busy_timeout(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute(f"PRAGMA busy_timeout={int(_BUSY_TIMEOUT * 1000)}")


def _migrate(engine: Engine) -> None:
    """Migrate the store to the newest schema; of several processes, one does."""
    with reading(engine).begin() as connection:
        if _version(connection, _display_name(engine)) == migrations.HEAD:
            return
    # Imported before the lock is taken, which other processes wait for.
    migrations.load()
    with writing(engine).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
        # Another process may have migrated it meanwhile.
        if _version(connection, _display_name(engine)) != migrations.HEAD:
            migrations.upgrade(connection)


def _display_name(engine: Engine) -> str:
    is_file = engine.dialect.name == "sqlite"
    return str(engine.url.database) if is_file else masked(engine.url)


def _version(connection: Connection, name: str) -> str | None:
    """Return the store's schema revision, None for an empty database."""
    inspector = sa.inspect(connection)
    tables = inspector.get_table_names()
    if not tables:
        return None
    if "alembic_version" not in tables:
        if connection.dialect.name == "sqlite" or "run" in tables:
            raise HistoryError(
                f"{name} is a database of something else than runs.",
                hint="Name another place in AGENTNB_HISTORY, or 'off'.",
            )
        return None
    versions = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
    # SQLite may read any bytes of a damaged page as the row.
    version = versions[0] if len(versions) == 1 else None
    if not isinstance(version, str) or not migrations.is_revision(version):
        raise HistoryError(
            f"The store of runs {name} does not say which schema it has: it is damaged.",
            hint=LEFT_UNCHANGED,
        )
    if version not in migrations.REVISIONS:
        raise HistoryError(
            f"The store of runs {name} was made by a newer agentnb: its schema is {version}, and"
            f" this one knows {migrations.HEAD} at most.",
            hint=f"Upgrade with {upgrade_hint()}, or name another place in AGENTNB_HISTORY.",
        )
    return version
