"""Execution of one map: rows from the caller's thread, attempts and retries on the event loop.

The user's own code produces the rows, so it runs in the caller's thread, and may block there.
"""

from __future__ import annotations

import asyncio
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, Literal

from agentnb._http import backoff_delay
from agentnb._loop import background_loop, submit
from agentnb.batch.checkpoint import Checkpoint, RowKeys
from agentnb.batch.executor import Executor, unsent
from agentnb.batch.items import InvalidRow, RowPrompt
from agentnb.batch.progress import Progress
from agentnb.batch.rate_limiter import RateLimiter, RateLimiterClosedError, Slot
from agentnb.batch.result_table import Outcome
from agentnb.batch.rows import Row, RowResult
from agentnb.errors import RequestError
from agentnb.store.recorder import flush

# Seconds between wake-ups of a waiting thread: Ctrl-C does not interrupt waits on all systems.
_TICK: Final = 0.1
# Seconds over which the rate is measured.
_RATE_WINDOW: Final = 20.0
# Seconds that cancelled rows may take to end, on the loop and in the caller's thread.
_GRACE: Final = 5.0
_CALLER_GRACE: Final = 8.0
# After so many rows the history is flushed for at most so many seconds: else the runs of a fast
# agent would pile up in memory.
_FLUSH_ROWS: Final = 500
_FLUSH_SECONDS: Final = 2.0
# Attempts at a row that the platform refuses; each waits for the rate limiter.
_MAX_REFUSALS: Final = 20
# In seconds; a row with a longer delay fails, and can be run later with a checkpoint.
_MAX_WAIT: Final = 900.0

State = Literal["running", "done", "interrupted", "failed"]


class StoppedError(BaseException):
    """The map was stopped by `Job.stop`; no failure, like KeyboardInterrupt."""


