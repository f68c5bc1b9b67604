"""Runs in Parquet: a folder with one file for each table of the store, sorted by run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from os import SEEK_END
from pathlib import Path
from typing import IO, Any, Final

from sqlalchemy import Double, Integer, String, Table

from agentnb.errors import HistoryError
from agentnb.store.import_validation import checked
from agentnb.store.schema import content, event_chunk, process, run, tool_call
from agentnb.store.transfer import SEVERAL, Entry, missing, opened, replacing

__all__ = ["read_folder", "write_folder"]

_TABLES: Final = {table.name: table for table in (process, run, content, event_chunk, tool_call)}
# Rows that are written, or read, at once; the events of one run can be large.
_ROWS: Final = 500
_FORMAT: Final = {b"agentnb.history": b"1"}
# What an export may expand to, in bytes, beside the size of its files.
_LEAST: Final = 64 * 2**20
_RATIO: Final = 200
# What a value takes besides its text, in bytes.
_VALUE: Final = 16


def write_folder(folder: str | Path, entries: Iterable[Entry]) -> None:
    """Write ``entries``, which are in the order of their runs' keys."""
    _, parquet = _arrow()
    if "://" not in str(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
    told: set[str] = set()
    with replacing() as begin, ExitStack() as stack:
        writers: dict[str, Any] = {}
        for name, table in _TABLES.items():
            file = begin(_file(folder, name))
            writer = parquet.ParquetWriter(file, _schema(table), compression="zstd")
            writers[name] = stack.enter_context(writer)
        waiting: dict[str, list[dict[str, Any]]] = {name: [] for name in _TABLES}
        for entry in entries:
            for name, rows in waiting.items():
                value: Any = entry[name]
                # A process has many runs and is told of once.
                if name == "process" and (value is None or value["id"] in told):
                    continue
                if name == "process":
                    told.add(value["id"])
                if value is not None:
                    rows += value if name in SEVERAL else [value]
                if len(rows) >= _ROWS:
                    _write(writers[name], name, rows)
        for name, rows in waiting.items():
            if rows:
                _write(writers[name], name, rows)


def read_folder(folder: str | Path) -> Iterator[Entry]:
    """Yield what `write_folder` wrote.

    Raises:
        HistoryError: it is something else, or expands to more than 200 times its size.
    """
    _arrow()
    with ExitStack() as stack:
        try:
            files = {
                name: stack.enter_context(opened(_file(folder, name), "rb")) for name in _TABLES
            }
        except FileNotFoundError as error:
            raise _no_export(folder) from error
        allowance = _Allowance(folder, _LEAST + _RATIO * sum(map(_size, files.values())))
        rows = {name: _Rows(_read(files[name], folder, name, allowance)) for name in _TABLES}
        processes = {str(row["id"]): row for row in rows.pop("process")}
        last = ""
        for found in rows.pop("run"):
            key = found["key"]
            if not isinstance(key, str) or key <= last:
                raise _no_export(folder)
            last = key
            try:
                texts = rows["content"].of(key)
                chunks, calls = rows["event_chunk"].of(key), rows["tool_call"].of(key)
            except TypeError as error:
                raise _no_export(folder) from error
            process = found.get("process")
            entry = {
                "process": processes.get(process) if isinstance(process, str) else None,
                "run": found,
                "content": texts[0] if texts else None,
                "event_chunk": chunks,
                "tool_call": calls,
            }
            yield checked(entry, f"The run {key[:32]!r} in {folder}")


class _Allowance:
    """How many bytes the files of an export may still expand to."""

    def __init__(self, folder: str | Path, most: int) -> None:
        self._folder = folder
        self._most = self._left = most

    def take(self, size: int) -> None:
        """Take ``size`` bytes.

        Raises:
            HistoryError: there are not so many left.
        """
        self._left -= size
        if self._left < 0:
            raise HistoryError(
                f"{self._folder} expands to more than {self._most:,} bytes, which an export of its"
                " size does not; it may be made to fill memory and disk.",
                hint="If you trust it, export its runs to a .jsonl file where they come from.",
            )


class _Rows:
    """Rows sorted by run, of which those of one run after the other are taken."""

    def __init__(self, rows: Iterator[dict[str, Any]]) -> None:
        self._rows = rows
        self._next: dict[str, Any] | None = None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._rows

    def of(self, key: str) -> list[dict[str, Any]]:
        """Return the rows of a run; those of runs before it are gone."""
        found: list[dict[str, Any]] = []
        while (row := self._next or next(self._rows, None)) is not None:
            if row["run"] > key:
                self._next = row
                return found
            if row["run"] == key:
                found.append(row)
            self._next = None
        return found


def _read(
    file: IO[Any], folder: str | Path, name: str, allowance: _Allowance
) -> Iterator[dict[str, Any]]:
    arrow, parquet = _arrow()
    columns = {column.name: column for column in _TABLES[name].columns}
    texts = [each for each, column in columns.items() if isinstance(column.type, String)]
    try:
        # A text that is repeated stays one text in memory until its row is read.
        opened_file = parquet.ParquetFile(file, read_dictionary=texts)
    # A column that is missing, or is none of texts, is a KeyError or an ArrowException.
    except (arrow.ArrowException, KeyError, OSError) as error:
        raise _no_export(folder) from error
    schema = opened_file.schema_arrow
    metadata: dict[bytes, bytes] = schema.metadata or {}
    needed = {each for each, column in columns.items() if not column.nullable}
    if not needed <= set(schema.names) or not _FORMAT.items() <= metadata.items():
        raise _no_export(folder)
    # As the file has them; nothing else of it is read.
    known = [field for field in schema if field.name in columns]
    if len({field.name for field in known}) < len(known) or not all(map(_is_plain, known)):
        raise _no_export(folder)
    groups = (opened_file.metadata.row_group(at) for at in range(opened_file.num_row_groups))
    allowance.take(sum(group.total_byte_size for group in groups))
    allowance.take(_VALUE * len(columns) * opened_file.metadata.num_rows)

    def rows() -> Iterator[dict[str, Any]]:
        names = [field.name for field in known]
        try:
            for batch in opened_file.iter_batches(batch_size=_ROWS, columns=names):
                for at in range(batch.num_rows):
                    row = {each: batch.column(each)[at].as_py() for each in names}
                    allowance.take(sum(len(each) for each in row.values() if isinstance(each, str)))
                    yield row
        # Pages may be damaged, and values none that Python has.
        except (arrow.ArrowException, ValueError, OverflowError, OSError) as error:
            raise _no_export(folder) from error

    return rows()


def _is_plain(field: Any) -> bool:
    arrow, _ = _arrow()
    kind = field.type.value_type if arrow.types.is_dictionary(field.type) else field.type
    is_kind = (
        arrow.types.is_string,
        arrow.types.is_large_string,
        arrow.types.is_integer,
        arrow.types.is_floating,
        arrow.types.is_null,
    )
    return any(each(kind) for each in is_kind)


def _size(file: IO[Any]) -> int:
    size = file.seek(0, SEEK_END)
    file.seek(0)
    return size


def _write(writer: Any, name: str, rows: list[dict[str, Any]]) -> None:
    arrow, _ = _arrow()
    writer.write_table(arrow.Table.from_pylist(rows, schema=_schema(_TABLES[name])))
    rows.clear()


def _schema(table: Table) -> Any:
    arrow, _ = _arrow()

    def kind(column: Any) -> Any:
        if isinstance(column.type, Integer):
            return arrow.int64()
        return arrow.float64() if isinstance(column.type, Double) else arrow.large_string()

    return arrow.schema([(column.name, kind(column)) for column in table.columns], metadata=_FORMAT)


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow  # pyright: ignore[reportMissingTypeStubs]
        import pyarrow.parquet  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise missing("pyarrow") from None
    return pyarrow, pyarrow.parquet


def _file(folder: str | Path, name: str) -> str | Path:
    if isinstance(folder, Path):
        return folder / f"{name}.parquet"
    return f"{folder.rstrip('/')}/{name}.parquet"


def _no_export(folder: str | Path) -> HistoryError:
    return HistoryError(f"{folder} is no folder that export_history() wrote, or is not there.")
