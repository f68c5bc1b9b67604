"""Runs written to files and read back, exactly: Parquet, or JSON lines.

Either way a run is one entry with all that belongs to it: its row of the store, that of its
process, its texts, its events in their chunks, and its tool calls.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast
from uuid import uuid4

from agentnb._support.installing import install_hint
from agentnb.errors import HistoryError, RequestError
from agentnb.store.filters import Filters, read_filters

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentnb.store.store import Store

__all__ = [
    "SEVERAL",
    "Entry",
    "export_history",
    "import_history",
    "missing",
    "opened",
    "replacing",
]

#: A run with all that belongs to it, by the names of the tables.
Entry = dict[str, Any]

_FORMAT: Final = "agentnb.history/1"
#: The tables of which a run has several rows, and by what these are sorted.
SEVERAL: Final = {"event_chunk": "first", "tool_call": "position"}
# Runs that are read, or written, at once: all that memory holds.
_BATCH: Final = 500
# ... and about how much text they may have, in characters.
_BATCH_BYTES: Final = 32 * 2**20
# The longest line of JSON that is read, in bytes: far more than any run has.
_MAX_LINE: Final = 256 * 2**20


def export_history(path: str | Path, **filters: Any) -> Path | str:
    """Write the runs that ``filters`` keep to ``path`` and return it; what is there is replaced.

    A file of this machine is replaced once all is written, so that a failure leaves it as it was.

    ``path`` ends in ``.jsonl`` (a file, one run a line) or ``.parquet`` (a folder with a file for
    each table of the store); it may be an address that fsspec knows, such as
    ``s3://bucket/history.parquet``.  ``filters`` are those of `agentnb.runs`.

    Raises:
        RequestError: the path has another suffix, or a filter cannot be understood.
        HistoryError: there is no store, it fails, a package is missing, or ``path`` cannot be
            written.
    """
    form = _form(path)
    chosen = read_filters(**filters)
    from agentnb.store.statements import open_store, reading

    store = open_store(required=True)
    with _explained(path, "written"), reading(store) as connection:
        entries = _entries(connection, chosen, store.dialect)
        if form == ".jsonl":
            _write_lines(path, entries)
        else:
            from agentnb.store.parquet import write_folder

            write_folder(path, entries)
    return path


def import_history(path: str | Path) -> int:
    """Read runs from what `export_history` wrote into the store; return how many were added.

    A run that the store has already is left as it is, so that reading twice adds nothing.  Where
    the store keeps no content, none is read.  What is read is checked, whoever wrote it: a run that
    no store could hold ends the import.  Runs are added 500 at a time, those of one time all or
    none.

    Raises:
        RequestError: the path has another suffix.
        HistoryError: there is no store, it fails, a package is missing, or what is there is no
            export.
    """
    form = _form(path)
    from sqlalchemy.exc import SQLAlchemyError

    from agentnb.store.failures import explained
    from agentnb.store.statements import open_store

    store = open_store(required=True)
    added = 0
    with _explained(path, "read"):
        if form == ".jsonl":
            entries = _read_lines(path)
        else:
            from agentnb.store.parquet import read_folder

            entries = read_folder(path)
        # A batch is read, and found to be right, before any of it is added.
        while batch := _batch(entries):
            try:
                added += _add(store, batch)
            except SQLAlchemyError as error:
                raise explained(error, store.url) from error
    return added


def _batch(entries: Iterator[Entry]) -> list[Entry]:
    """Return the next entries, as many as are added at once."""
    found: list[Entry] = []
    size = 0
    for entry in islice(entries, _BATCH):
        found.append(entry)
        size += _text_size(entry)
        if size > _BATCH_BYTES:
            break
    return found


def _text_size(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(map(_text_size, cast("Mapping[str, Any]", value).values()))
    if isinstance(value, list):
        return sum(map(_text_size, cast("list[Any]", value)))
    return len(value) if isinstance(value, str) else 0


def _form(path: str | Path) -> str:
    suffix = Path(str(path)).suffix.lower()
    if suffix not in (".jsonl", ".parquet"):
        raise RequestError(
            f"The history is written as .jsonl or .parquet, not as '{suffix}'.",
            hint="Write history.parquet, for example.",
        )
    return suffix


@contextmanager
def _explained(path: str | Path, verb: str) -> Generator[None, None, None]:
    """Say of failures with files and addresses what they are about."""
    try:
        yield
    except OSError as error:
        raise HistoryError(f"{path} cannot be {verb}: {error.strerror or error}.") from error


@contextmanager
def replacing() -> Generator[Callable[[str | Path], IO[Any]], None, None]:
    """Yield what opens files to write; they get their names once the block has ended well.

    Until then they have other names beside these.  Addresses of fsspec are opened as they are.
    """
    written: list[tuple[Path, Path]] = []
    try:
        with ExitStack() as stack:

            def begin(path: str | Path) -> IO[Any]:
                if "://" in str(path):
                    return stack.enter_context(opened(path, "wb"))
                # What a link points to, not the link.
                target = Path(path).resolve()
                made = target.with_name(f".{target.name}.{uuid4().hex[:8]}")
                file = stack.enter_context(opened(made, "xb"))
                written.append((made, target))
                return file

            yield begin
        for made, target in written:
            made.replace(target)
    finally:
        for made, _ in written:
            made.unlink(missing_ok=True)


@contextmanager
def opened(path: str | Path, mode: str) -> Generator[IO[Any], None, None]:
    """Open a file, or what an address of fsspec names, in binary ``mode``."""
    if "://" not in str(path):
        with Path(path).open(mode) as file:
            yield file
        return
    try:
        import fsspec  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise missing("fsspec") from None
    try:
        with cast("Any", fsspec).open(str(path), mode) as file:
            yield file
    # An unknown scheme is a ValueError, a scheme whose package is missing an ImportError.
    except (ValueError, ImportError) as error:
        raise HistoryError(f"{path} cannot be opened: {error}.") from error


def missing(package: str) -> HistoryError:
    """Return the error that a package is not installed."""
    return HistoryError(f"This needs the package {package}.", hint=install_hint("parquet"))


# -- from the store and into it --------------------------------------------------------------------


def _entries(connection: Connection, filters: Filters, dialect: str) -> Iterator[Entry]:
    """Yield the runs in the order of their keys, each with all that belongs to it."""
    from sqlalchemy import select

    from agentnb.store.schema import content, metadata, process, run
    from agentnb.store.statements import conditions, needs_content, select_runs

    chosen = select_runs(list(run.c), with_content=needs_content(filters)).where(
        *conditions(filters, dialect)
    )
    last = ""
    while True:
        page = chosen.where(run.c.key > last).order_by(run.c.key).limit(_BATCH)
        runs = [dict(row) for row in connection.execute(page).mappings()]
        if not runs:
            return
        keys = [row["key"] for row in runs]
        last = keys[-1]

        def rows(name: str, of: Sequence[str], by: str = "run") -> list[dict[str, Any]]:
            table = metadata.tables[name]
            found = select(table).where(table.c[by].in_(of))
            if name in SEVERAL:
                found = found.order_by(table.c.run, table.c[SEVERAL[name]])
            return [dict(row) for row in connection.execute(found).mappings()]

        texts = {row["run"]: row for row in rows(content.name, keys)}
        of = sorted({row["process"] for row in runs if row["process"] is not None})
        processes = {row["id"]: row for row in rows(process.name, of, "id")}
        several: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for name in SEVERAL:
            grouped = several.setdefault(name, {})
            for row in rows(name, keys):
                grouped.setdefault(row["run"], []).append(row)
        for row in runs:
            key = row["key"]
            yield {
                "process": processes.get(row["process"]),
                "run": row,
                "content": texts.get(key),
                **{name: several[name].get(key, []) for name in SEVERAL},
            }


def _add(store: Store, entries: Iterable[Entry]) -> int:
    """Add those runs, with all of each, that the store does not have; return how many."""
    from sqlalchemy import select

    from agentnb.store.schema import metadata, run

    found = {entry["run"]["key"]: entry for entry in entries}
    with store.begin() as connection:
        known = set(
            connection.execute(select(run.c.key).where(run.c.key.in_(list(found)))).scalars()
        )
        new = [entry for key, entry in found.items() if key not in known]
        for name in ("process", "run", "content", *SEVERAL):
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
    rows: list[dict[str, Any]] = value if name in SEVERAL else [value]
    if name in ("process", "run"):
        return rows
    # Whatever a file says: what belongs to a run that is added cannot belong to another one.
    return [{**row, "run": entry["run"]["key"]} for row in rows]


def _row(store: Store, name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with all columns of its table, as the store takes it."""
    from agentnb.store.schema import metadata

    read = {column.name: row.get(column.name) for column in metadata.tables[name].columns}
    if not store.store_content and name == "tool_call":
        # What a tool says of its failure repeats what it was called with.
        read |= dict.fromkeys(("arguments", "result", "error"))
    if store.dialect == "postgresql":
        # The one character that its texts cannot hold.
        read = {k: v.replace("\0", "\ufffd") if isinstance(v, str) else v for k, v in read.items()}
    return read


