"""One Python function behind the interface of a platform."""

from __future__ import annotations

import inspect
import uuid
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

from agentnb.errors import AgentnbError, RequestError, UnsupportedError
from agentnb.event.types import Event, RunStarted
from agentnb.platforms._validation import check_history
from agentnb.platforms.base import (
    AgentInfo,
    Capabilities,
    MediaSupport,
    Message,
    RunRequest,
)
from agentnb.platforms.base_platform import BasePlatform
from agentnb.platforms.local.function import AgentFunction, FunctionContext
from agentnb.platforms.local.function_run import FunctionRun

_MAX_SESSIONS: Final = 1000
_MAX_MESSAGES: Final = 400
# Runs suspended for a decision; beyond it the oldest is discarded.
_MAX_WAITING: Final = 100
# Not bounded by a wire; these limits protect the memory from mistakes.
_MEDIA: Final = MediaSupport(max_bytes=256 * 2**20, max_count=100, alone=True)


class FunctionPlatform(BasePlatform):
    """The platform ``local``: one Python function, in this process.

    Sessions are remembered in memory, the latest 1,000 of them.  A failing function raises
    nothing here: its run ends with `RunFailed`.

    A function that yields `ApprovalRequested` is suspended there, and the stream ends.  `decide`
    puts ``APPROVED`` or ``REJECTED`` into `FunctionContext.decisions` and lets it go on, in both
    cases: what a refusal means is the function's own choice.  `attach` joins it again.  The latest
    100 such runs are kept.
    """

    def __init__(
        self, function: AgentFunction, *, agent: str | None = None, description: str | None = None
    ) -> None:
        if not callable(function):
            raise TypeError(f"An agent is a function, not {type(function).__name__}.")
        super().__init__("local")
        self._function = function
        self._agent = agent or getattr(function, "__name__", type(function).__name__)
        doc = inspect.getdoc(function) if hasattr(function, "__name__") else None
        self._description = description or (doc.partition("\n")[0] if doc else None)
        self._sessions: OrderedDict[str, list[Message]] = OrderedDict()
        self._running: dict[str, FunctionRun] = {}
        self._waiting: OrderedDict[str, FunctionRun] = OrderedDict()

    @property
    def agent_id(self) -> str:
        """The agent's id: the name of the function, unless another was given."""
        return self._agent

    @property
    def capabilities(self) -> Capabilities:
        # Only runs that wait for an approval can be attached to.
        return replace(
            super().capabilities,
            attach=False,
            approval_payloads=True,
            output_schema=True,
            media=_MEDIA,
            followups=True,
            history=True,
        )

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        """Run the function and yield its events, in batches of what arrived together."""
        check_history(request, platform=self.name, supported=True)
        session_id = request.session_id or str(uuid.uuid4())
        if request.history:
            self._add(session_id, request.history)
        context = FunctionContext(
            agent=request.agent,
            session_id=session_id,
            run_id=f"run_{uuid.uuid4().hex}",
            history=list(self._sessions.get(session_id, ())),
            params=dict(request.params),
            output_schema=request.output_schema,
            media=request.media,
        )
        run = FunctionRun(self._function, request.prompt, context)
        started = RunStarted(run_id=context.run_id, session_id=session_id, agent=request.agent)
        async with aclosing(self._follow(run, [run.record(started)])) as batches:
            async for batch in batches:
                yield batch

    async def attach(
        self, run_id: str, *, agent: str | None = None, session_id: str | None = None
    ) -> AsyncGenerator[list[Event], None]:
        """Attach to a run that requested an approval; yield past and future events.

        Other local runs end with their stream.

        Raises:
            RequestError: no such run waits here.
        """
        run = self._waiting.pop(run_id, None)
        if run is None:
            raise RequestError(
                f"No local run {run_id} waits to be joined again.",
                hint="A local run can be joined again once it has asked for an approval.",
            )
        async with aclosing(self._follow(run, run.delivered_events())) as batches:
            async for batch in batches:
                yield batch

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
        """Resume a function that requested an approval, with ``payload`` in its context.

        Raises:
            RequestError: it waits for no such decision.
        """
        run = self._waiting.get(run_id) or self._running.get(run_id)
        if (
            run is None
            or run.pending_approval is None
            or approval_id not in (None, run.pending_approval)
        ):
            named = f"the approval {approval_id}" if approval_id else "an approval"
            raise RequestError(f"The run {run_id} does not wait for {named}.")
        run.decide("APPROVED" if approved else "REJECTED", payload)

    async def cancel(
        self, run_id: str | None, *, agent: str | None = None, session_id: str | None = None
    ) -> None:
        """Stop a run, or where ``run_id`` is None every run of a session."""

        def is_meant(run: FunctionRun) -> bool:
            if run_id is not None:
                return run.context.run_id == run_id
            return session_id is not None and run.context.session_id == session_id

        for run in filter(is_meant, list(self._running.values())):
            run.cancel()
        for run in filter(is_meant, list(self._waiting.values())):
            await self._discard(run)

    async def agents(self) -> list[AgentInfo]:
        """Return the one function."""
        return [AgentInfo(id=self._agent, name=self._agent, description=self._description)]

    async def aclose(self) -> None:
        """Stop what still runs."""
        for run in list(self._running.values()):
            await run.aclose()
        for run in list(self._waiting.values()):
            await self._discard(run)

    def _refusal(self, call: str) -> AgentnbError:
        return UnsupportedError(
            f"A local function cannot {call}.", hint="agentnb.runs() has the runs of this kernel."
        )

    async def _follow(
        self, run: FunctionRun, first: list[Event]
    ) -> AsyncGenerator[list[Event], None]:
        """Yield ``first`` and the function's events; record or suspend the run at the end."""
        run_id = run.context.run_id
        self._running[run_id] = run
        try:
            yield first
            async with aclosing(run.batches()) as batches:
                async for batch in batches:
                    if run.transcript.is_final:
                        # Before the end is seen: the next question may follow at once.
                        self._remember(run)
                    yield batch
        finally:
            del self._running[run_id]
            if run.is_suspended:
                await self._suspend(run)
            else:
                await run.aclose()
                if not run.transcript.is_final:
                    self._remember(run)

    async def _suspend(self, run: FunctionRun) -> None:
        self._waiting[run.context.run_id] = run
        while len(self._waiting) > _MAX_WAITING:
            await self._discard(next(iter(self._waiting.values())))

    async def _discard(self, run: FunctionRun) -> None:
        """End a suspended run; its answer so far stays in its session."""
        if self._waiting.pop(run.context.run_id, None) is not None:
            await run.aclose()
            self._remember(run)

    def _remember(self, run: FunctionRun) -> None:
        transcript = run.transcript
        text = transcript.text
        if transcript.status != "completed" and not text:
            return
        turn: list[Message] = [
            {"role": "user", "content": run.prompt},
            {"role": "assistant", "content": text},
        ]
        self._add(run.context.session_id, turn)

    def _add(self, session_id: str, more: Sequence[Message]) -> None:
        messages = self._sessions.setdefault(session_id, [])
        messages += more
        del messages[:-_MAX_MESSAGES]
        self._sessions.move_to_end(session_id)
        while len(self._sessions) > _MAX_SESSIONS:
            self._sessions.popitem(last=False)
