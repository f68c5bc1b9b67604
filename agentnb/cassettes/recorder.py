"""Record the runs of platforms, and their lists of agents, to a cassette."""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, overload

from agentnb._support.fork import keep_forever, renew_after_fork
from agentnb.cassettes import ACTIVE, Cassette, RecordableCassette
from agentnb.cassettes.entries import (
    FORMAT,
    CassetteRun,
    agents_entry,
    failure_to_dict,
    has_cassette_format,
    request_fields,
    to_line,
)
from agentnb.cassettes.playback import playback
from agentnb.config import config
from agentnb.config.names import quoted
from agentnb.errors import ConfigError, HistoryWarning, RequestError
from agentnb.platforms import registry
from agentnb.platforms.base import AgentInfo
from agentnb.recording.base_run import BaseRun, PlatformFacts

if sys.platform != "win32":
    import fcntl

_log = logging.getLogger(__name__)

# Makes `record` play back what it would write.
_PLAYBACK_VARIABLE: Final = "AGENTNB_PLAYBACK"
# Far more than the first line of a cassette takes (bytes).
_MAX_HEADER: Final = 2**20


@dataclass(eq=False, slots=True)
class _PendingRun:
    """A run that will be written once it has ended."""

    run: BaseRun
    request: dict[str, Any]
    unsubscribe: Callable[[], None] | None = None


class Recorder(RecordableCassette):
    """A cassette that is recorded to; a run that starts before `stop` is written when it ends."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        #: Number of runs written.
        self.runs = 0
        self._lock = threading.RLock()
        self._platforms: set[str] = set()
        self._pending: set[_PendingRun] = set()
        self._lost_lists = 0
        self._failure: Exception | None = None
        _write_header(path)
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Continue in a forked child with its own runs; the parent writes its own."""
        keep_forever(*self._pending)
        self.runs, self._lost_lists, self._failure = 0, 0, None
        self._lock = threading.RLock()
        self._pending = set()

    def stop(self) -> None:
        """Stop recording new runs; write those that have ended.

        A `HistoryWarning` says how much could not be written, and why.
        """
        if ACTIVE.recorder is self:
            ACTIVE.recorder = None
        self.flush()
        lost = [pending for pending in self._pending if pending.run.done]
        self._pending.difference_update(lost)
        lists, self._lost_lists = self._lost_lists, 0
        if lost or lists:
            runs, agents = _counted(len(lost), "run"), _counted(lists, "list")
            lacks = " and ".join(part for part in (runs, agents and f"{agents} of agents") if part)
            error = self._failure
            reason = error.strerror if isinstance(error, OSError) else None
            warnings.warn(
                f"The recording {self.path.name} lacks {lacks}: {reason or type(error).__name__}.",
                HistoryWarning,
                stacklevel=2,
            )

    def flush(self) -> None:
        """Write the runs that have ended and are not written yet."""
        # A caller that waited for a run may be here before the run's listeners were called.
        for pending in tuple(self._pending):
            self._write_ended(pending)

    def follow(self, run: BaseRun) -> None:
        """Write ``run`` when it has ended."""
        try:
            request = request_fields(run.request, via=run.via, run_id=run.id)
        except (TypeError, ValueError, RecursionError):
            # The run itself fails by a value that has no JSON form.
            _log.warning("A request cannot be recorded", exc_info=True)
            return
        self.flush()
        pending = _PendingRun(run, request)
        self._pending.add(pending)
        pending.unsubscribe = run.subscribe(lambda: self._write_ended(pending))

    def write_agents(self, platform: PlatformFacts, agents: Iterable[AgentInfo]) -> None:
        """Write a platform's list of agents."""
        if not self._write(platform, lambda: agents_entry(platform.name, agents)):
            self._lost_lists += 1

    def _write_ended(self, pending: _PendingRun) -> None:
        run = pending.run
        if not run.done:
            return
        with self._lock:
            # A failed write is repeated when the next run starts, and at the end.
            if pending not in self._pending or not self._write(
                run.client, lambda: _run_entry(run, pending.request)
            ):
                return
            self.runs += 1
            self._pending.discard(pending)
        if pending.unsubscribe is not None:
            pending.unsubscribe()

    def _write(self, platform: PlatformFacts, make_entry: Callable[[], dict[str, Any]]) -> bool:
        """Write an entry completely or not at all; return whether it is in the file."""
        try:
            with self._lock:
                lines = to_line(make_entry())
                if platform.name not in self._platforms:
                    able = {name: v for name, v in asdict(platform.capabilities).items() if v}
                    head = {"entry": "platform", "name": platform.name, "capabilities": able}
                    lines = to_line(head) + lines
                _append(self.path, lines.encode())
                self._platforms.add(platform.name)
        # Recording must not make a run or a list fail.
        except Exception as error:
            _log.warning("A recording could not be written to", exc_info=True)
            self._failure = error
            return False
        return True


