"""Errors of a store as one sentence with a hint, and the warning about them."""

from __future__ import annotations

import sqlite3
import warnings
from typing import Final

from sqlalchemy.exc import DBAPIError

from agentnb.errors import HistoryError, HistoryWarning

_ELSEWHERE: Final = "Name another place in AGENTNB_HISTORY, or 'off'."
#: Hint for a file that cannot be read.
LEFT_UNCHANGED: Final = (
    "It was left as it is: move it away, or name another place in AGENTNB_HISTORY."
)
_LOCKED: Final = (
    "is locked by another process",
    "Close what holds it open; it is tried again later.",
)
_READ_ONLY: Final = ("cannot be written to", _ELSEWHERE)
# SQLite's primary result codes -> problem, hint.
_SQLITE: Final = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", _ELSEWHERE),
    sqlite3.SQLITE_FULL: (
        "has no room: the disk is full",
        "Make room, or name another place in AGENTNB_HISTORY.",
    ),
    sqlite3.SQLITE_IOERR: ("cannot be read or written: the disk fails or is full", _ELSEWHERE),
    sqlite3.SQLITE_CORRUPT: ("is damaged", LEFT_UNCHANGED),
    sqlite3.SQLITE_NOTADB: ("is not an SQLite database, or is damaged", LEFT_UNCHANGED),
}


def explained(error: Exception, name: str) -> HistoryError:
    """Return ``error`` as an error of the store displayed as ``name``, without a password."""
    if problem := _SQLITE.get(_sqlite_code(error)):
        return HistoryError(f"The store of runs {name} {problem[0]}.", hint=problem[1])
    if isinstance(error, DBAPIError):
        first = str(error.orig).strip().partition("\n")[0].rstrip(".")
        return HistoryError(f"The store of runs {name} cannot be used: {first}.", hint=_ELSEWHERE)
    return HistoryError(
        f"The store of runs {name} cannot be used: {type(error).__name__}.", hint=_ELSEWHERE
    )


def has_no_room(error: Exception) -> bool:
    """Return whether the disk was full, so that a smaller write may succeed."""
    if not isinstance(error, DBAPIError):
        return False
    extended = getattr(error.orig, "sqlite_errorcode", -1)
    # SQLite reports a quota, or a limit of the file size, as a failed write.
    return (
        extended in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)
        or getattr(error.orig, "sqlstate", None) == "53100"
    )


def is_locked(error: Exception) -> bool:
    """Return whether the file was locked, so that a retry may succeed."""
    return isinstance(error, DBAPIError) and is_busy(error.orig)


def is_busy(error: BaseException | None) -> bool:
    """Return whether the driver's ``error`` means that the file is locked."""
    code = getattr(error, "sqlite_errorcode", -1) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def warn(message: str) -> None:
    """Issue a `HistoryWarning` that is displayed as one line, without a source line.

    The caller avoids repetitions.
    """
    warnings.warn_explicit(
        message, HistoryWarning, filename="<agentnb>", lineno=1, module="agentnb.history"
    )


def _sqlite_code(error: Exception) -> int:
    cause = error.orig if isinstance(error, DBAPIError) else None
    if not isinstance(cause, sqlite3.Error):
        return -1
    # Errors of the driver itself have no code.  This one, about invalid text, contains the text.
    if str(cause).startswith("Could not decode to UTF-8"):
        return sqlite3.SQLITE_CORRUPT
    # The primary code is the lower byte.
    return getattr(cause, "sqlite_errorcode", -1) & 0xFF
