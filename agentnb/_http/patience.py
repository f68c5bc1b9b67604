"""Asking again, and waiting as long as a platform wishes: for reading that nobody waits for."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeVar

from agentnb.errors import AgentnbError, ConnectionFailedError, DeadlineError, PlatformError

__all__ = ["Patience", "current_patience"]

T = TypeVar("T")

_RETRIES: Final = 2
# Of a platform's wish to be left alone, in seconds; more is not waited for.
_LONGEST_WISH: Final = 120.0
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 8.0


class Patience:
    """Counts the requests made within `applied`, and makes those that only read again.

    After 408, 425, 429, 5xx and a failed connection there are at most two more attempts, after the
    pause that the platform asked for, up to 120 s.  ``waiting`` is told how long each pause is, in
    seconds; ``sleep`` makes it.
    """

    def __init__(
        self,
        *,
        waiting: Callable[[float], None] = lambda seconds: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.requests = 0
        self._waiting = waiting
        self._sleep = sleep

    @contextmanager
    def applied(self) -> Generator[Patience, None, None]:
        """Have every request of this context, and of the tasks that it starts, made like that."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)

    async def make(self, method: str, request: Callable[[], Awaitable[T]]) -> T:
        """Return what ``request`` brings, in the last attempt at the latest."""
        attempt = 0
        while True:
            self.requests += 1
            try:
                return await request()
            except AgentnbError as error:
                pause = _pause(error, attempt)
                if method != "GET" or attempt == _RETRIES or pause is None:
                    raise
            attempt += 1
            self._waiting(pause)
            await self._sleep(pause)


def _pause(error: AgentnbError, attempt: int) -> float | None:
    """Return how long to wait before the next attempt, None where there is no use in one."""
    own = min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE) * random.uniform(0.8, 1.2)
    match error:
        case PlatformError(status=int(status), retry_after=wish):
            if status not in (408, 425, 429) and status < 500:
                return None
            if wish is None:
                return own
            return wish if wish <= _LONGEST_WISH else None
        case ConnectionFailedError() | DeadlineError():
            return own
        case _:
            return None


_current: ContextVar[Patience | None] = ContextVar("agentnb_patience", default=None)


def current_patience() -> Patience | None:
    """Return what the requests of this context are made with, None where they are made once."""
    return _current.get()
