"""Read-only SQL queries of the store."""

from __future__ import annotations

import re
import sqlite3
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from agentnb._support import install_hint
from agentnb.config.names import suggestion
from agentnb.errors import HistoryError, RequestError
from agentnb.store.filters import read_limit
from agentnb.tables.events import events
from agentnb.tables.frame import infer_frame
from agentnb.tables.runs import runs, sessions, tool_calls

if TYPE_CHECKING:
    import pandas as pd

    from agentnb.store.store import Store

Parameters = Sequence[Any] | Mapping[str, Any]

_ENGINES: Final = ("store", "duckdb")
_ONLY_READS: Final = "query() only reads the store"
_HINT: Final = "Write one SELECT; agentnb.history.prune() takes runs out."
# Actions that a statement of SQLite may take.
_ALLOWED: Final = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
    }
)
# Pragmas that read the schema.
_PRAGMAS: Final = frozenset({"table_info", "table_xinfo", "table_list", "index_list", "index_info"})
_CURSOR: Final = "agentnb_query"
# Rows in a chunk of DuckDB.
_CHUNK_ROWS: Final = 2048
_ONE_STATEMENT: Final = re.compile(r"one statement at a time|multiple commands", re.IGNORECASE)
_REFUSED: Final = re.compile(
    r"not authorized|prohibited|readonly|read-only|data-modifying", re.IGNORECASE
)
_COMMENTS: Final = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)
# Beginning of a statement that returns rows.
_SELECT: Final = re.compile(r"\(|(?:select|with|values|table)\b", re.IGNORECASE)
# Instructions of SQLite between two calls of its progress handler: some milliseconds.
_PROGRESS_STEPS: Final = 200_000


def query(
    sql: str,
    *,
    params: Parameters = (),
    limit: int | None = None,
    engine: Literal["store", "duckdb"] = "store",
) -> pd.DataFrame:
    """Return the rows of one SELECT in the store, at most ``limit``.

    The store has the views ``runs`` and ``tool_calls``, and the tables of
    `agentnb.store.schema`, in which times are microseconds since 1970-01-01 UTC and durations
    microseconds.  ``params`` are bound to ``?`` or ``:name`` in SQLite, ``%s`` or ``%(name)s`` in
    PostgreSQL.

    With ``engine="duckdb"`` DuckDB runs the SQL, in which ``runs``, ``tool_calls``, ``events`` and
    ``sessions`` are the tables of the functions of these names, with the same columns; ``params``
    are bound to ``?`` or ``$name``.

    The store is opened read-only; several statements are refused, and so is access to files and
    the network.  On PostgreSQL the statement is declared as a cursor in a read-only transaction
    that is rolled back; its functions are limited only by the rights of the user in the store's
    address.  A superuser's functions, and those of a member of ``pg_read_server_files``,
    ``pg_write_server_files`` or ``pg_execute_server_program``, still reach the server's files
    (``pg_read_file``, ``lo_export``): run SQL that is not your own as a user without such rights.

    Raises:
        RequestError: the SQL is invalid, or would change something.
        HistoryError: there is no store, it fails, or DuckDB is not installed.
    """
    if engine not in _ENGINES:
        hint = suggestion(str(engine), _ENGINES) or f"There are {', '.join(_ENGINES)}."
        raise RequestError(f"There is no engine '{engine}'.", hint=hint)
    limit = read_limit(limit)
    if engine == "duckdb":
        return _duckdb(sql, params, limit)
    from agentnb.store.statements import open_store

    store = open_store(required=True)
    if store.path is not None:
        return infer_frame(*_sqlite(store.path, sql, params, limit))
    return infer_frame(*_postgresql(store, sql, params, limit))


def _fetch(cursor: Any, limit: int | None) -> tuple[list[str], list[Any]]:
    if cursor.description is None:
        raise RequestError(f"{_ONLY_READS}, and this returns no rows.", hint=_HINT)
    names = [column[0] for column in cursor.description]
    return names, cursor.fetchall() if limit is None else cursor.fetchmany(limit)


