"""Asking one platform for its runs, again and again, and no more often than it deserves."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from typing import Final

from agentnb._http import LONGEST_WISH, Terms
from agentnb._http.retries import Retries
from agentnb.errors import (
    AgentnbError,
    AuthenticationError,
    BudgetExceededError,
    ConfigError,
    PlatformError,
    RequestError,
    UnsupportedError,
)
from agentnb.monitoring.clock import PollingClock
from agentnb.monitoring.items import STRIKES, RemoteItem
from agentnb.platforms.base import Platform
from agentnb.platforms.run_lists import batches, common

__all__ = ["Pace", "Poller"]

_log = logging.getLogger(__name__)

# How many requests may be under way at once.
_AT_ONCE: Final = 4
# How much longer each pause is than the one before, where nothing changed.
_SLOWER: Final = 1.5
# However many requests a round takes, another follows after so many seconds.
_LONGEST_ROUND: Final = 60.0
# The next round is the further attempt.
_ONCE: Final = Terms(retries=Retries(requests=0))

# What will not be better the next time.
_FOR_GOOD: Final = (
    AuthenticationError,
    BudgetExceededError,
    ConfigError,
    RequestError,
    UnsupportedError,
)


class Pace:
    """How long to pause between the requests to one platform, in seconds.

    A round of n requests is followed by n times the pause, so that a platform that must be asked
    for each run by itself gets no more requests than one that tells of all at once; a minute is
    the most, or ``longest``.
    """

    def __init__(self, shortest: float, longest: float) -> None:
        self._shortest = shortest
        self._longest = max(shortest, longest)
        self._pause = shortest
        self._failures = 0

    def after(self, *, changed: bool, requests: int) -> float:
        """Return the pause after a round that went well."""
        self._failures = 0
        # Whoever saw a change will see the next one soon; else it may well take longer.
        self._pause = self._shortest if changed else min(self._pause * _SLOWER, self._longest)
        return max(self._pause, min(requests * self._shortest, _LONGEST_ROUND))

    def after_failure(self, wish: float | None) -> float:
        """Return the pause after a round that failed; ``wish`` is what the platform asked for."""
        self._failures += 1
        self._pause = self._shortest
        own = min(self._shortest * 2 ** min(self._failures, 16), self._longest)
        # A longer wish is not believed: what goes on there has to be seen some time.
        return own if wish is None else max(self._shortest, min(wish, LONGEST_WISH))


class Poller:
    """Follows the runs of one client until all have ended.  One event loop's own."""

    def __init__(
        self,
        client: Platform,
        items: Sequence[RemoteItem],
        *,
        pace: Pace,
        clock: PollingClock,
        news: Callable[[], None],
    ) -> None:
        self.client = client
        self.items = list(items)
        self.requests = 0
        self.wake = asyncio.Event()
        self._pace = pace
        self._clock = clock
        self._news = news

    async def follow(self) -> None:
        """Ask until every run is final."""
        while self._open:
            self.wake.clear()
            with _ONCE.applied():
                pause = await self._round()
            self._news()
            if not self._open:
                return
            await self._clock.sleep(pause, self.wake)

    @property
    def _open(self) -> list[RemoteItem]:
        return [item for item in self.items if not item.final]

    async def _round(self) -> float:
        """Ask once for every run that is not final; return how long to pause."""
        asks = batches(self._open, self.client.capabilities)
        gate = asyncio.Semaphore(_AT_ONCE)
        failure: AgentnbError | None = None
        changed = False

        async def one(ask: list[RemoteItem]) -> None:
            nonlocal failure, changed
            async with gate:
                if failure is not None:
                    return  # who cannot answer is not asked more
                try:
                    news = await self._ask(ask)
                    # Not in one, which would forget what the others found meanwhile.
                    changed = changed or news
                except _FOR_GOOD as error:
                    _give_up(ask, error)
                    changed = True
                except AgentnbError as error:
                    if _passes(error):
                        failure = error
                    else:
                        changed |= _strike(ask, error)
                finally:
                    # When it is known what it brought.
                    self.requests += 1

        await asyncio.gather(*(one(ask) for ask in asks))
        if failure is None:
            return self._pace.after(changed=changed, requests=len(asks))
        wish = failure.retry_after if isinstance(failure, PlatformError) else None
        pause = self._pace.after_failure(wish)
        for item in self._open:
            item.trouble = f"{failure.message} Asked again in {math.ceil(pause)} s."
        return pause

    async def _ask(self, ask: list[RemoteItem]) -> bool:
        try:
            found = await self.client.status(
                [item.run_id for item in ask],
                agent=common(item.agent for item in ask),
                session_id=common(item.session_id for item in ask),
            )
        except AgentnbError:
            raise
        except Exception as error:
            # A platform of somebody else's; it must not end the watching of the others.
            _log.info("The state of runs is not to be had", exc_info=error)
            raise PlatformError(f"{self.client.name}: {type(error).__name__}: {error}") from error
        changed = False
        for item in ask:
            state = found.get(item.run_id)
            if state is not None:
                changed |= item.take(state)
                continue
            item.trouble = None
            item.strikes += 1
            if item.strikes >= STRIKES:
                item.gone = "Unknown to the platform"
                item.problem = f"{self.client.name} does not know this run."
                changed = True
        if self.client.capabilities.status_batch == "agent":
            for item in ask if len(ask) > 1 else ():
                await self._ask_why(item)
        return changed

    async def _ask_why(self, item: RemoteItem) -> None:
        """Ask for a run that failed alone: a call for several leaves out why."""
        state = item.state
        if state is None or state.status != "failed" or state.error is not None:
            return
        self.requests += 1
        try:
            found = await self.client.status(
                [item.run_id], agent=item.agent, session_id=item.session_id
            )
        except Exception as error:
            _log.info("Why a run failed is not to be had: %s", error)
            return
        if (whole := found.get(item.run_id)) is not None:
            item.take(whole)


def _passes(error: AgentnbError) -> bool:
    """Tell whether it may well go better later."""
    if not isinstance(error, PlatformError):
        return True
    status = error.status
    return status is None or status >= 500 or status in (408, 409, 425, 429)


def _strike(ask: list[RemoteItem], error: AgentnbError) -> bool:
    """Count a refusal; after some of them nobody asks any more."""
    for item in ask:
        item.strikes += 1
        item.trouble = error.message
    if ask[0].strikes < STRIKES:
        return False
    _give_up(ask, error)
    return True


def _give_up(ask: list[RemoteItem], error: AgentnbError) -> None:
    for item in ask:
        item.gone = "Not followed any more"
        item.problem = str(error)
