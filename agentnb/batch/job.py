"""One map from its first row to its end, driven from the thread of who called it."""

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
from agentnb.batch.executor import Place, unsent
from agentnb.batch.feed import TICK, Feed
from agentnb.batch.keys import RowKeys
from agentnb.batch.outcome import Outcome
from agentnb.batch.progress import Progress
from agentnb.batch.prompts import Asked, Unasked
from agentnb.batch.rate_limiter import Gate
from agentnb.batch.rows import Row, RowResult
from agentnb.errors import RequestError
from agentnb.store.recorder import flush

__all__ = ["Job", "StoppedError"]

# Over so many seconds the rate is taken.
_LATELY: Final = 20.0
# How long rows that are cancelled are waited for, in seconds.
_GRACE: Final = 8.0
# After so many rows the history is given time to write them, at most so many seconds: else the runs
# of a fast agent would be kept in memory until it has.
_UNWRITTEN: Final = 500
_WRITING: Final = 2.0

State = Literal["running", "done", "interrupted", "failed"]


class StoppedError(BaseException):
    """The map was stopped by `Job.stop`; like KeyboardInterrupt it is no failure of anything."""


class Job:
    """Asks what ``asked`` yields, at ``place``, and puts what comes of it into ``outcome``.

    `run` is called once; ``asked``, which is the user's own code, is gone through in the thread
    that calls it.  ``raises``: the first row that fails ends the map.
    """

    def __init__(
        self,
        asked: Iterator[Asked | Unasked],
        place: Place,
        outcome: Outcome,
        *,
        concurrency: int,
        rpm: float | None,
        retries: int,
        raises: bool,
        checkpoint: Checkpoint | None,
    ) -> None:
        #: What the callable raised that was to make what the failed row asks.
        self.cause: Exception | None = None
        self.state: State = "running"
        self._asked = asked
        self._outcome = outcome
        self._raises = raises
        self._checkpoint = checkpoint
        self._keys = RowKeys()
        self._gate = Gate(concurrency, rpm=rpm)
        # As many as can start at once lie ready.
        self._feed = Feed[Row](background_loop(), capacity=concurrency)
        self._engine = Engine(
            place,
            self._feed,
            self._gate,
            concurrency=min(concurrency, outcome.items.total or concurrency),
            retries=retries,
            tried=outcome.tried,
            settled=self._settled,
        )
        self._is_stopping = False
        self._ended = threading.Event()
        self._began = time.monotonic()
        self._took: float | None = None
        self._samples: deque[tuple[float, int]] = deque([(self._began, 0)])
        self._warned = False

    def run(self, tick: Callable[[], None]) -> None:
        """Ask all rows (blocks); ``tick`` is called some times a second.

        Whatever it is interrupted by, also by the user's own code, is raised once what ran has
        been cancelled.
        """
        work = submit(self._engine.run())
        work.add_done_callback(lambda _: self._ended.set())
        try:
            self._pull(tick)
            if self._has_failed:
                self._stop_engine()
            self._feed.close()
            while not self._ended.wait(TICK):
                self._look(tick)
            work.result()
            self.state = "failed" if self._has_failed else "done"
        except BaseException as error:
            is_stop = isinstance(error, KeyboardInterrupt | StoppedError)
            self.state = "interrupted" if is_stop else "failed"
            self._wind_up(work)
            raise
        finally:
            self._took = time.monotonic() - self._began
            if self._checkpoint is not None:
                self._checkpoint.close()
                self._warn_of_checkpoint()

    def stop(self) -> None:
        """Have `run` raise `StoppedError` soon; from any thread."""
        self._is_stopping = True

    def progress(self) -> Progress:
        """Return how far it is; from one thread at a time."""
        outcome, now = self._outcome, time.monotonic()
        total = outcome.items.total
        asked = outcome.done - outcome.reused
        rate = self._rate(now, asked)
        remaining = None if total is None else max(0, total - outcome.done)
        is_over = self.state != "running"
        closed = self._gate.closed_for
        return Progress(
            done=outcome.done,
            total=total,
            failed=outcome.failed,
            reused=outcome.reused,
            running=0 if is_over else self._gate.running,
            elapsed=self._took if self._took is not None else now - self._began,
            rate=rate,
            left=None if is_over or remaining is None or not rate else remaining / rate,
            waiting=None if is_over or not closed else closed,
            cost_usd=outcome.cost_usd,
            state=self.state,
        )

    @property
    def _has_failed(self) -> bool:
        """Whether a row failed that is to end the map."""
        return self._raises and self._outcome.failure is not None

    # -- in the caller's thread ------------------------------------------------------------------

    def _pull(self, tick: Callable[[], None]) -> None:
        next_tick = 0.0
        for position, asked in enumerate(self._asked):
            if position % _UNWRITTEN == _UNWRITTEN - 1:
                flush(_WRITING)
            row = self._row(position, asked)
            while row is not None and not self._feed.offer(row) and not self._ended.is_set():
                self._look(tick)
            if self._ended.is_set() or self._has_failed:
                return
            if (now := time.monotonic()) >= next_tick:
                self._look(tick)
                next_tick = now + TICK

    def _row(self, position: int, asked: Asked | Unasked) -> Row | None:
        """Return the row to be asked; None where it is settled without."""
        row = Row(position=position, prompt="")
        if isinstance(asked, Asked):
            try:
                key = self._keys.key(asked.prompt, asked.media)
            except (RequestError, OSError) as error:
                asked = Unasked(str(error), code="media", cause=error)
            else:
                row = Row(position=position, prompt=asked.prompt, media=asked.media, key=key)
        if isinstance(asked, Unasked):
            if self._raises:
                self.cause = asked.cause
            self._outcome.settle(unsent(row, asked.message, code=asked.code))
            return None
        known = None if self._checkpoint is None else self._checkpoint.take(row.key)
        if known is None:
            return row
        known.position = position
        self._outcome.settle_known(known)
        return None

    def _look(self, tick: Callable[[], None]) -> None:
        if self._is_stopping:
            raise StoppedError
        self._warn_of_checkpoint()
        tick()

    def _wind_up(self, work: Future[None]) -> None:
        """Cancel what runs, and wait until that has ended; one more Ctrl-C ends the wait."""
        self._stop_engine()
        end = time.monotonic() + _GRACE
        with suppress(KeyboardInterrupt):
            while not self._ended.wait(TICK) and time.monotonic() < end:
                pass
        work.cancel()

    def _stop_engine(self) -> None:
        with suppress(RuntimeError):  # the loop is gone
            background_loop().call_soon_threadsafe(self._engine.stop)

    def _warn_of_checkpoint(self) -> None:
        checkpoint = self._checkpoint
        if checkpoint is None or checkpoint.error is None or self._warned:
            return
        self._warned = True
        warnings.warn(
            f"The checkpoint {checkpoint.place} cannot be written: {checkpoint.error}. "
            "What is done from here on is in the table only.",
            RuntimeWarning,
            stacklevel=2,
        )

    def _rate(self, now: float, asked: int) -> float | None:
        samples = self._samples
        samples.append((now, asked))
        while len(samples) > 2 and samples[1][0] < now - _LATELY:
            samples.popleft()
        seconds, rows = now - samples[0][0], asked - samples[0][1]
        return rows / seconds if rows and seconds > 0 else None

    # -- on the loop -----------------------------------------------------------------------------

    def _settled(self, row: Row, result: RowResult) -> bool:
        result.key = row.key
        self._outcome.settle(result)
        if self._checkpoint is not None and result.is_complete:
            self._checkpoint.put(result)
        return not self._has_failed