def _sql_error(error: Exception) -> RequestError:
    """Return a database's error in one line."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()] or ["?"]
    message = lines[0].rstrip(".")
    if _ONE_STATEMENT.search(message):
        return RequestError("query() takes one statement.", hint=_HINT)
    if _REFUSED.search(message):
        return RequestError(f"{_ONLY_READS}: {message}.", hint=_HINT)
    return RequestError(f"The SQL cannot be run: {message}.")


def _sqlite(
    path: Path, sql: str, params: Parameters, limit: int | None
) -> tuple[list[str], list[Any]]:
    # A separate connection that no SQL can make writable.
    address = f"{path.expanduser().absolute().as_uri()}?mode=ro"
    try:
        connection = sqlite3.connect(address, uri=True, timeout=30, isolation_level=None)
    except sqlite3.Error as error:
        raise HistoryError(f"The store of runs {path} cannot be read: {error}.") from error
    with closing(connection):
        connection.execute("PRAGMA query_only=1")
        connection.set_authorizer(_authorize)
        # Python handles signals only while it runs Python code, such as this handler.
        connection.set_progress_handler(lambda: 0, _PROGRESS_STEPS)
        try:
            with closing(connection.execute(sql, params)) as cursor:
                return _fetch(cursor, limit)
        # Some versions warn of several statements; lone surrogates raise ValueError.
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            # Only the progress handler interrupts; SQLite drops its exception.
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                raise KeyboardInterrupt from None
            raise _sql_error(error) from error


def _authorize(
    action: int, first: str | None, second: str | None, _database: Any, _trigger: Any
) -> int:
    if action in _ALLOWED or (action == sqlite3.SQLITE_PRAGMA and first in _PRAGMAS):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _postgresql(
    store: Store, sql: str, params: Parameters, limit: int | None
) -> tuple[list[str], list[Any]]:
    import psycopg
    from sqlalchemy.exc import SQLAlchemyError

    from agentnb.store.failures import explained

    try:
        with store.connect() as connection:
            driver: Any = connection.connection.driver_connection
            # The session may be left in any state, so the pool does not get it back.
            connection.detach()
            # Only statements that return rows can be declared as a cursor; not COPY, DO or SET,
            # which reach files and programs of the server.
            cursor = driver.cursor(name=_CURSOR)
            try:
                cursor.execute(sql, params or None)
                return _fetch(cursor, limit)
            finally:
                with suppress(psycopg.Error):
                    driver.rollback()
                    cursor.close()
    except psycopg.OperationalError as error:
        raise explained(error, store.url) from error
    except (psycopg.errors.SyntaxError, psycopg.errors.InvalidCursorDefinition) as error:
        first = _COMMENTS.sub("", sql, count=1)
        if first and not _SELECT.match(first):
            raise RequestError(f"{_ONLY_READS}: it takes a SELECT.", hint=_HINT) from error
        raise _sql_error(error) from error
    except (psycopg.Error, UnicodeEncodeError) as error:
        raise _sql_error(error) from error
    except SQLAlchemyError as error:
        raise explained(error, store.url) from error


def _duckdb(sql: str, params: Parameters, limit: int | None) -> pd.DataFrame:
    try:
        import duckdb
    except ImportError:
        raise HistoryError(
            "engine='duckdb' needs the package duckdb.", hint=install_hint("duckdb")
        ) from None

    with closing(duckdb.connect(":memory:")) as connection:
        # Only the tables below: no files, no extensions, no variables of the caller.
        connection.execute("SET python_enable_replacements=false")
        connection.execute("SET TimeZone='UTC'")
        try:
            statements = connection.extract_statements(sql)
            if len(statements) != 1:
                raise RequestError("query() takes one statement.", hint=_HINT)
            if statements[0].type not in (
                duckdb.StatementType.SELECT,
                duckdb.StatementType.EXPLAIN,
            ):
                kind = statements[0].type.name
                raise RequestError(f"{_ONLY_READS}: {kind} is refused.", hint=_HINT)
            for name, read in (
                ("runs", runs),
                ("tool_calls", tool_calls),
                ("events", events),
                ("sessions", sessions),
            ):
                # Read only the tables that the SQL names.
                if re.search(rf"\b{name}\b", sql, re.IGNORECASE):
                    connection.register(name, read())
            connection.execute("SET enable_external_access=false")
            connection.execute("SET lock_configuration=true")
            result = connection.execute(statements[0], params or None)
            with warnings.catch_warnings():
                # pandas warns about how DuckDB uses it.
                warnings.simplefilter("ignore")
                if limit is None:
                    table: pd.DataFrame = result.df()
                else:
                    table = result.fetch_df_chunk(limit // _CHUNK_ROWS + 1).head(limit)
        except (duckdb.Error, UnicodeEncodeError) as error:
            raise _sql_error(error) from error
    return table.convert_dtypes()
