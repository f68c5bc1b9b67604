"""A recorded platform: it answers each question as it was answered when it was recorded."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from agentnb._support.text import identifier_or_none
from agentnb.cassettes.entries import Decision, TapedRun, asked
from agentnb.cassettes.matching import Shelf, named
from agentnb.cassettes.offline import OfflinePlatform
from agentnb.cassettes.player import play
from agentnb.errors import AgentnbError, PlaybackError
from agentnb.event.types import ApprovalRequested, Event, RunFailed, RunStarted
from agentnb.platforms.base import AgentInfo, Capabilities, RunRequest
from agentnb.recording.clock import current_clock

__all__ = ["PlaybackPlatform"]


class PlaybackPlatform(OfflinePlatform):
    """One platform of a recording: each question is answered by the recorded run that asked it."""

    def __init__(
        self,
        name: str,
        capabilities: Capabilities,
        runs: Sequence[TapedRun],
        agents: Sequence[list[AgentInfo]] = (),
        *,
        speed: float,
    ) -> None:
        super().__init__(name, capabilities)
        self._speed = speed
        self._shelf = Shelf(name, [run for run in runs if run.via != "decision"])
        # What went on after a decision, by the run that it was about.
        self._decided: dict[str, deque[TapedRun]] = {}
        for run in sorted(runs, key=lambda run: run.sent_at):
            if run.via == "decision":
                self._decided.setdefault(run.asked["run_id"], deque()).append(run)
        self._agents = deque(agents)
        self._waiting: dict[str, tuple[deque[Decision], asyncio.Event]] = {}
        self._next: dict[str, TapedRun] = {}

    @property
    def left(self) -> int:
        """How many recorded runs have not been played."""
        return self._shelf.left + sum(len(runs) for runs in self._decided.values())

    async def stream(self, request: RunRequest) -> AsyncGenerator[list[Event], None]:
        run = self._shelf.take(asked(request, via="stream"))
        async with aclosing(self._play(run)) as batches:
            async for batch in batches:
                yield batch

    async def invoke(self, request: RunRequest) -> list[Event]:
        run = self._shelf.take(asked(request, via="invoke"))
        async with aclosing(self._play(run)) as batches:
            return [event async for batch in batches for event in batch]

    async def attach(
        self, run_id: str, *, agent: str | None = None, session_id: str | None = None
    ) -> AsyncGenerator[list[Event], None]:
        run = self._next.pop(run_id, None)
        if run is None:
            request = RunRequest(agent=agent or "", prompt="", session_id=session_id)
            run = self._shelf.take(asked(request, via="attach", run_id=run_id))
        async with aclosing(self._play(run)) as batches:
            async for batch in batches:
                yield batch

    async def decide(
        self,
        run_id: str,
        approval_id: str | None,
        *,
        approved: bool,
        agent: str | None = None,
        session_id: str | None = None,
    ) -> None:
        """Let a run go on as it went on when the same was decided.

        Raises:
            PlaybackError: it was decided otherwise, or not at all.
        """
        waiting = self._waiting.get(run_id)
        if waiting is not None:
            left, go_on = waiting
            recorded = left[0] if left else None
        else:
            left, go_on = deque[Decision](), None
            runs = self._decided.get(run_id)
            recorded = runs[0].decisions[0] if runs and runs[0].decisions else None
        if recorded is None or recorded[1] != approved or approval_id not in (None, recorded[0]):
            raise self._otherwise(run_id, recorded, approved=approved)
        if go_on is not None:
            left.popleft()
            go_on.set()
        else:
            self._next[run_id] = self._decided[run_id].popleft()

    async def agents(self) -> list[AgentInfo]:
        """Return the recorded lists in order, the last one again and again.

        Raises:
            PlaybackError: none was recorded.
        """
        if not self._agents:
            raise self._refusal("list its agents")
        return self._agents.popleft() if len(self._agents) > 1 else self._agents[0]

    def _otherwise(
        self, run_id: str, recorded: Decision | None, *, approved: bool
    ) -> PlaybackError:
        words = {True: "approved", False: "refused"}
        if recorded is None:
            hint = "No decision on it was."
        else:
            which = named(recorded[0]) if recorded[0] else "it"
            hint = f"Recorded is that {which} was {words[recorded[1]]}."
        return PlaybackError(
            f"{named(self.name)}: that the run {named(run_id)} is {words[approved]} "
            "was not recorded.",
            hint=hint,
        )

    def _refusal(self, what: str) -> AgentnbError:
        return PlaybackError(
            f"{named(self.name)}: what it takes to {what} was not recorded.",
            hint="Runs and lists of agents are; agentnb.playback(None) asks the platform itself.",
        )

    async def _play(self, run: TapedRun) -> AsyncGenerator[list[Event], None]:
        if (clock := current_clock()) is not None:
            clock.sent_at, clock.played_id = run.sent_at, identifier_or_none(run.id)
        # Of each only what answers a question is kept in memory.
        run = run.whole()
        events, times = _to_play(run)
        failure = run.exception()
        left = deque(run.decisions if run.via != "decision" else ())
        async with aclosing(
            play(
                events,
                times,
                speed=self._speed,
                duration=run.duration,
                wait_to_go_on=lambda approval: self._wait(events, left, approval),
            )
        ) as batches:
            async for batch in batches:
                yield batch
        if failure is not None:
            raise failure

    async def _wait(
        self, events: Sequence[Event], left: deque[Decision], approval: ApprovalRequested
    ) -> None:
        """Wait for the decision that a run with an open stream went on after."""
        if not left or left[0][0] != approval.approval_id:
            return
        run_id = next((e.run_id for e in events if isinstance(e, RunStarted) and e.run_id), "")
        go_on = asyncio.Event()
        self._waiting[run_id] = (left, go_on)
        try:
            await go_on.wait()
        finally:
            del self._waiting[run_id]


def _to_play(run: TapedRun) -> tuple[list[Event], list[float]]:
    """Return the events as the platform sent them: without those that whoever drives a run adds."""
    pairs = list(zip(run.events, run.times, strict=True))
    if run.failure is not None:
        # It comes of the exception.
        pairs = [(event, at) for event, at in pairs if not isinstance(event, RunFailed)]
    if run.via == "decision":
        # One is put after each approval that was decided, see `agentnb.run.approvals.Decided`.
        pairs = [
            pair
            for before, pair in zip([None, *pairs], pairs, strict=False)
            if not (
                before is not None
                and isinstance(before[0], ApprovalRequested)
                and isinstance(pair[0], RunStarted)
            )
        ]
    return [event for event, _ in pairs], [at for _, at in pairs]
