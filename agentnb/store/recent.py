"""The runs of this process, newest last; each is passed on to the recorder."""

from __future__ import annotations

from collections import deque
from typing import Final

from agentnb.recording.base_run import BaseRun
from agentnb.redaction.secrets import remember_environment
from agentnb.store import recorder

# A kernel may run for weeks and must not keep every answer.
_MAX_RUNS: Final = 1_000


_runs: deque[BaseRun] = deque(maxlen=_MAX_RUNS)


def remember(run: BaseRun) -> None:
    """Add a run and record it; of more than 1,000, the oldest is dropped."""
    _runs.append(run)
    # A prompt may contain a key that no platform was called with yet.
    remember_environment()
    recorder.record(run)


def replace(old: BaseRun, new: BaseRun) -> None:
    """Replace ``old`` by ``new``, here and in the store; if it was dropped, add ``new``."""
    for index in range(len(_runs) - 1, -1, -1):
        if _runs[index] is old:
            _runs[index] = new
            break
    else:
        _runs.append(new)
    recorder.record(new, instead_of=old)


def recent_runs() -> list[BaseRun]:
    """Return the runs of this process, oldest first."""
    return list(_runs)


def last_run() -> BaseRun | None:
    """Return the newest run, None if there is none."""
    return _runs[-1] if _runs else None
