"""Runs go out to files and come back the same, between the databases too."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from agentnb import history
from agentnb.errors import HistoryError, RequestError
from agentnb.store import deduplication, parquet, transfer
from agentnb.store.schema import content, event_chunk, process, run, tool_call
from agentnb.store.store import Store, store
from agentnb.store.transfer import export_history, import_history
from agentnb.store.values import now
from agentnb.tables.runs import runs
from tests.history.rows import a_process, a_run, add
from tests.history.seeding import seed

TABLES = (process, run, content, event_chunk, tool_call)


def everything(opened: Store) -> dict[str, list[tuple[Any, ...]]]:
    with opened.connect() as connection:
        return {
            table.name: [
                tuple(row)
                for row in connection.execute(select(table).order_by(*table.primary_key.columns))
            ]
            for table in TABLES
        }


def elsewhere(path: Path) -> Store:
    history.use(path)
    return store(required=True)


@pytest.fixture
def back(history_store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A filled store of more than one batch, with what is hard to keep."""
    for module, size in ((transfer, "_BATCH"), (parquet, "_BATCH_ROWS"), (deduplication, "_BATCH")):
        monkeypatch.setattr(module, size, 50)
    seed(history_store, runs=120)
    # One of another machine that was heard of just now, whose runs are not taken for left.
    add(history_store, process, a_process() | {"seen_at": now()})
    odd = a_run("odd", title='quo"te\n\u2028 \U0001f600', cost_usd=0.1 + 0.2, duration=2**62)
    # One without texts, events and tool calls, and one that goes on.
    add(history_store, run, odd)
    add(history_store, run, a_run("live", status="running"))
    add(history_store, content, {"run": "odd", "prompt": "", "text": "é" * 10_000})
    return history_store


@pytest.mark.parametrize("name", ["runs.jsonl", "runs.parquet", "memory://kept/runs.parquet"])
def test_a_round_trip_is_exact_and_adds_nothing_twice(
    back: Store, tmp_path: Path, name: str
) -> None:
    path = name if "://" in name else tmp_path / name
    url = back.engine.url.render_as_string(hide_password=False)
    assert export_history(path) == path
    before = everything(back)
    # The other database, in a file of its own, and from there back into an empty one of this kind.
    second = elsewhere(tmp_path / "second.sqlite")
    assert import_history(path) == len(before["run"]) == 122
    there = everything(second)
    used = {row[list(run.c).index(run.c.process)] for row in before["run"]}
    assert there.pop("process") == [row for row in before["process"] if row[0] in used]
    assert there == {name: rows for name, rows in before.items() if name != "process"}
    assert import_history(path) == 0
    again = f"memory://again/{Path(name).name}"
    export_history(again)
    history.use(url)
    opened = store(required=True)
    with opened.begin() as connection:
        for table in reversed(TABLES):
            connection.execute(table.delete())
    assert import_history(again) == 122
    assert {k: v for k, v in everything(opened).items() if k != "process"} == there


def test_filters_choose_what_is_written(history_store: Store, tmp_path: Path) -> None:
    seed(history_store, runs=60, events=False)
    expected = runs(agent="finance_agent", user="ada", text="nvda")
    export_history(tmp_path / "some.jsonl", agent="finance_agent", user="ada", text="nvda")
    lines = (tmp_path / "some.jsonl").read_text().splitlines()
    found = {json.loads(line)["run"]["key"] for line in lines}
    assert found == set(expected["local_id"])
    with pytest.raises(RequestError, match="no status"):
        export_history(tmp_path / "none.jsonl", status="done")


def test_an_empty_store(history_store: Store, tmp_path: Path) -> None:
    for name in ("none.jsonl", "none.parquet"):
        export_history(tmp_path / name)
        assert import_history(tmp_path / name) == 0


def test_a_run_that_is_there_is_left_as_it_is(history_store: Store, tmp_path: Path) -> None:
    add(history_store, process, a_process() | {"seen_at": now()})
    add(history_store, run, a_run("a", status="running"))
    export_history(tmp_path / "old.jsonl")
    with history_store.begin() as connection:
        connection.execute(run.update().values(status="completed"))
    assert import_history(tmp_path / "old.jsonl") == 0
    assert list(runs()["status"]) == ["completed"]


def test_a_store_without_content_takes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        seed(elsewhere(tmp_path / "with.sqlite"), runs=30)
        export_history(tmp_path / "all.parquet")
        monkeypatch.setenv("AGENTNB_HISTORY_CONTENT", "0")
        without = elsewhere(tmp_path / "without.sqlite")
        assert import_history(tmp_path / "all.parquet") == 30
        rows = everything(without)
        assert rows["content"] == rows["event_chunk"] == []
        assert rows["tool_call"]
        frame = history.tool_calls()
        assert frame["arguments"].isna().all()
        assert frame["result"].isna().all()
    finally:
        history.use(None)


def test_what_is_no_export_is_refused(history_store: Store, tmp_path: Path) -> None:
    seed(history_store, runs=3, events=False)
    line = json.dumps({"format": "agentnb.history/1", "run": a_run("x", process=None)})
    for text in ("nonsense", "[]", '{"run": 1}', json.dumps({"format": "other", "run": {}})):
        (tmp_path / "bad.jsonl").write_text(f"{line}\n\n{text}\n")
        with pytest.raises(HistoryError, match=r"Line 3 of .*bad.jsonl is no run"):
            import_history(tmp_path / "bad.jsonl")
    # A value of another type than any column takes.
    wrong = {"format": "agentnb.history/1", "run": a_run("y", process=None, title={"a": 1})}
    (tmp_path / "bad.jsonl").write_text(json.dumps(wrong))
    with pytest.raises(HistoryError):
        import_history(tmp_path / "bad.jsonl")
    (tmp_path / "bad.parquet").mkdir()
    for filled in (False, True):
        if filled:
            for table in TABLES:
                (tmp_path / "bad.parquet" / f"{table.name}.parquet").write_bytes(b"PAR1 nonsense")
        with pytest.raises(HistoryError, match=r"bad.parquet is no folder"):
            import_history(tmp_path / "bad.parquet")
    with pytest.raises(HistoryError, match=r"gone.jsonl cannot be read: No such file"):
        import_history(tmp_path / "gone.jsonl")
    with pytest.raises(HistoryError, match="cannot be written"):
        export_history(tmp_path / "no" / "folder.jsonl")
    with pytest.raises(HistoryError, match="cannot be opened"):
        export_history("nowhere://bucket/runs.parquet")
    for name in ("runs.csv", "runs"):
        with pytest.raises(RequestError, match=r"as .jsonl or .parquet"):
            export_history(tmp_path / name)
    assert len(runs()) == 3


@pytest.mark.parametrize(
    ("package", "path"), [("pyarrow", "runs.parquet"), ("fsspec", "memory://x/runs.jsonl")]
)
def test_a_missing_package_says_how_to_get_it(
    history_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, path: str
) -> None:
    seed(history_store, runs=1, events=False)
    monkeypatch.setitem(sys.modules, package, None)
    target = path if "://" in path else tmp_path / path
    for call in (export_history, import_history):
        with pytest.raises(
            HistoryError, match=rf"{package}.*pip install 'jupyter-agentnb\[parquet\]'"
        ):
            call(target)


def test_without_a_store_there_is_nothing_to_write(tmp_path: Path) -> None:
    history.use("off")
    try:
        with pytest.raises(HistoryError, match="History is off"):
            export_history(tmp_path / "runs.jsonl")
    finally:
        history.use(None)
