"""One thing that is watched: a run of this process, or one that its platform is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from agentnb.event.transcript import FINAL_STATUSES
from agentnb.monitoring.rows import WatchedRun, local_row, remote_times
from agentnb.platforms.base import Platform, RemoteRun
from agentnb.run.run import Run
from agentnb.store.recent import recent_runs

__all__ = ["STRIKES", "Item", "LocalItem", "RemoteItem", "remote_item"]

#: How many times a platform may answer without a run until that counts as not knowing it.
STRIKES: Final = 3


@dataclass(eq=False, slots=True)
class LocalItem:
    """A run of this process: nobody needs to be asked for it."""

    run: Run

    @property
    def key(self) -> str:
        return self.run.local_id

    @property
    def final(self) -> bool:
        return self.newest.done and self.newest.status != "paused"

    @property
    def newest(self) -> Run:
        """The run as which it goes on."""
        run = self.run
        while run.successor is not None:
            run = run.successor
        return run

    def row(self) -> WatchedRun:
        # The key stays the one that it began with.
        return replace(local_row(self.newest), key=self.key)


@dataclass(eq=False, slots=True)
class RemoteItem:
    """A run that its platform is asked for.

    ``state`` is what it said last.  ``strikes`` counts the answers without the run; ``gone`` says
    why nobody asks any more, ``problem`` what went wrong with a request for it.
    """

    client: Platform
    run_id: str
    agent: str | None = None
    session_id: str | None = None
    state: RemoteRun | None = None
    strikes: int = 0
    gone: str | None = None
    problem: str | None = None
    trouble: str | None = None

    @property
    def key(self) -> str:
        return f"{self.client.name}:{self.run_id}"

    @property
    def final(self) -> bool:
        known = self.state is not None and self.state.status in FINAL_STATUSES
        return known or self.gone is not None

    def take(self, state: RemoteRun) -> bool:
        """Keep what the platform said; tell whether it is news."""
        before = None if self.state is None else (self.state.status, self.state.error)
        self.agent = self.agent or state.agent
        self.session_id = self.session_id or state.session_id
        self.state, self.strikes, self.trouble = state, 0, None
        return before != (state.status, state.error)

    def row(self) -> WatchedRun:
        state = self.state
        began, elapsed = (None, None) if state is None else remote_times(state)
        cancels = self.client.capabilities.cancel
        return WatchedRun(
            key=self.key,
            run_id=self.run_id,
            platform=self.client.name,
            agent=self.agent,
            session_id=self.session_id,
            title=self.agent or self.client.name,
            # Of one that was never seen nothing better can be said than that it is not known to
            # have begun.
            status="queued" if state is None else state.status,
            started_at=began,
            elapsed=elapsed,
            detail=self._detail(),
            error=self.problem or self._reason(),
            final=self.final,
            can_cancel=cancels and not self.final,
        )

    def _reason(self) -> str | None:
        # That somebody stopped it says its status.
        state = self.state
        return None if state is None or state.status == "cancelled" else state.error

    def _detail(self) -> str:
        if self.gone is not None:
            return self.gone
        if self.trouble is not None:
            return self.trouble
        if self.state is None:
            return "Not found yet" if self.strikes else "Is being asked for"
        match self.state.status:
            case "queued":
                return "Waits on the platform"
            case "running":
                return "Goes on on the platform"
            case "paused":
                return "Waits for a decision"
            case _:
                model = self.state.model
                return f"Model {model}" if model else ""


Item = LocalItem | RemoteItem


def remote_item(client: Platform, run_id: str, of: str | None, session: str | None) -> Item:
    """Return the run; where this process follows it, or knows its end, as it is here."""
    for run in reversed(recent_runs()):
        if isinstance(run, Run) and run.client is client and run.id == run_id:
            if run.done and run.status in ("truncated", "interrupted"):
                break  # what was cut off here may well go on there
            return LocalItem(run)
    return RemoteItem(client, run_id, agent=of, session_id=session)
