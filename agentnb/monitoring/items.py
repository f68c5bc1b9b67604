"""What a `Watch` watches: runs of this process, and runs polled at their platforms."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from agentnb.event.transcript import FINAL_STATUSES
from agentnb.monitoring.watched_run import WatchedRun, remote_times, watched_run
from agentnb.platforms.base import Platform, RemoteRun
from agentnb.run.run import Run
from agentnb.store.recent import recent_runs

#: After how many responses without a run its platform is taken not to know it.
MAX_FAILURES: Final = 3


@dataclass(eq=False, slots=True)
class LocalItem:
    """A run of this process, which is listened to."""

    run: Run

    @property
    def key(self) -> str:
        return self.run.local_id

    @property
    def final(self) -> bool:
        return self.newest.done and self.newest.status != "paused"

    @property
    def newest(self) -> Run:
        """The last of its successors, or itself."""
        run = self.run
        while run.successor is not None:
            run = run.successor
        return run

    def row(self) -> WatchedRun:
        # The key stays that of the first run.
        return replace(watched_run(self.newest), key=self.key)


@dataclass(eq=False, slots=True)
class RemoteItem:
    """A run that is polled at its platform.

    ``state`` is its last known state.  ``failures`` counts responses without it.  ``stopped`` is
    why polling ended, ``problem`` the error of a request for it, ``delay`` why the last poll
    brought nothing.
    """

    client: Platform
    run_id: str
    agent: str | None = None
    session_id: str | None = None
    state: RemoteRun | None = None
    failures: int = 0
    stopped: str | None = None
    problem: str | None = None
    delay: str | None = None

    @property
    def key(self) -> str:
        return f"{self.client.name}:{self.run_id}"

    @property
    def final(self) -> bool:
        is_final = self.state is not None and self.state.status in FINAL_STATUSES
        return is_final or self.stopped is not None

    def update(self, state: RemoteRun) -> bool:
        """Store a new state; return whether it differs."""
        before = None if self.state is None else (self.state.status, self.state.error)
        self.agent = self.agent or state.agent
        self.session_id = self.session_id or state.session_id
        self.state, self.failures, self.delay = state, 0, None
        return before != (state.status, state.error)

    def row(self) -> WatchedRun:
        state = self.state
        start, elapsed = (None, None) if state is None else remote_times(state)
        # The status of a cancelled run says enough.
        reason = None if state is None or state.status == "cancelled" else state.error
        return WatchedRun(
            key=self.key,
            run_id=self.run_id,
            platform=self.client.name,
            agent=self.agent,
            session_id=self.session_id,
            title=self.agent or self.client.name,
            status="queued" if state is None else state.status,
            started_at=start,
            elapsed=elapsed,
            detail=self._detail(),
            error=self.problem or reason,
            final=self.final,
            can_cancel=self.client.capabilities.cancel and not self.final,
        )

    def _detail(self) -> str:
        if self.stopped is not None or self.delay is not None:
            return self.stopped or self.delay or ""
        if self.state is None:
            return "Not found yet" if self.failures else "Not polled yet"
        match self.state.status:
            case "queued":
                return "Queued on the platform"
            case "running":
                return "Running on the platform"
            case "paused":
                return "Waits for a decision"
            case _:
                return f"Model {self.state.model}" if self.state.model else ""


Item = LocalItem | RemoteItem


def own_runs() -> list[Run]:
    """Return the runs of this process, newest first."""
    return [run for run in reversed(recent_runs()) if isinstance(run, Run)]


def remote_item(client: Platform, run_id: str, agent: str | None, session: str | None) -> Item:
    """Return a run of a platform, as a local one where this process follows it or has its end."""
    run = next((r for r in own_runs() if r.client is client and r.id == run_id), None)
    # A run that was cut off here may still be running there.
    if run is not None and not (run.done and run.status in ("truncated", "interrupted")):
        return LocalItem(run)
    return RemoteItem(client, run_id, agent=agent, session_id=session)
