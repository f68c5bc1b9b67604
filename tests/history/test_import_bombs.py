"""Exports that are small as files and large in memory or in the store: refused, within bounds."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa  # pyright: ignore[reportMissingTypeStubs]
import pyarrow.parquet as pq  # pyright: ignore[reportMissingTypeStubs]
import pytest

from agentnb.errors import HistoryError
from agentnb.store import export_files
from agentnb.store.store import Store
from agentnb.store.transfer import export_history, import_history
from agentnb.tables.runs import runs
from tests.history.seeding import seed

arrow: Any = pa
parquet: Any = pq

MiB = 2**20
# Memory that a refused import may add to its process, in bytes: the allowance and working room.
ROOM = 400 * MiB

IMPORT = """
import resource, sys
from agentnb import history
from agentnb.errors import HistoryError
from agentnb.store.transfer import import_history
import agentnb.store.parquet, pyarrow.parquet, sqlalchemy
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    import_history(sys.argv[1])
except HistoryError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def rewritten(folder: Path, name: str, change: Callable[[Any], Any], **options: Any) -> None:
    """Write the table ``name`` of an export anew, as ``change`` makes it."""
    file = folder / f"{name}.parquet"
    table = change(parquet.read_table(file))
    parquet.write_table(table, file, compression="zstd", **options)


def repeated(table: Any, count: int, **texts: str) -> Any:
    """Return the first row of ``table``, ``count`` times, with other texts."""
    row = table.slice(0, 1).to_pylist()[0] | texts
    columns = {
        name: arrow.repeat(arrow.scalar(row[name], table.schema.field(name).type), count)
        for name in table.schema.names
    }
    return arrow.table(columns, schema=table.schema)


def longer(table: Any, size: int) -> Any:
    """Return ``table`` with a prompt of ``size`` characters in each row."""
    at = table.schema.get_field_index("prompt")
    text = arrow.scalar("x" * size, arrow.large_string())
    return table.set_column(at, table.schema.field(at), arrow.repeat(text, table.num_rows))


BOMBS: dict[str, Callable[[Path], None]] = {
    "one text for every run": lambda x: rewritten(x, "content", lambda t: longer(t, 4 * MiB)),
    "one text that is enormous": lambda x: rewritten(
        x, "content", lambda t: longer(t.slice(0, 1), 512 * MiB)
    ),
    "without a dictionary": lambda x: rewritten(
        x, "content", lambda t: longer(t, 4 * MiB), use_dictionary=False
    ),
    "millions of calls of one run": lambda x: rewritten(
        x, "tool_call", lambda t: repeated(t, 5_000_000)
    ),
    "millions of processes": lambda x: rewritten(x, "process", lambda t: repeated(t, 5_000_000)),
    "calls with a long result": lambda x: rewritten(
        x, "tool_call", lambda t: repeated(t, 2_000, result="x" * MiB)
    ),
}


# Nothing of these reaches the database, so that one of them is enough.
@pytest.mark.slow
@pytest.mark.parametrize("history_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_small_folder_that_expands_is_refused(
    bomb: Callable[[Path], None], history_store: Store, tmp_path: Path
) -> None:
    seed(history_store, runs=200)
    folder = tmp_path / "runs.parquet"
    export_history(folder)
    bomb(folder)
    assert sum(file.stat().st_size for file in folder.iterdir()) < 2 * MiB
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, folder],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30)),
    )
    message, _, grown = done.stdout.strip().rpartition("\n")
    assert "expands to more than" in message
    assert int(grown) * 1024 < ROOM


def test_columns_of_other_types_are_refused(history_store: Store, tmp_path: Path) -> None:
    seed(history_store, runs=2, events=False)
    folder = tmp_path / "runs.parquet"
    for kind in (arrow.list_(arrow.string()), arrow.binary(), arrow.bool_()):
        export_history(folder)
        nulls = arrow.nulls(2, kind)
        rewritten(
            folder,
            "content",
            lambda t, nulls=nulls: t.drop(["prompt"]).append_column("prompt", nulls),
        )
        with pytest.raises(HistoryError, match="is no folder that export_history"):
            import_history(folder)


def test_columns_of_a_stranger_are_not_read(history_store: Store, tmp_path: Path) -> None:
    seed(history_store, runs=2, events=False)
    folder = tmp_path / "runs.parquet"
    export_history(folder)
    rewritten(
        folder, "run", lambda t: t.append_column("more", arrow.repeat(arrow.scalar("x" * MiB), 2))
    )
    assert import_history(folder) == 0
    assert "more" not in runs().columns


def test_equal_runs_are_no_bomb(history_store: Store, tmp_path: Path) -> None:
    seed(history_store, runs=300, events=False)
    folder = tmp_path / "runs.parquet"
    export_history(folder)
    rewritten(folder, "content", lambda t: longer(t, 100_000))
    assert import_history(folder) == 0


def test_a_line_without_end(
    history_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_files, "_MAX_LINE", 100_000)
    path = tmp_path / "x.jsonl"
    path.write_text('{"format": "agentnb.history/1", "run": "' + "x" * 200_000)
    with pytest.raises(HistoryError, match=r"Line 1 of .* longer than 100,000 bytes"):
        import_history(path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "1" * 100_000, "NaN", "\0"])
def test_a_line_of_odd_json(history_store: Store, tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.jsonl"
    entry = json.dumps({"format": "agentnb.history/1", "run": {"key": "k"}, "x": None})
    for line in (text, entry.replace("null", text)):
        path.write_text(line + "\n")
        with pytest.raises(HistoryError, match="Line 1 of"):
            import_history(path)
