"""`agentnb.wait`: until several runs have ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import agentnb
from agentnb import _loop
from agentnb.errors import RunCancelledError, RunFailedError
from agentnb.monitoring import WatchedRun
from agentnb.monitoring.wait import wait
from agentnb.platforms.base import RunRequest
from agentnb.run.run import Run
from agentnb.sandbox import Sandbox
from tests.children import python
from tests.simulated import until

pytestmark = pytest.mark.anyio

Held = Callable[[], tuple[Run, threading.Event]]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(pace=0) as running:
        yield running


@pytest.fixture
def held() -> Iterator[Held]:
    """Starts a run that goes on until its event is set, at the latest at the end of the test."""
    gates: list[threading.Event] = []

    def start() -> tuple[Run, threading.Event]:
        gate = threading.Event()
        gates.append(gate)

        def answer(prompt: str) -> str:
            gate.wait(30)
            return prompt

        return agentnb.agent(answer).start("Hello"), gate

    yield start
    for gate in gates:
        gate.set()


def fails(prompt: str) -> str:
    raise ValueError("no luck")


async def test_the_runs_come_back_in_their_order(held: Held) -> None:
    (first, gate), (second, other) = held(), held()
    other.set()
    waiting = asyncio.ensure_future(wait([first, second]))
    await until(lambda: second.done)
    assert not waiting.done()
    gate.set()
    assert await asyncio.wait_for(waiting, 20) == [first, second]
    assert [run.status for run in (first, second)] == ["completed", "completed"]


def test_on_another_event_loop(held: Held) -> None:
    run, gate = held()
    gate.set()
    assert asyncio.run(wait(run)) == [run]


def test_in_a_script() -> None:
    done = python(
        """
        import asyncio, agentnb
        from agentnb.monitoring.wait import wait
        def say(prompt):
            return prompt
        runs = [agentnb.agent(say).start(f"{n}") for n in range(3)]
        print([run.text for run in asyncio.run(wait(runs))])
        """,
        environment={"AGENTNB_HISTORY": "off"},
    )
    assert done.stdout == "['0', '1', '2']\n"


async def test_time_that_runs_out(held: Held) -> None:
    runs = [held() for _ in range(3)]
    runs[0][1].set()
    await until(lambda: runs[0][0].done)
    with pytest.raises(TimeoutError, match=r"2 of 3 runs go on after 0\.05 s\."):
        await wait([run for run, _ in runs], timeout=0.05)
    assert not runs[1][0].done


async def test_cancelling_the_waiting_leaves_the_runs(held: Held) -> None:
    run, gate = held()
    waiting = asyncio.ensure_future(wait(run))
    await until(lambda: run.status == "running")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not run.done
    gate.set()
    assert (await run).status == "completed"


async def test_a_failure_is_raised_when_it_is_asked_for(held: Held) -> None:
    (slow, gate), failed = held(), agentnb.agent(fails).start("Hello")
    assert await wait(failed) == [failed]
    waiting = asyncio.ensure_future(wait([failed, slow], check=True))
    await until(lambda: failed.done)
    # The others are waited for first.
    assert not waiting.done()
    gate.set()
    with pytest.raises(RunFailedError, match="no luck") as caught:
        await waiting
    assert caught.value.run is failed


async def test_runs_that_only_their_platform_knows(sandbox: Sandbox) -> None:
    agent = agentnb.agent(
        "operativus:echo", base_url=sandbox.base_url("operativus"), api_key=sandbox.api_key
    )
    client: Any = agent.platform
    ids: list[str] = []
    for told in ("Hello", '{"error_after": 0, "error": "Told to fail."}', '{"delay_ms": 600000}'):
        request = RunRequest(agent="echo", prompt=told)
        started = await asyncio.wrap_future(_loop.submit(client.start_background(request)))
        ids.append(started.id)
    good, bad, slow = ids
    found = await wait([good, bad], agent=agent, interval=0.05)
    assert [run.status for run in found] == ["completed", "failed"]
    assert all(isinstance(run, WatchedRun) for run in found)
    with pytest.raises(RunFailedError, match="did not complete: Told to fail"):
        await wait(bad, agent=agent, check=True, interval=0.05)
    with pytest.raises(TimeoutError, match="1 of 2 runs go on"):
        await wait([good, slow], agent=agent, timeout=0.2, interval=0.05)
    await asyncio.wrap_future(_loop.submit(client.cancel(slow, agent="echo")))
    with pytest.raises(RunCancelledError, match="is cancelled"):
        await wait(slow, agent=agent, check=True, interval=0.05)
    with pytest.raises(RunFailedError, match="does not know this run"):
        await wait("nobody", agent=agent, check=True, interval=0.01)


async def test_a_run_that_waits_for_a_decision_is_waited_for_no_more(sandbox: Sandbox) -> None:
    agent = agentnb.agent(
        "operativus:echo", base_url=sandbox.base_url("operativus"), api_key=sandbox.api_key
    )
    run = agent.start('{"approval": "Really?"}')
    assert await asyncio.wait_for(wait(run, check=True), 20) == [run]
    assert run.status == "paused"
    run.cancel()


async def test_nothing() -> None:
    assert await wait([]) == []
