"""What a file says that anybody may have written: it is checked, and changes nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from agentnb import history
from agentnb.errors import HistoryError, HistoryWarning
from agentnb.event.serialization import encode
from agentnb.event.types import TextDelta
from agentnb.store.schema import event_chunk, process, run, tool_call
from agentnb.store.store import Store
from agentnb.store.transfer import export_history, import_history
from agentnb.tables.events import events
from agentnb.tables.runs import runs, tool_calls
from tests.history.rows import NOON, a_process, a_run, add
from tests.history.seeding import seed

Entry = dict[str, Any]


def an_entry(key: str = "k", **values: Any) -> Entry:
    """An entry as `export_history` writes it; ``values`` are of its run."""
    call = {"run": key, "position": 0, "call_id": "c", "name": "n", "status": "completed"}
    payload = encode([TextDelta("one"), TextDelta("two")], [0.0, 0.5])
    return {
        "format": "agentnb.history/1",
        "process": a_process(),
        "run": a_run(key, **values),
        "content": {"run": key, "prompt": "Hi", "request": "{}"},
        "event_chunk": [{"run": key, "first": 0, "count": 2, "payload": payload}],
        "tool_call": [call],
    }


def written(path: Path, *entries: Entry) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def test_a_run_brings_nothing_of_other_runs(history_store: Store, tmp_path: Path) -> None:
    add(history_store, process, a_process())
    add(history_store, run, a_run("mine"))
    hostile = an_entry("new")
    for row in (hostile["content"], *hostile["event_chunk"], *hostile["tool_call"]):
        row["run"] = "mine"
    assert import_history(written(tmp_path / "x.jsonl", hostile)) == 1
    assert set(tool_calls()["local_id"]) == set(events()["local_id"]) == {"new"}
    assert runs().set_index("local_id")["prompt"].dropna().to_dict() == {"new": "Hi"}


def test_without_content_no_error_of_a_tool_is_kept(history_store: Store, tmp_path: Path) -> None:
    entry = an_entry(error="The run failed.")
    entry["tool_call"][0] |= {"status": "failed", "error": "no 'private'", "arguments": "{}"}
    history_store.store_content = False
    assert import_history(written(tmp_path / "x.jsonl", entry)) == 1
    with history_store.connect() as connection:
        row = connection.execute(select(tool_call)).mappings().one()
    assert (row["error"], row["arguments"], row["result"]) == (None, None, None)
    assert runs()["error"].tolist() == ["The run failed."]


def of_run(**values: Any) -> Callable[[Entry], Any]:
    return lambda entry: entry["run"].update(values)


def of(name: str, **values: Any) -> Callable[[Entry], Any]:
    return lambda entry: (entry[name][0] if name in SEVERAL else entry[name]).update(values)


SEVERAL = ("event_chunk", "tool_call")
ODD_EVENT = '{"v":1,"at":"AAAAAAAA8D8=","events":[{"type":"text_delta","text":5}]}'
ODD_TIME = '{"v":1,"at":"AAAAAAAA8H8=","events":["x"]}'
WRONG: dict[str, Callable[[Entry], Any]] = {
    "run.started_at is no moment": of_run(started_at=9 * 10**18),
    "run.finished_at is no moment": of_run(finished_at=-1),
    "run.started_at is no whole number": of_run(started_at="hello"),
    "run.duration is no whole number": of_run(duration=1.5),
    "run.input_tokens is out of range": of_run(input_tokens=2**63),
    "run.tool_calls is out of range": of_run(tool_calls=2**31),
    "run.cost_usd is no number": of_run(cost_usd=True),
    "run.cost_usd is not finite": of_run(cost_usd=float("nan")),
    "run.cost_usd is out of range": of_run(cost_usd=10**400),
    "run.key is too long": of_run(key="x" * 33),
    "run.status is none of cancelled": of_run(status="\x1b[31mdone\u202e"),
    "run.source is none of both": of_run(source="elsewhere"),
    "tool_call.status is none of abandoned": of("tool_call", status="bad\x1b"),
    "run.status is missing": of_run(status=None),
    "run.agent is no text": of_run(agent={"a": 1}),
    "run.title has half": of_run(title="\udc00"),
    "its process is missing": of_run(process="other"),
    "process.pid is out of range": of("process", pid=2**40),
    "content.request is no JSON": of("content", request="[1]"),
    "content.request has params": of("content", request='{"params": [1]}'),
    "content.request has media": of("content", request='{"media": [1]}'),
    "content.remote is no JSON": of("content", remote="nonsense"),
    "content is no row": lambda entry: entry.update(content=5),
    "tool_call is no list": lambda entry: entry.update(tool_call=3),
    "tool_call.started is out": of("tool_call", started=2**63 - 1),
    "event_chunk.first is out": of("event_chunk", first=-1),
    "event_chunk.count is not": of("event_chunk", count=1),
    "stored events are damaged": of("event_chunk", payload='{"v":1}'),
    "a time that is none": of("event_chunk", payload=ODD_TIME, count=1),
}


@pytest.mark.parametrize("said", WRONG)
def test_a_value_that_no_store_holds_ends_it(
    history_store: Store, tmp_path: Path, said: str
) -> None:
    wrong = an_entry("wrong")
    WRONG[said](wrong)
    path = written(tmp_path / "x.jsonl", an_entry("right"), wrong)
    with pytest.raises(HistoryError, match=rf"Line 2 of .*x.jsonl is no run .*{said}") as caught:
        import_history(path)
    assert caught.value.message.isprintable()
    assert not caught.value.message.endswith("..")
    # Both would have been added at once, so neither is.
    assert runs().empty
    assert import_history(written(path, an_entry("right"))) == 1
    assert events()["text"].tolist() == ["one", "two"]


def test_an_event_that_its_constructor_refuses_is_kept_raw(
    history_store: Store, tmp_path: Path
) -> None:
    odd = an_entry("odd")
    of("event_chunk", payload=ODD_EVENT, count=1)(odd)
    assert import_history(written(tmp_path / "x.jsonl", odd)) == 1
    assert events()["type"].tolist() == ["raw_event"]


def test_a_folder_of_parquet_is_checked_too(history_store: Store, tmp_path: Path) -> None:
    add(history_store, process, a_process())
    add(history_store, run, a_run("old", started_at=-NOON))
    export_history(tmp_path / "x.parquet")
    with history_store.begin() as connection:
        connection.execute(run.delete())
    with pytest.raises(HistoryError, match=r"The run 'old' in .*x.parquet is no run .*no moment"):
        import_history(tmp_path / "x.parquet")


@pytest.mark.parametrize("name", ["runs.jsonl", "runs.parquet"])
def test_an_export_that_fails_leaves_what_was_there(
    tmp_path: Path, name: str, new_file: Path
) -> None:
    history.use(tmp_path / "runs.sqlite")
    try:
        from agentnb.store.store import store

        opened = store(required=True)
        seed(opened, runs=30, events=False)
        export_history(tmp_path / name)
        seed(opened, runs=5, seed=1, events=False)

        def there() -> dict[str, bytes]:
            found = tmp_path / name
            files = [found] if found.is_file() else sorted(found.iterdir())
            return {file.name: file.read_bytes() for file in files}

        before = there()
        with opened.begin() as connection:
            last = "(SELECT max(key) FROM run)"
            connection.exec_driver_sql(f"UPDATE run SET title = x'ff00' WHERE key = {last}")
        with pytest.raises(Exception, match=r"."):
            export_history(tmp_path / name)
        assert there() == before
        assert not list(tmp_path.glob(".*"))
    finally:
        history.use(None)
    history.use(tmp_path / "again.sqlite")
    try:
        assert import_history(tmp_path / name) == 30
    finally:
        history.use(None)


def test_events_that_cannot_be_read_cost_only_themselves(history_store: Store) -> None:
    add(history_store, process, a_process())
    good = encode([TextDelta("good")], [0.0])
    for key, payload in (("bad", "nonsense"), ("good", good)):
        add(history_store, run, a_run(key))
        add(history_store, event_chunk, {"run": key, "first": 0, "count": 1, "payload": payload})
    with pytest.warns(HistoryWarning, match="run bad cannot be read"):
        assert events()["text"].tolist() == ["good"]
    with pytest.warns(HistoryWarning, match="run bad cannot be read"):
        assert history.load("bad").status == "completed"
    assert history.load("good").text == "good"
