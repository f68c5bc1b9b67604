"""Runs as a table, which has the same columns and dtypes whatever is in it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import agentnb
from agentnb import history
from agentnb.errors import RequestError
from agentnb.event.types import (
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from agentnb.platforms.base import RunRequest
from agentnb.store import recent
from agentnb.tables.columns import (
    DURATION,
    EVENT_COLUMNS,
    REMOTE_COLUMNS,
    RUN_COLUMNS,
    SESSION_COLUMNS,
    TIMESTAMP,
    TOOL_CALL_COLUMNS,
)
from tests.played import LONG, Batches, PlayedPlatform, player, until


@pytest.fixture(autouse=True, params=["in a store", "without one"])
def forgotten(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """No run but those of the test."""
    kept = list(recent._runs)  # pyright: ignore[reportPrivateUsage]
    recent._runs.clear()  # pyright: ignore[reportPrivateUsage]
    history.use("off" if request.param == "without one" else tmp_path / "runs.sqlite")
    yield
    history.flush()
    history.use(None)
    recent._runs.clear()  # pyright: ignore[reportPrivateUsage]
    recent._runs.extend(kept)  # pyright: ignore[reportPrivateUsage]


async def full(request: RunRequest) -> Batches:
    yield [RunStarted(run_id=f"run of {request.prompt}", session_id="s1", model="m-1")]
    await asyncio.sleep(0.02)
    yield [
        TextDelta("Hello "),
        ToolCallStarted(call_id="c", name="look"),
        ToolCallFinished(call_id="c", result="1"),
        TextDelta("there"),
    ]
    usage = Usage(
        input_tokens=10,
        output_tokens=5,
        total_tokens=15,
        cached_tokens=4,
        reasoning_tokens=2,
        cost_usd=0.00025,
    )
    yield [UsageReported(usage=usage), RunFinished()]


async def bare(request: RunRequest) -> Batches:
    yield [RunFinished()]


async def failing(request: RunRequest) -> Batches:
    yield [RunFailed(message="It broke.", code="E7")]


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def row(frame: pd.DataFrame, index: int = 0) -> dict[str, Any]:
    return {str(k): None if pd.isna(v) else v for k, v in frame.iloc[index].items()}


def test_without_any_run() -> None:
    frame = agentnb.runs()
    assert len(frame) == 0
    assert dtypes(frame) == RUN_COLUMNS
    assert list(frame.columns) == list(RUN_COLUMNS)


def test_with_runs_of_every_kind_it_has_the_same_form() -> None:
    for script in (full, bare, failing):
        player(PlayedPlatform(script)).run("q", check=False)
        assert dtypes(agentnb.runs()) == RUN_COLUMNS
    frame = agentnb.runs()
    assert list(frame["status"]) == ["failed", "completed", "completed"]
    # Also where every value of a column is missing.
    assert dtypes(agentnb.runs(status="failed")) == RUN_COLUMNS
    # And the categories of a column, so that tables can be put together.
    empty = agentnb.runs(status="interrupted")
    for name, dtype in RUN_COLUMNS.items():
        if dtype == "category":
            assert str(empty[name].cat.categories.dtype) == "string"
            assert str(frame[name].cat.categories.dtype) == "string"


def test_a_whole_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTNB_USER", "tester")
    before = datetime.now(UTC)
    run = player(PlayedPlatform(full)).run("q")
    found = row(agentnb.runs())
    assert run.duration is not None
    assert run.time_to_first_token is not None
    assert before <= found["started_at"] <= datetime.now(UTC)
    assert found["started_at"] == run.created_at
    assert abs(found["duration"] - timedelta(seconds=run.duration)) < timedelta(microseconds=2)
    assert found["duration"] >= found["time_to_first_token"] >= timedelta(seconds=0.015)
    assert {k: v for k, v in found.items() if RUN_COLUMNS[k] not in (TIMESTAMP, DURATION)} == {
        "run_id": "run of q",
        "session_id": "s1",
        "platform": "played",
        "agent": "player",
        "model": "m-1",
        "user_name": "tester",
        "status": "completed",
        "prompt": "q",
        "text": "Hello there",
        "refusal": None,
        "state": None,
        "input_tokens": 10,
        "output_tokens": 5,
        "total_tokens": 15,
        "cached_tokens": 4,
        "reasoning_tokens": 2,
        "cost_usd": 0.00025,
        "cost_source": "platform",
        "tool_calls": 1,
        "tool_errors": 0,
        "reconnects": 0,
        "error": None,
        "error_code": None,
        "error_class": None,
        "source": "recorded",
        "local_id": run.local_id,
        **{name: None for name in REMOTE_COLUMNS if RUN_COLUMNS[name] not in (TIMESTAMP, DURATION)},
    }
    assert found["finished_at"] == found["started_at"] + found["duration"]


def test_what_was_not_reported_is_missing_not_zero() -> None:
    player(PlayedPlatform(bare)).run("q")
    found = row(agentnb.runs())
    absent = {name for name, value in found.items() if value is None}
    assert absent == {
        "session_id",
        "model",
        "refusal",
        "state",
        "time_to_first_token",
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "cached_tokens",
        "reasoning_tokens",
        "cost_usd",
        "cost_source",
        "error",
        "error_code",
        "error_class",
        *REMOTE_COLUMNS,
    }
    assert found["text"] == ""
    assert found["tool_calls"] == 0


def test_a_failure() -> None:
    player(PlayedPlatform(failing)).run("q", check=False)
    found = row(agentnb.runs())
    assert (found["status"], found["error"], found["error_code"]) == ("failed", "It broke.", "E7")


def test_a_run_that_goes_on() -> None:
    async def endless(request: RunRequest) -> Batches:
        yield [TextDelta("so far")]
        await asyncio.sleep(60)

    run = player(PlayedPlatform(endless)).start("q")
    until(lambda: run.text)
    found = row(agentnb.runs())
    assert (found["status"], found["text"], found["duration"]) == ("running", "so far", None)
    run.cancel()
    run.wait(LONG, check=False)
    found = row(agentnb.runs())
    assert found["status"] == "cancelled"
    assert found["duration"] is not None


def test_the_newest_comes_first_and_filters_keep_the_order() -> None:
    agent = player(PlayedPlatform(full))
    for prompt in ("one", "two", "three"):
        agent.run(prompt)
    agentnb.agent(len).run("four", check=False)  # it gives a number, which is no answer

    def asked(**filters: Any) -> list[str]:
        return list(agentnb.runs(**filters)["prompt"])

    assert asked() == ["four", "three", "two", "one"]
    assert asked(agent="player") == ["three", "two", "one"]
    assert asked(agent="played:player") == ["three", "two", "one"]
    assert asked(agent=agent) == ["three", "two", "one"]
    assert asked(agent=["played:player", "len"], limit=2) == ["four", "three"]
    assert asked(agent="player", order="prompt") == ["one", "three", "two"]
    assert asked(order="started_at", limit=1) == ["one"]
    assert asked(agent="local:player") == []
    assert asked(agent="len") == ["four"]
    assert asked(status="failed") == ["four"]
    assert asked(status="completed", agent="len") == []


def test_it_can_be_calculated_with() -> None:
    agent = player(PlayedPlatform(full))
    for prompt in ("one", "two"):
        agent.run(prompt)
    player(PlayedPlatform(bare)).run("three")
    frame = agentnb.runs()
    assert frame["total_tokens"].sum() == 30
    assert frame["cost_usd"].mean() == pytest.approx(0.00025)
    assert frame["duration"].dt.total_seconds().sum() > 0.03
    assert frame.groupby("agent", observed=True)["total_tokens"].sum().to_dict() == {"player": 30}
    assert frame["started_at"].dt.tz_convert("Europe/Berlin").notna().all()


def test_text_that_is_none_and_numbers_that_are_too_large() -> None:
    async def odd(request: RunRequest) -> Batches:
        yield [RunStarted(model="m\udc00"), TextDelta("half \ud83d of it")]
        yield [UsageReported(usage=Usage(total_tokens=2**70, input_tokens=2**63 - 1))]
        yield [RunFinished()]

    player(PlayedPlatform(odd)).run("q \udc00")
    frame = agentnb.runs()
    assert dtypes(frame) == RUN_COLUMNS
    found = row(frame)
    assert found["text"] == "half \ufffd of it"
    assert found["model"] == "m\ufffd"
    assert found["total_tokens"] is None
    assert found["input_tokens"] == 2**63 - 1
    # It can be written, as pandas with Arrow keeps it from the start.
    assert frame.to_csv().encode()


def test_the_events_of_a_run() -> None:
    run = player(PlayedPlatform(full)).run("q")
    player(PlayedPlatform(bare)).run("another")
    for same in (run, run.id, run.local_id, [run]):
        frame = agentnb.events(run=same)
        assert dtypes(frame) == EVENT_COLUMNS
        assert list(frame["type"]) == [event.type for event in run.events]
    assert list(frame["position"]) == list(range(len(run.events)))
    assert list(frame["at"]) == [
        pd.Timedelta(microseconds=round(at * 1_000_000)) for at in run.event_times
    ]
    assert list(frame["time"]) == [run.created_at + at for at in frame["at"]]
    assert set(frame["run_id"]) == {run.id}
    assert set(frame["local_id"]) == {run.local_id}
    texts = agentnb.events(run=run, type="text_delta")["text"]
    assert list(texts) == ["Hello ", "there"]
    call = row(agentnb.events(run=run, type=["tool_call_finished"]))
    assert (call["call_id"], call["text"]) == ("c", "1")
    reported = row(agentnb.events(run=run, type="usage_reported"))
    assert json.loads(reported["data"])["usage"]["cached_tokens"] == 4
    assert len(agentnb.events()) == len(run.events) + 1
    # The newest run first, each in its own order.
    assert list(agentnb.events(limit=2)["type"]) == ["run_finished", "run_started"]
    assert dtypes(agentnb.events(agent="nobody")) == EVENT_COLUMNS


def test_the_tool_calls_of_runs() -> None:
    run = player(PlayedPlatform(full)).run("q")
    frame = agentnb.tool_calls()
    assert dtypes(frame) == TOOL_CALL_COLUMNS
    found = row(frame)
    assert {
        name: found[name] for name in ("run_id", "session_id", "position", "call_id", "name")
    } == {"run_id": run.id, "session_id": "s1", "position": 0, "call_id": "c", "name": "look"}
    assert (found["status"], found["result"], found["error"]) == ("completed", "1", None)
    assert found["duration"] == pd.Timedelta(0)
    assert found["started_at"] > run.created_at
    assert len(agentnb.tool_calls(name="look", run=run)) == 1
    nothing = agentnb.tool_calls(name="hear")
    assert len(nothing) == 0
    assert dtypes(nothing) == TOOL_CALL_COLUMNS


def test_sessions_are_runs_together() -> None:
    assert dtypes(agentnb.sessions()) == SESSION_COLUMNS
    agent = player(PlayedPlatform(full))
    first, last = agent.run("one"), agent.run("two")
    player(PlayedPlatform(bare)).run("in no session")
    frame = agentnb.sessions()
    assert dtypes(frame) == SESSION_COLUMNS
    assert len(frame) == 1
    found = row(frame)
    assert (found["session_id"], found["platform"], found["agent"]) == ("s1", "played", "player")
    assert (found["runs"], found["first_prompt"], found["last_prompt"]) == (2, "one", "two")
    assert (found["started_at"], found["last_at"]) == (first.created_at, last.created_at)
    assert (found["status"], found["total_tokens"]) == ("completed", 30)
    assert found["cost_usd"] == pytest.approx(0.0005)


def test_the_latest_runs_are_kept() -> None:
    agent = player(PlayedPlatform(bare))
    assert agentnb.last_run() is None
    assert history.recent_runs() == []
    runs = [agent.run(str(n)) for n in range(3)]
    assert history.recent_runs() == runs
    assert agentnb.last_run() is runs[-1]
    for _ in range(1_000):
        history.remember(runs[0])
    assert len(history.recent_runs()) == 1_000


def test_misspelt_names_are_refused() -> None:
    agent = player(PlayedPlatform(full))
    assert len(agentnb.runs(agent="finance_agent")) == 0
    agent.run("one")
    for table in (agentnb.runs, agentnb.tool_calls, agentnb.events, agentnb.sessions):
        read: Any = table
        with pytest.raises(RequestError, match=r"no platform 'seekrr'.*Did you mean 'seekr'"):
            read(platform="seekrr")
        with pytest.raises(RequestError, match="no platform 'plaid'"):
            read(platform=["played", "plaid"])
        with pytest.raises(RequestError, match=r"agent 'playr' is known.*Did you mean 'player'"):
            read(agent="playr")
        with pytest.raises(RequestError, match="Did you mean 'played:player'"):
            read(agent="played:playr")
        # What is known here has not run, what has run is known by its runs.
        for filters in ({"platform": "seekr"}, {"agent": "nobody"}, {"agent": "player2"}):
            assert len(read(**filters)) == 0
        for filters in ({"platform": "played"}, {"agent": "player"}):
            assert len(read(**filters)) > 0
            assert len(read(**filters, status="paused")) == 0
    with pytest.raises(RequestError, match="no platform 'seekrr'"):
        agentnb.usage(platform="seekrr")
    with pytest.raises(RequestError, match="Did you mean 'player'"):
        agentnb.usage((), agent="playr")
    assert agentnb.usage("agent", agent="player")["runs"].tolist() == [1]


def test_usage_is_grouped_by_the_names_of_the_filters() -> None:
    player(PlayedPlatform(full)).run("one")
    by_user, by_session = agentnb.usage(by="user"), agentnb.usage(by="session")
    assert next(iter(by_user)) == "user_name"
    assert by_session["session_id"].tolist() == ["s1"]
    assert by_session.equals(agentnb.usage(by=["session_id", "session"]))
    with pytest.raises(RequestError, match="Did you mean 'session'"):
        agentnb.usage(by="sesion")
    from agentnb import charts

    for by in ("user", "session"):
        assert charts.usage(agentnb.runs(), by=by).to_dict()
        assert charts.usage(agentnb.usage([by, "day"]), by=by).to_dict()
