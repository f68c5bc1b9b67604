"""What a platform tells of runs, merged with what was recorded of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from agentnb.platforms.base import RemoteRun
from agentnb.store.schema import content, run
from agentnb.store.store import Store
from agentnb.store.values import platform_key, to_micros
from agentnb.synchronization.merge import ListedRun, listed_run, write_listed

BEGAN = datetime(2026, 5, 6, 10, tzinfo=UTC)


def remote(run_id: str = "r1", **fields: Any) -> RemoteRun:
    told: dict[str, Any] = {
        "status": "completed",
        "agent": "a",
        "session_id": "s",
        "created_at": BEGAN,
        "started_at": BEGAN,
        "finished_at": BEGAN + timedelta(seconds=30),
        "model": "m",
        "output": "The whole answer.",
        "raw": {"id": run_id, "input": "Why?", "metrics": {"totalTokens": 9, "costUsd": 0.25}},
    }
    return RemoteRun(id=run_id, **{**told, **fields})


def entry(run_id: str = "r1", **fields: Any) -> ListedRun:
    return listed_run("p", remote(run_id, **fields), store_content=True)


def record(store: Store, key: str, *, text: str | None = None, **fields: Any) -> None:
    """Write the row of a run that was recorded here."""
    known: dict[str, Any] = {
        "key": key,
        "source": "recorded",
        "platform": "p",
        "run_id": "r1",
        "status": "completed",
        "started_at": to_micros(BEGAN),
    }
    with store.begin() as connection:
        connection.execute(store.insert(run), {**known, **fields})
        texts = {"run": key, "prompt": "Why?", "text": text, "request": "{}"}
        connection.execute(store.insert(content), texts)


def rows(store: Store) -> list[dict[str, Any]]:
    joined = select(run, content).join(content, content.c.run == run.c.key).order_by(run.c.key)
    with store.connect() as connection:
        return [dict(row) for row in connection.execute(joined).mappings()]


def test_a_new_run(history_store: Store) -> None:
    assert write_listed(history_store, [entry()]) == ["added"]
    (row,) = rows(history_store)
    assert row["key"] == platform_key("p", "r1")
    assert (row["source"], row["status"], row["agent"], row["model"]) == (
        *("platform", "completed"),
        *("a", "m"),
    )
    assert (row["started_at"], row["duration"]) == (to_micros(BEGAN), 30_000_000)
    assert (row["total_tokens"], row["cost_usd"]) == (9, 0.25)
    assert (row["prompt"], row["text"]) == ("Why?", "The whole answer.")
    assert json.loads(row["remote"]) == remote().raw
    assert row["pulled_at"] > row["started_at"]
    assert write_listed(history_store, [entry()]) == ["unchanged"]
    assert rows(history_store) == [row]


def test_a_pulled_run_follows_its_platform(history_store: Store) -> None:
    going = entry(status="running", finished_at=None, output=None, raw={"id": "r1"})
    write_listed(history_store, [going])
    assert write_listed(history_store, [entry()]) == ["updated"]
    (row,) = rows(history_store)
    assert (row["status"], row["total_tokens"], row["duration"]) == ("completed", 9, 30_000_000)
    assert row["text"] == "The whole answer."


def test_what_was_recorded_counts(history_store: Store) -> None:
    record(history_store, "k" * 32, text="Mine.", total_tokens=5, duration=7, model=None)
    assert write_listed(history_store, [entry()]) == ["updated"]
    (row,) = rows(history_store)
    assert (row["key"], row["source"]) == ("k" * 32, "both")
    assert (row["total_tokens"], row["duration"], row["text"]) == (5, 7, "Mine.")
    assert (row["model"], row["cost_usd"], row["request"]) == ("m", 0.25, "{}")


def test_an_end_that_was_not_seen(history_store: Store) -> None:
    record(
        history_store,
        "k" * 32,
        text="The whole",
        status="truncated",
        error="The stream broke off.",
        error_class="StreamCutError",
        duration=7,
    )
    still = entry(status="running", finished_at=None, output=None)
    write_listed(history_store, [still])
    assert rows(history_store)[0]["status"] == "truncated"
    write_listed(history_store, [entry()])
    (row,) = rows(history_store)
    assert (row["status"], row["error"], row["error_class"]) == ("completed", None, None)
    assert (row["duration"], row["text"]) == (30_000_000, "The whole answer.")


def test_an_end_whose_moment_nobody_tells(history_store: Store) -> None:
    known = {"finished_at": to_micros(BEGAN) + 7, "duration": 7, "status": "truncated"}
    record(history_store, "k" * 32, text="The whole", error="It broke off.", **known)
    untold = entry(created_at=None, started_at=None, finished_at=None)
    assert write_listed(history_store, [untold]) == ["updated"]
    (row,) = rows(history_store)
    assert (row["status"], row["error"]) == ("completed", None)
    assert (row["finished_at"], row["duration"]) == (to_micros(BEGAN) + 7, 7)


def test_what_the_platform_does_not_tell_stays(history_store: Store) -> None:
    record(history_store, "k" * 32, text="", model="mine")
    untold = entry(output=None, raw={"id": "r1"})
    write_listed(history_store, [untold])
    (row,) = rows(history_store)
    assert (row["prompt"], row["text"], row["model"]) == ("Why?", "", "mine")
    # And what it tells later, of an answer that is not the one that was seen.
    write_listed(history_store, [entry(output="The whole answer.")])
    write_listed(history_store, [entry(output="Another one.", raw={"id": "r1", "input": "What?"})])
    (row,) = rows(history_store)
    assert (row["prompt"], row["text"]) == ("Why?", "The whole answer.")
    assert json.loads(row["remote"])["input"] == "What?"


def test_an_end_that_was_seen_stays(history_store: Store) -> None:
    record(history_store, "k" * 32, text="", status="failed", error="It broke here.")
    write_listed(history_store, [entry(error="Something else.")])
    (row,) = rows(history_store)
    assert (row["status"], row["error"]) == ("failed", "It broke here.")


def test_one_that_was_pulled_before_it_was_known_to_be_ours(history_store: Store) -> None:
    write_listed(history_store, [entry(), entry("r2")])
    record(history_store, "k" * 32, text="Mine.")
    assert write_listed(history_store, [entry(), entry("r2")]) == ["updated", "unchanged"]
    assert [(row["run_id"], row["source"]) for row in rows(history_store) if row["key"][0] == "k"]
    assert {(row["run_id"], row["source"]) for row in rows(history_store)} == {
        ("r1", "both"),
        ("r2", "platform"),
    }


def test_text_that_no_database_takes(history_store: Store) -> None:
    odd = "half \ud800 and \0"
    told = entry(output=odd, error=odd, raw={"id": "r1", "input": odd, "deep": [{"x": odd}]})
    assert write_listed(history_store, [told]) == ["added"]
    (row,) = rows(history_store)
    assert row["text"] == row["prompt"] == "half \ufffd and \ufffd"
    assert write_listed(history_store, [told]) == ["unchanged"]


def test_secrets_in_an_entry(history_store: Store) -> None:
    headers = {"Authorization": "Bearer of-somebody-else", "accept": "text/plain"}
    raw = {"tools": [{"type": "mcp", "headers": headers}], "metadata": {"api_key": "not-ours"}}
    write_listed(history_store, [entry(raw={"id": "r1", **raw, "max_tokens": 5})])
    (row,) = rows(history_store)
    kept = json.loads(row["remote"])
    assert kept["tools"][0]["headers"] == {"Authorization": "***", "accept": "text/plain"}
    assert kept["metadata"] == {"api_key": "***"}
    assert kept["max_tokens"] == 5
    assert "somebody" not in str(row)


def test_usage_that_says_nothing() -> None:
    none = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert entry(raw={"usage": none}).row["total_tokens"] is None
    assert entry(raw={"usage": {**none, "total_tokens": -1}}).row["total_tokens"] is None
    assert entry(raw={"inputTokens": 3}).row["input_tokens"] == 3


def test_times_that_make_no_sense() -> None:
    told = entry(finished_at=BEGAN - timedelta(days=1))
    assert told.row["duration"] == 0
    unknown = entry(created_at=None, started_at=None)
    assert unknown.row["duration"] is None
    assert unknown.row["started_at"] > to_micros(BEGAN)


def test_no_content() -> None:
    raw = {
        "id": "r1",
        "agentId": "a",
        "createdAt": "2026-05-06T10:00:00Z",
        "instructions": "secret",
        "input": "secret",
        "metadata": {"note": "secret"},
        "tools": ["secret"],
        "usage": {"totalTokens": 3},
        "temperature": 0.5,
        "status": "completed",
        "is_active": False,
        "session_id": "secret " * 30,
    }
    kept = listed_run("p", remote(raw=raw), store_content=False)
    assert (kept.prompt, kept.text) == (None, None)
    assert set(json.loads(kept.remote)) == {
        *("id", "agentId", "createdAt", "usage", "temperature", "status", "is_active"),
    }
