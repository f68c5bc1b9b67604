"""Files of exported runs: opening, replacing, and JSON lines.

An entry is a run with all that belongs to it: its row of the store, that of its process, its
content, its events in chunks, and its tool calls.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final, cast
from uuid import uuid4

from agentnb._support import install_hint
from agentnb.errors import HistoryError
from agentnb.store.import_validation import invalid_run, validated

#: A run with all that belongs to it, by the names of the tables.
Entry = dict[str, Any]

#: Tables with several rows for a run -> the column that they are sorted by.
LISTS: Final = {"event_chunk": "first", "tool_call": "position"}
_FORMAT: Final = "agentnb.history/1"
# Longest line of JSON that is read, in bytes: far more than any run has.
_MAX_LINE: Final = 256 * 2**20


@contextmanager
def replacing() -> Generator[Callable[[str | Path], IO[Any]], None, None]:
    """Yield a function that opens files to write, which get their names at the end of the block.

    Until then they have other names next to these.  Addresses of fsspec are written directly.
    """
    written: list[tuple[Path, Path]] = []
    try:
        with ExitStack() as stack:

            def begin(path: str | Path) -> IO[Any]:
                if "://" in str(path):
                    return stack.enter_context(open_file(path, "wb"))
                # The target of a link, not the link.
                target = Path(path).resolve()
                temporary = target.with_name(f".{target.name}.{uuid4().hex[:8]}")
                file = stack.enter_context(open_file(temporary, "xb"))
                written.append((temporary, target))
                return file

            yield begin
        for temporary, target in written:
            temporary.replace(target)
    finally:
        for temporary, _ in written:
            temporary.unlink(missing_ok=True)


@contextmanager
def open_file(path: str | Path, mode: str) -> Generator[IO[Any], None, None]:
    """Open a file, or an address of fsspec, in binary ``mode``."""
    if "://" not in str(path):
        with Path(path).open(mode) as file:
            yield file
        return
    try:
        import fsspec  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise missing_package("fsspec") from None
    try:
        with cast("Any", fsspec).open(str(path), mode) as file:
            yield file
    # An unknown scheme is a ValueError, a scheme whose package is missing an ImportError.
    except (ValueError, ImportError) as error:
        raise HistoryError(f"{path} cannot be opened: {error}.") from error


def missing_package(package: str) -> HistoryError:
    """Return the error that a package is not installed."""
    return HistoryError(f"This needs the package {package}.", hint=install_hint("parquet"))


def write_lines(path: str | Path, entries: Iterable[Entry]) -> None:
    """Write ``entries`` as JSON, one a line."""
    with replacing() as begin:
        file = begin(path)
        for entry in entries:
            try:
                line = json.dumps({"format": _FORMAT, **entry}, ensure_ascii=False).encode()
            except (TypeError, ValueError) as error:
                key = entry["run"]["key"]
                raise HistoryError(f"The run {key} cannot be written: {error}.") from error
            file.write(line + b"\n")


def read_lines(path: str | Path) -> Iterator[Entry]:
    """Yield the validated entries that `write_lines` wrote.

    Raises:
        HistoryError: a line is no entry.
    """
    with open_file(path, "rb") as file:
        lines: Iterator[bytes] = iter(lambda: file.readline(_MAX_LINE + 1), b"")
        for number, line in enumerate(lines, 1):
            where = f"Line {number} of {path}"
            if len(line) > _MAX_LINE:
                raise invalid_run(where, f"it is longer than {_MAX_LINE:,} bytes")
            if line.isspace():
                continue
            try:
                entry = json.loads(line)
                is_entry = entry["format"] == _FORMAT and isinstance(entry["run"]["key"], str)
            except (ValueError, KeyError, TypeError, RecursionError):
                raise invalid_run(where) from None
            if not is_entry:
                raise invalid_run(where)
            yield validated(entry, where)
