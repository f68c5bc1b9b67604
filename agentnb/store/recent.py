"""The runs of this process, newest last; each is handed on to be recorded."""

from __future__ import annotations

import logging
from collections import deque
from datetime import datetime
from typing import Final, Protocol

from agentnb.event.transcript import Transcript
from agentnb.recording.base_run import RunFacts
from agentnb.redaction.secrets import remember_environment
from agentnb.store import recorder

__all__ = ["RecordedRun", "last_run", "recent_runs", "remember", "replace", "session_of"]

_log = logging.getLogger(__name__)

# A kernel that lives for weeks must not keep every answer it ever got.
_KEPT: Final = 1_000


class RecordedRun(Protocol):
    """What the tables read of a run."""

    @property
    def id(self) -> str: ...
    @property
    def platform(self) -> str: ...
    @property
    def agent(self) -> str: ...
    @property
    def prompt(self) -> str: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def duration(self) -> float | None: ...
    @property
    def time_to_first_token(self) -> float | None: ...
    @property
    def transcript(self) -> Transcript: ...
    @property
    def text(self) -> str: ...
    @property
    def error(self) -> str | None: ...


_runs: deque[RecordedRun] = deque(maxlen=_KEPT)


def remember(run: RecordedRun) -> None:
    """Add a run, and record it; the oldest goes when there are more than 1,000."""
    _runs.append(run)
    if isinstance(run, RunFacts):
        # A key that no platform was asked with yet may stand in a question all the same.
        remember_environment()
        recorder.record(run)


def replace(old: RecordedRun, new: RecordedRun) -> None:
    """Put ``new`` in the place of ``old``, here and in the store; where that is gone, add it."""
    for index in range(len(_runs) - 1, -1, -1):
        if _runs[index] is old:
            _runs[index] = new
            break
    else:
        _runs.append(new)
    if isinstance(old, RunFacts) and isinstance(new, RunFacts):
        recorder.record(new, instead_of=old)


def recent_runs() -> list[RecordedRun]:
    """Return the runs of this process, oldest first."""
    return list(_runs)


def session_of(platform: str, run_id: str) -> str | None:
    """Return the session of a run as this process or the store knows it; None where neither does.

    A store that fails knows nothing.
    """
    for run in reversed(recent_runs()):
        # An attempt to join it that failed may have been given another session.
        is_known = run.text or getattr(run, "via", None) != "attach"
        session = run.transcript.session_id if is_known else None
        if session is not None and (run.platform, run.id) == (platform, run_id):
            return session
    try:
        from agentnb.store.lookup import sessions_of

        return sessions_of(platform, [run_id]).get(run_id)
    except Exception as error:
        # The platform may do without, and says so where it does not.
        _log.info("The store does not tell the session of a run", exc_info=error)
        return None


def last_run() -> RecordedRun | None:
    """Return the newest run, None where there is none."""
    return _runs[-1] if _runs else None
