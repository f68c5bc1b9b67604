"""Executors of rows: one attempt at one row, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Final, Protocol

from agentnb._http import RequestOptions, RetryDelay, is_retryable_status
from agentnb.batch.rate_limiter import RateLimiterClosedError, SharedBackoff
from agentnb.batch.rows import Row, RowResult, RunFactory, Verdict
from agentnb.errors import (
    AgentnbError,
    AnswerTooLargeError,
    ConfigError,
    ConnectionFailedError,
    DeadlineError,
    PlatformError,
    PlaybackError,
    RateLimitError,
    RequestError,
    UnsupportedError,
)
from agentnb.event.transcript import Status
from agentnb.event.types import Usage
from agentnb.run.run import Run
from agentnb.store import recent
from agentnb.store.values import to_micros

# Error codes in a stream, where there is no HTTP status.
_REFUSAL_CODES: Final = frozenset({"429", "rate_limit", "rate_limit_exceeded", "rate_limited"})
# Errors that no retry resolves.
_PERMANENT: Final = (
    AnswerTooLargeError,
    ConfigError,
    PlaybackError,
    RequestError,
    UnsupportedError,
)


class Executor(Protocol):
    """Runs rows; all methods are called on agentnb's background loop."""

    async def attempt(self, row: Row, backoff: SharedBackoff) -> RowResult:
        """Run ``row`` once and return its result, also of a failure.

        Refusals of the platform are reported to ``backoff``, which the row then waits for.
        Cancelling the task cancels the run.
        """
        ...

    def stop(self) -> None:
        """Cancel all runs: pending attempts return soon, with the events received."""
        ...

    async def aclose(self) -> None:
        """Release resources; no attempt is pending."""
        ...


class LocalExecutor:
    """Executor in this process: each attempt is a run of ``agent``, recorded as any run.

    ``options`` of `Agent.start` apply to every row.
    """

    def __init__(self, agent: RunFactory, options: Mapping[str, Any]) -> None:
        self._agent = agent
        self._options = dict(options)
        self._running: set[Run] = set()
        self._is_stopping = False

    async def attempt(self, row: Row, backoff: SharedBackoff) -> RowResult:
        waits = _RefusalWaits(backoff)
        try:
            run = self._agent.prepare(
                row.prompt, media=row.media, change_options=waits.request_options, **self._options
            )
        except AgentnbError as error:
            # Only this row cannot be sent.
            return unsent(row, error.message, code=type(error).__name__)
        if row.local_id is not None:
            run.local_id = row.local_id
        recent.remember(run)
        self._running.add(run)
        try:
            run.start()
            if self._is_stopping:
                run.cancel()
            await _end_of(run)
        except BaseException:
            run.cancel()
            raise
        finally:
            self._running.discard(run)
        return _result(run, row, is_waiting=waits.is_waiting)

    def stop(self) -> None:
        self._is_stopping = True
        for run in tuple(self._running):
            run.cancel()

    async def aclose(self) -> None:
        """Do nothing: other runs share the platform's connections."""


class _RefusalWaits:
    """Waits of a run's requests after the platform refused them, shared with other rows."""

    __slots__ = ("_backoff", "_is_refused", "is_waiting")

    def __init__(self, backoff: SharedBackoff) -> None:
        self.is_waiting = False
        self._backoff = backoff
        self._is_refused = False

    def request_options(self, options: RequestOptions) -> RequestOptions:
        return replace(options, on_retry=self._on_retry, sleep=self._sleep)

    def _on_retry(self, pause: RetryDelay) -> None:
        self._is_refused = _is_refusal(pause.error)
        if self._is_refused:
            self._backoff.report_refusal(pause.seconds)

    async def _sleep(self, seconds: float) -> None:
        if not self._is_refused:
            await asyncio.sleep(seconds)
            return
        # Not reset on cancellation: a run whose total deadline passes ends here.
        self.is_waiting = True
        await self._backoff.pause(seconds)
        self.is_waiting = False


def unsent(
    row: Row,
    error: str,
    *,
    code: str | None = None,
    status: Status = "failed",
    verdict: Verdict = "failed",
    attempts: int = 0,
) -> RowResult:
    """Return the result of a row that was not sent, or whose run is not known."""
    return RowResult(
        position=row.position,
        status=status,
        attempts=attempts,
        error=error,
        error_code=code,
        verdict=verdict,
    )


def _is_refusal(error: BaseException | None) -> bool:
    """Return whether the platform refused a request for now, rather than failed."""
    match error:
        case RateLimitError():
            return True
        case PlatformError(status=int(status), retry_after=float() | int()):
            return status >= 500
        case _:
            return False


def _result(run: Run, row: Row, *, is_waiting: bool) -> RowResult:
    """Return the result of ``run``, which has ended.

    ``is_waiting``: it ended while it waited for a platform that refused it.
    """
    verdict, wait = _verdict(run, is_waiting=is_waiting)
    # The map ended while the run waited for the rate limiter.
    is_closed = isinstance(run.exception, RateLimiterClosedError)
    failure = None if is_closed else run.transcript.failure
    return RowResult(
        position=row.position,
        status="cancelled" if is_closed else run.status,
        answer=run.structured_text,
        run_id=run.id,
        session_id=run.session_id,
        started_at=to_micros(run.created_at),
        duration=run.duration,
        time_to_first_token=run.time_to_first_token,
        model=run.transcript.model,
        attempts=1,
        error=None if is_closed else run.error,
        error_code=None if failure is None else failure.code or failure.error_type,
        local_id=run.local_id,
        verdict=verdict,
        wait=wait,
        **asdict(run.usage or Usage()),
    )


def _verdict(run: Run, *, is_waiting: bool) -> tuple[Verdict, float]:
    """Return the verdict on ``run`` and the delay that the platform requested, in seconds."""
    if run.status in ("completed", "paused"):
        return "done", 0.0
    if run.status in ("cancelled", "interrupted"):
        return "failed", 0.0
    error, failure = run.exception, run.transcript.failure
    wait = (failure.retry_after if failure else None) or 0.0
    if _is_refusal(error) or (failure and (failure.code or "").lower() in _REFUSAL_CODES):
        return "refused", wait
    match error:
        case DeadlineError(deadline="total") if is_waiting:
            return "refused", wait
        case PlatformError(status=int(status)):
            return ("retryable" if is_retryable_status(status) else "failed"), wait
        case ConnectionFailedError(lasting=True):
            return "failed", wait
        case _ if isinstance(error, _PERMANENT):
            return "failed", wait
        case _:
            # Failures of an agent have no reliable code.
            return "retryable", wait


async def _end_of(run: Run) -> None:
    """Wait for the end of ``run`` on the loop that drives it."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_change() -> None:
        if run.done and not future.done():
            future.set_result(None)

    unsubscribe = run.subscribe(on_change)
    try:
        on_change()
        await future
    finally:
        unsubscribe()
