"""`replay`: shows a recorded run again, as it went, without asking anybody."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC
from pathlib import Path

from agentnb.cassettes.offline import OfflinePlatform
from agentnb.cassettes.player import play, validate_speed
from agentnb.event.types import TERMINAL_EVENTS, Event, RunFailed
from agentnb.recording.base_run import BaseRun
from agentnb.recording.clock import current_clock
from agentnb.run.run import Run
from agentnb.store.recent import recent_runs
from agentnb.store.stored_run import StoredRun, load, read_export

__all__ = ["replay"]


def replay(run: str | Path | BaseRun, *, speed: float = 1.0) -> Run:
    """Show a recorded run again; return it at once as a live run that is asked of nobody.

    ``run`` is a run, the id of one in the history (the platform's or agentnb's own), or the path of
    one that was exported as ``.json``.  It goes at the pace at which it had come, ``speed`` times
    as fast; infinity, or 0, is at once.  Its events, times, ids and figures are the recorded ones.
    A note in the view says that it is a replay, and whether question and answer were not kept.
    `Run.cancel` stops the replay.  It is not kept in the history.

    Raises:
        HistoryError: there is no such run, or the history or the file cannot be read.
        RequestError: ``speed`` is negative, or no number.
    """
    speed = validate_speed(speed)
    found = _find(run)
    with found.lock:
        # What is live may go on meanwhile; what is shown again is what there is now.
        events, times = found.events, found.event_times
        duration, status = found.duration, found.status

    async def source() -> AsyncGenerator[list[Event], None]:
        if (clock := current_clock()) is not None:
            clock.sent_at, clock.played_id = found.created_at, found.id
        async with aclosing(play(events, times, speed=speed, duration=duration)) as batches:
            async for batch in batches:
                yield batch
        if status != "paused" and not any(isinstance(event, TERMINAL_EVENTS) for event in events):
            yield [RunFailed(message="The recording ends here.", status="truncated")]

    shown = Run(
        source,
        platform=OfflinePlatform(found.platform),
        request=found.request,
        title=found.title,
        via="replay",
        notice=_notice(found),
    )
    return shown.start()


def _notice(run: BaseRun) -> str:
    """Return what the view says of a replay: it looks like the run itself."""
    said = f"Replay of a run of {run.created_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC."
    if isinstance(run, StoredRun) and not (run.prompt or run.text or run.request.media):
        said += " What was asked and answered was not kept."
    return said


def _find(run: str | Path | BaseRun) -> BaseRun:
    match run:
        case BaseRun():
            return run
        case Path():
            return read_export(run)
        case str() if run.lower().endswith(".json"):
            return read_export(run)
        case str():
            for known in reversed(recent_runs()):
                # Runs of this process are found even without a history.
                if run in (known.id, known.local_id):
                    return known
            return load(run)
        case other:  # pyright: ignore[reportUnnecessaryComparison]  # not everybody checks types
            raise TypeError(f"A {type(other).__name__} is no run, no id of one and no file.")
