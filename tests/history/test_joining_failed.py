"""An attempt to join a run that fails: what the history has of the run stays as it is."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

import agentnb
from agentnb import history
from agentnb.errors import NotFoundError
from agentnb.event.types import Event, RunFailed, RunFinished, RunStarted, TextDelta
from agentnb.platforms.base import Capabilities, RemoteRun, RunRequest
from agentnb.recording.base_run import BaseRun
from agentnb.sandbox import Sandbox
from agentnb.store import recent
from agentnb.store.interruption import mark_interrupted
from agentnb.store.lookup import known_run, sessions_of
from agentnb.store.processes import process_row
from agentnb.store.recorder import flush
from agentnb.store.schema import content, process, run
from agentnb.store.store import Store
from agentnb.synchronization.merge import listed_run, write_listed
from tests.history.recorded import keys, recorded, rows
from tests.played import LONG, Batches, PlayedPlatform, player, until

gate = threading.Event()


@pytest.fixture(autouse=True)
def closed_gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a slow run waits behind; no run of another test is at hand."""
    monkeypatch.setattr(recent, "_runs", deque[BaseRun]())
    gate.clear()
    yield
    gate.set()


class Platform(PlayedPlatform):
    """Sends runs of the id "r"; who joins one gets what ``joining`` says."""

    joining: Exception | list[Event]

    def __init__(self, script: Any) -> None:
        super().__init__(script, capabilities=Capabilities(attach=True))
        self.joining = NotFoundError("No such run.", status=404)
        self.sessions: list[str | None] = []

    async def attach(
        self, run_id: str, *, agent: str | None = None, session_id: str | None = None
    ) -> Batches:
        self.sessions.append(session_id)
        if isinstance(self.joining, Exception):
            raise self.joining
        yield self.joining


async def script(request: RunRequest) -> Batches:
    started = RunStarted(run_id="r", session_id="s")
    if request.prompt == "cut":
        yield [started, TextDelta("Hel")]
        return
    if request.prompt == "slow":
        yield [started, TextDelta("Hel")]
        await asyncio.to_thread(gate.wait, LONG)
    yield [started, TextDelta("Hello"), RunFinished()]


@pytest.fixture
def platform() -> Platform:
    return Platform(script)


@pytest.fixture
def agent(platform: Platform) -> agentnb.Agent:
    return player(platform)


FAILURES: list[Exception | list[Event]] = [
    NotFoundError("No such run.", status=404),
    OSError("The line is dead."),
    [],
    [RunFailed(message="No such run.")],
    [RunFailed(message="No such run.", error_type="NotFoundError")],
    [RunStarted(run_id="r", session_id="s"), RunFailed(message="It is gone.")],
]


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("prompt", ["whole", "cut"])
@pytest.mark.parametrize("times", [1, 2])
def test_the_row_of_the_run_is_the_only_one(
    history_store: Store,
    platform: Platform,
    agent: agentnb.Agent,
    failure: Exception | list[Event],
    prompt: str,
    times: int,
) -> None:
    sent = agent.run(prompt, check=False)
    before = recorded(history_store, sent)
    platform.joining = failure
    for _ in range(times):
        joined = agent.attach("r").wait(LONG, check=False)
        assert joined.status in ("failed", "truncated")
    assert flush(LONG)
    assert keys(history_store) == {sent.local_id}
    assert recorded(history_store, sent) == before
    assert history.load("r").local_id == sent.local_id
    assert history.load("r").text == sent.text


@pytest.mark.parametrize("session", [None, "another"])
def test_the_session_is_the_one_that_the_history_knows(
    history_store: Store, platform: Platform, agent: agentnb.Agent, session: str | None
) -> None:
    agent.run("whole")
    agent.attach("r", session=session).wait(LONG, check=False)
    assert platform.sessions == [session or "s"]
    # A session that was wrong is not remembered.
    assert flush(LONG)
    assert sessions_of("played", ["r"]) == {"r": "s"}
    agent.attach("of nobody", session="wrong").wait(LONG, check=False)
    agent.attach("of nobody").wait(LONG, check=False)
    assert platform.sessions[1:] == ["wrong", None]
    assert flush(LONG)
    agent.attach("of nobody").wait(LONG, check=False)
    assert platform.sessions[-1] is None


def test_the_session_of_a_run_of_another_kernel(
    history_store: Store, platform: Platform, agent: agentnb.Agent
) -> None:
    add(history_store, session_id="its session")
    agent.attach("r").wait(LONG, check=False)
    assert platform.sessions == ["its session"]


def test_the_session_of_another_platform_s_run_of_that_id(
    history_store: Store, platform: Platform, agent: agentnb.Agent
) -> None:
    add(history_store, session_id="not this", platform="another")
    failed = agent.attach("r").wait(LONG, check=False)
    assert platform.sessions == [None]
    # That is another run: both are kept.
    assert flush(LONG)
    assert keys(history_store) == {"first", failed.local_id}


def test_the_run_of_another_platform_is_still_the_one_that_is_loaded(
    history_store: Store, platform: Platform, agent: agentnb.Agent
) -> None:
    first = add(history_store, platform="another", status="completed")
    agent.attach("r").wait(LONG, check=False)
    assert flush(LONG)
    assert history.load("r").local_id == first
    found = known_run("r")
    assert found is not None
    assert found.platform == "another"


def test_one_that_goes_by_the_id_that_agentnb_gave_it(
    history_store: Store, platform: Platform
) -> None:
    async def nameless(request: RunRequest) -> Batches:
        yield [RunStarted(session_id="s"), TextDelta("Hello"), RunFinished()]

    sent = player(Platform(nameless)).run("whole")
    before = recorded(history_store, sent)
    player(platform).attach(sent.id).wait(LONG, check=False)
    assert flush(LONG)
    assert keys(history_store) == {sent.local_id}
    assert recorded(history_store, sent) == before


