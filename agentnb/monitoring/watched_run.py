"""`WatchedRun`: the state of a run that is watched."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from agentnb.event.transcript import FINAL_STATUSES, Passage, Status
from agentnb.platforms.base import RemoteRun
from agentnb.recording.recording import Waiting
from agentnb.render.visible import one_line
from agentnb.run.run import Run

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
            if not isinstance(last, Passage):
                return (
                    f"Calls {last.name}" if last.status == "running" else f"Has called {last.name}"
                )
            if last.kind == "reasoning":
                return "Thinks"
            return f"Answers: {_count(characters, 'character')}"
        case "paused":
            tool = next((a.tool for a in transcript.pending_approvals if a.tool), None)
            return f"Waits for a decision on {tool}" if tool else "Waits for a decision"
        case _:
            counts = ((characters, "character"), (len(transcript.tool_calls), "tool call"))
            return ", ".join(_count(number, noun) for number, noun in counts if number)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
