"""Files that the first edition wrote are read by this one."""

from __future__ import annotations

import shutil
import sqlite3
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import agentnb
from agentnb import history
from agentnb.recording.base_run import BaseRun
from agentnb.store import recent
from agentnb.store.recent import recent_runs
from agentnb.store.stored_run import read_export

FILES = Path(__file__).parent.parent / "fixtures" / "first_edition"
PROMPTS = ["say hello to the world", "break", "one two", "three"]


@pytest.fixture(autouse=True)
def restore_history(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(recent, "_runs", deque[BaseRun]())
    yield
    history.use(None)


def check_table(table: pd.DataFrame) -> None:
    assert list(table["prompt"]) == PROMPTS
    assert list(table["status"]) == ["completed", "failed", "completed", "completed"]
    assert list(table["text"]) == ["SAY HELLO TO THE WORLD ", "", "ONE TWO ", "THREE "]
    assert table["error_class"][1] == "ValueError"


def test_store(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript((FILES / "store.sql").read_text("utf-8"))
    connection.close()
    history.use(path)
    table = agentnb.runs(order="started_at")
    check_table(table)
    run = history.load(table["run_id"][0])
    assert run.text == "SAY HELLO TO THE WORLD "
    assert run.events[0].type == "run_started"
    assert list(history.query("SELECT prompt FROM runs ORDER BY started_at")["prompt"]) == PROMPTS


@pytest.mark.parametrize("name", ["history.jsonl", "history.parquet"])
def test_exported_history(name: str, tmp_path: Path) -> None:
    history.use(tmp_path / "history.sqlite")
    assert history.import_history(FILES / name) == len(PROMPTS)
    check_table(agentnb.runs(order="started_at"))


def test_exported_run() -> None:
    run = read_export(FILES / "run.json")
    assert (run.prompt, run.status) == (PROMPTS[0], "completed")
    assert run.text == "SAY HELLO TO THE WORLD "
    assert run.duration is not None


def test_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "map.sqlite"
    shutil.copy(FILES / "checkpoint.sqlite", path)
    history.use("off")
    prompts = ["one two", "three", "four"]
    table = agentnb.agent("sandbox:echo").map(prompts, checkpoint=path, progress=False)
    assert list(table["status"]) == ["completed"] * 3
    assert len(recent_runs()) == 1


def test_cassette() -> None:
    history.use("off")
    with agentnb.playback(FILES / "cassette.jsonl"):
        run = agentnb.agent("sandbox:echo").run("hello")
    assert run.status == "completed"
    assert run.text
