"""A recorded run shown again: the same events at the same times, asked of nobody."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import agentnb
from agentnb.errors import HistoryError, RequestError, UnsupportedError
from agentnb.event.types import (
    ApprovalRequested,
    ReasoningDelta,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
)
from agentnb.platforms.base import RunRequest
from agentnb.render import to_html, to_text
from agentnb.store.record import RunRecord
from agentnb.store.stored_run import StoredRun
from agentnb.store.values import to_micros
from tests.played import STARTED, Batches, PlayedPlatform, Script, player, until

SENT = datetime(2026, 1, 2, tzinfo=UTC)


async def answer(request: RunRequest) -> Batches:
    yield [STARTED, ReasoningDelta("Let me see. ")]
    yield [ToolCallStarted(call_id="c1", name="quote", arguments='{"of": "NVDA"}')]
    yield [ToolCallFinished(call_id="c1", result="182.1")]
    yield [TextDelta("It is "), TextDelta("182.10.")]
    yield [RunFinished()]


async def pausing(request: RunRequest) -> Batches:
    yield [STARTED, TextDelta("May I"), ApprovalRequested(approval_id="a1", message="May I?")]


async def failing(request: RunRequest) -> Batches:
    yield [STARTED, TextDelta("So far")]
    raise ValueError("the tool broke")


def same(replay: agentnb.Run, run: agentnb.Run | StoredRun) -> None:
    """Compare all that is told of two runs but the ids that agentnb itself gave them."""
    told, known = replay.to_dict(), run.to_dict()
    del told["local_id"], known["local_id"]
    assert told == known


@pytest.mark.parametrize("script", [answer, pausing, failing])
@pytest.mark.parametrize("speed", [0, math.inf, 50])
def test_a_run_is_shown_again_exactly(script: Script, speed: float) -> None:
    platform = PlayedPlatform(script)
    run = player(platform).run("How much?", check=False)
    runs = agentnb.history.recent_runs()
    replay = agentnb.replay(run, speed=speed).wait(check=False)
    same(replay, run)
    assert replay.time_to_first_token == run.time_to_first_token
    assert len(platform.requests) == 1
    assert agentnb.history.recent_runs() == runs
    assert not replay.durable


def test_a_run_of_this_process_is_found_by_its_ids() -> None:
    run = player(PlayedPlatform(answer)).run("How much?")
    for name in (run.id, run.local_id):
        same(agentnb.replay(name, speed=0).wait(), run)


def test_an_exported_run_is_shown_again(tmp_path: Path) -> None:
    run = player(PlayedPlatform(failing)).run("How \ud800much?", check=False)
    path = run.export(tmp_path / "run.json")
    for name in (path, str(path)):
        replay = agentnb.replay(name, speed=0).wait(check=False)
        assert replay.events == run.events
        assert replay.event_times == run.event_times
        assert (replay.status, replay.duration) == ("failed", run.duration)
    (tmp_path / "none.json").write_text("{}", encoding="utf-8")
    with pytest.raises(HistoryError, match=r"none\.json holds no exported run"):
        agentnb.replay(tmp_path / "none.json")
    with pytest.raises(HistoryError, match=r"missing\.json cannot be read"):
        agentnb.replay("missing.json")


def stored(*times: float) -> StoredRun:
    events = [RunStarted(run_id="r1"), *(TextDelta(f"{at:g} ") for at in times), RunFinished()]
    return StoredRun(record("completed", prompt="Hello"), events, [0.0, *times, times[-1]])


def record(status: str, *, prompt: str) -> RunRecord:
    return RunRecord(
        key="0" * 32,
        source="recorded",
        platform="acme",
        agent="a",
        title="a",
        prompt=prompt,
        status=status,
        started_at=to_micros(SENT),
    )


def test_it_goes_at_the_recorded_pace() -> None:
    # Ten minutes apart: at this speed the second comes at once, the third not while this waits.
    run = agentnb.replay(stored(1.0, 600.0, 1e9), speed=1e4)
    until(lambda: run.text == "1 600 ")
    assert run.event_times == (0.0, 1.0, 600.0)
    # Between two batches it shows how far it has come.
    until(lambda: run.elapsed > 700)
    assert not run.done
    run.cancel()
    assert run.wait(check=False).status == "cancelled"
    assert run.text == "1 600 "
    assert run.duration is not None
    assert run.duration > 700


def test_what_is_shown_again_answers_nothing() -> None:
    run = player(PlayedPlatform(pausing)).run("Buy?")
    replay = agentnb.replay(run, speed=0).wait()
    assert replay.status == "paused"
    assert "run.approve()" not in replay.to_markdown()
    with pytest.raises(UnsupportedError, match="played does not take decisions"):
        replay.approve()


def test_a_recording_without_an_end_says_so() -> None:
    events = [RunStarted(run_id="r1"), TextDelta("So far")]
    going_on = StoredRun(record("running", prompt="Hello"), events, [0.1, 0.2])
    assert not going_on.done
    replay = agentnb.replay(going_on, speed=0).wait(check=False)
    assert replay.status == "truncated"
    assert replay.text == "So far"
    assert isinstance(replay.events[-1], RunFailed)


@pytest.mark.parametrize("speed", [-1.0, math.nan, "fast", None, True])
def test_a_speed_is_a_number_from_0_on(speed: Any) -> None:
    with pytest.raises(RequestError, match="A speed is a number"):
        agentnb.replay(stored(1.0), speed=speed)


def test_the_view_says_that_it_is_a_replay() -> None:
    run = player(PlayedPlatform(answer)).run("How much?")
    replay = agentnb.replay(run, speed=0).wait()
    said = f"Replay of a run of {run.created_at:%Y-%m-%d %H:%M:%S} UTC."
    assert replay.view().notice == said
    for text in (to_text(replay.view()), to_html(replay.view())):
        assert said in str(text)
    assert run.view().notice is None


def test_a_run_that_was_kept_without_its_texts_says_so() -> None:
    kept = StoredRun(record("completed", prompt=""), [STARTED, RunFinished()], [0.0, 1.0])
    replay = agentnb.replay(kept, speed=0).wait()
    notice = replay.view().notice
    assert notice is not None
    assert notice.endswith("Its prompt and answer were not kept.")
    assert (replay.text, replay.events) == ("", kept.events)
