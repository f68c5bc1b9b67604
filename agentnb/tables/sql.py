"""Asking the store in SQL, which cannot change it."""

from __future__ import annotations

import re
import sqlite3
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from agentnb._support.installing import install_hint
from agentnb.config.names import suggestion
from agentnb.errors import HistoryError, RequestError
from agentnb.store.filters import read_limit
from agentnb.tables.frame import guessed

if TYPE_CHECKING:
    import pandas as pd

    from agentnb.store.store import Store

__all__ = ["query"]

Parameters = Sequence[Any] | Mapping[str, Any]

_ENGINES: Final = ("store", "duckdb")
_ONLY_READS: Final = "query() only reads the store"
_HINT: Final = "Write one SELECT; agentnb.history.prune() takes runs out."
# What a statement of SQLite may do; a pragma that has no value given only tells something.
_ALLOWED: Final = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
    }
)
_TELLING: Final = frozenset({"table_info", "table_xinfo", "table_list", "index_list", "index_info"})
# The name of the cursor that a statement of PostgreSQL is.
_CURSOR: Final = "agentnb_query"
# How many rows DuckDB brings at once.
_CHUNK: Final = 2048
_ONE_STATEMENT: Final = re.compile(r"one statement at a time|multiple commands", re.IGNORECASE)
_REFUSED: Final = re.compile(
    r"not authorized|prohibited|readonly|read-only|data-modifying", re.IGNORECASE
)
# What a statement that finds rows begins with, after comments.
_COMMENTS: Final = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)
_FINDS: Final = re.compile(r"\(|(?:select|with|values|table)\b", re.IGNORECASE)
# Steps of SQLite's machine between two looks at whether the user interrupts: some milliseconds.
_STEPS: Final = 200_000


def query(
    sql: str,
    *,
    params: Parameters = (),
    limit: int | None = None,
    engine: Literal["store", "duckdb"] = "store",
) -> pd.DataFrame:
    """Return what one SELECT finds in the store, at most ``limit`` rows.

    The store has the views ``runs`` and ``tool_calls``, and the tables of
    `agentnb.store.schema`, in which moments are microseconds since 1970-01-01 UTC and spans
    microseconds.  ``params`` are given apart from the SQL: ``?`` or ``:name`` in SQLite, ``%s`` or
    ``%(name)s`` in PostgreSQL.

    With ``engine="duckdb"`` it is DuckDB that answers, in whose SQL ``runs``, ``tool_calls``,
    ``events`` and ``sessions`` are the tables that `agentnb.runs` and its like give, of the same
    columns; ``params`` are ``?`` or ``$name``.

    The store is opened read-only, several statements are refused, and so is whatever would reach
    for files or the network.  On PostgreSQL the statement is one that a cursor takes, in a
    transaction that only reads and is rolled back; its functions are limited by what the user of
    the store's address may do, and by nothing else.  A superuser's, and those of a member of
    ``pg_read_server_files``, ``pg_write_server_files`` or ``pg_execute_server_program``, still
    reach the server's files (``pg_read_file``, ``lo_export``): give SQL that is not your own an
    address of a user without such rights.

    Raises:
        RequestError: the SQL is wrong, or would change something.
        HistoryError: there is no store, it fails, or DuckDB is not installed.
    """
    if engine not in _ENGINES:
        hint = suggestion(str(engine), _ENGINES) or f"There are {', '.join(_ENGINES)}."
        raise RequestError(f"There is no engine '{engine}'.", hint=hint)
    most = read_limit(limit)
    if engine == "duckdb":
        return _duckdb(sql, params, most)
    from agentnb.store.statements import open_store

    store = open_store(required=True)
    if store.path is not None:
        return guessed(*_sqlite(store.path, sql, params, most))
    return guessed(*_postgresql(store, sql, params, most))


def _fetched(cursor: Any, most: int | None) -> tuple[list[str], list[Any]]:
    if cursor.description is None:
        raise RequestError(f"{_ONLY_READS}, and this finds nothing to show.", hint=_HINT)
    names = [column[0] for column in cursor.description]
    return names, cursor.fetchall() if most is None else cursor.fetchmany(most)


