"""Execution of agents: where a request becomes a run."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final, TypedDict, Unpack

from pydantic import SecretStr

from agentnb.event.types import (
    ApprovalRequested,
    Event,
    ReasoningDelta,
    RunFailed,
    RunStarted,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
)
from agentnb.platforms.base import Media
from agentnb.platforms.local import FunctionContext, Message, iterate_function
from agentnb.sandbox.fault_plan import FaultSettings, PendingPlans
from agentnb.sandbox.registry import AgentRegistry, RegisteredAgent
from agentnb.sandbox.state import SandboxRun, SandboxSession, SandboxStore, new_id

# Events between two turns of the loop, so that a busy agent leaves the server responsive.
_YIELD_EVERY: Final = 32
# Longest text of a run, in characters.
_MAX_TEXT: Final = 64 * 2**20
# Seconds before an event at pace 1: about 60 tokens a second, and slower tools.
_PAUSES: Final[dict[type[Event], float]] = {
    TextDelta: 0.016,
    ReasoningDelta: 0.012,
    ToolCallStarted: 0.12,
    ToolCallFinished: 0.28,
}
_FIRST_PAUSE: Final = 0.25


class RunOptions(TypedDict, total=False):
    """Options of a run.

    ``details`` belong to the dialect; ``with_client`` (the default) ends the run with its last
    client; ``waits_for_approval`` pauses it at an approval request; ``pace`` overrides the
    sandbox's and the agent's own.
    """

    params: Mapping[str, Any]
    output_schema: Mapping[str, Any] | None
    media: Sequence[Media]
    details: dict[str, Any]
    with_client: bool
    waits_for_approval: bool
    pace: float | None


class SandboxEngine:
    """Agents, key, pace, faults and active runs; belongs to the server's event loop."""

    def __init__(self, registry: AgentRegistry, *, key: SecretStr, pace: float) -> None:
        self.registry = registry
        self.pace = pace
        self.faults = FaultSettings()
        self.pending_plans = PendingPlans()
        self._key = key
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: set[SandboxRun] = set()

    @property
    def active_runs(self) -> int:
        return len(self._running)

    def accepts(self, key: str) -> bool:
        """Return whether ``key`` is the sandbox's, in constant time."""
        own = self._key.get_secret_value().encode()
        return secrets.compare_digest(key.encode("utf-8", "surrogateescape"), own)

    def start(
        self,
        store: SandboxStore,
        agent: RegisteredAgent,
        session: SandboxSession,
        prompt: str,
        *,
        history: Sequence[Message],
        **options: Unpack[RunOptions],
    ) -> SandboxRun:
        """Start ``agent`` on ``prompt``; the run is in ``store`` when this returns."""
        run_id = new_id("run")
        run = SandboxRun(
            id=run_id,
            agent=agent,
            session=session,
            prompt=prompt,
            context=FunctionContext(
                agent=agent.name,
                session_id=session.id,
                run_id=run_id,
                history=list(history),
                params=dict(options.get("params", {})),
                output_schema=options.get("output_schema"),
                media=options.get("media", ()),
            ),
            created_at=datetime.now(UTC),
            details=options.get("details", {}),
            with_client=options.get("with_client", True),
            waits_for_approval=options.get("waits_for_approval", False),
        )
        pace = options.get("pace")
        store.add_run(run)
        pace = self.pace * agent.pace if pace is None else pace
        task = asyncio.create_task(self._drive(run, pace))
        run.task = task
        self._tasks.add(task)
        self._running.add(run)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._running.discard(run)
            store.settle(run)

        task.add_done_callback(ended)
        return run

    def decide(self, run: SandboxRun, approval_id: str, decision: str) -> None:
        """Decide on a pending approval: ``APPROVED`` resumes the run, ``REJECTED`` cancels it."""
        run.approvals.pop(approval_id, None)
        run.context.decisions[approval_id] = decision
        if decision == "REJECTED":
            run.cancel("The approval was rejected.")
        elif not run.waits:
            run.settled.clear()
        run.decided.set()

    async def stop(self) -> None:
        """Cancel every run, and wait up to a second for their functions to end."""
        self.faults.abort_held()
        for run in list(self._running):
            run.cancel("The sandbox stopped.")
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=1)

    async def _drive(self, run: SandboxRun, pace: float) -> None:
        try:
            await self._execute(run, pace)
        finally:
            # However this task ended, no reader may wait for ever.
            if not run.is_final:
                run.add(RunFailed(message="The run broke off.", code="INTERRUPTED"))

    async def _execute(self, run: SandboxRun, pace: float) -> None:
        run.started_at = datetime.now(UTC)
        run.add(RunStarted(run_id=run.id, session_id=run.session.id, agent=run.agent.name))
        length = count = 0
        function = iterate_function(run.agent.function, run.prompt, run.context)
        async with aclosing(function) as events:
            async for event in events:
                pause = pace * (_PAUSES.get(type(event), 0.0) if count else _FIRST_PAUSE)
                if pause > 0:
                    await asyncio.sleep(pause)
                count += 1
                length += len(getattr(event, "text", ""))
                if length > _MAX_TEXT:
                    event = RunFailed(message="The answer grew too long.", code="TOO_LONG")
                if isinstance(event, ApprovalRequested):
                    await self._request_approval(run, event)
                else:
                    run.add(event)
                if run.is_final:
                    return
                if not pause and count % _YIELD_EVERY == 0:
                    await asyncio.sleep(0)
                await run.log.wait_for_room()

    async def _request_approval(self, run: SandboxRun, event: ApprovalRequested) -> None:
        approval_id = event.approval_id or new_id("appr")
        event = ApprovalRequested(
            approval_id=approval_id,
            message=event.message,
            tool=event.tool,
            arguments=event.arguments,
        )
        if run.waits_for_approval:
            run.approvals[approval_id] = event
        run.add(event)
        if run.waits:
            run.settled.set()
        while approval_id in run.approvals:
            run.decided.clear()
            await run.decided.wait()
