"""The runs of this process, newest last; each is passed on to the recorder."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import Final, Protocol

from agentnb.event.transcript import Transcript
from agentnb.recording.base_run import BaseRun
from agentnb.redaction.secrets import remember_environment
from agentnb.store import recorder

__all__ = ["RecordedRun", "last_run", "recent_runs", "remember", "replace"]

# A kernel may run for weeks and must not keep every answer.
_MAX_RUNS: Final = 1_000


class RecordedRun(Protocol):
    """The attributes of a run that tables read."""

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


_runs: deque[RecordedRun] = deque(maxlen=_MAX_RUNS)


def remember(run: RecordedRun) -> None:
    """Add a run and record it; of more than 1,000, the oldest is dropped."""
    _runs.append(run)
    if isinstance(run, BaseRun):
        # A prompt may contain a key that no platform was called with yet.
        remember_environment()
        recorder.record(run)


def replace(old: RecordedRun, new: RecordedRun) -> None:
    """Replace ``old`` by ``new``, here and in the store; if it was dropped, add ``new``."""
    for index in range(len(_runs) - 1, -1, -1):
        if _runs[index] is old:
            _runs[index] = new
            break
    else:
        _runs.append(new)
    if isinstance(old, BaseRun) and isinstance(new, BaseRun):
        recorder.record(new, instead_of=old)


def recent_runs() -> list[RecordedRun]:
    """Return the runs of this process, oldest first."""
    return list(_runs)


def last_run() -> RecordedRun | None:
    """Return the newest run, None if there is none."""
    return _runs[-1] if _runs else None
