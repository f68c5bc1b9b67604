"""Deadlines, and the watchdog that cancels a wait which outlasts one."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Final, Literal

from agentnb.errors import ConfigError, DeadlineError

__all__ = ["Deadlines", "Watchdog", "deadline_hint", "is_seconds"]

Setting = Literal["first_event", "idle", "progress", "total"]

_MESSAGES: Final[dict[Setting, str]] = {
    "first_event": "did not answer within {:g} s",
    "idle": "was silent for {:g} s",
    "progress": "sent no event for {:g} s, though it was not silent",
    "total": "did not finish within {:g} s",
}
# Messages that differ within a body, by whether that is a stream of events.
_BODY_MESSAGES: Final[dict[tuple[Setting, bool], str]] = {
    ("first_event", True): "answered, but sent no event within {:g} s",
    ("progress", False): "did not send the whole of its answer within {:g} s",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Limits of one run, in seconds; None waits for ever.

    ``connect`` covers the connection and TLS, ``first_event`` the time from sending the request to
    the first event of the response, ``idle`` the longest silence inside a response, ``progress``
    the longest time without an event though bytes arrive (comments that keep a connection open),
    and ``total`` the whole run with all its requests and delays.

    Raises:
        ConfigError: one is neither None nor a number above 0.
    """

    connect: float | None = 10.0
    first_event: float | None = 120.0
    idle: float | None = 120.0
    progress: float | None = 600.0
    total: float | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None and not is_seconds(value):
                raise ConfigError(
                    f"The deadline {each.name} is a number of seconds above 0, not {value!r}.",
                    hint="None waits for ever.",
                )


def deadline_hint(setting: str, *, by_timeout: bool = False) -> str:
    """Return how to raise a deadline that passed; ``by_timeout``: it was set as ``timeout``."""
    if by_timeout:
        return "To wait longer, raise timeout=, or --timeout in a cell."
    return (
        f"To wait longer, raise it: deadlines=agentnb.Deadlines({setting}=...), or "
        f"{setting}_timeout in agentnb.toml."
    )


def is_seconds(value: object) -> bool:
    """Return whether ``value`` is a finite number above 0; NaN is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 < value < math.inf


class Watchdog:
    """Enforces the deadlines of one request and its response.

    Used as in::

        with watchdog.head():
            response = await ...
        with watchdog.body(of_events=True):
            chunk = await ...

    `pause` and `resume` exclude the time that the consumer takes between chunks; set
    ``event_came`` when a chunk completed an event.

    A wait that outlasts its setting in `Deadlines`, or the ``left`` seconds of ``total``, is
    cancelled and becomes a `DeadlineError`.  Only waiting counts: a slow consumer is no idle
    server.

    One timer serves all waits of a request: a timer for each event of a stream would cost more than
    decoding the event.
    """

    __slots__ = (
        "_cancelling",
        "_deadlines",
        "_due",
        "_end",
        "_fired",
        "_idle",
        "_loop",
        "_mark",
        "_mark_setting",
        "_name",
        "_of_events",
        "_progress",
        "_task",
        "_time",
        "_timer",
        "_timer_due",
        "event_came",
    )

    def __init__(self, deadlines: Deadlines, *, name: str, left: float | None) -> None:
        self.event_came = False
        self._deadlines = deadlines
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time
        self._end = self._time() + _seconds(left)
        # Longest silence, in seconds.
        self._idle = math.inf
        # When `_mark_setting` passes, by the loop's time; between waits, the seconds left of it.
        self._mark = math.inf
        self._mark_setting: Setting = "first_event"
        self._of_events: bool | None = None
        self._progress = _seconds(deadlines.progress)
        # When the current wait is cancelled.
        self._due = math.inf
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._fired = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = math.inf

    def head(self) -> Watchdog:
        """Return the context for the wait for a response's head; enter it at once."""
        self._mark = self._time() + _seconds(self._deadlines.first_event)
        return self

    def body(self, *, of_events: bool) -> Watchdog:
        """Return the context for reading a body; enter it at once.

        With ``of_events``, the rest of ``first_event`` continues to count.
        """
        self._of_events = of_events
        self._idle = _seconds(self._deadlines.idle)
        if not of_events or self._mark > self._progress:
            self._mark = self._progress
            self._mark_setting = "progress"
        self._mark += self._time()
        return self

    def stop(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._timer_due = math.inf

    def pause(self) -> None:
        """Stop watching, within a wait."""
        self._task = None

    def resume(self) -> None:
        """Watch again after `pause`, from now on."""
        now = self._time()
        if self.event_came:
            self.event_came = False
            self._mark = now + self._progress
            self._mark_setting = "progress"
        due = min(now + self._idle, self._mark, self._end)
        self._due = due
        # While a stream always has more to read, the loop does not get to the timer.
        if due <= now:
            raise self._error()
        # Without the argument, finding the running loop costs a system call.
        self._task = task = asyncio.current_task(self._loop)
        if task is not None:
            self._cancelling = task.cancelling()
        # A timer that fires too early is set again; one that would fire too late is replaced.
        if due < self._timer_due:
            self._set_timer(due)

    def __enter__(self) -> None:
        self.resume()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        task, self._task = self._task, None
        if self._fired and task is not None:
            self._fired = False
            # If the task was cancelled from outside as well, that cancellation goes on.
            if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
                raise self._error() from None
        self._mark -= self._time()

    def _set_timer(self, due: float) -> None:
        self.stop()
        self._timer_due = due
        self._timer = self._loop.call_at(due, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._timer_due = math.inf
        if self._task is None:
            return
        if self._time() < self._due:
            self._set_timer(self._due)
            return
        self._fired = True
        self._task.cancel()

    def _error(self) -> DeadlineError:
        setting: Setting = "idle"
        if self._due >= self._end:
            setting = "total"
        elif self._due >= self._mark:
            setting = self._mark_setting
        message = _MESSAGES[setting]
        if self._of_events is not None:
            message = _BODY_MESSAGES.get((setting, self._of_events), message)
        seconds: float = getattr(self._deadlines, setting)
        return DeadlineError(
            f"{self._name} {message.format(seconds)}.",
            deadline=setting,
            seconds=seconds,
            hint=deadline_hint(setting),
        )


def _seconds(value: float | None) -> float:
    return math.inf if value is None else value
