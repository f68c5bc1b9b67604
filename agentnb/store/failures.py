"""What went wrong with a store, in a sentence, with what to do."""

from __future__ import annotations

import sqlite3
import warnings
from typing import Final

from sqlalchemy.exc import DBAPIError

from agentnb.errors import HistoryError, HistoryWarning

__all__ = ["LEFT_ALONE", "explained", "has_no_room", "is_busy", "is_locked", "warn"]

_ELSEWHERE: Final = "Name another place in AGENTNB_HISTORY, or 'off'."
#: What to do about a file that makes no sense.
LEFT_ALONE: Final = "It was left as it is: move it away, or name another place in AGENTNB_HISTORY."
# SQLite's primary result codes -> what is said.
_SQLITE: Final = {
    sqlite3.SQLITE_BUSY: (
        "is locked by another process",
        "Close what holds it open; it is tried again later.",
    ),
    sqlite3.SQLITE_LOCKED: (
        "is locked by another process",
        "Close what holds it open; it is tried again later.",
    ),
    sqlite3.SQLITE_READONLY: ("cannot be written to", _ELSEWHERE),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", _ELSEWHERE),
    sqlite3.SQLITE_PERM: ("cannot be written to", _ELSEWHERE),
    sqlite3.SQLITE_FULL: (
        "has no room: the disk is full",
        "Make room, or name another place in AGENTNB_HISTORY.",
    ),
    sqlite3.SQLITE_IOERR: ("cannot be read or written: the disk fails or is full", _ELSEWHERE),
    sqlite3.SQLITE_CORRUPT: (
        "is damaged",
        LEFT_ALONE,
    ),
    sqlite3.SQLITE_NOTADB: (
        "is not an SQLite database, or is damaged",
        LEFT_ALONE,
    ),
}


def explained(error: Exception, shown: str) -> HistoryError:
    """Return what ``error`` means for the store called ``shown``, which holds no password."""
    if known := _SQLITE.get(_sqlite_code(error)):
        return HistoryError(f"The store of runs {shown} {known[0]}.", hint=known[1])
    if isinstance(error, DBAPIError):
        first = str(error.orig).strip().partition("\n")[0].rstrip(".")
        return HistoryError(f"The store of runs {shown} cannot be used: {first}.", hint=_ELSEWHERE)
    return HistoryError(
        f"The store of runs {shown} cannot be used: {type(error).__name__}.", hint=_ELSEWHERE
    )


def has_no_room(error: Exception) -> bool:
    """Tell whether there was no room for what was to be written, so that less of it may fit."""
    if not isinstance(error, DBAPIError):
        return False
    extended = getattr(error.orig, "sqlite_errorcode", -1)
    # A quota, or a limit of a file's size, is a failed write to SQLite.
    return (
        extended in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)
        or getattr(error.orig, "sqlstate", None) == "53100"
    )


def is_locked(error: Exception) -> bool:
    """Tell whether a file is only locked, so that waiting may help."""
    return isinstance(error, DBAPIError) and is_busy(error.orig)


def is_busy(error: BaseException | None) -> bool:
    """Tell whether the driver's own ``error`` says that a file is locked."""
    code = getattr(error, "sqlite_errorcode", -1) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def warn(message: str) -> None:
    """Give a `HistoryWarning` that is shown as one line.

    It comes from no line of the user's: naming one of this package's, with its source, would only
    hide what is said.  Who calls this sees to it that the same is not said over and over.
    """
    warnings.warn_explicit(
        message, HistoryWarning, filename="<agentnb>", lineno=1, module="agentnb.history"
    )


def _sqlite_code(error: Exception) -> int:
    cause = error.orig if isinstance(error, DBAPIError) else None
    if not isinstance(cause, sqlite3.Error):
        return -1
    # The driver's own complaints have no code. This one is that of a text which is none, and quotes
    # it.
    if str(cause).startswith("Could not decode to UTF-8"):
        return sqlite3.SQLITE_CORRUPT
    # The lower byte; what is above it only says more.
    return getattr(cause, "sqlite_errorcode", -1) & 0xFF
