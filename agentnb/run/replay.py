"""`replay`: show a recorded run again."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC
from pathlib import Path

from agentnb.cassettes.player import play, validate_speed
from agentnb.event.types import TERMINAL_EVENTS, Event, RunFailed
from agentnb.platforms.base_platform import OfflinePlatform
from agentnb.recording.base_run import BaseRun
from agentnb.run.run import Run
from agentnb.store.recent import recent_runs
from agentnb.store.stored_run import StoredRun, load, read_export


def replay(run: str | Path | BaseRun, *, speed: float = 1.0) -> Run:
    """Show a recorded run again; return it at once as a live run that makes no requests.

    ``run`` is a run, the id of one in the history (the platform's or agentnb's own), or the path of
    an exported ``.json``.  It is played at its original pace, ``speed`` times as fast; infinity, or
    0, does not wait.  Its events, times, ids and figures are the recorded ones.  A note in the view
    says that it is a replay, and whether prompt and answer were not kept.  `Run.cancel` stops it.
    It is not kept in the history.

    Raises:
        HistoryError: there is no such run, or the history or the file cannot be read.
        RequestError: ``speed`` is negative or not a number.
    """
    speed = validate_speed(speed)
    original = _find(run)
    with original.lock:
        # A live run may continue meanwhile; the replay is of its present state.
        events, times = original.events, original.event_times
        duration, status = original.duration, original.status

    async def source() -> AsyncGenerator[list[Event], None]:
        playing = play(
            events,
            times,
            sent_at=original.created_at,
            run_id=original.id,
            speed=speed,
            duration=duration,
        )
        async with aclosing(playing) as batches:
            async for batch in batches:
                yield batch
        if status != "paused" and not any(isinstance(event, TERMINAL_EVENTS) for event in events):
            yield [RunFailed(message="The recording ends here.", status="truncated")]

    return Run(
        source,
        platform=OfflinePlatform(original.platform),
        request=original.request,
        title=original.title,
        via="replay",
        notice=_notice(original),
    ).start()


def _notice(run: BaseRun) -> str:
    notice = f"Replay of a run of {run.created_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC."
    if isinstance(run, StoredRun) and not (run.prompt or run.text or run.request.media):
        notice += " Its prompt and answer were not kept."
    return notice


def _find(run: str | Path | BaseRun) -> BaseRun:
    match run:
        case BaseRun():
            return run
        case Path():
            return read_export(run)
        case str() if run.lower().endswith(".json"):
            return read_export(run)
        case str():
            # Runs of this process are available without a history, too.
            for recent in reversed(recent_runs()):
                if run in (recent.id, recent.local_id):
                    return recent
            return load(run)
        case other:  # pyright: ignore[reportUnnecessaryComparison]  # callers may not check types
            raise TypeError(f"A {type(other).__name__} is no run, no id of one and no file.")
