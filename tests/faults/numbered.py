"""A small platform over HTTP whose streams can be taken up again, and what its server needs.

A frame is one event as JSON. ``POST /runs`` begins a run, ``GET /runs/ID/events?after=N`` goes on
after its first N events, ``GET /runs/ID`` tells how it is, ``DELETE /runs/ID`` stops it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

import pytest

from agentnb import _loop
from agentnb._http import HttpClient
from agentnb._http.response import Response
from agentnb._http.timeout import Deadlines
from agentnb.agents import Agent
from agentnb.errors import RequestError, UnsupportedError
from agentnb.event.types import (
    Event,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallStarted,
    Usage,
    UsageReported,
    event_from_dict,
    event_to_dict,
)
from agentnb.platforms.base import AgentInfo, Capabilities, RemoteRun, RunRequest
from agentnb.recording.recording import Waiting
from agentnb.run.executor import stop_all
from agentnb.run.reconnect import ReconnectPolicy
from agentnb.run.run import Run
from tests.faults.rawserver import Connection, RawServer, Received, Script, running
from tests.played import LONG

STARTED = RunStarted(run_id="r1", session_id="s1", agent="counter")
Batches = AsyncGenerator[list[Event], None]
Answer = Callable[[Connection, Received], Awaitable[None]]


class PlainPlatform:
    """The client, as one that takes nothing up again.

    Without ``run_status`` it has no way to ask how a run is.
    """

    def __init__(
        self, url: str, *, deadlines: Deadlines | None = None, run_status: bool = True
    ) -> None:
        self.capabilities = Capabilities(
            cancel=True, attach=True, approvals=True, run_status=run_status
        )
        self._http = HttpClient(url, name=self.name, deadlines=deadlines)

    @property
    def name(self) -> str:
        return "numbered"

    async def stream(self, request: RunRequest) -> Batches:
        body = {"prompt": request.prompt}
        async with (
            self._http.stream("POST", "/runs", json=body) as answer,
            aclosing(_events(answer)) as batches,
        ):
            async for batch in batches:
                yield batch

    async def events(self, run_id: str, *, after: int) -> Batches:
        """Yield what came after the first ``after`` events."""
        path = f"/runs/{run_id}/events"
        async with (
            self._http.stream("GET", path, params={"after": after}) as answer,
            aclosing(_events(answer)) as batches,
        ):
            async for batch in batches:
                yield batch

    async def attach(
        self, run_id: str, *, agent: str | None = None, session_id: str | None = None
    ) -> Batches:
        async with aclosing(self.events(run_id, after=0)) as batches:
            async for batch in batches:
                yield batch

    async def invoke(self, request: RunRequest) -> list[Event]:
        answer = await self._http.request("POST", "/runs", json={"prompt": request.prompt})
        return [event_from_dict(event) for event in answer.data]

    async def decide(
        self,
        run_id: str,
        approval_id: str | None,
        *,
        approved: bool,
        payload: Any = None,
        agent: str | None = None,
        session_id: str | None = None,
    ) -> None:
        await self._http.request("POST", f"/runs/{run_id}/decision", json={"approved": approved})

    async def cancel(
        self, run_id: str | None, *, agent: str | None = None, session_id: str | None = None
    ) -> None:
        await self._http.request("DELETE", f"/runs/{run_id}")

    async def agents(self) -> list[AgentInfo]:
        return [AgentInfo(id="counter")]

    async def runs(
        self,
        *,
        agent: str | None = None,
        session_id: str | None = None,
        status: str | None = None,
        limit: int | None = None,
        order: str = "desc",
        offset: int = 0,
    ) -> AsyncIterator[RemoteRun]:
        raise UnsupportedError("It keeps no list.")
        yield  # makes this an iterator

    async def status(
        self, run_ids: Sequence[str], *, agent: str | None = None, session_id: str | None = None
    ) -> dict[str, RemoteRun]:
        found: dict[str, RemoteRun] = {}
        for run_id in run_ids:
            answer = await self._http.request("GET", f"/runs/{run_id}")
            if answer.data is not None:
                found[run_id] = RemoteRun(id=run_id, **answer.data)
        return found

    async def aclose(self) -> None:
        await self._http.aclose()


class NumberedPlatform(PlainPlatform):
    """The client."""

    def resume(
        self,
        request: RunRequest,
        *,
        run_id: str | None,
        session_id: str | None,
        delivered: Sequence[Event],
    ) -> Batches:
        if run_id is None:
            raise RequestError("There is no run to take up again.")
        return self.events(run_id, after=len(delivered))


async def _events(answer: Response) -> Batches:
    async with aclosing(answer.batches()) as batches:
        async for batch in batches:
            yield [event_from_dict(json.loads(frame.data)) for frame in batch]


# --- the server's side ---


def answering(answer: Answer) -> Script:
    """Give ``answer`` to every request of a connection."""

    async def script(c: Connection) -> None:
        while True:
            await answer(c, await c.request())

    return script


async def tell(c: Connection, *events: Event) -> None:
    """Send events, all in one chunk."""
    frames = (f"data: {json.dumps(event_to_dict(event))}\n\n" for event in events)
    await c.chunk("".join(frames).encode())


async def finish(c: Connection) -> None:
    """End the stream cleanly."""
    await c.chunk(b"")


async def reply(c: Connection, data: object, *, status: str = "200 OK", headers: str = "") -> None:
    """Answer with JSON."""
    kind = f"Content-Type: application/json\n{headers}".rstrip()
    await c.answer(json.dumps(data).encode(), status=status, headers=kind)


# --- a run whose stream breaks off ---

ANSWER: list[Event] = [
    STARTED,
    TextDelta("One, "),
    ToolCallStarted(call_id="c1", name="count"),
    TextDelta("two, "),
    TextDelta("three."),
    UsageReported(usage=Usage(total_tokens=3)),
    RunFinished(output="One, two, three."),
]
TEXT = "One, two, three."


@contextmanager
def serving(answer: Answer) -> Generator[RawServer, None, None]:
    with running(answering(answer)) as server:
        yield server


@contextmanager
def asked(
    server: RawServer,
    *,
    kind: type[PlainPlatform] = NumberedPlatform,
    run_status: bool = True,
    **options: Any,
) -> Generator[Agent, None, None]:
    platform = kind(server.url, run_status=run_status)
    try:
        yield Agent(platform, "counter", **options)
    finally:
        # What is still told to the platform has a connection, too.
        _loop.wait(stop_all(LONG))
        _loop.wait(platform.aclose())


def lines(server: RawServer) -> list[str]:
    return [f"{request.method} {request.target}" for request in server.requests]


def waits_of(run: Run) -> list[Waiting]:
    """What the run waits for, as it goes; the list grows."""
    seen: list[Waiting] = []

    def look() -> None:
        if (waiting := run.waiting) is not None and waiting not in seen:
            seen.append(waiting)

    run.subscribe(look)
    return seen


def after(request: Received) -> int:
    return int(request.target.partition("after=")[2])


def cut_everywhere(*, ends: Callable[[Connection], Awaitable[None]], size: int) -> Answer:
    """Each connection brings ``size`` events and ends, until there are none left."""

    async def answer(c: Connection, request: Received) -> None:
        first = after(request) if request.method == "GET" else 0
        await c.stream_head()
        await tell(c, *ANSWER[first : first + size])
        await (finish(c) if first + size >= len(ANSWER) else ends(c))

    return answer


async def reset(c: Connection) -> None:
    # What was sent before is to arrive: a reset throws away what was not read yet.
    await asyncio.sleep(0.05)
    c.reset()


def pauses_made(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long runs wait between attempts to take up their streams, in seconds; the list grows."""
    made: list[float] = []
    delay = ReconnectPolicy.delay

    def noted(
        self: ReconnectPolicy, error: Exception | None, *, has_ended: bool = False
    ) -> float | None:
        seconds = delay(self, error, has_ended=has_ended)
        made.append(seconds or 0.0)
        return seconds

    monkeypatch.setattr(ReconnectPolicy, "delay", noted)
    return made