# -- lines of JSON ---------------------------------------------------------------------------------


def _write_lines(path: str | Path, entries: Iterable[Entry]) -> None:
    with replacing() as begin:
        file = begin(path)
        for entry in entries:
            try:
                line = json.dumps({"format": _FORMAT, **entry}, ensure_ascii=False).encode()
            except (TypeError, ValueError) as error:
                key = entry["run"]["key"]
                raise HistoryError(f"The run {key} cannot be written: {error}.") from error
            file.write(line + b"\n")


def _read_lines(path: str | Path) -> Iterator[Entry]:
    from agentnb.store.import_validation import checked, no_run

    with opened(path, "rb") as file:
        lines: Iterator[bytes] = iter(lambda: file.readline(_MAX_LINE + 1), b"")
        for number, line in enumerate(lines, 1):
            if len(line) > _MAX_LINE:
                raise no_run(f"Line {number} of {path}", f"it is longer than {_MAX_LINE:,} bytes")
            if line.isspace():
                continue
            try:
                entry = json.loads(line)
                readable = entry["format"] == _FORMAT and isinstance(entry["run"]["key"], str)
            except (ValueError, KeyError, TypeError, RecursionError):
                readable = False
                entry = dict[str, Any]()
            where = f"Line {number} of {path}"
            if not readable:
                raise no_run(where)
            yield checked(entry, where)
