"""`WatchedRun`: the state of a run that is watched, listened to here or polled at its platform."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from agentnb.event.transcript import FINAL_STATUSES, Passage, Status, Step, ToolCall
from agentnb.platforms.base import Platform, RemoteRun
from agentnb.recording.recording import Waiting
from agentnb.render.visible import one_line
from agentnb.run.run import Run
from agentnb.store.recent import recent_runs

_WAITS: Final = {"reconnect": "Reconnecting", "retry": "Trying again"}
_MAX_REASON: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedRun:
    """The current state of one run.

    ``key`` identifies it within its `Watch`.  ``elapsed`` is in seconds, None if its start is
    unknown.  ``detail`` describes its progress, or why nothing newer is known; ``error`` is its
    error, or that of a request for it.  ``final`` means that it will not change or is not polled
    any more; ``status`` is then the last known one, ``queued`` if none is.
    """

    key: str
    run_id: str
    platform: str
    agent: str | None = None
    session_id: str | None = None
    title: str
    status: Status
    started_at: datetime | None = None
    elapsed: float | None = None
    detail: str = ""
    error: str | None = None
    final: bool = False
    can_cancel: bool = False

    @property
    def settled(self) -> bool:
        """Whether it is final, or waits for a decision."""
        return self.final or self.status == "paused"


def watched_run(run: Run) -> WatchedRun:
    """Return the state of a run of this process."""
    with run.lock:
        status = run.status
        # A run that was cut off is final here, even if its platform continues it.
        final = run.done and status != "paused"
        return WatchedRun(
            key=run.local_id,
            run_id=run.id,
            platform=run.platform,
            agent=run.agent,
            session_id=run.session_id,
            title=run.title,
            status=status,
            started_at=run.created_at,
            elapsed=run.elapsed,
            detail=_progress(run),
            error=run.error if status not in ("cancelled", "completed") else None,
            final=final,
            can_cancel=not final,
        )


def waiting_words(waiting: Waiting) -> str:
    """Return a description such as ``Reconnecting, 2 of 5``."""
    return f"{_WAITS[waiting.kind]}, {waiting.attempt} of {waiting.of}"


def remote_times(remote: RemoteRun) -> tuple[datetime | None, float | None]:
    """Return the start of a run, and its duration so far in seconds."""
    start = remote.started_at or remote.created_at
    if start is None:
        return None, None
    end = remote.finished_at if remote.status in FINAL_STATUSES else datetime.now(UTC)
    return start, None if end is None else max(0.0, (end - start).total_seconds())


def _progress(run: Run) -> str:
    transcript = run.transcript
    if (waiting := run.waiting) is not None:
        return f"{waiting_words(waiting)}: {one_line(waiting.reason, _MAX_REASON)}"
    # Not `len(run.text)`, which would join a long answer at every update.
    passages = [p for p in transcript.parts if isinstance(p, Passage) and p.kind == "text"]
    characters = sum(len(p.text) for p in passages)
    match transcript.status:
        case "queued":
            return "Sent; no response yet" if run.elapsed else "Not sent yet"
        case "running":
            last = transcript.parts[-1] if transcript.parts else None
            if last is None:
                return "Waits for the first words"
            match last:
                case ToolCall(status="running"):
                    return f"Calls {last.name}"
                case ToolCall():
                    return f"Has called {last.name}"
                case Step():
                    return f"At the step {last.name}"
                case Passage(kind="reasoning"):
                    return "Thinks"
                case _:
                    pass
            return f"Answers: {_count(characters, 'character')}"
        case "paused":
            tool = next((a.tool for a in transcript.pending_approvals if a.tool), None)
            return f"Waits for a decision on {tool}" if tool else "Waits for a decision"
        case _:
            counts = ((characters, "character"), (len(transcript.tool_calls), "tool call"))
            return ", ".join(_count(number, noun) for number, noun in counts if number)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


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
        return self.run.latest()

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
