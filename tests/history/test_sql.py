"""SQL reads the store, and nothing that it says can change anything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from agentnb import history
from agentnb.errors import HistoryError, RequestError
from agentnb.store.store import Store
from agentnb.tables.events import events
from agentnb.tables.runs import runs, tool_calls
from agentnb.tables.sql import query
from tests.history.seeding import seed


def test_the_store_is_asked_in_sql(history_store: Store) -> None:
    seed(history_store, runs=80)
    found = query("SELECT agent, count(*) AS n FROM runs GROUP BY agent ORDER BY agent")
    expected = runs()["agent"].value_counts().sort_index()
    assert list(found.columns) == ["agent", "n"]
    assert found["n"].tolist() == expected.tolist()
    assert len(query("SELECT * FROM run", limit=7)) == 7
    assert len(query("WITH x AS (SELECT * FROM tool_calls) SELECT * FROM x")) == len(tool_calls())
    # Large numbers beside a NULL stay whole.
    large = query("SELECT 9007199254740993 AS n UNION ALL SELECT NULL ORDER BY 1")
    assert large["n"].dropna().tolist() == [9007199254740993]
    assert list(query("SELECT 1 AS a, 2 AS a").columns) == ["a", "a"]
    assert query("SELECT key FROM run WHERE 1 = 0").empty
    mark = "?" if history_store.dialect == "sqlite" else "%s"
    quoted = query(f"SELECT count(*) FROM run WHERE agent = {mark}", params=["x' OR 'x' = 'x"])
    assert quoted.iloc[0, 0] == 0
    assert query("SELECT 'seekr:a 100%' AS told")["told"].tolist() == ["seekr:a 100%"]


CHANGES = (
    "DELETE FROM run",
    "UPDATE run SET status = 'completed'",
    "INSERT INTO process SELECT * FROM process",
    "DROP TABLE content",
    "CREATE TABLE mine (a INTEGER)",
    "CREATE TEMP TABLE mine (a INTEGER)",
    "SELECT 1; DELETE FROM run",
    "COMMIT; DELETE FROM run",
)
NONSENSE = (
    "COMMIT",
    "BEGIN",
    "",
    "SELECT FROM WHERE",
    "SELECT nonsense FROM run",
    "SELECT * FROM nothing",
    "half \udc00",
)


def test_what_would_change_something_is_refused(history_store: Store) -> None:
    seed(history_store, runs=5, events=False)
    for sql in (*CHANGES, *NONSENSE):
        with pytest.raises(RequestError) as caught:
            query(sql)
        told = caught.value.message
        assert "\n" not in told
        if sql in CHANGES:
            assert "only reads" in told or "one statement" in told, told
        assert len(query("SELECT * FROM run")) == 5
    # And who writes still can.
    seed(history_store, runs=1, seed=1, events=False)
    assert len(runs()) == 6


def test_sqlite_reaches_for_no_file(tmp_path: Path) -> None:
    history.use(tmp_path / "runs.sqlite")
    try:
        for sql in (
            f"ATTACH DATABASE '{tmp_path / 'other.sqlite'}' AS other",
            "PRAGMA query_only = 0",
            "PRAGMA journal_mode = DELETE",
            f"VACUUM INTO '{tmp_path / 'copy.sqlite'}'",
            "SELECT load_extension('x')",
        ):
            with pytest.raises(RequestError):
                query(sql)
        assert {path.name.partition("-")[0] for path in tmp_path.iterdir()} == {"runs.sqlite"}
        assert "key" in query("PRAGMA table_info(run)")["name"].tolist()
        with pytest.raises(RequestError, match="limit"):
            query("SELECT 1", limit=-1)
        with pytest.raises(RequestError, match="Did you mean 'duckdb'"):
            query("SELECT 1", engine="duckbd")  # pyright: ignore
    finally:
        history.use(None)


@pytest.mark.slow
def test_a_session_of_postgresql_is_left_read_only(
    request: pytest.FixtureRequest,
) -> None:
    with request.getfixturevalue("postgresql_server").database() as url:
        history.use(url)
        try:
            for sql in (
                "SET TRANSACTION READ WRITE",
                "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
            ):
                with pytest.raises(RequestError):
                    query(sql)
            with pytest.raises(RequestError, match="only reads"):
                query("WITH gone AS (DELETE FROM run RETURNING *) SELECT * FROM gone")
            with pytest.raises(RequestError, match="read-only transaction"):
                query("SELECT * FROM run FOR UPDATE")
        finally:
            history.use(None)


@pytest.mark.slow
def test_postgresql_writes_no_file_and_starts_no_program(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server = request.getfixturevalue("postgresql_server")
    # Where the server, which is another user, may write.
    by_file, by_program = server.folder / "copied.txt", server.folder / "piped.txt"
    with server.database() as url:
        history.use(url)
        try:
            for sql in (
                f"COPY (SELECT 1) TO '{by_file}'",
                f"COPY (SELECT 1) TO PROGRAM 'cat > {by_program}'",
                f"/* SELECT */ -- SELECT\n COPY (SELECT 1) TO '{by_file}'",
                "DO $$ BEGIN PERFORM 1; END $$",
                "EXPLAIN ANALYZE DELETE FROM run",
                "SET default_transaction_read_only = off",
                "PREPARE x AS SELECT 1",
            ):
                with pytest.raises(RequestError, match="only reads"):
                    query(sql)
            with pytest.raises(RequestError):
                query("SELECT 1 INTO mine")
            assert not by_file.exists()
            assert not by_program.exists()
            # What a cursor takes.
            assert query("VALUES (1), (2), (3)", limit=2).iloc[:, 0].tolist() == [1, 2]
            assert query("-- of all\n(SELECT 1 AS n);")["n"].tolist() == [1]
            assert query("TABLE run").empty
        finally:
            history.use(None)


ENDLESS = """
import signal, sys, threading
from agentnb import history
signal.signal(signal.SIGINT, signal.default_int_handler)
history.query("SELECT 1")
endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
# Once the statement runs: nothing else of Python's comes to its turn meanwhile.
threading.Timer(0.2, lambda: print("asked", flush=True)).start()
try:
    history.query(endless)
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(history.query("SELECT 2 AS n")["n"].tolist(), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_a_statement_of_sqlite_can_be_interrupted(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", ENDLESS],
        env={**os.environ, "AGENTNB_HISTORY": str(tmp_path / "runs.sqlite")},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "asked\n"
        child.send_signal(signal.SIGINT)
        told, _ = child.communicate(timeout=30)
        assert told == "interrupted\n[2]\n"
    finally:
        child.kill()
        child.wait()


def test_duckdb_asks_the_tables(history_store: Store) -> None:
    seed(history_store, runs=60)
    by_agent = "SELECT agent, count(*) n, avg(duration) d, max(started_at) t FROM runs GROUP BY ALL"
    found = query(f"{by_agent} ORDER BY agent", engine="duckdb")
    everything = runs()
    assert found["n"].tolist() == everything["agent"].value_counts().sort_index().tolist()
    assert found["t"].max() == everything["started_at"].max()
    assert str(found["d"].dtype) == "timedelta64[us]"
    counted = "SELECT (SELECT count(*) FROM events) e, (SELECT count(*) FROM tool_calls) t"
    assert query(counted, engine="duckdb").iloc[0].tolist() == [len(events()), len(tool_calls())]
    assert len(query("FROM events", engine="duckdb", limit=5)) == 5
    named = query("SELECT count(*) n FROM runs WHERE agent = ?", params=["x"], engine="duckdb")
    assert named["n"].tolist() == [0]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("DELETE FROM runs", "only reads the store: DELETE"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("COPY runs TO 'x.csv'", "only reads"),
        ("SELECT * FROM 'x.csv'", "cannot be run"),
        ("INSTALL sqlite", "only reads"),
        ("SELECT * FROM everything", "cannot be run"),
        ("SET lock_configuration = false", "only reads"),
        ("nonsense", "cannot be run"),
    ],
)
def test_duckdb_reaches_for_nothing_else(tmp_path: Path, sql: str, said: str) -> None:
    history.use(tmp_path / "runs.sqlite")
    everything = pd.DataFrame({"a": [1]})
    try:
        with pytest.raises(RequestError, match=said) as caught:
            query(sql, engine="duckdb")
        assert "\n" not in str(caught.value)
        assert len(everything) == 1
    finally:
        history.use(None)


def test_without_a_store_or_duckdb(monkeypatch: pytest.MonkeyPatch) -> None:
    history.use("off")
    try:
        with pytest.raises(HistoryError, match="History is off"):
            query("SELECT 1")
        monkeypatch.setitem(sys.modules, "duckdb", None)
        with pytest.raises(HistoryError, match=r"pip install 'jupyter-agentnb\[duckdb\]'"):
            query("SELECT 1", engine="duckdb")
    finally:
        history.use(None)
