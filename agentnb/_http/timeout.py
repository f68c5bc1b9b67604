"""Deadlines, and the watchdog that cancels a wait which outlasts one."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

from agentnb.errors import ConfigError, DeadlineError

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


# The extension of a request that holds the watchdog of the waits for its response's body.
WATCHDOG: Final = "agentnb.watchdog"


class Watchdog:
    """Enforces the deadlines of one request and its response.

    Used as in::

        async with watchdog:
            response = await send()
        watchdog.begin_body(of_events=True)
        async with watchdog:
            chunk = await anext(chunks)

    Set ``event_came`` when a chunk completed an event.  A block that outlasts its setting in
    `Deadlines`, or the ``left`` seconds of ``total``, is cancelled and raises `DeadlineError`.
    Only waiting counts: a slow consumer is no idle server.
    """

    def __init__(self, deadlines: Deadlines, *, name: str, left: float | None) -> None:
        self.event_came = False
        self._deadlines = deadlines
        self._name = name
        self._now = asyncio.get_running_loop().time
        self._end = self._now() + _seconds(left)
        # Longest silence, in seconds.
        self._idle = math.inf
        # Seconds of waiting that are left of `_setting`.
        self._left = _seconds(deadlines.first_event)
        self._setting: Setting = "first_event"
        self._of_events: bool | None = None
        # Of the current block: when it started, when it is due, and when `_setting` is.
        self._started = self._due = self._mark = math.inf
        self._timeout = asyncio.timeout(None)

    def begin_body(self, *, of_events: bool) -> None:
        """Watch a body from now on; with ``of_events``, ``first_event`` continues to count."""
        self._of_events = of_events
        self._idle = _seconds(self._deadlines.idle)
        progress = _seconds(self._deadlines.progress)
        if not of_events or self._left > progress:
            self._left, self._setting = progress, "progress"

    async def __aenter__(self) -> None:
        started = self._started = self._now()
        if self.event_came:
            self.event_came = False
            self._left, self._setting = _seconds(self._deadlines.progress), "progress"
        self._mark = started + self._left
        self._due = min(started + self._idle, self._mark, self._end)
        # While a stream always has more to read, the loop does not get to the timer.
        if self._due <= started:
            raise self._error()
        self._timeout = asyncio.timeout_at(None if self._due == math.inf else self._due)
        await self._timeout.__aenter__()

    async def __aexit__(self, *exception: Any) -> None:
        self._left -= self._now() - self._started
        try:
            await self._timeout.__aexit__(*exception)
        except TimeoutError:
            raise self._error() from None

    def _error(self) -> DeadlineError:
        setting: Setting = "idle"
        if self._due >= self._end:
            setting = "total"
        elif self._due >= self._mark:
            setting = self._setting
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
