"""Execution of one map, driven by the thread that called it."""

from __future__ import annotations

import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import Final, Literal

from agentnb._loop import background_loop, submit
from agentnb.batch.checkpoint import Checkpoint
from agentnb.batch.engine import Engine
from agentnb.batch.executor import Executor, unsent
from agentnb.batch.feed import TICK, Feed
from agentnb.batch.keys import RowKeys
from agentnb.batch.outcome import Outcome
from agentnb.batch.progress import Progress
from agentnb.batch.prompts import InvalidRow, RowPrompt
from agentnb.batch.rate_limiter import RateLimiter
from agentnb.batch.rows import Row, RowResult
from agentnb.errors import RequestError
from agentnb.store.recorder import flush

# Seconds over which the rate is measured.
_RATE_WINDOW: Final = 20.0
# Seconds that cancelled rows may take to end.
_GRACE: Final = 8.0
# After so many rows the history is flushed for at most so many seconds: else the runs of a fast
# agent would pile up in memory.
_FLUSH_ROWS: Final = 500
_FLUSH_SECONDS: Final = 2.0

State = Literal["running", "done", "interrupted", "failed"]


class StoppedError(BaseException):
    """The map was stopped by `Job.stop`; no failure, like KeyboardInterrupt."""


class Job:
    """Runs ``prompts`` on ``executor`` and adds the results to ``outcome``.

    `run` is called once; ``prompts``, the user's own code, is iterated in its thread.
    ``stop_on_failure``: the first row that fails ends the map.
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
        self._prompts = prompts
        self._outcome = outcome
        self._stop_on_failure = stop_on_failure
        self._checkpoint = checkpoint
        self._keys = RowKeys()
        self._limiter = RateLimiter(concurrency, rpm=rpm)
        self._feed = Feed[Row](background_loop(), capacity=concurrency)
        self._engine = Engine(
            executor,
            self._feed,
            self._limiter,
            concurrency=min(concurrency, outcome.items.total or concurrency),
            retries=retries,
            on_attempt=outcome.complete_attempt,
            on_result=self._on_result,
        )
        self._is_stopping = False
        self._ended = threading.Event()
        self._started_at = time.monotonic()
        self._elapsed: float | None = None
        self._samples: deque[tuple[float, int]] = deque([(self._started_at, 0)])
        self._has_warned = False

    def run(self, tick: Callable[[], None]) -> None:
        """Run all rows (blocks); ``tick`` is called several times a second.

        An interrupt or an error of the user's code is raised after running rows were cancelled.
        """
        work = submit(self._engine.run())
        work.add_done_callback(lambda _: self._ended.set())
        try:
            self._feed_rows(tick)
            if self._has_failed:
                self._stop_engine()
            self._feed.close()
            while not self._ended.wait(TICK):
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
        self._is_stopping = True

    def progress(self) -> Progress:
        """Return the progress; from one thread at a time."""
        outcome, now = self._outcome, time.monotonic()
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
        return self._stop_on_failure and self._outcome.failure is not None

    def _feed_rows(self, tick: Callable[[], None]) -> None:
        next_tick = 0.0
        for position, prompt in enumerate(self._prompts):
            if position % _FLUSH_ROWS == _FLUSH_ROWS - 1:
                flush(_FLUSH_SECONDS)
            row = self._row(position, prompt)
            while row is not None and not self._feed.offer(row) and not self._ended.is_set():
                self._check(tick)
            if self._ended.is_set() or self._has_failed:
                return
            if (now := time.monotonic()) >= next_tick:
                self._check(tick)
                next_tick = now + TICK

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
            self._outcome.add(unsent(row, prompt.message, code=prompt.code))
            return None
        stored = None if self._checkpoint is None else self._checkpoint.take(row.key)
        if stored is None:
            return row
        stored.position = position
        self._outcome.add_reused(stored)
        return None

    def _check(self, tick: Callable[[], None]) -> None:
        if self._is_stopping:
            raise StoppedError
        self._warn_of_checkpoint()
        tick()

    def _cancel(self, work: Future[None]) -> None:
        """Cancel running rows and wait for their end; another Ctrl-C ends the wait."""
        self._stop_engine()
        end = time.monotonic() + _GRACE
        with suppress(KeyboardInterrupt):
            while not self._ended.wait(TICK) and time.monotonic() < end:
                pass
        work.cancel()

    def _stop_engine(self) -> None:
        with suppress(RuntimeError):  # the loop is closed
            background_loop().call_soon_threadsafe(self._engine.stop)

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

    def _on_result(self, row: Row, result: RowResult) -> bool:
        """Add a result; return whether the map goes on.  Called on the loop."""
        result.key = row.key
        self._outcome.add(result)
        if self._checkpoint is not None and result.is_complete:
            self._checkpoint.put(result)
        return not self._has_failed
