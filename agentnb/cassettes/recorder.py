"""Recording: what is asked of platforms from now on, and what comes of it, goes to a file."""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, cast, overload

from agentnb._support.fork import keep_forever, renew_after_fork
from agentnb.cassettes.cassette import Tape
from agentnb.cassettes.current import NOW
from agentnb.cassettes.entries import (
    FORMAT,
    Decision,
    TapedRun,
    agents_entry,
    asked,
    failure_of,
    line,
)
from agentnb.config import config
from agentnb.config.names import quoted
from agentnb.errors import ConfigError, HistoryWarning, RequestError
from agentnb.event.types import Event
from agentnb.platforms import registry
from agentnb.platforms.base import AgentInfo, Platform, RunRequest

if sys.platform != "win32":
    import fcntl

__all__ = ["LiveRun", "Recorder", "record"]

_log = logging.getLogger(__name__)

# What makes a call of `record` play what it would write.
_PLAY: Final = "AGENTNB_PLAYBACK"
# Far more than the first line of a recording takes (bytes).
_MAX_HEADER: Final = 2**20


class LiveRun(Protocol):
    """What is read of a run to record it."""

    @property
    def request(self) -> RunRequest: ...
    @property
    def via(self) -> str: ...
    @property
    def durable(self) -> bool: ...
    @property
    def decisions(self) -> Sequence[Decision]: ...
    @property
    def client(self) -> Platform: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def id(self) -> str: ...
    @property
    def done(self) -> bool: ...
    @property
    def duration(self) -> float | None: ...
    @property
    def exception(self) -> BaseException | None: ...
    @property
    def events(self) -> Sequence[Event]: ...
    @property
    def event_times(self) -> Sequence[float]: ...
    @property
    def lock(self) -> AbstractContextManager[Any]: ...
    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]: ...


class _Follower:
    """Waits for the end of one run and has it written, once."""

    def __init__(
        self,
        run: LiveRun,
        question: dict[str, Any],
        write: Callable[[LiveRun, dict[str, Any]], bool],
    ) -> None:
        self._run = run
        self._question = question
        self._write = write
        # Held while it is written, so that whoever calls meanwhile finds it written.
        self._lock = threading.Lock()
        self.written = False
        self.undo: Callable[[], None] | None = None

    @property
    def is_due(self) -> bool:
        """Whether the run has ended and is not in the file."""
        return self._run.done and not self.written

    def __call__(self) -> None:
        if not self._run.done:
            return
        with self._lock:
            if self.written:
                return
            # What fails is tried again when the next run begins, and at the end.
            self.written = self._write(self._run, self._question)
        if self.written and self.undo is not None:
            self.undo()


class Recorder(Tape):
    """A recording that goes on, until `stop` or the end of a ``with`` block.

    A run that began before that is still written when it ends.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        #: How many runs have been written.
        self.runs = 0
        self._lock = threading.Lock()
        self._platforms: set[str] = set()
        self._going_on: set[_Follower] = set()
        # Lists of agents that could not be written, and why what failed last did.
        self._lost_lists = 0
        self._failure: Exception | None = None
        _begin(path)
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Go on in a forked child, which adds its own runs to the file; the parent adds its own."""
        keep_forever(*self._going_on)
        self.runs, self._lost_lists, self._failure = 0, 0, None
        self._lock = threading.Lock()
        self._going_on = set()

    def stop(self) -> None:
        """Record nothing that begins from now on; what has ended is in the file then.

        A `HistoryWarning` says how much could not be written, and why.
        """
        if NOW.recorder is self:
            NOW.recorder = None
        self.catch_up()
        lost = [follower for follower in self._going_on if follower.is_due]
        self._going_on.difference_update(lost)
        lists, self._lost_lists = self._lost_lists, 0
        if lost or lists:
            runs, agents = _counted(len(lost), "run"), _counted(lists, "list")
            lacks = " and ".join(part for part in (runs, agents and f"{agents} of agents") if part)
            warnings.warn(
                f"The recording {self.path.name} lacks {lacks}: {_reason(self._failure)}.",
                HistoryWarning,
                stacklevel=2,
            )

    def catch_up(self) -> None:
        """Write the runs that have ended; who waited for a run may be here before its listeners."""
        for follower in tuple(self._going_on):
            follower()
            if follower.written:
                self._going_on.discard(follower)

    def follow(self, run: LiveRun) -> None:
        """Write ``run`` when it has ended."""
        try:
            question = asked(run.request, via=run.via, run_id=run.id)
        except (TypeError, ValueError, RecursionError):
            # What JSON cannot hold no platform takes either; that is for the run to say.
            _log.warning("A question cannot be recorded", exc_info=True)
            return
        self.catch_up()
        follower = _Follower(run, question, self._write_run)
        self._going_on.add(follower)
        follower.undo = run.subscribe(follower)

    def list_agents(self, platform: Platform, agents: Iterable[AgentInfo]) -> None:
        """Write what agents a platform listed."""
        if not self._write(platform, lambda: agents_entry(platform.name, agents)):
            self._lost_lists += 1

    def _write_run(self, run: LiveRun, question: dict[str, Any]) -> bool:
        with run.lock:
            events, times = list(run.events), list(run.event_times)
        entry = TapedRun(
            platform=run.client.name,
            id=run.id,
            via=run.via,
            asked=question,
            sent_at=run.created_at,
            events=events,
            times=times,
            duration=run.duration,
            failure=failure_of(run.exception),
            decisions=list(run.decisions),
        )
        if not self._write(run.client, entry.to_json):
            return False
        self.runs += 1
        return True

    def _write(self, platform: Platform, make: Callable[[], dict[str, Any]]) -> bool:
        """Write an entry, all of it or nothing; tell whether it is in the file."""
        try:
            with self._lock:
                told = line(make())
                if platform.name not in self._platforms:
                    able = {name: v for name, v in asdict(platform.capabilities).items() if v}
                    head = {"entry": "platform", "name": platform.name, "capabilities": able}
                    told = line(head) + told
                _append(self.path, told.encode())
                self._platforms.add(platform.name)
        # Neither a run nor a list is to fail because it is recorded.
        except Exception as error:
            _log.warning("A recording could not be written to", exc_info=True)
            self._failure = error
            return False
        return True


