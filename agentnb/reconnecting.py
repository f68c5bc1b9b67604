"""When a stream that broke off is taken up again, after how long, and when that is given up."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from agentnb.errors import (
    ConnectionFailedError,
    DeadlineError,
    PlatformError,
    StreamCutError,
)
from agentnb.retries import Retries

__all__ = ["Reconnecting", "broke_off", "may_pass"]

# The pause before the first attempt and the longest one, in seconds; each is twice the last.
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 8.0
# Of a server's wish to be left alone, in seconds; for a longer one nobody waits.
_LONGEST_WISH: Final = 120.0
# The pauses between two questions how a run is that goes on elsewhere, in seconds.
_FIRST_QUESTION: Final = 1.0
_LONGEST_QUESTION: Final = 15.0
# How often one run is taken up again at all: a server may send one event for each connection.
_MOST: Final = 100
# 2 to the power of more than this is no pause that anybody makes.
_DOUBLED: Final = 20

# After these the same request may well succeed.
_PASSING_STATUSES: Final = frozenset({408, 409, 425, 429})


class Reconnecting:
    """Counts one run's attempts to have its stream again, and the time they take.

    An attempt that brings an event is a success, and the count begins anew.  It knows no clock and
    never waits: `pause` says how long, and `tried` is told how it went.
    """

    def __init__(
        self, retries: Retries, *, jitter: Callable[[], float] = lambda: random.uniform(0.75, 1.0)
    ) -> None:
        #: Attempts since the last event, and of the whole run.
        self.attempts = 0
        self.made = 0
        #: Seconds that went into pauses and into attempts that brought nothing.
        self.spent = 0.0
        self._retries = retries
        self._jitter = jitter
        self._questions = 0

    @property
    def most(self) -> int:
        """How many attempts in a row there are."""
        return self._retries.reconnects

    def pause(self, error: Exception | None) -> float | None:
        """Return how many seconds to wait before the next attempt; None: there is none.

        ``error`` is what the last one failed by, None where the stream ended without saying how the
        run did: many servers close a connection after some time, so the first time that happens
        nothing is waited for.
        """
        if self.attempts >= self._retries.reconnects or self.made >= _MOST:
            return None
        seconds = _wish(error)
        if seconds is None:
            seconds = self._own_pause() if error is not None or self.made else 0.0
        elif seconds > _LONGEST_WISH:
            return None
        if not self._spend(seconds):
            return None
        self.attempts += 1
        self.made += 1
        return seconds

    def tried(self, seconds: float, *, brought: bool) -> None:
        """Take note of an attempt that took ``seconds``; ``brought``: an event came."""
        if brought:
            self.attempts = 0
        else:
            self.spent += seconds

    def pause_before_question(self) -> float | None:
        """Return how long to wait before a platform that says "it goes on" is asked again.

        None: it has been asked for as long as reconnecting may take.
        """
        if self._retries.reconnects == 0:
            return None
        seconds = min(_FIRST_QUESTION * 1.5 ** min(self._questions, _DOUBLED), _LONGEST_QUESTION)
        if not self._spend(seconds):
            return None
        self._questions += 1
        # It answered.
        self.attempts = 0
        return seconds

    def _own_pause(self) -> float:
        doubled = _FIRST_PAUSE * 2 ** min(self.attempts, _DOUBLED)
        return min(doubled, _LONGEST_PAUSE) * self._jitter()

    def _spend(self, seconds: float) -> bool:
        """Take ``seconds`` of what there is; return False where so much is not left."""
        most = self._retries.reconnect_timeout
        if most is not None and self.spent + seconds > most:
            return False
        self.spent += seconds
        return True


def broke_off(error: Exception, *, began: bool) -> bool:
    """Tell whether ``error`` is a stream that broke off, so that it could be taken up again.

    ``began``: something of it had arrived.  A deadline other than ``idle`` is what the user set for
    the whole, and final.
    """
    match error:
        case StreamCutError():
            return True
        case ConnectionFailedError():
            return began
        case DeadlineError(deadline="idle"):
            return True
        case _:
            return False


def may_pass(error: Exception) -> bool:
    """Tell whether what failed by ``error`` may succeed a little later."""
    match error:
        case StreamCutError() | ConnectionFailedError() | TimeoutError():
            return True
        case DeadlineError(deadline=deadline):
            return deadline in ("connect", "first_event", "idle")
        case PlatformError(status=int(status)):
            return status in _PASSING_STATUSES or status >= 500
        case _:
            return False


def _wish(error: Exception | None) -> float | None:
    """Return how long the server asked to be left alone, in seconds; None where it did not."""
    match error:
        case PlatformError(retry_after=float() | int() as seconds):
            return max(seconds, 0.0)
        case StreamCutError(reconnect_after=float() as seconds):
            return seconds
        case _:
            return None
