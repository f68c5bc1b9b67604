"""Location of the store: from `use`, the environment, the configuration, or the default."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from agentnb.config import HistorySection, config
from agentnb.errors import ConfigError, HistoryError

_OFF: Final = frozenset({"off", "none", "0", "false", "no"})
_ON: Final = frozenset({"on", "1", "true", "yes"})
_SQLITE: Final = re.compile(r"sqlite(\+pysqlite)?://", re.IGNORECASE)
_POSTGRESQL: Final = re.compile(r"postgres(ql)?(\+psycopg)?://", re.IGNORECASE)
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_HINT: Final = (
    "It is a path, sqlite:///path, postgresql+psycopg://user@host/database, or the word off."
)


@dataclass(frozen=True, slots=True)
class StoreLocation:
    """A file of SQLite, an address of PostgreSQL, or neither where history is off.

    ``named_by`` names the setting, for errors.
    """

    path: Path | None
    url: SecretStr | None
    named_by: str

    @property
    def is_off(self) -> bool:
        return self.path is None and self.url is None


def place(chosen: str | Path | None = None) -> StoreLocation:
    """Return the location: ``chosen``, else ``AGENTNB_HISTORY``, else as configured.

    The configuration is ``url`` in ``[history]`` of the user's file; without one, it is
    `default_path`.

    Raises:
        HistoryError: the location is invalid, or the configuration cannot be read.
    """
    if chosen is not None:
        return _parsed(SecretStr(str(chosen)), "use()")
    if given := SecretStr(os.environ.get("AGENTNB_HISTORY", "").strip()):
        return _parsed(given, "AGENTNB_HISTORY")
    url = _section().url
    if url is None or not url.strip():
        return StoreLocation(default_path(), None, "the user's data folder")
    location = _parsed(SecretStr(url.strip()), "[history] of the configuration file")
    if location.path is not None and not location.path.expanduser().is_absolute():
        # Each notebook's folder would have a store of its own.
        raise HistoryError(
            f"[history] names {location.path}, which depends on the working folder.",
            hint="Write the whole path; it may begin with ~.",
        )
    return location


def shown(where: StoreLocation) -> Path | str | None:
    """Return a location to display: an absolute path, or an address without its password."""
    if where.path is not None:
        return where.path.expanduser().absolute()
    if where.url is None:
        return None
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(where.url.get_secret_value())
    except ArgumentError:
        return f"{where.named_by} names no address that can be read"
    # Options are left out, too: one may be a password.
    public = URL.create(
        url.drivername,
        username=url.username,
        host=url.host,
        port=url.port,
        database=url.database,
    )
    return str(public)


def default_path() -> Path:
    """Return the default file of the store."""
    import platformdirs

    return platformdirs.user_data_path("agentnb", appauthor=False) / "history.sqlite"


def keeps_content() -> bool:
    """Return whether prompts, answers and events are stored, or only figures.

    ``AGENTNB_HISTORY_CONTENT`` (0 or 1) wins over ``store_content`` in ``[history]``.

    Raises:
        HistoryError: the variable is neither, or the configuration cannot be read.
    """
    value = os.environ.get("AGENTNB_HISTORY_CONTENT", "").strip().lower()
    if value in _OFF | _ON:
        return value in _ON
    if value:
        raise HistoryError("AGENTNB_HISTORY_CONTENT is neither 0 nor 1.")
    return _section().store_content


def invalid_location(named_by: str, reason: str) -> HistoryError:
    """Return the error for an invalid location."""
    return HistoryError(f"{named_by} names no store of runs: {reason}.", hint=_HINT)


def _section() -> HistorySection:
    try:
        return config().file.history
    except ConfigError as error:
        raise HistoryError(error.message, hint=error.hint) from error
    except OSError as error:
        # A folder on the way to the file may be closed to this user.
        raise HistoryError(f"The configuration cannot be read: {error}.") from error


def _parsed(address: SecretStr, named_by: str) -> StoreLocation:
    text = address.get_secret_value()
    if text.lower() in _OFF:
        return StoreLocation(None, None, named_by)
    if _POSTGRESQL.match(text):
        normal = _POSTGRESQL.sub("postgresql+psycopg://", text, count=1)
        return StoreLocation(None, SecretStr(normal), named_by)
    if match := _SQLITE.match(text):
        # As in SQLAlchemy, the third slash ends the empty host.
        database = text[match.end() :].removeprefix("/")
        if not text[match.end() :].startswith("/") or not database or database.startswith(":"):
            raise invalid_location(named_by, "SQLite in memory would be gone with the process")
        if "?" in database or database.startswith("file:"):
            raise invalid_location(named_by, "options of SQLite cannot be given")
        return StoreLocation(Path(database), None, named_by)
    if match := _SCHEME.match(text):
        # The rest may hold a password.
        raise invalid_location(named_by, f"{match[1]} is none of its databases")
    return StoreLocation(Path(text), None, named_by)
