"""The terms on which a call makes its requests: who makes a run sets them for all it asks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, replace
from typing import Final

from agentnb._http.deadlines import Deadlines
from agentnb._http.retries import Retries
from agentnb.errors import AgentnbError

__all__ = [
    "Pause",
    "Terms",
    "aside",
    "context_without_terms",
    "current_terms",
    "time_left",
    "without_terms",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """The wait before a request is made again.

    ``attempt`` counts the further attempts from 1, ``of`` is how many there are at most, and
    ``seconds`` how long the wait is.
    """

    attempt: int
    of: int
    seconds: float
    error: AgentnbError


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What differs from the client's own settings, for every request made within `applied`.

    The ``total`` of ``deadlines`` given here counts from `applied` on, over all requests; that of a
    client's own counts for each request by itself.  ``by_timeout`` says that it was given as
    ``timeout``, which is then what can be raised.  ``pausing`` is told before each wait and
    ``sending`` before each request, attempts included; both on the event loop, so they must not
    block.  ``sleep`` makes the waits.

    Terms replace those they are applied in as a whole.  Tasks inherit them: what a run starts
    beside its own requests is asked `aside`, what others start or hear on its occasion comes
    `without_terms`, and what is asked when its time is up needs terms of its own.
    ``Terms(retries=Retries(requests=0))`` are those of a request that is made once.
    """

    deadlines: Deadlines | None = None
    retries: Retries | None = None
    by_timeout: bool = False
    pausing: Callable[[Pause], None] | None = None
    sending: Callable[[], None] | None = None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    @contextmanager
    def applied(self, *, began: float | None = None) -> Generator[None, None, None]:
        """Have the requests of this context, and of the tasks that it starts, made on these.

        ``began`` is when ``total`` began to count, by `time.monotonic`; None: now.
        """
        token = _current.set((self, time.monotonic() if began is None else began))
        try:
            yield
        finally:
            _current.reset(token)


_NONE: Final = Terms()
_ASIDE: Final = Retries(requests=1)
_current: ContextVar[tuple[Terms, float] | None] = ContextVar("agentnb_terms", default=None)


def current_terms() -> Terms:
    """Return the terms of this context."""
    current = _current.get()
    return _NONE if current is None else current[0]


@contextmanager
def without_terms() -> Generator[None, None, None]:
    """Have what is done within, and the tasks that it starts, be no part of the call around it."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


def context_without_terms() -> Context:
    """Return a copy of this context for a task that is no part of the call that starts it."""
    with without_terms():
        return copy_context()


@contextmanager
def aside() -> Generator[None, None, None]:
    """Have what is asked beside a run's own stream made on terms of its own.

    Each request is made twice at most and tells nobody, since the run does not wait for it; the
    ``total`` of the run neither bounds it nor is asked.  Tasks that are started within inherit it.
    """
    deadlines = current_terms().deadlines
    own = None if deadlines is None else replace(deadlines, total=None)
    with Terms(deadlines=own, retries=_ASIDE).applied():
        yield


def time_left(deadlines: Deadlines) -> float | None:
    """Return how many seconds of ``total`` are left for a request made now, None for no end."""
    current = _current.get()
    if deadlines.total is None or current is None or current[0].deadlines is not deadlines:
        return deadlines.total
    return deadlines.total - (time.monotonic() - current[1])
