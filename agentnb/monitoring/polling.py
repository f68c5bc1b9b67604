"""Polling of one platform for the state of its runs."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from agentnb._http import MAX_RETRY_AFTER, RequestOptions
from agentnb._http.retry import Retries
from agentnb.errors import (
    AgentnbError,
    AuthenticationError,
    BudgetExceededError,
    ConfigError,
    PlatformError,
    RequestError,
    UnsupportedError,
)
from agentnb.monitoring.watched_run import MAX_FAILURES, RemoteItem
from agentnb.platforms.base import Platform
from agentnb.platforms.base_platform import batches, common

_log = logging.getLogger(__name__)

_MAX_CONCURRENT_REQUESTS: Final = 4
# How much longer each interval is than the one before, while nothing changes.
_GROWTH: Final = 1.5
# Longest interval because of the number of requests in a round, in seconds.
_MAX_ROUND_INTERVAL: Final = 60.0
# The next round is the retry.
_NO_RETRIES: Final = RequestOptions(retries=Retries(requests=0))
_PERMANENT_ERRORS: Final = (
    AuthenticationError,
    BudgetExceededError,
    ConfigError,
    RequestError,
    UnsupportedError,
)


class PollingClock:
    """Real time; tests inject another."""

    def now(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float, wake: asyncio.Event) -> None:
        """Wait ``seconds``, or until ``wake`` is set."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await wake.wait()


class PollingInterval:
    """Seconds between the rounds of requests to one platform.

    A round of n requests is followed by n times the interval, up to a minute or ``longest``, so
    that a platform with one request per run gets no more requests than one with batches.
    """

    def __init__(self, shortest: float, longest: float) -> None:
        self._shortest = shortest
        self._longest = max(shortest, longest)
        self._interval = shortest
        self._failures = 0

    def after(self, *, changed: bool, requests: int) -> float:
        """Return the interval after a successful round."""
        self._failures = 0
        grown = min(self._interval * _GROWTH, self._longest)
        self._interval = self._shortest if changed else grown
        return max(self._interval, min(requests * self._shortest, _MAX_ROUND_INTERVAL))

    def after_failure(self, retry_after: float | None) -> float:
        """Return the interval after a failed round."""
        self._failures += 1
        self._interval = self._shortest
        if retry_after is not None:
            return max(self._shortest, min(retry_after, MAX_RETRY_AFTER))
        return min(self._shortest * 2 ** min(self._failures, 16), self._longest)


@dataclass(eq=False)
class Poller:
    """Polls the runs of one client until all have ended.  Belongs to one event loop."""

    client: Platform
    items: Sequence[RemoteItem]
    interval: PollingInterval
    clock: PollingClock
    on_change: Callable[[], None]
    requests: int = 0
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Poll until every run is final."""
        while self._open:
            self.wake.clear()
            with _NO_RETRIES.applied():
                seconds = await self._round()
            self.on_change()
            if self._open:
                await self.clock.sleep(seconds, self.wake)

    @property
    def _open(self) -> list[RemoteItem]:
        return [item for item in self.items if not item.final]

    async def _round(self) -> float:
        """Request the state of every open run once; return the seconds until the next round."""
        requests = batches(self._open, self.client.capabilities)
        semaphore = asyncio.Semaphore(_MAX_CONCURRENT_REQUESTS)
        failure: AgentnbError | None = None
        changed = False

        async def poll(batch: list[RemoteItem]) -> None:
            nonlocal failure, changed
            async with semaphore:
                if failure is not None:
                    return
                try:
                    has_news = await self._poll(batch)
                    # Not in one expression, which would read `changed` before the await.
                    changed = changed or has_news
                except _PERMANENT_ERRORS as error:
                    _stop(batch, error)
                    changed = True
                except AgentnbError as error:
                    if _is_transient(error):
                        failure = error
                    else:
                        changed |= _count_failure(batch, error)
                finally:
                    # Counted once its outcome is known.
                    self.requests += 1

        await asyncio.gather(*(poll(batch) for batch in requests))
        if failure is None:
            return self.interval.after(changed=changed, requests=len(requests))
        retry_after = failure.retry_after if isinstance(failure, PlatformError) else None
        seconds = self.interval.after_failure(retry_after)
        for item in self._open:
            item.delay = f"{failure.message} Next attempt in {math.ceil(seconds)} s."
        return seconds

    async def _poll(self, batch: list[RemoteItem]) -> bool:
        """Request the state of several runs; return whether one changed."""
        try:
            found = await self.client.status(
                [item.run_id for item in batch],
                agent=common(item.agent for item in batch),
                session_id=common(item.session_id for item in batch),
            )
        except AgentnbError:
            raise
        except Exception as error:
            # A third-party platform must not end the watching of the others.
            _log.info("The state of runs cannot be read", exc_info=error)
            raise PlatformError(f"{self.client.name}: {type(error).__name__}: {error}") from error
        changed = False
        for item in batch:
            state = found.get(item.run_id)
            if state is not None:
                changed |= item.update(state)
                continue
            item.delay = None
            item.failures += 1
            if item.failures >= MAX_FAILURES:
                item.stopped = "Unknown to the platform"
                item.problem = f"{self.client.name} does not know this run."
                changed = True
        if self.client.capabilities.status_batch == "agent" and len(batch) > 1:
            for item in batch:
                await self._find_error(item)
        return changed

    async def _find_error(self, item: RemoteItem) -> None:
        """Request a failed run alone, because the response for several has no errors."""
        state = item.state
        if state is None or state.status != "failed" or state.error is not None:
            return
        self.requests += 1
        try:
            found = await self.client.status(
                [item.run_id], agent=item.agent, session_id=item.session_id
            )
        except Exception as error:
            _log.info("The error of a run cannot be read: %s", error)
            return
        if (complete := found.get(item.run_id)) is not None:
            item.update(complete)


def _is_transient(error: AgentnbError) -> bool:
    status = error.status if isinstance(error, PlatformError) else None
    return status is None or status >= 500 or status in (408, 409, 425, 429)


def _count_failure(batch: list[RemoteItem], error: AgentnbError) -> bool:
    """Count a refused request; return whether polling stops because of it."""
    for item in batch:
        item.failures += 1
        item.delay = error.message
    if batch[0].failures < MAX_FAILURES:
        return False
    _stop(batch, error)
    return True


def _stop(batch: list[RemoteItem], error: AgentnbError) -> None:
    for item in batch:
        item.stopped = "Not followed any more"
        item.problem = str(error)