def test_a_run_of_the_same_id_in_another_session_is_another_run(
    history_store: Store, platform: Platform, agent: agentnb.Agent
) -> None:
    first = add(history_store, session_id="s 1", status="completed")
    platform.joining = [RunStarted(run_id="r", session_id="s 2"), TextDelta("Hello"), RunFinished()]
    joined = agent.attach("r", session="s 2").wait(LONG)
    assert flush(LONG)
    assert keys(history_store) == {first, joined.local_id}


def test_one_that_another_kernel_records(
    history_store: Store, platform: Platform, agent: agentnb.Agent
) -> None:
    first = add(history_store, host="elsewhere", session_id="s")
    agent.attach("r").wait(LONG, check=False)
    assert flush(LONG)
    assert keys(history_store) == {first}
    assert history.load("r").status == "running"


def test_one_that_goes_on_here(
    history_store: Store, platform: Platform, agent: agentnb.Agent
) -> None:
    sent = agent.start("slow")
    until(lambda: sent.text)
    agent.attach("r").wait(LONG, check=False)
    assert flush(LONG)
    assert keys(history_store) == {sent.local_id}
    gate.set()
    sent.wait(LONG)
    assert recorded(history_store, sent).run["status"] == "completed"


def test_more_than_there_was_takes_its_place(
    history_store: Store, platform: Platform, agent: agentnb.Agent
) -> None:
    """Also where it is cut off again."""
    agent.run("cut", check=False)
    platform.joining = [RunStarted(run_id="r"), *(TextDelta(part) for part in "Hello")]
    joined = agent.attach("r").wait(LONG, check=False)
    found = recorded(history_store, joined)
    assert keys(history_store) == {joined.local_id}
    assert (found.run["status"], found.content["prompt"]) == ("truncated", "cut")
    assert found.content["text"] == "Hello"


def pulled(status: Any) -> RemoteRun:
    moment = datetime.now(UTC)
    return RemoteRun(
        id="r", status=status, agent="player", session_id="s", created_at=moment, output="Hello"
    )


def test_one_that_was_only_pulled(
    history_store: Store, platform: Platform, agent: agentnb.Agent
) -> None:
    write_listed(history_store, [listed_run("played", pulled("completed"), store_content=True)])
    before = rows(history_store, run)
    agent.attach("r").wait(LONG, check=False)
    assert platform.sessions == ["s"]
    assert flush(LONG)
    assert rows(history_store, run) == before


def test_one_that_is_pulled_afterwards(history_store: Store, agent: agentnb.Agent) -> None:
    agent.attach("r").wait(LONG, check=False)
    assert flush(LONG)
    write_listed(history_store, [listed_run("played", pulled("completed"), store_content=True)])
    (row,) = rows(history_store, run)
    assert (row["status"], row["error"], row["error_class"]) == ("completed", None, None)


def test_one_that_a_killed_process_tried_to_join(
    history_store: Store, agent: agentnb.Agent
) -> None:
    sent = agent.run("whole")
    assert flush(LONG)
    add(history_store, pid=2**30, started_at=2**50, prompt=None)
    assert history.load("r").text == "Hello"
    # Which the look at it may have done already.
    mark_interrupted(history_store, every=0)
    assert keys(history_store) == {sent.local_id}


def test_rows_of_earlier_versions(history_store: Store, agent: agentnb.Agent) -> None:
    """The failed row stands beside the other one, and is newer."""
    sent = agent.run("whole")
    assert flush(LONG)
    later = {"status": "failed", "error_class": "NotFoundError", "started_at": 2**52}
    with history_store.begin() as connection:
        told = {"key": "later", "source": "recorded", "platform": "played", "run_id": "r"}
        connection.execute(run.insert().values(told | later))
    assert history.load("r").local_id == sent.local_id
    found = known_run("r")
    assert found is not None
    assert found.key == sent.local_id


def test_of_two_platforms_the_newest_counts(history_store: Store, agent: agentnb.Agent) -> None:
    sent = agent.run("cut", check=False)
    assert flush(LONG)
    add(history_store, platform="another", status="completed")
    assert history.load("r").local_id == sent.local_id


def add(store: Store, *, prompt: str | None = "asked", **fields: Any) -> str:
    """The unfinished run "r" of another process."""
    of_process = {name: fields.pop(name) for name in ("host", "pid") if name in fields}
    told = {"key": "first", "source": "recorded", "process": "p", "platform": "played"}
    told |= {"run_id": "r", "status": "running", "started_at": 1, **fields}
    with store.begin() as connection:
        connection.execute(process.insert().values({**process_row(), "id": "p", **of_process}))
        connection.execute(run.insert().values(told))
        connection.execute(content.insert().values(run="first", prompt=prompt, request="{}"))
    return "first"


@pytest.mark.parametrize("name", ["seekr", "runtools"])
def test_the_error_names_the_parameter(name: str) -> None:
    with Sandbox(pace=0) as sandbox:
        agent = agentnb.agent(
            f"{name}:echo", base_url=sandbox.base_url(name), api_key=sandbox.api_key
        )
        failed = agent.attach("run_not_there").wait(LONG, check=False)
    with pytest.raises(agentnb.RunError, match="session="):
        failed.raise_for_status()


def test_a_run_of_this_kernel_is_joined_where_history_is_off() -> None:
    history.use("off")
    try:
        platform = Platform(script)
        agent = player(platform)
        agent.run("whole")
        agent.attach("r").wait(LONG, check=False)
        assert platform.sessions == ["s"]
    finally:
        history.use(None)
