"""Deleting old runs from the store, and freeing their space."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, Select, Table, delete, func, select
from sqlalchemy.exc import SQLAlchemyError

from agentnb.errors import RequestError
from agentnb.store.failures import explained
from agentnb.store.filters import age, read_limit
from agentnb.store.map_rows import delete_files, delete_rows
from agentnb.store.recorder import forget
from agentnb.store.schema import content, event_chunk, metadata, run, tool_call
from agentnb.store.statements import open_store
from agentnb.store.store import Store
from agentnb.store.values import to_micros

# Runs that may still change are never deleted.
_LIVE: Final = ("queued", "running", "paused")
# Runs deleted in one transaction, which blocks other writers.
_BATCH: Final = 500
# Measured size of a run besides its texts, with the indexes, in bytes.
_PER_RUN: Final = 900
_PER_ROW: Final = 40


@dataclass(frozen=True, slots=True)
class Pruned:
    """Number of runs deleted from the store, and about how many bytes they had.

    The file shrinks only with `vacuum`; until then the space is reused.  ``dry_run``: they were
    only counted.
    """

    runs: int
    bytes: int
    dry_run: bool = False

    def __repr__(self) -> str:
        what = "Would prune" if self.dry_run else "Pruned"
        return f"<{what} {self.runs:,} runs, about {self.bytes / 1e6:,.1f} MB>"


def prune(
    *,
    older_than: timedelta | str | None = None,
    keep: int | None = None,
    max_bytes: int | None = None,
    dry_run: bool = False,
) -> Pruned:
    """Delete old runs from the store, with all that belongs to them; return how many.

    That includes rows of interrupted maps, and the files of maps of earlier versions.

    ``older_than`` deletes runs that started longer ago, such as ``"90d"``; ``keep`` all but so many
    newest; ``max_bytes`` the oldest until the rest has at most about so many bytes.  With several
    limits, each applies.  Live runs are never deleted.  ``dry_run`` only counts.

    Raises:
        RequestError: a limit is invalid, or there is none.
        HistoryError: there is no store, or it fails.
    """
    if older_than is None and keep is None and max_bytes is None:
        raise RequestError(
            "prune() needs to know what to take out.", hint="Say older_than='90d', for example."
        )
    before = None
    if older_than is not None:
        before = to_micros(datetime.now(UTC) - age("older_than", older_than))
    keep, max_bytes = read_limit(keep, "keep"), read_limit(max_bytes, "max_bytes")
    store = open_store(required=True)
    try:
        return _prune(store, before, keep, max_bytes, dry_run=dry_run)
    except SQLAlchemyError as error:
        raise explained(error, store.url) from error


def vacuum() -> int:
    """Free the space that `prune` left in the store; return the bytes freed.

    SQLite: the whole file is rewritten, which needs as much free space and that no other process
    uses it meanwhile.  PostgreSQL: the space is reused for new runs, and returned to the system
    where possible.

    Raises:
        HistoryError: there is no store, or it is in use.
    """
    store = open_store(required=True)
    try:
        before = _size(store)
        with store.autocommit() as connection:
            if store.dialect == "sqlite":
                connection.exec_driver_sql("VACUUM")
                # Otherwise the data would be both in the file and in the log.
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            else:
                for name in metadata.tables:
                    connection.exec_driver_sql(f"VACUUM (ANALYZE) {name}")
        return max(0, before - _size(store))
    except SQLAlchemyError as error:
        raise explained(error, store.url) from error


def _prune(
    store: Store, before: int | None, keep: int | None, max_bytes: int | None, *, dry_run: bool
) -> Pruned:
    with store.connect() as connection:
        sizes = _sizes(store)
        if before is not None and keep is None and max_bytes is None:
            # Other runs need not be measured.
            sizes = sizes.where(run.c.started_at < before)
        selected = list(_selected(connection.execute(sizes), before, keep, max_bytes))
    if dry_run:
        return Pruned(len(selected), sum(size for _, size, _ in selected), dry_run=True)
    runs = freed = 0
    for start in range(0, len(selected), _BATCH):
        batch = {key: size for key, size, _ in selected[start : start + _BATCH]}
        for key in _delete(store, list(batch)):
            runs += 1
            freed += batch[key]
    # Rows of interrupted maps older than the newest deleted run, or than the limit.
    until = max(before or 0, *(started_at for _, _, started_at in selected), 0)
    with store.begin() as connection:
        delete_rows(connection, (), until)
    delete_files(until)
    return Pruned(runs, freed)


def _selected(
    sizes: Iterable[Sequence[Any]], before: int | None, keep: int | None, max_bytes: int | None
) -> Iterator[tuple[str, int, int]]:
    """Yield key, size and start of the runs to delete, newest first."""
    kept = total = 0
    for key, status, started_at, size in sizes:
        is_selected = status not in _LIVE and (
            (before is not None and started_at < before)
            or (keep is not None and kept >= keep)
            or (max_bytes is not None and total + size > max_bytes)
        )
        if is_selected:
            yield key, size, started_at
        else:
            kept += 1
        if not is_selected or max_bytes is not None:
            # A smaller older run is not kept in place of a newer one that did not fit.
            total += size


def _sizes(store: Store) -> Select[str, str, int, int]:
    """Select the runs, newest first, each with about its size in bytes."""
    # PostgreSQL has the compressed size without reading the text.
    measure = func.length if store.dialect == "sqlite" else func.pg_column_size

    def inside(table: Table, *names: str) -> ColumnElement[int]:
        size: Any = sum((func.coalesce(measure(table.c[n]), 0) for n in names), start=_PER_ROW)
        total = select(func.sum(size)).where(table.c.run == run.c.key).correlate(run)
        return func.coalesce(total.scalar_subquery(), 0)

    size = (
        inside(content, "prompt", "text", "reasoning", "refusal", "state", "request", "remote")
        + inside(event_chunk, "payload")
        + inside(tool_call, "arguments", "result")
        + _PER_RUN
    )
    statement = select(run.c.key, run.c.status, run.c.started_at, size)
    statement = statement.order_by(run.c.started_at.desc(), run.c.key.desc())
    return cast("Select[str, str, int, int]", statement)


def _delete(store: Store, keys: list[str]) -> list[str]:
    """Delete runs unless they are live by now; return the keys of those deleted."""
    with store.begin() as connection:
        # One may have been attached meanwhile.
        deletable = select(run.c.key).where(run.c.key.in_(keys), run.c.status.not_in(_LIVE))
        gone = list(connection.execute(deletable).scalars())
        for table in (content, event_chunk, tool_call):
            connection.execute(delete(table).where(table.c.run.in_(gone)))
        connection.execute(delete(run).where(run.c.key.in_(gone)))
        delete_rows(connection, gone)
    forget(gone)
    return gone


def _size(store: Store) -> int:
    """Return the size of SQLite's files or PostgreSQL's tables in bytes."""
    if store.path is not None:
        files = (store.path, store.path.with_name(store.path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())
    with store.connect() as connection:
        sizes = (
            connection.exec_driver_sql("SELECT pg_total_relation_size(to_regclass(%s))", (name,))
            for name in metadata.tables
        )
        return sum(int(size.scalar() or 0) for size in sizes)
