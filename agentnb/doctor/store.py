"""The store of runs: where it is, whether it takes what is written, and how much room is left."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentnb.config import config
from agentnb.doctor.checking import Tell
from agentnb.doctor.findings import note, ok, problem, refusal
from agentnb.errors import AgentnbError, ConfigError

if TYPE_CHECKING:
    from agentnb.store.store import Store

__all__ = ["look_at_store"]

# Less room than this is worth knowing, and less than that is a problem, in bytes.
_LITTLE: Final = 500_000_000
_NONE: Final = 20_000_000


class _Undo(Exception):
    """Takes back what a transaction did."""


def look_at_store(tell: Tell) -> None:
    """Tell what became of the store; no password is in it."""
    from agentnb.store.migrations import HEAD
    from agentnb.store.store import is_off, store
    from agentnb.tables.pages import PageQuery, page

    try:
        opened = store(required=True)
    except AgentnbError as error:
        if is_off():
            tell(ok("history", "off: runs are not kept", error.hint or ""))
        elif not _has_config():
            # What is wrong with it is a finding of its own.
            says = "not looked at, and nothing is kept: the configuration cannot be read"
            tell(note("history", says, "Mend that first."))
        else:
            tell(refusal("history", error, "Mend the configuration, or set AGENTNB_HISTORY."))
        return
    try:
        _write(opened)
        rows = page(PageQuery(limit=0)).total
    except AgentnbError as error:
        tell(refusal("history", error))
        return
    path = opened.path
    size = f", {_size(path.stat().st_size)}" if path is not None and path.is_file() else ""
    works = f"works, {rows:,} {'run' if rows == 1 else 'runs'}{size}, schema {HEAD}"
    tell(ok("history", works))
    tell(ok("history is in", _place(opened)))
    if path is not None:
        _look_at_room(tell, path)


def _has_config() -> bool:
    try:
        config()
    except (ConfigError, OSError):
        return False
    return True


def _write(store: Store) -> None:
    """Write to the store, and take it back.

    Raises:
        HistoryError: it cannot be written to.
    """
    from agentnb.store.failures import explained

    try:
        with store.begin() as connection:
            # Of no row, and yet it needs the lock of writers and the right to write.
            connection.exec_driver_sql("UPDATE run SET key = key WHERE key = ''")
            raise _Undo
    except _Undo:
        return
    except Exception as error:
        raise explained(error, store.url) from None


def _place(store: Store) -> str:
    return store.url if store.path is None else str(store.path)


def _look_at_room(tell: Tell, path: Path) -> None:
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError:
        # Of some disks it cannot be asked.
        return
    says = f"{_size(free)} free at {path.parent}{os.sep}"
    hint = "Make room, forget old runs with '%agent history prune', or name another place in "
    if free < _NONE:
        tell(problem("disk", says, f"{hint}AGENTNB_HISTORY."))
    elif free < _LITTLE:
        tell(note("disk", says, f"{hint}AGENTNB_HISTORY."))
    else:
        tell(ok("disk", says))


def _size(count: float) -> str:
    for power, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= power:
            return f"{count / power:,.1f} {unit}"
    return f"{count:.0f} bytes"
