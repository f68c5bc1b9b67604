"""What is shown of a run that is watched."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from agentnb.event.transcript import FINAL_STATUSES, Passage, Status
from agentnb.platforms.base import RemoteRun
from agentnb.recording.recording import Waiting
from agentnb.render.visible import one_line
from agentnb.run.run import Run

__all__ = ["WatchedRun", "local_row", "remote_times", "waiting_words"]

_WAITS: Final = {"reconnect": "Reconnecting", "retry": "Trying again"}
# Characters of the reason.
_REASON: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedRun:
    """One run, as it is now.

    ``key`` names it within its `Watch`.  ``elapsed`` is in seconds, None where nothing is known of
    its beginning.  ``detail`` says in words how far it is, or why nothing newer is known;
    ``error`` what went wrong, with it or with what was asked for it.  ``final`` says that nothing
    will change any more, or that nobody asks any more; ``status`` is then what was known last,
    ``queued`` where nothing was.
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
        """Whether it is final, or waits for a decision: nothing happens by itself any more."""
        return self.final or self.status == "paused"


def local_row(run: Run) -> WatchedRun:
    """Return what this process knows of a run of its own."""
    with run.lock:
        status = run.status
        # One that was cut off here is over here, whatever its platform still does with it.
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
    """Return what a run waits for in words: ``Reconnecting, 2 of 5``."""
    return f"{_WAITS[waiting.kind]}, {waiting.attempt} of {waiting.of}"


def _progress(run: Run) -> str:
    transcript = run.transcript
    status = transcript.status
    if (waiting := run.waiting) is not None:
        return f"{waiting_words(waiting)}: {one_line(waiting.reason, _REASON)}"
    match status:
        case "queued":
            return "Sent; nothing has come yet" if run.elapsed else "Not sent yet"
        case "running":
            return _at_work(run)
        case "paused":
            asked = transcript.pending_approvals
            tool = next((a.tool for a in asked if a.tool), None)
            return f"Waits for a decision on {tool}" if tool else "Waits for a decision"
        case _:
            calls = len(transcript.tool_calls)
            said = _said(run)
            told = [_count(said, "character")] if said else []
            if calls:
                told.append(_count(calls, "tool call"))
            return ", ".join(told)


def _at_work(run: Run) -> str:
    transcript = run.transcript
    last = transcript.parts[-1] if transcript.parts else None
    if last is None:
        return "Waits for the first words"
    if not isinstance(last, Passage):
        return f"Calls {last.name}" if last.status == "running" else f"Has called {last.name}"
    if last.kind == "reasoning":
        return "Thinks"
    return f"Answers: {_count(_said(run), 'character')}"


def _said(run: Run) -> int:
    # Not `len(run.text)`, which would join a long answer anew at every look.
    parts = run.transcript.parts
    return sum(len(p.text) for p in parts if isinstance(p, Passage) and p.kind == "text")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def remote_times(remote: RemoteRun) -> tuple[datetime | None, float | None]:
    """Return when a run began, and for how long it has gone on, or went."""
    began = remote.started_at or remote.created_at
    if began is None:
        return None, None
    ended = remote.finished_at if remote.status in FINAL_STATUSES else datetime.now(UTC)
    return began, None if ended is None else max(0.0, (ended - began).total_seconds())
