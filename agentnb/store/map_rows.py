"""Completed rows of maps that were interrupted without a checkpoint.

They are in the store of runs, and deleted with their runs.  Where the store has no content, is off
or fails, they are in the memory of this process.  Earlier versions wrote a checkpoint for each map,
in the folder ``maps`` next to the default store.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from agentnb.errors import HistoryError
from agentnb.store.location import default_path
from agentnb.store.values import now

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentnb.store.store import Store

_NAME: Final = re.compile(r"map:([0-9a-f]{12})")
# Maps that are kept; each may have thousands of rows, and is usually resumed soon.
_MAX_MAPS: Final = 20


class KeptRow(NamedTuple):
    """One row: two digests, its result as JSON, and the local id of its run."""

    settings: bytes
    key: bytes
    result: str
    run: str | None


def new_name() -> str:
    """Return a new name for the rows of a map: ``map:`` and 12 hexadecimal digits."""
    return f"map:{uuid.uuid4().hex[:12]}"


def is_name(text: str) -> bool:
    """Return whether ``text`` is such a name."""
    return _NAME.fullmatch(text) is not None


def add_rows(name: str, rows: Sequence[KeptRow]) -> bool:
    """Keep rows under ``name``; return whether another process can read them.

    Of more than 20 maps, the oldest are deleted.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from agentnb.store.memory import private_store
    from agentnb.store.transactions import in_transaction

    store = _content_store()
    if store is not None:
        with suppress(SQLAlchemyError):
            in_transaction(store, lambda connection: _write(connection, store, name, rows))
            return True
    memory = private_store()
    in_transaction(memory, lambda connection: _write(connection, memory, name, rows))
    return False


def read_rows(name: str, settings: bytes) -> dict[bytes, str]:
    """Return the results under ``name`` of a map with these settings, by their rows' keys.

    Raises:
        HistoryError: there are no rows under the name, or the store fails.
    """
    from sqlalchemy import select
    from sqlalchemy.exc import SQLAlchemyError

    from agentnb.store.failures import explained
    from agentnb.store.memory import private_store
    from agentnb.store.schema import kept_row

    columns = (kept_row.c[each] for each in KeptRow._fields)
    statement = select(*columns).where(kept_row.c.map == _id(name))
    rows: list[KeptRow] = []
    for store in (private_store(), _content_store()):
        if store is not None:
            try:
                with store.connect() as connection:
                    rows += [KeptRow(*row) for row in connection.execute(statement)]
            except SQLAlchemyError as error:
                raise explained(error, store.url) from error
    if not rows:
        raise HistoryError(
            f"The history has no rows of {name}.",
            hint="They were pruned, or are in another store or process.",
        )
    return {row.key: row.result for row in rows if row.settings == settings}


def delete_rows(connection: Connection, runs: Iterable[str], before: int | None = None) -> None:
    """Delete the rows of ``runs``, and all older than ``before``, in microseconds."""
    from sqlalchemy import delete, or_

    from agentnb.store.schema import kept_row

    condition = kept_row.c.run.in_(list(runs))
    if before is not None:
        condition = or_(condition, kept_row.c.kept_at < before)
    connection.execute(delete(kept_row).where(condition))


def delete_files(before: int) -> None:
    """Delete checkpoints of earlier versions older than ``before``, in microseconds."""
    for file in (default_path().parent / "maps").glob("*.sqlite*"):
        with suppress(OSError):
            if file.stat().st_mtime_ns < before * 1000:
                file.unlink()


def _content_store() -> Store | None:
    """Return the store if there is one with content."""
    from agentnb.store.store import store

    opened = store()
    return opened if opened is not None and opened.store_content else None


def _write(connection: Connection, store: Store, name: str, rows: Sequence[KeptRow]) -> None:
    from sqlalchemy import delete, func, select

    from agentnb.store.schema import kept_row

    moment = now()
    insert = store.insert(kept_row)
    changed = {column: insert.excluded[column] for column in ("result", "run", "kept_at")}
    if rows:
        connection.execute(
            insert.on_conflict_do_update(index_elements=["map", "settings", "key"], set_=changed),
            [{"map": _id(name), "kept_at": moment, **row._asdict()} for row in rows],
        )
    newest = func.max(kept_row.c.kept_at)
    maps = select(kept_row.c.map).group_by(kept_row.c.map).order_by(newest.desc())
    known = list(connection.execute(maps).scalars())
    if len(known) > _MAX_MAPS:
        connection.execute(delete(kept_row).where(kept_row.c.map.in_(known[_MAX_MAPS:])))


def _id(name: str) -> str:
    return name.removeprefix("map:")
