"""A platform in this process that plays what a test wrote, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any

from agentnb._http.retry import Retries
from agentnb.agents import Agent
from agentnb.errors import UnsupportedError
from agentnb.event.types import Event, RunStarted
from agentnb.platforms.base import AgentInfo, Capabilities, RemoteRun, RunRequest
from tests.patience import LONG, PAUSE, looks

__all__ = [
    "LONG",
    "STARTED",
    "Batches",
    "PlayedPlatform",
    "Script",
    "eventually",
    "player",
    "until",
]

Batches = AsyncGenerator[list[Event], None]
Script = Callable[[RunRequest], Batches]
STARTED = RunStarted(run_id="run_1", session_id="session_1", agent="player")


class PlayedPlatform:
    """Each run is one call of ``script``; ``state`` is what `status` knows of its run.

    ``told`` holds the run id and session of every call of `cancel`, ``closed`` is set when a stream
    was left, by its end or otherwise.
    """

    def __init__(
        self,
        script: Script,
        *,
        capabilities: Capabilities | None = None,
        state: RemoteRun | Exception | None = None,
        refuses_cancel: Exception | None = None,
    ) -> None:
        self.capabilities = capabilities or Capabilities(cancel=True, attach=True)
        self.told: list[tuple[str | None, str | None]] = []
        self.was_told = threading.Event()
        self.decisions: list[tuple[str, str | None, bool]] = []
        self.asked: list[str] = []
        self.requests: list[RunRequest] = []
        self.closed = threading.Event()
        self._script = script
        self._state = state
        self._refuses_cancel = refuses_cancel

    @property
    def name(self) -> str:
        return "played"

    async def stream(self, request: RunRequest) -> Batches:
        self.requests.append(request)
        batches = self._script(request)
        try:
            async for batch in batches:
                yield batch
        finally:
            await batches.aclose()
            self.closed.set()

    async def invoke(self, request: RunRequest) -> list[Event]:
        return [event async for batch in self.stream(request) for event in batch]

    async def attach(
        self, run_id: str, *, agent: str | None = None, session_id: str | None = None
    ) -> Batches:
        request = RunRequest(agent=agent or "player", prompt=run_id, session_id=session_id)
        async for batch in self.stream(request):
            yield batch

    async def cancel(
        self, run_id: str | None, *, agent: str | None = None, session_id: str | None = None
    ) -> None:
        self.told.append((run_id, session_id))
        self.was_told.set()
        if self._refuses_cancel is not None:
            raise self._refuses_cancel

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
        self.decisions.append((run_id, approval_id, approved))

    async def agents(self) -> list[AgentInfo]:
        return [AgentInfo(id="player")]

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
        raise UnsupportedError("Nothing here is kept.")
        yield  # makes this an iterator

    async def status(
        self, run_ids: Sequence[str], *, agent: str | None = None, session_id: str | None = None
    ) -> dict[str, RemoteRun]:
        self.asked += run_ids
        if isinstance(self._state, Exception):
            raise self._state
        return {} if self._state is None else {self._state.id: self._state}

    async def aclose(self) -> None:
        pass


def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread brings about."""
    for _ in looks():
        if condition():
            return
        time.sleep(PAUSE)
    raise AssertionError("it never came to that")


async def eventually(condition: Callable[[], object]) -> None:
    """Do as `until` does, while the loop goes on."""
    for _ in looks():
        if condition():
            return
        await asyncio.sleep(PAUSE)
    raise AssertionError("it never came to that")


def player(platform: PlayedPlatform, *, retries: Retries | None = None) -> Agent:
    """The one agent of a played platform."""
    return Agent(platform, "player", retries=retries)
