"""Runs in Parquet: a folder with one file for each table of the store, sorted by run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from os import SEEK_END
from pathlib import Path
from typing import IO, Any, Final

from sqlalchemy import Double, Integer, String, Table

from agentnb.errors import HistoryError
from agentnb.store.export_files import LISTS, Entry, missing_package, open_file, replacing
from agentnb.store.import_validation import validated
from agentnb.store.schema import content, event_chunk, process, run, tool_call

_TABLES: Final = {table.name: table for table in (process, run, content, event_chunk, tool_call)}
# Rows written or read at once; the events of one run can be large.
_BATCH_ROWS: Final = 500
_FORMAT: Final = {b"agentnb.history": b"1"}
# Bound on the expanded size of an export, in bytes: a minimum, plus a multiple of its files' size.
_MIN_EXPANDED: Final = 64 * 2**20
_MAX_RATIO: Final = 200
# Size of a value besides its text, in bytes.
_VALUE_SIZE: Final = 16


def write_folder(folder: str | Path, entries: Iterable[Entry]) -> None:
    """Write ``entries``, which are in the order of their runs' keys."""
    _, parquet = _arrow()
    if "://" not in str(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
    processes: set[str] = set()
    with replacing() as begin, ExitStack() as stack:
        writers: dict[str, Any] = {}
        for name, table in _TABLES.items():
            file = begin(_file(folder, name))
            writer = parquet.ParquetWriter(file, _schema(table), compression="zstd")
            writers[name] = stack.enter_context(writer)
        pending: dict[str, list[dict[str, Any]]] = {name: [] for name in _TABLES}
        for entry in entries:
            for name, rows in pending.items():
                value: Any = entry[name]
                # A process has many runs and is written once.
                if name == "process" and (value is None or value["id"] in processes):
                    continue
                if name == "process":
                    processes.add(value["id"])
                if value is not None:
                    rows += value if name in LISTS else [value]
                if len(rows) >= _BATCH_ROWS:
                    _write(writers[name], name, rows)
        for name, rows in pending.items():
            if rows:
                _write(writers[name], name, rows)


def read_folder(folder: str | Path) -> Iterator[Entry]:
    """Yield the validated entries that `write_folder` wrote.

    Raises:
        HistoryError: the folder is no export, or expands to more than 200 times its size.
    """
    _arrow()
    with ExitStack() as stack:
        try:
            files = {
                name: stack.enter_context(open_file(_file(folder, name), "rb")) for name in _TABLES
            }
        except FileNotFoundError as error:
            raise _invalid_folder(folder) from error
        limit = _SizeLimit(folder, _MIN_EXPANDED + _MAX_RATIO * sum(map(_size, files.values())))
        rows = {name: _Rows(_read(files[name], folder, name, limit)) for name in _TABLES}
        processes = {str(row["id"]): row for row in rows.pop("process")}
        last = ""
        for row in rows.pop("run"):
            key = row["key"]
            if not isinstance(key, str) or key <= last:
                raise _invalid_folder(folder)
            last = key
            try:
                texts = rows["content"].take(key)
                chunks, calls = rows["event_chunk"].take(key), rows["tool_call"].take(key)
            except TypeError as error:
                raise _invalid_folder(folder) from error
            process = row.get("process")
            entry = {
                "process": processes.get(process) if isinstance(process, str) else None,
                "run": row,
                "content": texts[0] if texts else None,
                "event_chunk": chunks,
                "tool_call": calls,
            }
            yield validated(entry, f"The run {key[:32]!r} in {folder}")


class _SizeLimit:
    """Bound on the bytes that an export expands to."""

    def __init__(self, folder: str | Path, size: int) -> None:
        self._folder = folder
        self._size = self._left = size

    def add(self, size: int) -> None:
        """Count ``size`` bytes.

        Raises:
            HistoryError: the limit is exceeded.
        """
        self._left -= size
        if self._left < 0:
            raise HistoryError(
                f"{self._folder} expands to more than {self._size:,} bytes, which an export of its"
                " size does not; it may be made to fill memory and disk.",
                hint="If you trust it, export its runs to a .jsonl file where they come from.",
            )


class _Rows:
    """Rows sorted by run, to be taken run by run."""

    def __init__(self, rows: Iterator[dict[str, Any]]) -> None:
        self._rows = rows
        self._next: dict[str, Any] | None = None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._rows

    def take(self, key: str) -> list[dict[str, Any]]:
        """Return the rows of a run, skipping those of runs before it."""
        taken: list[dict[str, Any]] = []
        while (row := self._next or next(self._rows, None)) is not None:
            if row["run"] > key:
                self._next = row
                return taken
            if row["run"] == key:
                taken.append(row)
            self._next = None
        return taken


def _read(
    file: IO[Any], folder: str | Path, name: str, limit: _SizeLimit
) -> Iterator[dict[str, Any]]:
    arrow, parquet = _arrow()
    columns = {column.name: column for column in _TABLES[name].columns}
    try:
        # Columns that are newer than the file are missing.
        present = set(parquet.read_schema(file).names)
        texts = [n for n in columns if n in present and isinstance(columns[n].type, String)]
        file.seek(0)
        # Repeated texts are kept once in memory until their rows are read.
        opened_file = parquet.ParquetFile(file, read_dictionary=texts)
    # A column without text raises a KeyError or an ArrowException.
    except (arrow.ArrowException, KeyError, OSError) as error:
        raise _invalid_folder(folder) from error
    schema = opened_file.schema_arrow
    metadata: dict[bytes, bytes] = schema.metadata or {}
    needed = {each for each, column in columns.items() if not column.nullable}
    if not needed <= set(schema.names) or not _FORMAT.items() <= metadata.items():
        raise _invalid_folder(folder)
    # Only known columns are read, in the order of the file.
    known = [field for field in schema if field.name in columns]
    if len({field.name for field in known}) < len(known) or not all(map(_is_plain, known)):
        raise _invalid_folder(folder)
    groups = (opened_file.metadata.row_group(at) for at in range(opened_file.num_row_groups))
    limit.add(sum(group.total_byte_size for group in groups))
    limit.add(_VALUE_SIZE * len(columns) * opened_file.metadata.num_rows)

    def rows() -> Iterator[dict[str, Any]]:
        names = [field.name for field in known]
        try:
            for batch in opened_file.iter_batches(batch_size=_BATCH_ROWS, columns=names):
                for at in range(batch.num_rows):
                    row = {each: batch.column(each)[at].as_py() for each in names}
                    limit.add(sum(len(each) for each in row.values() if isinstance(each, str)))
                    yield row
        # Pages may be damaged, and values out of range.
        except (arrow.ArrowException, ValueError, OverflowError, OSError) as error:
            raise _invalid_folder(folder) from error

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
        raise missing_package("pyarrow") from None
    return pyarrow, pyarrow.parquet


def _file(folder: str | Path, name: str) -> str | Path:
    if isinstance(folder, Path):
        return folder / f"{name}.parquet"
    return f"{folder.rstrip('/')}/{name}.parquet"


def _invalid_folder(folder: str | Path) -> HistoryError:
    return HistoryError(f"{folder} is no folder that export_history() wrote, or is not there.")
