"""One Python function behind the interface of a platform."""

from __future__ import annotations

import asyncio
import inspect
import uuid
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Final

from agentnb.errors import UnsupportedError
from agentnb.events import Event, RunCancelled, RunStarted
from agentnb.platforms.base import AgentInfo, Capabilities, RemoteRun, RunRequest
from agentnb.platforms.local.function import (
    AgentFunction,
    FunctionContext,
    Message,
    iterate_batches,
)
from agentnb.transcript import Transcript

__all__ = ["FunctionPlatform"]

# How far a function may run ahead of its consumer, in events.
_AHEAD: Final = 256
_MAX_SESSIONS: Final = 1000
_MAX_MESSAGES: Final = 400
_RUNS_HINT: Final = "agentnb.runs() has the runs of this kernel."


class FunctionPlatform:
    """The platform ``local``: one Python function, in this process.

    Sessions are remembered in memory, the latest 1,000 of them.  A failing function raises
    nothing here: its run ends with `RunFailed`.
    """

    def __init__(
        self, function: AgentFunction, *, agent: str | None = None, description: str | None = None
    ) -> None:
        if not callable(function):
            raise TypeError(f"An agent is a function, not {type(function).__name__}.")
        self._function = function
        self._agent = agent or getattr(function, "__name__", type(function).__name__)
        doc = inspect.getdoc(function) if hasattr(function, "__name__") else None
        self._description = description or (doc.partition("\n")[0] if doc else None)
        self._sessions: OrderedDict[str, list[Message]] = OrderedDict()
        self._running: dict[str, _Pump] = {}

    @property
    def name(self) -> str:
        return "local"

    @property
    def agent_id(self) -> str:
        """The id that the function is asked by: its own name, unless another was given."""
        return self._agent

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            cancel=True, list_agents=True, output_schema=True, media=True, followups=True
        )

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        """Run the function and yield its events, in batches of what arrived together."""
        session_id = request.session_id or str(uuid.uuid4())
        context = FunctionContext(
            agent=request.agent,
            session_id=session_id,
            run_id=f"run_{uuid.uuid4().hex}",
            history=list(self._sessions.get(session_id, ())),
            params=dict(request.params),
            output_schema=request.output_schema,
            media=request.media,
        )
        transcript = Transcript()
        pump = _Pump(self._function, request.prompt, context)
        self._running[context.run_id] = pump
        try:
            started = RunStarted(run_id=context.run_id, session_id=session_id, agent=request.agent)
            yield [started]
            async for batch in pump.batches():
                for event in batch:
                    transcript.apply(event)
                if transcript.is_final:
                    # Before the end is seen: the next question may follow at once.
                    self._remember(session_id, request.prompt, transcript)
                yield batch
        finally:
            del self._running[context.run_id]
            await pump.aclose()
            if not transcript.is_final:
                self._remember(session_id, request.prompt, transcript)

    async def invoke(self, request: RunRequest) -> list[Event]:
        """Run the function and return all of its events."""
        async with aclosing(self.stream(request)) as batches:
            return [event async for batch in batches for event in batch]

    def attach(
        self, run_id: str, *, agent: str | None = None, session_id: str | None = None
    ) -> AsyncGenerator[list[Event], None]:
        """Refused: a local run lives and ends with its one stream."""
        raise UnsupportedError("A local function's run cannot be joined again.")

    async def cancel(
        self, run_id: str | None, *, agent: str | None = None, session_id: str | None = None
    ) -> None:
        """Stop a run, or where ``run_id`` is None every run of a session."""
        for pump in list(self._running.values()):
            if pump.context.run_id == run_id or (
                run_id is None and session_id is not None and pump.context.session_id == session_id
            ):
                pump.cancel()

    async def agents(self) -> list[AgentInfo]:
        """Return the one function."""
        return [AgentInfo(id=self._agent, name=self._agent, description=self._description)]

    def runs(
        self,
        *,
        agent: str | None = None,
        session_id: str | None = None,
        status: str | None = None,
        limit: int | None = None,
        order: str = "desc",
        offset: int = 0,
    ) -> AsyncIterator[RemoteRun]:
        """Refused: a local function keeps no list of runs."""
        raise UnsupportedError("A local function keeps no list of runs.", hint=_RUNS_HINT)

    async def status(
        self, run_ids: Sequence[str], *, agent: str | None = None, session_id: str | None = None
    ) -> dict[str, RemoteRun]:
        """Refused: a local function keeps no list of runs."""
        raise UnsupportedError("A local function keeps no list of runs.", hint=_RUNS_HINT)

    async def aclose(self) -> None:
        """Stop what still runs."""
        for pump in list(self._running.values()):
            await pump.aclose()

    def _remember(self, session_id: str, prompt: str, transcript: Transcript) -> None:
        text = transcript.text
        if transcript.status != "completed" and not text:
            return
        messages = self._sessions.setdefault(session_id, [])
        messages.append({"role": "user", "content": prompt})
        messages.append({"role": "assistant", "content": text})
        del messages[:-_MAX_MESSAGES]
        self._sessions.move_to_end(session_id)
        while len(self._sessions) > _MAX_SESSIONS:
            self._sessions.popitem(last=False)


class _Pump:
    """A function run in a task of its own, so that it can be cancelled while its consumer waits."""

    def __init__(self, function: AgentFunction, prompt: str, context: FunctionContext) -> None:
        self.context = context
        self._pending: list[Event] = []
        self._ended = False
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._task = asyncio.create_task(self._run(function, prompt))

    async def batches(self) -> AsyncGenerator[list[Event], None]:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            batch, self._pending = self._pending, []
            self._room.set()
            if batch:
                yield batch
            if self._ended and not self._pending:
                return

    def cancel(self) -> None:
        if not self._ended:
            self._ended = True
            self._pending.append(RunCancelled(reason="Cancelled."))
            # Set here, because a task cancelled before its first step runs nothing at all.
            self._arrived.set()
        self._task.cancel()

    async def aclose(self) -> None:
        self.cancel()
        # A function may refuse to be cancelled; its consumer shall not hang with it.
        await asyncio.wait({self._task}, timeout=1)

    async def _run(self, function: AgentFunction, prompt: str) -> None:
        try:
            async with aclosing(iterate_batches(function, prompt, self.context)) as batches:
                async for batch in batches:
                    if self._ended:
                        return
                    self._pending += batch
                    self._arrived.set()
                    while len(self._pending) >= _AHEAD:
                        self._room.clear()
                        await self._room.wait()
        finally:
            self._ended = True
            self._arrived.set()