def _append(path: Path, told: bytes) -> None:
    # A file that is gone is not begun anew: without its first line it is no recording.
    with path.open("r+b") as file:
        _lock_file(file)
        end = file.seek(0, os.SEEK_END)
        try:
            file.write(told)
            file.flush()
        except OSError:
            # What fitted on the disk is half a line.
            with contextlib.suppress(OSError):
                os.ftruncate(file.fileno(), end)
            raise


def _lock_file(file: BinaryIO) -> None:
    """Keep forked processes from writing to ``file`` until it is closed."""
    if sys.platform != "win32":
        # Some network file systems have no locks.
        with contextlib.suppress(OSError):
            fcntl.lockf(file, fcntl.LOCK_EX)


def _counted(number: int, what: str) -> str:
    return "" if not number else f"{number} {what}{'' if number == 1 else 's'}"


def _reason(error: Exception | None) -> str:
    known = error.strerror if isinstance(error, OSError) else None
    return known or type(error).__name__


@overload
def record(path: str | Path) -> Tape: ...
@overload
def record(path: None) -> None: ...
def record(path: str | Path | None) -> Tape | None:
    """Record every run on a platform from now on to the file ``path``; None ends that.

    The file is begun anew.  What is asked there, what comes of it and when is written at the end of
    each run, one line of JSON each; keys never are.  `playback` answers from it, without the
    platform.  Python functions as agents are not recorded: they run again.

    What is returned ends the recording by `Tape.stop`, or as a context manager.

    Where the environment has ``AGENTNB_PLAYBACK=1`` the file is played back instead, so that one
    notebook, unchanged, is recorded here and checked there.

    Raises:
        RequestError: the file exists and is no recording, or cannot be written.
    """
    if os.environ.get(_PLAY, "").strip().lower() not in ("", "0", "false", "no", "off"):
        from agentnb.cassettes.playback import playback

        return playback(path)
    # Absolute: a notebook may change its folder while it is recorded.
    made = None if path is None else Recorder(Path(path).absolute())
    if NOW.recorder is not None:
        NOW.recorder.stop()
    NOW.recorder = made
    return made


def _end() -> None:
    """Say at the end of the process what a recording that goes on lacks."""
    if NOW.recorder is not None:
        NOW.recorder.stop()


atexit.register(_end)


def _begin(path: Path) -> None:
    current = config()
    header: dict[str, Any] = {"format": FORMAT}
    # So that a name means the same where nothing is configured.
    with contextlib.suppress(ConfigError):
        header["default_platform"] = current.bare_platform(registry.names())
    if agent := current.default_agent or current.file.default_agent:
        header["default_agent"] = agent
    if aliases := current.all_aliases():
        header["aliases"] = aliases
    shown = quoted(str(path), longest=200)[1:-1]
    try:
        if path.exists() and not _is_recording(path):
            raise RequestError(
                f"{shown} exists and is no recording.", hint="Give the name of another file."
            )
        path.write_text(line(header), encoding="utf-8", newline="\n")
    except (OSError, ValueError) as error:  # ValueError: no path, as with a NUL
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise RequestError(f"{shown} cannot be written: {quoted(str(reason))[1:-1]}.") from error


def _is_recording(path: Path) -> bool:
    """Return whether a file may be begun anew: it is empty, or begins as a recording does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        first = file.readline(_MAX_HEADER)
    if not first:
        return True
    try:
        header: Any = json.loads(first.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return False
    kind = cast("dict[str, Any]", header).get("format") if isinstance(header, dict) else None
    return isinstance(kind, str) and kind.startswith(FORMAT.partition("/")[0] + "/")
