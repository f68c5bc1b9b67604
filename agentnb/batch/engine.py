"""The event loop's side of a map: rows are taken, asked, asked again, and settled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from agentnb._http import own_pause
from agentnb.batch.executor import Place
from agentnb.batch.feed import Feed
from agentnb.batch.rate_limiter import Gate, GateClosedError, Slot
from agentnb.batch.rows import Row, RowResult

__all__ = ["Engine"]

# How often a row goes again that the platform refused; each time it has waited for the gate.
_REFUSALS: Final = 20
# For longer than this nobody waits, in seconds: the row fails, and a checkpoint knows how to go on.
_LONGEST_WAIT: Final = 900.0
# How long rows that are cancelled may take to end, in seconds.
_GRACE: Final = 5.0


class Engine:
    """Asks the rows of ``feed`` at ``place``, so many at once as ``gate`` lets in.

    ``retries`` is how often a row goes again that failed for a reason that may pass.  Both are
    called on the loop: ``tried`` with the result of each attempt, which it may change, and
    ``settled`` with that of each row; where it returns False, the map ends with this one.
    """

    def __init__(
        self,
        place: Place,
        feed: Feed[Row],
        gate: Gate,
        *,
        concurrency: int,
        retries: int,
        tried: Callable[[RowResult], None],
        settled: Callable[[Row, RowResult], bool],
    ) -> None:
        self._place = place
        self._feed = feed
        self._gate = gate
        self._concurrency = concurrency
        self._retries = retries
        self._tried = tried
        self._settled = settled
        self._is_stopping = False

    async def run(self) -> None:
        """Go on until the feed has ended, or somebody stops it."""
        workers = {asyncio.create_task(self._work()) for _ in range(self._concurrency)}
        try:
            done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            for worker in done:
                worker.result()
        finally:
            self.stop()
            _, left = await asyncio.wait(workers, timeout=_GRACE)
            for worker in left:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await self._place.aclose()

    def stop(self) -> None:
        """Cancel what runs and start nothing more; on the loop."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self._feed.drop()
        self._feed.close()
        # In this order: a run that waits for the gate is to end as cancelled, not by an error.
        self._place.stop()
        self._gate.close()

    async def _work(self) -> None:
        while (row := await self._feed.take()) is not None:
            result = await self._result(row)
            if result is None:
                return
            if not self._settled(row, result):
                self.stop()

    async def _result(self, row: Row) -> RowResult | None:
        """Ask ``row`` until it is settled; None where the map ended before it was asked."""
        slot = self._gate.slot()
        result: RowResult | None = None
        attempts = failures = refusals = 0
        try:
            while True:
                result = await self._attempt(row, slot)
                attempts += result.attempts
                result.attempts = attempts
                if self._is_stopping:
                    return _broken_off(result)
                if result.verdict == "refused" and result.wait <= _LONGEST_WAIT:
                    refusals += 1
                    if refusals > _REFUSALS:
                        return result
                    slot.refused(max(result.wait, own_pause(refusals)))
                elif result.verdict == "may_pass" and failures < self._retries:
                    failures += 1
                    await self._gate.slept(max(result.wait, own_pause(failures)))
                else:
                    return result
        except GateClosedError:
            return None if result is None else _broken_off(result)

    async def _attempt(self, row: Row, slot: Slot) -> RowResult:
        await slot.enter()
        try:
            result = await self._place.attempt(row, slot)
            self._tried(result)
            if result.verdict == "done":
                slot.succeeded()
            return result
        finally:
            slot.leave()


def _broken_off(result: RowResult) -> RowResult:
    """Return the last result of a row that nothing follows any more, as the map was ended."""
    if result.verdict == "refused":
        # It was to go again, and is neither done nor failed.
        result.status = "cancelled"
    return result
