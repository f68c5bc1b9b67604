"""A run as the store gives it back: the same run, to be read, shown, exported and replayed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import agentnb
from agentnb import history
from agentnb.errors import HistoryError, RequestError
from agentnb.event.types import (
    ApprovalRequested,
    FollowupsSuggested,
    RawEvent,
    ReasoningDelta,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from agentnb.platforms.base import Capabilities, Media, MediaSupport, RunRequest
from agentnb.recording.base_run import BaseRun
from agentnb.render import to_html
from agentnb.store.recorder import flush
from agentnb.store.schema import content, event_chunk, run
from agentnb.store.store import Store
from agentnb.store.stored_run import StoredRun
from tests.played import STARTED, Batches, PlayedPlatform, player, until

LONG = 30.0


@pytest.fixture(autouse=True)
def written(history_store: Store) -> Iterator[None]:
    """Everything is written before the store is closed."""
    yield
    assert flush(LONG)


async def full(request: RunRequest) -> Batches:
    yield [RunStarted(run_id=f"run of {request.prompt}", session_id="s1", model="m-1")]
    await asyncio.sleep(0.01)
    yield [ReasoningDelta("Let me see.", "p")]
    yield [
        TextDelta("Hello \ud83d"),
        ToolCallStarted(call_id="c", name="look", arguments='{"at": 1}'),
        ToolCallFinished(call_id="c", result="1"),
        ToolCallStarted(call_id="d", name="fail"),
        ToolCallFinished(call_id="d", error="no"),
        TextDelta("there"),
    ]
    usage = Usage(input_tokens=10, output_tokens=5, total_tokens=15, cost_usd=0.25)
    yield [UsageReported(usage=usage), RawEvent(name="odd", data="{}")]
    yield [FollowupsSuggested(followups=("And?",)), RunFinished(details={"x": [1, None]})]


async def pausing(request: RunRequest) -> Batches:
    yield [STARTED, TextDelta("May I"), ApprovalRequested(approval_id="a1", message="May I?")]


async def failing(request: RunRequest) -> Batches:
    yield [STARTED, TextDelta("So far")]
    raise ValueError("the tool broke")


async def endless(request: RunRequest) -> Batches:
    yield [STARTED, TextDelta("On and on")]
    await asyncio.Event().wait()


def told(run: BaseRun) -> dict[str, Any]:
    return {**run.to_dict(), "session": run.request.session_id}


@pytest.mark.parametrize("script", [full, failing])
def test_a_run_comes_back_as_it_was(history_store: Store, script: Any, tmp_path: Path) -> None:
    recorded = player(PlayedPlatform(script)).run("Hi", session="s1", temperature=0.5, check=False)
    stored = history.load(recorded.local_id)
    assert isinstance(stored, StoredRun)
    assert told(stored) == told(recorded)
    assert stored.events == recorded.events
    assert stored.event_times == recorded.event_times
    assert stored.duration == recorded.duration
    assert stored.time_to_first_token == recorded.time_to_first_token
    assert stored.done
    assert stored.request.params == {"temperature": 0.5}
    assert to_html(stored.view()) == to_html(recorded.view())
    assert repr(stored).startswith("<StoredRun played:player ")
    exported = stored.export(tmp_path / "run.json")
    assert agentnb.replay(exported, speed=0).wait(check=False).events == recorded.events


def test_it_is_found_by_the_platforms_id_the_newest_of_several(history_store: Store) -> None:
    agent = player(PlayedPlatform(full))
    agent.run("Hi")
    newer = agent.run("Hi")
    assert newer.id == "run of Hi"
    assert history.load("run of Hi").local_id == newer.local_id
    with pytest.raises(HistoryError, match=r"The history has no run 'nothing'"):
        history.load("nothing")


def test_a_paused_run_stays_paused(history_store: Store) -> None:
    able = Capabilities(approvals=True)
    recorded = player(PlayedPlatform(pausing, capabilities=able)).run("Buy?")
    stored = history.load(recorded.local_id)
    assert stored.status == "paused"
    assert stored.done
    assert stored.duration == pytest.approx(recorded.duration, abs=1e-6)
    # Nobody can decide it from here.
    assert "run.approve()" not in stored.to_markdown()


def test_a_run_that_goes_on_is_shown_as_far_as_it_came(history_store: Store) -> None:
    live = player(PlayedPlatform(endless)).start("Go")
    until(lambda: live.text)
    stored = history.load(live.local_id)
    assert stored.status == "running"
    assert stored.text == "On and on"
    assert not stored.done
    assert stored.duration is None
    assert stored.elapsed > 0
    live.cancel()
    live.wait(check=False)
    assert history.load(live.local_id).status == "cancelled"


def test_a_run_whose_process_died_is_interrupted(history_store: Store) -> None:
    live = player(PlayedPlatform(endless)).start("Go")
    until(lambda: live.text)
    assert flush(LONG)
    key = live.local_id
    with history_store.begin() as connection:
        # As it is marked once its process is found to be gone.
        there = {"status": "interrupted", "error": "The process that ran it went away."}
        connection.execute(run.insert().values({**_row(history_store, key), **there, "key": "k"}))
        for row in _chunks(history_store, key):
            connection.execute(event_chunk.insert().values({**row, "run": "k"}))
    live.cancel()
    live.wait(check=False)
    stored = history.load("k")
    assert stored.status == "interrupted"
    assert stored.text == "On and on"
    assert stored.error == "The process that ran it went away."
    assert stored.done


def test_what_was_not_kept_is_left_out(history_store: Store) -> None:
    history_store.store_content = False
    recorded = player(PlayedPlatform(full)).run("Hi")
    stored = history.load(recorded.local_id)
    assert (stored.text, stored.prompt, stored.reasoning) == ("", "", "")
    assert stored.status == "completed"
    assert stored.id == recorded.id
    assert stored.usage == recorded.usage
    assert stored.transcript.model == "m-1"
    assert stored.duration == pytest.approx(recorded.duration, abs=1e-6)
    assert stored.time_to_first_token == pytest.approx(recorded.time_to_first_token, abs=1e-6)
    calls = [(call.name, call.status, call.arguments) for call in stored.tool_calls]
    assert calls == [("look", "completed", ""), ("fail", "failed", "")]
    for call, known in zip(stored.tool_calls, recorded.tool_calls, strict=True):
        assert call.started == pytest.approx(known.started, abs=1e-6)
        assert call.finished == pytest.approx(known.finished, abs=1e-6)
    replay = agentnb.replay(stored, speed=0).wait()
    assert replay.usage == recorded.usage


def test_a_run_known_from_its_platform_has_what_that_told(history_store: Store) -> None:
    row = {"key": "k", "source": "platform", "platform": "seekr", "agent": "a", "run_id": "r"}
    with history_store.begin() as connection:
        connection.execute(
            run.insert().values(
                **row, status="completed", started_at=10**15, duration=2_500_000, total_tokens=7
            )
        )
        connection.execute(content.insert().values(run="k", text="An answer"))
    stored = history.load("r")
    assert stored.text == "An answer"
    assert stored.duration == 2.5
    assert stored.usage == Usage(total_tokens=7)
    assert stored.title == "a"


@pytest.mark.parametrize("error", ["The run was cancelled.", "The run was cancelled: Too dear."])
def test_a_cancelled_run_without_events_keeps_its_reason(history_store: Store, error: str) -> None:
    row = {"key": "k", "source": "recorded", "platform": "seekr", "agent": "a", "run_id": "r"}
    with history_store.begin() as connection:
        values = {**row, "status": "cancelled", "error": error, "started_at": 10**15}
        connection.execute(run.insert().values(**values))
    assert history.load("r").error == error


def test_attachments_are_named_without_their_content(history_store: Store) -> None:
    able = Capabilities(media=MediaSupport(max_bytes=100, max_count=3))
    media = [Media(data=b"a,b", name="table.csv", mime_type="text/csv")]
    recorded = player(PlayedPlatform(full, capabilities=able)).run("Hi", media=media)
    (found,) = history.load(recorded.local_id).request.media
    assert (found.name, found.mime_type, found.data) == ("table.csv", "text/csv", None)
    # Nothing else is sent in its place.
    agent = player(PlayedPlatform(full, capabilities=able))
    with pytest.raises(RequestError, match=r"The attachment 'table\.csv' has no content here"):
        agent.run("Hi", media=found)


def test_replaying_and_playing_back_leave_the_store_alone(
    history_store: Store, tmp_path: Path
) -> None:
    with agentnb.record(tmp_path / "answers.jsonl"):
        recorded = player(PlayedPlatform(full)).run("Hi")
    with agentnb.playback(tmp_path / "answers.jsonl"):
        player(PlayedPlatform(full)).run("Hi")
    agentnb.replay(recorded.local_id, speed=0).wait()
    agentnb.replay(history.load(recorded.local_id), speed=0).wait()
    assert flush(LONG)
    with history_store.connect() as connection:
        assert len(connection.execute(run.select()).all()) == 1


def test_a_replay_from_the_store_is_exact(history_store: Store) -> None:
    recorded = player(PlayedPlatform(full)).run("Hi")
    assert flush(LONG)
    # As another process has it: not among the runs of this one.
    stored = history.load(recorded.local_id)
    replay = agentnb.replay(stored, speed=100).wait()
    assert replay.events == recorded.events
    assert replay.event_times == recorded.event_times
    assert replay.duration == recorded.duration
    assert replay.time_to_first_token == recorded.time_to_first_token


def _row(store: Store, key: str) -> dict[str, Any]:
    with store.connect() as connection:
        found = connection.execute(run.select().where(run.c.key == key)).mappings().one()
        return dict(found)


def _chunks(store: Store, key: str) -> list[dict[str, Any]]:
    chunks = event_chunk.select().where(event_chunk.c.run == key)
    with store.connect() as connection:
        return [dict(row) for row in connection.execute(chunks).mappings()]
