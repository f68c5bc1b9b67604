"""The store of runs, in places where it does not work."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentnb import history
from agentnb.doctor import Finding
from agentnb.doctor.store import check_store


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    history.use(None)


def findings() -> dict[str, Finding]:
    return {f.check: f for f in check_store()}


def test_a_store_that_works(tmp_path: Path) -> None:
    file = tmp_path / "runs" / "history.sqlite"
    history.use(file)
    found = findings()
    assert found["history"].level == "ok"
    assert "works, 0 runs, " in found["history"].says
    assert "schema 0" in found["history"].says
    assert found["history is in"].says == str(file)
    assert "free at" in found["disk"].says


def test_looking_leaves_no_trace_in_it(tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite"
    history.use(file)
    findings()
    with sqlite3.connect(file) as before:
        tables = before.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    before.close()
    findings()
    with sqlite3.connect(file) as after:
        assert after.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall() == (
            tables
        )
        assert after.execute("SELECT count(*) FROM run").fetchone() == (0,)
    after.close()


def test_a_place_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    history.use(tmp_path / "file" / "history.sqlite")
    found = findings()["history"]
    assert found.level == "problem"
    assert "cannot be made" in found.says
    assert "AGENTNB_HISTORY" in found.hint


@pytest.mark.slow
def test_a_file_that_somebody_keeps_locked(tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite"
    file.touch()
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        history.use(file)
        found = findings()["history"]
    finally:
        holder.close()
    assert found.level == "problem"
    assert "locked by another process" in found.says
    assert found.hint


def test_a_file_that_is_none_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite"
    file.write_bytes(b"this is no database" * 500)
    history.use(file)
    found = findings()["history"]
    assert found.level == "problem"
    assert "not an SQLite database" in found.says
    assert file.read_bytes().startswith(b"this is no database")


def test_history_that_is_off() -> None:
    history.use("off")
    found = findings()
    assert found["history"].level == "ok"
    assert found["history"].says.startswith("off")
    assert len(found) == 1
