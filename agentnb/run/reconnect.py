"""Decide whether and when a broken stream is resumed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from agentnb._http import MAX_RETRY_AFTER, backoff_delay, is_retryable_status
from agentnb._http.retry import Retries
from agentnb.errors import (
    ConnectionFailedError,
    DeadlineError,
    PlatformError,
    StreamCutError,
)


def _jitter() -> float:
    return random.uniform(0.75, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """The delays of a run's reconnects, in seconds, and the ``sleep`` that waits for them.

    ``delay`` returns the delay before an attempt, counted from 1, ``after_progress`` is the one
    after a connection that delivered events.  A platform that reports a run in progress is polled
    after ``first_poll`` seconds, then in growing intervals up to ``max_poll``.  One run reconnects
    ``max_reconnects`` times at most: a server may send one event for each connection.
    """

    delay: Callable[..., float] = backoff_delay
    jitter: Callable[[], float] = _jitter
    after_progress: float = 0.1
    first_poll: float = 1.0
    max_poll: float = 15.0
    max_reconnects: int = 100
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


#: The backoff of runs that are given none.
DEFAULT_BACKOFF = Backoff()

# 1.5 to the power of this exceeds `max_poll`; more could overflow.
_MAX_EXPONENT: Final = 20


class ReconnectPolicy:
    """Counts one run's attempts to resume its stream, and the time that they take.

    An attempt that delivers an event resets the count.  It never waits: `delay` returns how long to
    wait, and `attempted` takes the result.
    """

    def __init__(self, retries: Retries, backoff: Backoff) -> None:
        #: Attempts since the last event, and of the whole run.
        self.attempts = 0
        self.total = 0
        #: Seconds that delays and attempts without events took.
        self.spent = 0.0
        self._retries = retries
        self._backoff = backoff
        self._polls = 0
        self._progressed = False

    @property
    def max_attempts(self) -> int:
        """Maximum number of attempts in a row."""
        return self._retries.reconnects

    def delay(self, error: Exception | None, *, has_ended: bool = False) -> float | None:
        """Return the seconds to wait before the next attempt; None if there is none.

        ``error`` is the failure of the last attempt, None where the stream ended without a terminal
        event: many servers close connections after some time, so the first time there is no delay.
        The delay is short after an attempt that delivered events, and where the run ``has_ended``
        on its platform, which has the rest then.
        """
        if self.attempts >= self.max_attempts or self.total >= self._backoff.max_reconnects:
            return None
        retry_after = _retry_after(error)
        if retry_after > MAX_RETRY_AFTER:
            return None
        jitter, seconds = self._backoff.jitter, 0.0
        if self._progressed or (has_ended and error is None):
            seconds = max(self._backoff.after_progress * jitter(), retry_after)
        elif error is not None or self.total:
            seconds = max(self._backoff.delay(self.attempts + 1, jitter=jitter), retry_after)
        if not self._spend(seconds):
            return None
        self._progressed = False
        self.attempts += 1
        self.total += 1
        return seconds

    def attempted(self, seconds: float, *, progressed: bool) -> None:
        """Record an attempt that took ``seconds``; ``progressed``: an event was delivered."""
        self._progressed = progressed
        if progressed:
            self.attempts = 0
        else:
            self.spent += seconds

    def poll_delay(self) -> float | None:
        """Return the seconds to wait before a platform that reports a run in progress is polled.

        None where reconnecting has taken as long as it may.
        """
        if self.max_attempts == 0:
            return None
        backoff, exponent = self._backoff, min(self._polls, _MAX_EXPONENT)
        seconds = min(backoff.first_poll * 1.5**exponent, backoff.max_poll)
        if not self._spend(seconds):
            return None
        self._polls += 1
        # The platform answers.
        self.attempts = 0
        return seconds

    def _spend(self, seconds: float) -> bool:
        """Subtract ``seconds`` from the time budget; return False where it is exceeded."""
        budget = self._retries.reconnect_timeout
        if budget is not None and self.spent + seconds > budget:
            return False
        self.spent += seconds
        return True


def is_disconnect(error: Exception, *, started: bool, known: bool = False) -> bool:
    """Return whether ``error`` is a broken stream that could be resumed.

    ``started``: content of the run had arrived.  An earlier failure may be that of a preliminary
    request, with no run yet; unless the run was ``known`` before it was attached to.  Deadlines
    other than ``idle`` are the user's limits for the whole run, and final.
    """
    match error:
        case ConnectionFailedError():
            return started
        case StreamCutError() | DeadlineError(deadline="idle"):
            return started or known
        case _:
            return False


def is_retryable(error: Exception) -> bool:
    """Return whether an attempt to resume a stream may succeed after ``error``.

    That includes ``connect`` and ``first_event``, which end a run that has not started: they bound
    one attempt here, while the run itself continues.
    """
    match error:
        case StreamCutError() | ConnectionFailedError() | TimeoutError():
            return True
        case DeadlineError(deadline=deadline):
            return deadline in ("connect", "first_event", "idle")
        case PlatformError(status=int(status)):
            return is_retryable_status(status)
        case _:
            return False


def _retry_after(error: Exception | None) -> float:
    """Return the server's requested delay in seconds, 0 where there is none."""
    match error:
        case PlatformError(retry_after=float() | int() as seconds):
            return seconds
        case StreamCutError(reconnect_after=float() as seconds):
            return seconds
        case _:
            return 0.0