def _run_entry(run: BaseRun, request: dict[str, Any]) -> dict[str, Any]:
    with run.lock:
        events, times = list(run.events), list(run.event_times)
    return CassetteRun(
        platform=run.client.name,
        id=run.id,
        via=run.via,
        request=request,
        sent_at=run.created_at,
        events=events,
        times=times,
        duration=run.duration,
        failure=failure_to_dict(run.exception),
        decisions=list(run.decisions),
    ).to_json()


def _append(path: Path, lines: bytes) -> None:
    # Opened without creating it: without its first line a file is no recording.
    with path.open("r+b") as file:
        if sys.platform != "win32":
            # Forked processes write to the same file.  Some network file systems have no locks.
            with contextlib.suppress(OSError):
                fcntl.lockf(file, fcntl.LOCK_EX)
        end = file.seek(0, os.SEEK_END)
        try:
            file.write(lines)
            file.flush()
        except OSError:
            # A full disk may have taken half a line.
            with contextlib.suppress(OSError):
                os.ftruncate(file.fileno(), end)
            raise


def _counted(number: int, noun: str) -> str:
    return "" if not number else f"{number} {noun}{'' if number == 1 else 's'}"


@overload
def record(path: str | Path) -> Cassette: ...
@overload
def record(path: None) -> None: ...
def record(path: str | Path | None) -> Cassette | None:
    """Record every run on a platform from now on to the file ``path``; None stops that.

    The file is overwritten.  Each run is written when it ends, as one line of JSON with its
    request, its events and their times; keys never are.  `playback` answers from it, without the
    platform.  Python functions as agents are not recorded: they run again.

    The returned cassette stops by its method ``stop``, or as a context manager.

    Where the environment has ``AGENTNB_PLAYBACK=1`` the file is played back instead, so that one
    notebook, unchanged, is recorded here and checked there.

    Raises:
        RequestError: the file exists and is no recording, or cannot be written.
    """
    value = os.environ.get(_PLAYBACK_VARIABLE, "").strip().lower()
    if value not in ("", "0", "false", "no", "off"):
        return playback(path)
    # Absolute, since a notebook may change its working directory.
    recorder = None if path is None else Recorder(Path(path).absolute())
    if ACTIVE.recorder is not None:
        ACTIVE.recorder.stop()
    ACTIVE.recorder = recorder
    return recorder


@atexit.register
def _stop_at_exit() -> None:
    if ACTIVE.recorder is not None:
        ACTIVE.recorder.stop()


def _write_header(path: Path) -> None:
    current = config()
    header: dict[str, Any] = {"format": FORMAT}
    # Names resolve alike in the playback, which needs no configuration.
    with contextlib.suppress(ConfigError):
        header["default_platform"] = current.infer_platform(registry.names())
    if agent := current.default_agent or current.file.default_agent:
        header["default_agent"] = agent
    if aliases := current.all_aliases():
        header["aliases"] = aliases
    name = quoted(str(path), longest=200)[1:-1]
    try:
        if path.exists() and not _may_overwrite(path):
            raise RequestError(
                f"{name} exists and is no recording.", hint="Give the name of another file."
            )
        path.write_text(to_line(header), encoding="utf-8", newline="\n")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise RequestError(f"{name} cannot be written: {quoted(str(reason))[1:-1]}.") from error


def _may_overwrite(path: Path) -> bool:
    """Return whether a file is empty or begins as a recording does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        first = file.readline(_MAX_HEADER)
    try:
        return not first or has_cassette_format(json.loads(first.decode("utf-8-sig")))
    except (ValueError, RecursionError):
        return False
