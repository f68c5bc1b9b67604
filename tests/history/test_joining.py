"""A run that is joined again after it was lost: one row, which tells all of it."""

from __future__ import annotations

import asyncio
import time

import pytest

import agentnb
from agentnb.event import Event, RunFailed, RunFinished, RunStarted, TextDelta, ToolCallStarted
from agentnb.history.store import Store
from agentnb.platforms.base import RunRequest
from tests.history.recorded import keys, recorded
from tests.played import LONG, Batches, PlayedPlatform, player


async def script(request: RunRequest) -> Batches:
    """Cut off for who sends "cut"; whole for who joins it, and for who sends anything else."""
    started = RunStarted(run_id="r", session_id="s")
    if request.prompt == "cut":
        yield [started, TextDelta("Hel")]
        return
    if request.prompt == "gone":
        yield [RunFailed(message="No such run.", error_type="NotFoundError")]
        return
    events: list[Event] = [started, TextDelta("Hello"), ToolCallStarted(call_id="c", name="look")]
    yield events
    await asyncio.sleep(0.02)
    yield [RunFinished()]


@pytest.fixture
def agent() -> agentnb.Agent:
    return player(PlayedPlatform(script))


def test_one_that_was_cut_off_is_completed(history_store: Store, agent: agentnb.Agent) -> None:
    lost = agent.run("cut", check=False)
    before = recorded(history_store, lost)
    assert before.run["status"] == "truncated"
    time.sleep(0.05)
    joined = agent.attach("r").wait(LONG)
    found = recorded(history_store, joined)
    assert keys(history_store) == {joined.local_id}
    assert found.run["status"] == "completed"
    assert found.content["prompt"] == "cut"
    assert found.content["text"] == "Hello"
    assert found.run["started_at"] == before.run["started_at"]
    assert found.run["first_token"] == before.run["first_token"]
    # All times count from when it was sent, not from when it was joined.
    assert found.run["started_at"] + found.run["duration"] == found.run["finished_at"]
    assert found.times[0] > 0.05
    assert found.calls[0]["started"] > 50_000
    assert [event.type for event in found.events][-1] == "run_finished"


def test_one_whose_end_was_seen_stays_as_it_is(history_store: Store, agent: agentnb.Agent) -> None:
    seen = agent.run("whole")
    agent.attach("r").wait(LONG)
    found = recorded(history_store, seen)
    assert keys(history_store) == {seen.local_id}
    assert found.content["prompt"] == "whole"


def test_one_that_could_not_be_joined_changes_nothing(
    history_store: Store, agent: agentnb.Agent
) -> None:
    lost = agent.run("cut", check=False)
    failed = agent.attach("gone").wait(LONG, check=False)
    assert failed.status == "failed"
    assert recorded(history_store, lost).run["status"] == "truncated"
    assert keys(history_store) == {lost.local_id, failed.local_id}


def test_one_that_nobody_here_sent(history_store: Store, agent: agentnb.Agent) -> None:
    joined = agent.attach("r").wait(LONG)
    assert keys(history_store) == {joined.local_id}
    assert recorded(history_store, joined).content["prompt"] is None
