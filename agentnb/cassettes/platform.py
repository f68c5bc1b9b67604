"""A platform of a cassette: it answers each request as it was answered when it was recorded."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise
from typing import Any

from agentnb._support.text import identifier_or_none
from agentnb.cassettes.entries import CassetteRun, request_fields
from agentnb.cassettes.matching import RecordedAnswers, quoted_name
from agentnb.cassettes.player import play
from agentnb.errors import AgentnbError, PlaybackError
from agentnb.event.approvals import Decision
from agentnb.event.types import ApprovalRequested, Event, RunFailed, RunStarted
from agentnb.platforms.base import AgentInfo, Capabilities, RunRequest
from agentnb.platforms.base_platform import OfflinePlatform
from agentnb.recording.clock import PlayedBatch
from agentnb.redaction.secrets import mask_value


class PlaybackPlatform(OfflinePlatform):
    """One platform of a cassette; ``speed`` is as `play` takes it."""

    def __init__(
        self,
        name: str,
        capabilities: Capabilities,
        runs: Sequence[CassetteRun],
        agents: Sequence[list[AgentInfo]] = (),
        *,
        speed: float,
    ) -> None:
        if capabilities.decides_by_request or capabilities.client_tools:
            capabilities = replace(capabilities, approvals=True, approval_payloads=True)
        super().__init__(name, capabilities)
        self._speed = speed
        self._answers = RecordedAnswers(name, [run for run in runs if run.via != "decision"])
        # Continuations after a decision, by the id of the decided run.
        self._continuations: dict[str, deque[CassetteRun]] = {}
        for run in sorted(runs, key=lambda run: run.sent_at):
            if run.via == "decision":
                self._continuations.setdefault(run.request["run_id"], deque()).append(run)
        self._agents = deque(agents)
        # Runs with an open stream that wait for a decision.
        self._waiting: dict[str, tuple[deque[Decision], asyncio.Event]] = {}
        self._next: dict[str, CassetteRun] = {}

    @property
    def left(self) -> int:
        """Number of recorded runs not yet played."""
        return self._answers.left + sum(len(runs) for runs in self._continuations.values())

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        run = self._answers.pop(request_fields(request, via="stream"))
        async with aclosing(self._play(run)) as batches:
            async for batch in batches:
                yield batch

    async def invoke(self, request: RunRequest) -> list[Event]:
        run = self._answers.pop(request_fields(request, via="invoke"))
        async with aclosing(self._play(run)) as batches:
            played = [batch async for batch in batches]
        first, last = played[0], played[-1]
        events = (event for batch in played for event in batch)
        return PlayedBatch(events, at=last.at, sent_at=first.sent_at, run_id=first.run_id)

    async def attach(
        self, run_id: str, *, agent: str | None = None, session_id: str | None = None
    ) -> AsyncGenerator[list[Event], None]:
        run = self._next.pop(run_id, None)
        if run is None:
            request = RunRequest(agent=agent or "", prompt="", session_id=session_id)
            run = self._answers.pop(request_fields(request, via="attach", run_id=run_id))
        async with aclosing(self._play(run)) as batches:
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
        """Continue a run as it continued when the same decision was recorded.

        Raises:
            PlaybackError: another decision was recorded, or none.
        """
        payload = mask_value(payload)
        runs = self._continuations.get(run_id)
        if (waiting := self._waiting.get(run_id)) is not None:
            recorded = next(iter(waiting[0]), None)
        else:
            recorded = runs[0].decisions[0] if runs and runs[0].decisions else None
        if (
            recorded is None
            or (recorded.approved, recorded.payload) != (approved, payload)
            or approval_id not in (None, recorded.approval_id)
        ):
            raise self._decision_error(run_id, recorded, approved=approved)
        if waiting is not None:
            decisions, resumed = waiting
            decisions.popleft()
            resumed.set()
        elif runs:
            self._next[run_id] = runs.popleft()

    async def agents(self) -> list[AgentInfo]:
        """Return the recorded lists in order, and the last one for every further call.

        Raises:
            PlaybackError: none was recorded.
        """
        if not self._agents:
            raise self._refusal("list its agents")
        return self._agents.popleft() if len(self._agents) > 1 else self._agents[0]

    def _decision_error(
        self, run_id: str, recorded: Decision | None, *, approved: bool
    ) -> PlaybackError:
        verbs = {True: "approved", False: "refused"}
        hint = "No decision on it was recorded."
        if recorded is not None:
            approval = quoted_name(recorded.approval_id) if recorded.approval_id else "it"
            answer = "" if recorded.payload is None else " with a payload"
            hint = f"In the recording {approval} was {verbs[recorded.approved]}{answer}."
        return PlaybackError(
            f"{quoted_name(self.name)}: that the run {quoted_name(run_id)} is {verbs[approved]} "
            "was not recorded.",
            hint=hint,
        )

    def _refusal(self, call: str) -> AgentnbError:
        return PlaybackError(
            f"{quoted_name(self.name)} cannot {call}: that was not recorded.",
            hint="Runs and lists of agents are; agentnb.playback(None) returns to the platform.",
        )

    async def _play(self, run: CassetteRun) -> AsyncGenerator[PlayedBatch, None]:
        run = run.load()
        events, times = _received_events(run)
        failure = run.exception()
        decisions = deque(run.decisions if run.via != "decision" else ())
        run_id = next((e.run_id for e in events if isinstance(e, RunStarted) and e.run_id), "")

        async def wait_for_decision(approval: ApprovalRequested) -> None:
            if not decisions or decisions[0][0] != approval.approval_id:
                return
            resumed = asyncio.Event()
            self._waiting[run_id] = (decisions, resumed)
            try:
                await resumed.wait()
            finally:
                del self._waiting[run_id]

        playing = play(
            events,
            times,
            sent_at=run.sent_at,
            run_id=identifier_or_none(run.id),
            speed=self._speed,
            duration=run.duration,
            on_approval=wait_for_decision,
        )
        async with aclosing(playing) as batches:
            async for batch in batches:
                yield batch
        if failure is not None:
            raise failure


def _received_events(run: CassetteRun) -> tuple[list[Event], list[float]]:
    """Return the events that the platform sent, without those that the executor added."""
    pairs = list(zip(run.events, run.times, strict=True))
    if run.failure is not None:
        # The exception, raised again, makes it.
        pairs = [(event, at) for event, at in pairs if not isinstance(event, RunFailed)]
    if run.via == "decision":
        # A `RunStarted` was put after each decided approval.
        pairs = pairs[:1] + [
            pair
            for before, pair in pairwise(pairs)
            if not (isinstance(before[0], ApprovalRequested) and isinstance(pair[0], RunStarted))
        ]
    return [event for event, _ in pairs], [at for _, at in pairs]
