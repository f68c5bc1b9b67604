"""A run that is joined again after it was lost: one row, which tells all of it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import agentnb
from agentnb.event.types import (
    Event,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallStarted,
)
from agentnb.platforms.base import RunRequest
from agentnb.store.interruption import mark_interrupted
from agentnb.store.processes import process_row
from agentnb.store.recorder import flush
from agentnb.store.schema import content, process, run
from agentnb.store.store import Store
from tests.history.recorded import keys, recorded
from tests.played import LONG, Batches, PlayedPlatform, player, until

gate = threading.Event()


@pytest.fixture(autouse=True)
def closed_gate() -> Iterator[None]:
    """What a slow run waits behind."""
    gate.clear()
    yield
    gate.set()


async def script(request: RunRequest) -> Batches:
    """Cut off for who sends "cut"; whole for who joins it, and for who sends anything else."""
    started = RunStarted(run_id="r", session_id="s")
    if request.prompt == "cut":
        yield [started, TextDelta("Hel")]
        return
    if request.prompt == "slow":
        yield [started, TextDelta("Hel")]
        await asyncio.to_thread(gate.wait, LONG)
        yield [TextDelta("lo, all of it"), RunFinished()]
        return
    if request.prompt == "lost":
        yield [started, TextDelta("Hel")]
        await asyncio.to_thread(gate.wait, LONG)
        raise OSError("The line is dead.")
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
    assert recorded(history_store, joined).content["prompt"] is None
    assert keys(history_store) == {joined.local_id}


def add(store: Store, **of_process: Any) -> str:
    """The unfinished run "r" of another process."""
    row = {**process_row(), "id": "p", **of_process}
    told = {"key": "first", "source": "recorded", "process": "p", "platform": "played"}
    told |= {"run_id": "r", "status": "running", "started_at": 1}
    with store.begin() as connection:
        connection.execute(process.insert().values(row))
        connection.execute(run.insert().values(told))
        connection.execute(content.insert().values(run="first", prompt="asked"))
    return "first"


def test_one_whose_process_was_killed(history_store: Store, agent: agentnb.Agent) -> None:
    """And nobody has looked at the table since."""
    add(history_store, pid=2**30)
    joined = agent.attach("r").wait(LONG)
    found = recorded(history_store, joined)
    assert keys(history_store) == {joined.local_id}
    assert (found.run["status"], found.run["started_at"]) == ("completed", 1)
    assert (found.content["prompt"], found.content["text"]) == ("asked", "Hello")


def test_one_whose_process_lives_until_it_is_silent(
    history_store: Store, agent: agentnb.Agent
) -> None:
    first = add(history_store, host="elsewhere")
    joined = agent.attach("r").wait(LONG)
    assert recorded(history_store, joined).run["status"] == "completed"
    assert keys(history_store) == {first, joined.local_id}
    with history_store.begin() as connection:
        connection.execute(process.update().where(process.c.id == "p").values(seen_at=1))
    assert mark_interrupted(history_store, every=0) == 1
    found = recorded(history_store, joined)
    assert keys(history_store) == {joined.local_id}
    assert found.run["status"] == "completed"
    assert found.content["prompt"] == "asked"


def test_one_that_ends_after_what_joined_it(history_store: Store, agent: agentnb.Agent) -> None:
    first = agent.start("slow")
    until(lambda: first.text)
    joined = agent.attach("r").wait(LONG)
    assert recorded(history_store, joined).content["text"] == "Hello"
    assert keys(history_store) == {first.local_id, joined.local_id}
    gate.set()
    first.wait(LONG)
    found = recorded(history_store, first)
    assert keys(history_store) == {first.local_id}
    assert found.content["text"] == "Hello, all of it"


def test_one_that_is_lost_after_what_joined_it(history_store: Store, agent: agentnb.Agent) -> None:
    """That it failed here is not what became of it."""
    first = agent.start("lost")
    until(lambda: first.text)
    joined = agent.attach("r").wait(LONG)
    assert recorded(history_store, joined).run["status"] == "completed"
    gate.set()
    first.wait(LONG, check=False)
    assert flush(LONG)
    found = recorded(history_store, joined)
    assert keys(history_store) == {joined.local_id}
    assert found.run["status"] == "completed"
    assert found.content["prompt"] == "lost"
