"""How many messages of a page are taken in a time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ["BURST", "Allowance"]

_log = logging.getLogger(__name__)

#: Messages that may come at once: a page of a hundred runs asks for each when it is loaded.
BURST: Final = 200
# Messages a second that may come on and on; no hand clicks as often.
_RATE: Final = 25.0


class Allowance:
    """A bucket of messages that fills with time; safe on any thread.

    A page that floods its kernel would start a query of the database, or send a whole state, with
    each message.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._left = float(BURST)
        self._at = clock()
        self._is_dropping = False

    def take(self) -> bool:
        """Take one message out; return False where there is none left, and it is to be dropped."""
        with self._lock:
            now = self._clock()
            self._left = min(float(BURST), self._left + (now - self._at) * _RATE)
            self._at = now
            if self._left >= 1:
                self._left -= 1
                self._is_dropping = False
                return True
            begins, self._is_dropping = not self._is_dropping, True
        if begins:
            _log.warning("A page sends messages too fast; some are dropped")
        return False