def _wrong(error: Exception) -> RequestError:
    """Return what a database says of SQL that it does not run, in one line."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()] or ["?"]
    said = lines[0].rstrip(".")
    if _ONE_STATEMENT.search(said):
        return RequestError("query() takes one statement.", hint=_HINT)
    if _REFUSED.search(said):
        return RequestError(f"{_ONLY_READS}: {said}.", hint=_HINT)
    return RequestError(f"The SQL cannot be run: {said}.")


# -- SQLite ----------------------------------------------------------------------------------------


def _sqlite(
    path: Path, sql: str, params: Parameters, most: int | None
) -> tuple[list[str], list[Any]]:
    # A connection of its own, which nothing that the SQL says can make writable.
    address = f"{path.expanduser().absolute().as_uri()}?mode=ro"
    try:
        connection = sqlite3.connect(address, uri=True, timeout=30, isolation_level=None)
    except sqlite3.Error as error:
        raise HistoryError(f"The store of runs {path} cannot be read: {error}.") from error
    with closing(connection):
        connection.execute("PRAGMA query_only=1")
        connection.set_authorizer(_authorize)
        # Python handles signals only while it runs code of its own.
        connection.set_progress_handler(_look, _STEPS)
        try:
            with closing(connection.execute(sql, params)) as cursor:
                return _fetched(cursor, most)
        # Some versions warn of several statements; a text with half a surrogate pair is no SQL.
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            # Nothing else ends a statement so: SQLite passes on no exception of `_look`.
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                raise KeyboardInterrupt from None
            raise _wrong(error) from error


def _look() -> int:
    """Let a statement go on; what the handler of a signal raises here ends it."""
    return 0


def _authorize(
    action: int, first: str | None, second: str | None, _database: Any, _trigger: Any
) -> int:
    if action in _ALLOWED:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and first in _TELLING:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


# -- PostgreSQL ------------------------------------------------------------------------------------


def _postgresql(
    store: Store, sql: str, params: Parameters, most: int | None
) -> tuple[list[str], list[Any]]:
    import psycopg
    from sqlalchemy.exc import SQLAlchemyError

    from agentnb.store.failures import explained

    try:
        with store.connect() as connection:
            driver: Any = connection.connection.driver_connection
            # The session may be left in any state, and is not used again.
            connection.detach()
            # What is declared as a cursor finds rows: COPY, DO, SET and their like, some of which
            # reach files and programs of the server, are no such statement.
            cursor = driver.cursor(name=_CURSOR)
            try:
                cursor.execute(sql, params or None)
                return _fetched(cursor, most)
            finally:
                with suppress(psycopg.Error):
                    driver.rollback()
                    cursor.close()
    except psycopg.OperationalError as error:
        raise explained(error, store.url) from error
    except (psycopg.errors.SyntaxError, psycopg.errors.InvalidCursorDefinition) as error:
        first = sql[_end_of_comments(sql) :]
        if first and not _FINDS.match(first):
            raise RequestError(f"{_ONLY_READS}: it takes a SELECT.", hint=_HINT) from error
        raise _wrong(error) from error
    except (psycopg.Error, UnicodeEncodeError) as error:
        raise _wrong(error) from error
    except SQLAlchemyError as error:
        raise explained(error, store.url) from error


def _end_of_comments(sql: str) -> int:
    found = _COMMENTS.match(sql)
    return found.end() if found else 0


# -- DuckDB ----------------------------------------------------------------------------------------


def _duckdb(sql: str, params: Parameters, most: int | None) -> pd.DataFrame:
    try:
        import duckdb
    except ImportError:
        raise HistoryError(
            "engine='duckdb' needs the package duckdb.", hint=install_hint("duckdb")
        ) from None

    with closing(duckdb.connect(":memory:")) as connection:
        # Nothing but the tables: no files, no extensions from elsewhere, no variables of ours.
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
            for name, read in _relations().items():
                # A table that is not named is not read.
                if re.search(rf"\b{name}\b", sql, re.IGNORECASE):
                    connection.register(name, read())
            connection.execute("SET enable_external_access=false")
            connection.execute("SET lock_configuration=true")
            found = connection.execute(statements[0], params or None)
            with warnings.catch_warnings():
                # Of pandas, about how DuckDB uses it.
                warnings.simplefilter("ignore")
                if most is None:
                    table: pd.DataFrame = found.df()
                else:
                    table = found.fetch_df_chunk(most // _CHUNK + 1).head(most)
        except (duckdb.Error, UnicodeEncodeError) as error:
            raise _wrong(error) from error
    return table.convert_dtypes()


def _relations() -> dict[str, Callable[[], pd.DataFrame]]:
    from agentnb.tables import tables

    return {
        "runs": tables.runs,
        "tool_calls": tables.tool_calls,
        "events": tables.events,
        "sessions": tables.sessions,
    }
