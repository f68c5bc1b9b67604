"""Check the store of runs: where it is, whether it is writable, and the free disk space."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentnb.config import config
from agentnb.doctor.report import Finding, failed, note, ok, problem
from agentnb.errors import AgentnbError, ConfigError

if TYPE_CHECKING:
    from agentnb.store.store import Store

# Free bytes below which there is a note, and a problem.
_LOW_SPACE: Final = 500_000_000
_NO_SPACE: Final = 20_000_000


class _Rollback(Exception):
    """Raised inside a transaction to undo it."""


def check_store() -> Iterator[Finding]:
    """Report the state and location of the store, without passwords."""
    # Imports SQLAlchemy, which the other checks do not need.
    from agentnb.store.migrations import HEAD
    from agentnb.store.store import is_off, store
    from agentnb.tables.pages import PageQuery, page

    try:
        opened = store(required=True)
    except AgentnbError as error:
        if is_off():
            yield ok("history", "off: runs are not kept", error.hint or "")
        elif not _is_config_valid():
            # Another check reports the configuration.
            message = "not checked, and nothing is kept: the configuration cannot be read"
            yield note("history", message, "Correct that first.")
        else:
            yield failed("history", error, "Correct the configuration, or set AGENTNB_HISTORY.")
        return
    try:
        _try_write(opened)
        rows = page(PageQuery(limit=0)).total
    except AgentnbError as error:
        yield failed("history", error)
        return
    path = opened.path
    size = f", {_bytes(path.stat().st_size)}" if path is not None and path.is_file() else ""
    yield ok("history", f"works, {rows:,} {'run' if rows == 1 else 'runs'}{size}, schema {HEAD}")
    yield ok("history is in", opened.url if path is None else str(path))
    if path is not None:
        yield from _check_space(path)


def _is_config_valid() -> bool:
    try:
        config()
    except (ConfigError, OSError):
        return False
    return True


def _try_write(store: Store) -> None:
    """Write to the store in a transaction that is rolled back.

    Raises:
        HistoryError: it cannot be written to.
    """
    from agentnb.store.failures import explained

    try:
        with store.begin() as connection:
            # Changes no row, but takes the write lock and needs write permission.
            connection.exec_driver_sql("UPDATE run SET key = key WHERE key = ''")
            raise _Rollback
    except _Rollback:
        return
    except Exception as error:
        raise explained(error, store.url) from None


def _check_space(path: Path) -> Iterator[Finding]:
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError:
        # Some file systems do not report it.
        return
    message = f"{_bytes(free)} free at {path.parent}{os.sep}"
    if free >= _LOW_SPACE:
        yield ok("disk", message)
        return
    hint = (
        "Make room, forget old runs with '%agent history prune', or name another place in "
        "AGENTNB_HISTORY."
    )
    yield (problem if free < _NO_SPACE else note)("disk", message, hint)


def _bytes(count: float) -> str:
    for power, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= power:
            return f"{count / power:,.1f} {unit}"
    return f"{count:.0f} bytes"