class Job:
    """Runs ``prompts`` on ``executor`` and adds the results to ``outcome``.

    `run` is called once; ``prompts``, the user's own code, is iterated in its thread, at most
    ``concurrency`` rows ahead.  ``retries`` is the number of further attempts at a row that failed
    in a retryable way.  ``stop_on_failure``: the first row that fails ends the map.
    """

    def __init__(
        self,
        prompts: Iterator[RowPrompt | InvalidRow],
        executor: Executor,
        outcome: Outcome,
        *,
        concurrency: int,
        rpm: float | None,
        retries: int,
        stop_on_failure: bool,
        checkpoint: Checkpoint | None,
    ) -> None:
        #: The exception of the callable that failed to create the failed row.
        self.cause: Exception | None = None
        self.state: State = "running"
        self.outcome = outcome
        self._prompts = prompts
        self._executor = executor
        self._retries = retries
        self._stop_on_failure = stop_on_failure
        self._checkpoint = checkpoint
        self._workers = min(concurrency, outcome.items.total or concurrency)
        self._keys = RowKeys()
        self._limiter = RateLimiter(concurrency, rpm=rpm)
        self._loop = background_loop()
        # Rows for the workers, None at the end; `_room` bounds them.
        self._rows: asyncio.Queue[Row | None] = asyncio.Queue()
        self._room = threading.Semaphore(concurrency)
        self._is_interrupted = self._is_stopping = self._has_warned = False
        self._ended = threading.Event()
        self._started_at = time.monotonic()
        self._elapsed: float | None = None
        self._samples: deque[tuple[float, int]] = deque([(self._started_at, 0)])

    def run(self, tick: Callable[[], None]) -> None:
        """Run all rows (blocks); ``tick`` is called several times a second.

        An interrupt or an error of the user's code is raised after running rows were cancelled.
        """
        work = submit(self._run_rows())
        work.add_done_callback(lambda _: self._ended.set())
        try:
            self._offer_rows(tick)
            if self._has_failed:
                self._on_loop(self._stop_rows)
            self._on_loop(self._rows.put_nowait, None)
            while not self._ended.wait(_TICK):
                self._check(tick)
            work.result()
            self.state = "failed" if self._has_failed else "done"
        except BaseException as error:
            is_stop = isinstance(error, KeyboardInterrupt | StoppedError)
            self.state = "interrupted" if is_stop else "failed"
            self._cancel(work)
            raise
        finally:
            self._elapsed = time.monotonic() - self._started_at
            if self._checkpoint is not None:
                self._checkpoint.close()
                self._warn_of_checkpoint()

    def stop(self) -> None:
        """Have `run` raise `StoppedError` soon; from any thread."""
        self._is_interrupted = True

    def progress(self) -> Progress:
        """Return the progress; from one thread at a time."""
        outcome, now = self.outcome, time.monotonic()
        total = outcome.items.total
        rate = self._rate(now, outcome.done - outcome.reused)
        remaining = None if total is None else max(0, total - outcome.done)
        is_over = self.state != "running"
        return Progress(
            done=outcome.done,
            total=total,
            failed=outcome.failed,
            reused=outcome.reused,
            running=0 if is_over else self._limiter.running,
            elapsed=now - self._started_at if self._elapsed is None else self._elapsed,
            rate=rate,
            left=None if is_over or remaining is None or not rate else remaining / rate,
            waiting=None if is_over else self._limiter.closed_for or None,
            cost_usd=outcome.cost_usd,
            state=self.state,
        )

    @property
    def _has_failed(self) -> bool:
        return self._stop_on_failure and self.outcome.failure is not None

    # -- in the caller's thread ------------------------------------------------------------------

    def _offer_rows(self, tick: Callable[[], None]) -> None:
        next_tick = 0.0
        for position, prompt in enumerate(self._prompts):
            if position % _FLUSH_ROWS == _FLUSH_ROWS - 1:
                flush(_FLUSH_SECONDS)
            if (row := self._row(position, prompt)) is not None:
                while not self._room.acquire(timeout=_TICK) and not self._ended.is_set():
                    self._check(tick)
                self._on_loop(self._rows.put_nowait, row)
            if self._ended.is_set() or self._has_failed:
                return
            if (now := time.monotonic()) >= next_tick:
                self._check(tick)
                next_tick = now + _TICK

    def _row(self, position: int, prompt: RowPrompt | InvalidRow) -> Row | None:
        """Return the row to run, None if it already has a result."""
        row = Row(position=position, prompt="")
        if isinstance(prompt, RowPrompt):
            try:
                key = self._keys.key(prompt.prompt, prompt.media)
            except (RequestError, OSError) as error:
                prompt = InvalidRow(str(error), code="media", cause=error)
            else:
                row = Row(position=position, prompt=prompt.prompt, media=prompt.media, key=key)
        if isinstance(prompt, InvalidRow):
            if self._stop_on_failure:
                self.cause = prompt.cause
            self.outcome.add(unsent(row, prompt.message, code=prompt.code))
            return None
        stored = None if self._checkpoint is None else self._checkpoint.take(row.key)
        if stored is None:
            return row
        stored.position = position
        self.outcome.add_reused(stored)
        return None

    def _check(self, tick: Callable[[], None]) -> None:
        if self._is_interrupted:
            raise StoppedError
        self._warn_of_checkpoint()
        tick()

    def _cancel(self, work: Future[None]) -> None:
        """Cancel running rows and wait for their end; another Ctrl-C ends the wait."""
        self._on_loop(self._stop_rows)
        end = time.monotonic() + _CALLER_GRACE
        with suppress(KeyboardInterrupt):
            while not self._ended.wait(_TICK) and time.monotonic() < end:
                pass
        work.cancel()

    def _on_loop(self, function: Callable[..., None], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(function, *arguments)

    def _warn_of_checkpoint(self) -> None:
        checkpoint = self._checkpoint
        if checkpoint is None or checkpoint.error is None or self._has_warned:
            return
        self._has_warned = True
        warnings.warn(
            f"The checkpoint {checkpoint.place} cannot be written: {checkpoint.error}. "
            "What is done from here on is in the table only.",
            RuntimeWarning,
            stacklevel=2,
        )

    def _rate(self, now: float, done: int) -> float | None:
        samples = self._samples
        samples.append((now, done))
        while len(samples) > 2 and samples[1][0] < now - _RATE_WINDOW:
            samples.popleft()
        seconds, rows = now - samples[0][0], done - samples[0][1]
        return rows / seconds if rows and seconds > 0 else None

    # -- on the loop -----------------------------------------------------------------------------

    async def _run_rows(self) -> None:
        workers = {asyncio.create_task(self._work()) for _ in range(self._workers)}
        try:
            done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            for worker in done:
                worker.result()
        finally:
            self._stop_rows()
            _, pending = await asyncio.wait(workers, timeout=_GRACE)
            for worker in pending:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await self._executor.aclose()

    def _stop_rows(self) -> None:
        """Cancel running rows and start no more."""
        if self._is_stopping:
            return
        self._is_stopping = True
        while not self._rows.empty():
            self._rows.get_nowait()
        self._rows.put_nowait(None)
        # In this order: a run that waits for the limiter is to end as cancelled, not by an error.
        self._executor.stop()
        self._limiter.close()

    async def _work(self) -> None:
        while (row := await self._rows.get()) is not None:
            self._room.release()
            result = await self._run_row(row)
            if result is None:
                return
            result.key = row.key
            self.outcome.add(result)
            if self._checkpoint is not None and result.is_complete:
                self._checkpoint.put(result)
            if self._has_failed:
                self._stop_rows()
        # For the next worker.
        self._rows.put_nowait(None)

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
            self.outcome.complete_attempt(result)
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
