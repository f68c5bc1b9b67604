"""Attempts and retries of rows, on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from agentnb._http import backoff_delay
from agentnb.batch.executor import Executor
from agentnb.batch.feed import Feed
from agentnb.batch.rate_limiter import RateLimiter, RateLimiterClosedError, Slot
from agentnb.batch.rows import Row, RowResult

# Attempts at a row that the platform refuses; each waits for the rate limiter.
_MAX_REFUSALS: Final = 20
# In seconds; a row with a longer delay fails, and can be run later with a checkpoint.
_MAX_WAIT: Final = 900.0
# Seconds that cancelled rows may take to end.
_GRACE: Final = 5.0


class Engine:
    """Runs the rows of ``feed`` on ``executor``, as many at once as ``limiter`` allows.

    ``retries`` is the number of further attempts at a row that failed in a retryable way.  Called
    on the loop: ``on_attempt`` with the result of each attempt, which it may change, and
    ``on_result`` with that of each row; the map ends where it returns False.
    """

    def __init__(
        self,
        executor: Executor,
        feed: Feed[Row],
        limiter: RateLimiter,
        *,
        concurrency: int,
        retries: int,
        on_attempt: Callable[[RowResult], None],
        on_result: Callable[[Row, RowResult], bool],
    ) -> None:
        self._executor = executor
        self._feed = feed
        self._limiter = limiter
        self._concurrency = concurrency
        self._retries = retries
        self._on_attempt = on_attempt
        self._on_result = on_result
        self._is_stopping = False

    async def run(self) -> None:
        """Run rows until the feed ends, or `stop` is called."""
        workers = {asyncio.create_task(self._work()) for _ in range(self._concurrency)}
        try:
            done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            for worker in done:
                worker.result()
        finally:
            self.stop()
            _, pending = await asyncio.wait(workers, timeout=_GRACE)
            for worker in pending:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await self._executor.aclose()

    def stop(self) -> None:
        """Cancel running rows and start no more; on the loop."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self._feed.clear()
        self._feed.close()
        # In this order: a run that waits for the limiter is to end as cancelled, not by an error.
        self._executor.stop()
        self._limiter.close()

    async def _work(self) -> None:
        while (row := await self._feed.take()) is not None:
            result = await self._run_row(row)
            if result is None:
                return
            if not self._on_result(row, result):
                self.stop()

    async def _run_row(self, row: Row) -> RowResult | None:
        """Return the final result of ``row``, None if the map ended before its first attempt."""
        slot = self._limiter.slot()
        result: RowResult | None = None
        attempts = failures = refusals = 0
        try:
            while True:
                result = await self._attempt(row, slot)
                attempts += result.attempts
                result.attempts = attempts
                if self._is_stopping:
                    return _abandoned(result)
                if result.verdict == "refused" and result.wait <= _MAX_WAIT:
                    refusals += 1
                    if refusals > _MAX_REFUSALS:
                        return result
                    slot.report_refusal(max(result.wait, backoff_delay(refusals)))
                elif result.verdict == "retryable" and failures < self._retries:
                    failures += 1
                    await self._limiter.sleep(max(result.wait, backoff_delay(failures)))
                else:
                    return result
        except RateLimiterClosedError:
            return None if result is None else _abandoned(result)

    async def _attempt(self, row: Row, slot: Slot) -> RowResult:
        await slot.acquire()
        try:
            result = await self._executor.attempt(row, slot)
            self._on_attempt(result)
            if result.verdict == "done":
                slot.report_success()
            return result
        finally:
            slot.release()


def _abandoned(result: RowResult) -> RowResult:
    if result.verdict == "refused":
        # It was to be retried, so it is neither done nor failed.
        result.status = "cancelled"
    return result
