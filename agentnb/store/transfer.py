"""Export of runs to files and import from them, without loss: Parquet or JSON lines."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final, cast

from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from agentnb.errors import HistoryError, RequestError
from agentnb.store.export_files import LISTS, Entry, read_lines, write_lines
from agentnb.store.failures import explained
from agentnb.store.filters import Filters, read_filters
from agentnb.store.parquet import read_folder, write_folder
from agentnb.store.schema import content, metadata, process, run
from agentnb.store.statements import conditions, needs_content, open_store, reading, select_runs
from agentnb.store.store import Store

# Runs in memory at once, and about how many characters of text they may have.
_BATCH: Final = 500
_BATCH_CHARS: Final = 32 * 2**20


def export_history(path: str | Path, **filters: Any) -> Path | str:
    """Write the runs that match ``filters`` to ``path``, replacing what is there; return ``path``.

    A local file is replaced once everything is written, so a failure leaves it unchanged.

    ``path`` ends in ``.jsonl`` (a file, one run a line) or ``.parquet`` (a folder with a file for
    each table of the store); it may be an address of fsspec, such as
    ``s3://bucket/history.parquet``.  ``filters`` are those of `agentnb.runs`.

    Raises:
        RequestError: the path has another suffix, or a filter is invalid.
        HistoryError: there is no store, it fails, a package is missing, or ``path`` cannot be
            written.
    """
    suffix = _suffix(path)
    parsed = read_filters(**filters)
    store = open_store(required=True)
    with _file_errors(path, "written"), reading(store) as connection:
        entries = _entries(connection, parsed, store.dialect)
        write = write_lines if suffix == ".jsonl" else write_folder
        write(path, entries)
    return path


def import_history(path: str | Path) -> int:
    """Read runs that `export_history` wrote into the store; return how many were added.

    Runs that the store already has are left unchanged, so that a second import adds nothing.  Where
    the store has no content, none is imported.  Everything is validated: a
    run that no store could hold ends the import.  Runs are added in batches of 500, each completely
    or not at all.

    Raises:
        RequestError: the path has another suffix.
        HistoryError: there is no store, it fails, a package is missing, or the file is no export.
    """
    suffix = _suffix(path)
    store = open_store(required=True)
    added = 0
    with _file_errors(path, "read"):
        entries = read_lines(path) if suffix == ".jsonl" else read_folder(path)
        # A batch is read and validated before any of it is added.
        while batch := _next_batch(entries):
            try:
                added += _add(store, batch)
            except SQLAlchemyError as error:
                raise explained(error, store.url) from error
    return added


def _next_batch(entries: Iterator[Entry]) -> list[Entry]:
    batch: list[Entry] = []
    size = 0
    for entry in islice(entries, _BATCH):
        batch.append(entry)
        size += _text_size(entry)
        if size > _BATCH_CHARS:
            break
    return batch


def _text_size(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(map(_text_size, cast("Mapping[str, Any]", value).values()))
    if isinstance(value, list):
        return sum(map(_text_size, cast("list[Any]", value)))
    return len(value) if isinstance(value, str) else 0


def _suffix(path: str | Path) -> str:
    suffix = Path(str(path)).suffix.lower()
    if suffix not in (".jsonl", ".parquet"):
        raise RequestError(
            f"The history is written as .jsonl or .parquet, not as '{suffix}'.",
            hint="Write history.parquet, for example.",
        )
    return suffix


@contextmanager
def _file_errors(path: str | Path, verb: str) -> Generator[None, None, None]:
    """Raise failures of files and addresses as a `HistoryError` that names ``path``."""
    try:
        yield
    except OSError as error:
        raise HistoryError(f"{path} cannot be {verb}: {error.strerror or error}.") from error


def _entries(connection: Connection, filters: Filters, dialect: str) -> Iterator[Entry]:
    """Yield the runs in the order of their keys, each with all that belongs to it."""
    statement = select_runs(list(run.c), with_content=needs_content(filters)).where(
        *conditions(filters, dialect)
    )
    last = ""
    while True:
        page = statement.where(run.c.key > last).order_by(run.c.key).limit(_BATCH)
        runs = [dict(row) for row in connection.execute(page).mappings()]
        if not runs:
            return
        keys = [row["key"] for row in runs]
        last = keys[-1]

        def rows(name: str, values: Sequence[str], by: str = "run") -> list[dict[str, Any]]:
            table = metadata.tables[name]
            matching = select(table).where(table.c[by].in_(values))
            if name in LISTS:
                matching = matching.order_by(table.c.run, table.c[LISTS[name]])
            return [dict(row) for row in connection.execute(matching).mappings()]

        texts = {row["run"]: row for row in rows(content.name, keys)}
        process_ids = sorted({row["process"] for row in runs if row["process"] is not None})
        processes = {row["id"]: row for row in rows(process.name, process_ids, "id")}
        lists: dict[str, dict[str, list[dict[str, Any]]]] = {name: {} for name in LISTS}
        for name, by_run in lists.items():
            for row in rows(name, keys):
                by_run.setdefault(row["run"], []).append(row)
        for row in runs:
            key = row["key"]
            yield {
                "process": processes.get(row["process"]),
                "run": row,
                "content": texts.get(key),
                **{name: by_run.get(key, []) for name, by_run in lists.items()},
            }


def _add(store: Store, entries: Iterable[Entry]) -> int:
    """Add the runs that the store does not have; return how many."""
    by_key = {entry["run"]["key"]: entry for entry in entries}
    with store.begin() as connection:
        stored = select(run.c.key).where(run.c.key.in_(list(by_key)))
        existing = set(connection.execute(stored).scalars())
        new = [entry for key, entry in by_key.items() if key not in existing]
        for name in ("process", "run", "content", *LISTS):
            rows = [_row(store, name, row) for entry in new for row in _rows(store, name, entry)]
            if rows:
                insert = store.insert(metadata.tables[name]).on_conflict_do_nothing()
                connection.execute(insert, rows)
    return len(new)


def _rows(store: Store, name: str, entry: Entry) -> list[dict[str, Any]]:
    if not store.store_content and name in ("content", "event_chunk"):
        return []
    value: Any = entry.get(name)
    if value is None:
        return []
    rows: list[dict[str, Any]] = value if name in LISTS else [value]
    if name in ("process", "run"):
        return rows
    # Whatever a file says, rows that come with a run belong to that run.
    return [{**row, "run": entry["run"]["key"]} for row in rows]


def _row(store: Store, name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with all columns of its table, as the store accepts them."""
    values = {column.name: row.get(column.name) for column in metadata.tables[name].columns}
    if not store.store_content and name == "tool_call":
        # A tool's error repeats its arguments.
        values |= dict.fromkeys(("arguments", "result", "error"))
    if store.dialect == "postgresql":
        # The one character that its texts cannot hold.
        return {
            k: v.replace("\0", "\ufffd") if isinstance(v, str) else v for k, v in values.items()
        }
    return values
