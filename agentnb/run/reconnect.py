"""When a stream that broke off is taken up again, after how long, and when that is given up."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from agentnb._http import MAX_RETRY_AFTER, backoff_delay, is_retryable_status
from agentnb._http.retry import Retries
from agentnb.errors import (
    ConnectionFailedError,
    DeadlineError,
    PlatformError,
    StreamCutError,
)

__all__ = ["ReconnectPolicy", "is_disconnect", "is_retryable"]

# The pauses between two questions how a run is that goes on elsewhere, in seconds.
_FIRST_QUESTION: Final = 1.0
_LONGEST_QUESTION: Final = 15.0
# How often one run is taken up again at all: a server may send one event for each connection.
_MOST: Final = 100
# The pause after a connection that brought something, in seconds: the server is there, and this
# only keeps one that soon ends each connection from being asked without a break.
_AFTER_NEWS: Final = 0.1
# 1.5 to the power of more than this is no pause that anybody makes.
_GROWN: Final = 20


class ReconnectPolicy:
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
        self._brought = False

    @property
    def most(self) -> int:
        """How many attempts in a row there are."""
        return self._retries.reconnects

    def pause(self, error: Exception | None, *, is_over: bool = False) -> float | None:
        """Return how many seconds to wait before the next attempt; None: there is none.

        ``error`` is what the last one failed by, None where the stream ended without saying how the
        run did: many servers close a connection after some time, so the first time that happens
        nothing is waited for.  The pause is short after an attempt that brought something, and
        where the run ``is_over``: what the stream lacks is there already.
        """
        if self.attempts >= self._retries.reconnects or self.made >= _MOST:
            return None
        wish = _wish(error)
        if wish > MAX_RETRY_AFTER:
            return None
        seconds = 0.0
        if self._brought or (is_over and error is None):
            seconds = max(_AFTER_NEWS * self._jitter(), wish)
        elif error is not None or self.made:
            # A server that would be asked again at once may know no better.
            seconds = max(backoff_delay(self.attempts + 1, jitter=self._jitter), wish)
        if not self._spend(seconds):
            return None
        self._brought = False
        self.attempts += 1
        self.made += 1
        return seconds

    def tried(self, seconds: float, *, brought: bool) -> None:
        """Take note of an attempt that took ``seconds``; ``brought``: an event came."""
        self._brought = brought
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
        seconds = min(_FIRST_QUESTION * 1.5 ** min(self._questions, _GROWN), _LONGEST_QUESTION)
        if not self._spend(seconds):
            return None
        self._questions += 1
        # It answered.
        self.attempts = 0
        return seconds

    def _spend(self, seconds: float) -> bool:
        """Take ``seconds`` of what there is; return False where so much is not left."""
        most = self._retries.reconnect_timeout
        if most is not None and self.spent + seconds > most:
            return False
        self.spent += seconds
        return True


def is_disconnect(error: Exception, *, began: bool, known: bool = False) -> bool:
    """Tell whether ``error`` is a stream that broke off, so that it could be taken up again.

    ``began``: something of it had arrived.  What breaks before that may be a request that comes
    before the run's own, so that nothing runs; unless the run was ``known`` before it was joined.
    A deadline other than ``idle`` is what the user set for the whole, and final.
    """
    match error:
        case ConnectionFailedError():
            return began
        case StreamCutError() | DeadlineError(deadline="idle"):
            return began or known
        case _:
            return False


def is_retryable(error: Exception) -> bool:
    """Tell whether an attempt to take a stream up again that failed may succeed a little later.

    So it may after ``connect`` and ``first_event``, too, which end a run that has not begun: what
    they bound is one attempt, and the run that it asks for goes on meanwhile.
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


def _wish(error: Exception | None) -> float:
    """Return how long the server asked to be left alone, in seconds; 0 where it did not."""
    match error:
        case PlatformError(retry_after=float() | int() as seconds):
            return seconds
        case StreamCutError(reconnect_after=float() as seconds):
            return seconds
        case _:
            return 0.0
