"""One file of SQLite that several connections write to: who writes its log back, who waits."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest

from agentnb.store.recorder import use
from agentnb.store.schema import process
from agentnb.store.store import Store, store


@pytest.fixture
def path(tmp_path: Path) -> Generator[Path]:
    use(tmp_path / "history.sqlite")
    yield tmp_path / "history.sqlite"
    use(None)


def write(opened: Store, key: str) -> None:
    with opened.begin() as connection:
        connection.execute(
            process.insert().values(id=key, host="here", pid=1, started_at=0, seen_at=0)
        )


def is_written_back(path: Path) -> bool:
    """Tell whether nothing is in the log that is not in the file, by a copy of the file alone."""
    alone = path.with_name("alone.sqlite")
    alone.write_bytes(path.read_bytes())
    with closing(sqlite3.connect(f"file:{alone}?immutable=1", uri=True)) as connection:
        found = connection.execute("SELECT max(id) FROM process WHERE id LIKE 'row%'").fetchone()
    with closing(sqlite3.connect(path)) as connection:
        wanted = connection.execute("SELECT max(id) FROM process WHERE id LIKE 'row%'").fetchone()
        return found == wanted


def test_the_log_is_written_back_by_one_of_those_that_write(path: Path) -> None:
    opened = store(required=True)
    opened.checkpoint()
    opened.checkpoint_if_due(0)  # which sees that the file has changed
    write(opened, "row 1")
    assert not is_written_back(path)
    opened.checkpoint_if_due(0)
    assert is_written_back(path)
    write(opened, "row 2")
    # Another process has just done it, as the file's time shows.
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))
    opened.checkpoint_if_due(0)
    assert not is_written_back(path)
    # It has stopped doing it.
    opened.checkpoint_if_due(0)
    assert is_written_back(path)


@pytest.mark.parametrize("journal", ["wal", "delete"])
@pytest.mark.parametrize("holder", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_a_writer_waits_for_another_one(
    path: Path, monkeypatch: pytest.MonkeyPatch, journal: str, holder: str
) -> None:
    store(required=True)
    use(None)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        assert other.execute(f"PRAGMA journal_mode={journal}").fetchone() == (journal,)
        use(path)
        opened = store(required=True)
        write(opened, "row 1")
        other.execute(holder)
        pauses: list[float] = []

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 20:
                other.execute("COMMIT")

        with monkeypatch.context() as patch:
            patch.setattr("agentnb.store.opening.time.sleep", pause)
            write(opened, "row 2")
    assert len(pauses) == 20
    assert max(pauses) < 0.1
    with opened.connect() as connection:
        rows = connection.execute(process.select()).all()
    assert {"row 1", "row 2"} <= {row.id for row in rows}
