"""Cancelling a run in whatever it is doing: its socket is closed, its platform told, once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass

import pytest

from agentnb import _loop, last_run
from agentnb.agents import Agent
from agentnb.event.types import RunCancelled, TextDelta
from agentnb.run import reconnect
from agentnb.run.run import Run
from tests.faults.numbered import ANSWER, asked, finish, lines, reply, reset, serving, tell
from tests.faults.rawserver import Connection, RawServer, Received
from tests.played import LONG, until

Act = Callable[["Place", Connection], Awaitable[None]]


class Place:
    """Where a server holds a run; ``closed`` is set when it has let the held connection go."""

    def __init__(self, moment: Moment) -> None:
        self.moment = moment
        self.held = threading.Event()
        self.closed = threading.Event()

    async def answer(self, c: Connection, request: Received) -> None:
        if request.method == "DELETE":
            await reply(c, {})
        elif request.method == "POST":
            await self.moment.begin(self, c)
        elif "/events" in request.target:
            await self.moment.again(self, c)
        else:
            await self.moment.status(self, c)

    async def hold(self, c: Connection) -> None:
        self.held.set()
        await c.gone()
        self.closed.set()

    def reached(self, run: Run) -> None:
        """Wait until the run is there."""
        if self.moment.holds:
            assert self.held.wait(LONG)
        if self.moment.known:
            until(lambda: run.text)
        if waits := self.moment.waits:
            until(lambda: run.waiting is not None and waits in (run.waiting.kind, _where(run)))


def _where(run: Run) -> str:
    return "asking" if run.waiting is not None and "continues" in run.waiting.reason else ""


async def hold(place: Place, c: Connection) -> None:
    await place.hold(c)


async def stream_and_hold(place: Place, c: Connection) -> None:
    await c.stream_head()
    await tell(c, *ANSWER[:2])
    await place.hold(c)


async def break_off(place: Place, c: Connection) -> None:
    await c.stream_head()
    await tell(c, *ANSWER[:2])
    await reset(c)


async def refuse(place: Place, c: Connection) -> None:
    await reply(c, {}, status="503 Later", headers="Retry-After: 60")


async def no_error_details(place: Place, c: Connection) -> None:
    await reply(c, {}, status="404 Gone")


async def go_on(place: Place, c: Connection) -> None:
    await reply(c, {"status": "running"})


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What the server does to lead a run there, and how to tell that it is."""

    begin: Act = break_off
    again: Act = no_error_details
    status: Act = go_on
    holds: bool = False
    waits: str = ""
    #: Whether the platform has told the run's id by then.
    known: bool = True
    #: How many seconds the run waits before the stream is taken up again.
    pause: float = 0.01


MOMENTS = {
    "before the first byte": Moment(begin=hold, holds=True, known=False),
    "before the request is made again": Moment(begin=refuse, waits="retry", known=False),
    "in the middle of the stream": Moment(begin=stream_and_hold, holds=True),
    "before the stream is taken up again": Moment(waits="reconnect", pause=60.0),
    "while it is": Moment(again=hold, holds=True),
    "while its end is asked for": Moment(status=hold, holds=True),
    "before that is asked for again": Moment(waits="asking"),
}


@pytest.fixture(params=MOMENTS)
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place(MOMENTS[request.param])

    def pause(attempt: int, *, jitter: object) -> float:
        return place.moment.pause

    backoff = reconnect.Backoff(delay=pause, first_poll=60.0, max_poll=60.0)
    monkeypatch.setattr(reconnect, "DEFAULT_BACKOFF", backoff)
    return place


@pytest.fixture
def server(place: Place) -> Generator[RawServer, None, None]:
    with serving(place.answer) as server:
        yield server


@pytest.fixture
def agent(server: RawServer) -> Generator[Agent, None, None]:
    with asked(server) as agent:
        yield agent


def cancelled(place: Place, run: Run, server: RawServer) -> None:
    run.wait(LONG, check=False)
    assert run.status == "cancelled"
    assert run.events[-1] == RunCancelled(reason="cancelled by the user")
    assert sum(isinstance(event, RunCancelled) for event in run.events) == 1
    known = place.moment.known
    assert run.text == ("One, " if known else "")
    assert run.waiting is None
    if place.moment.holds:
        assert place.closed.wait(LONG)
    if known:
        until(lambda: "DELETE /runs/r1" in lines(server))
    assert lines(server).count("DELETE /runs/r1") == known
    assert lines(server).count("POST /runs") == 1


def test_from_the_thread_of_the_cell(place: Place, agent: Agent, server: RawServer) -> None:
    run = agent.start("count")
    place.reached(run)
    run.cancel()
    cancelled(place, run, server)
    # And once more, after the end.
    run.cancel()
    cancelled(place, run, server)


def test_from_many_threads(place: Place, agent: Agent, server: RawServer) -> None:
    run = agent.start("count")
    place.reached(run)
    threads = [threading.Thread(target=run.cancel) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cancelled(place, run, server)


def test_from_the_loop_itself(place: Place, agent: Agent, server: RawServer) -> None:
    async def cancel() -> None:
        run.cancel()

    run = agent.start("count")
    place.reached(run)
    _loop.wait(cancel())
    cancelled(place, run, server)


def test_the_task_that_waits_for_it(place: Place, agent: Agent, server: RawServer) -> None:
    async def ask() -> Run:
        task = asyncio.create_task(agent.arun("count"))
        await asyncio.sleep(0)
        run = last_run()
        assert isinstance(run, Run)
        await asyncio.to_thread(place.reached, run)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return run

    cancelled(place, asyncio.run(ask()), server)


def test_the_task_that_takes_its_events(place: Place, agent: Agent, server: RawServer) -> None:
    async def take() -> None:
        async for _ in agent.stream("count"):
            pass

    async def ask() -> Run:
        task = asyncio.create_task(take())
        await asyncio.sleep(0)
        run = last_run()
        assert isinstance(run, Run)
        await asyncio.to_thread(place.reached, run)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return run

    cancelled(place, asyncio.run(ask()), server)


@pytest.mark.usefixtures("quickly")
class TestRaces:
    def test_with_every_step_of_a_run(self) -> None:
        """Whenever it comes, the run is cancelled or complete, and never both or neither."""

        async def answer(c: Connection, request: Received) -> None:
            if request.method == "DELETE":
                await reply(c, {})
                return
            await c.stream_head()
            first = int(request.target.partition("after=")[2] or 0)
            await tell(c, *ANSWER[first : first + 3])
            await (finish(c) if first + 3 >= len(ANSWER) else reset(c))

        seen: set[str] = set()
        with serving(answer) as server, asked(server) as agent:
            for steps in range(40):
                run = agent.prepare("count")
                counted = 0

                def count(run: Run = run, steps: int = steps % 10) -> None:
                    nonlocal counted
                    counted += 1
                    if counted > steps:
                        run.cancel()

                run.subscribe(count)
                run.start().wait(LONG, check=False)
                seen.add(run.status)
                assert run.status in ("completed", "cancelled")
                ends = [event for event in run.events if event.type.startswith("run_")]
                assert len(ends) <= 2
                texts = [event.text for event in run.events if isinstance(event, TextDelta)]
                assert "".join(texts) == run.text
        assert "cancelled" in seen
