"""One attempt at one row, in this process: a row in, a row's result out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

from agentnb._http import Pause, Terms, is_passing
from agentnb.batch.rate_limiter import Company, GateClosedError
from agentnb.batch.rows import Row, RowResult, Verdict
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
from agentnb.event.types import Usage
from agentnb.run.run import Run
from agentnb.store import recent
from agentnb.store.timestamps import to_micros

__all__ = ["Here", "Place", "Prepares", "is_refusal", "result_of", "unsent"]

# Told by a platform in a stream, where there is no status of HTTP.
_REFUSALS: Final = frozenset({"429", "rate_limit", "rate_limit_exceeded", "rate_limited"})
_NOTHING: Final = Usage()
# No further attempt changes what these say.
_LASTING: Final = (
    AnswerTooLargeError,
    ConfigError,
    PlaybackError,
    RequestError,
    UnsupportedError,
)


class Prepares(Protocol):
    """An agent, as far as a map needs it: what makes a run of a prompt, unsent."""

    def prepare(
        self, prompt: str, *, with_terms: Callable[[Terms], Terms] | None = None, **options: Any
    ) -> Run: ...


class Place(Protocol):
    """Where rows are asked; all of it is called on agentnb's own event loop."""

    async def attempt(self, row: Row, company: Company) -> RowResult:
        """Ask ``row`` once and return what came of it, whatever that is.

        Refusals are told to ``company`` as they come, and waited out with it.  Nothing is raised
        but what nobody foresaw; when the task is cancelled, the run is, too.
        """
        ...

    def stop(self) -> None:
        """Cancel what runs: attempts that go on return soon, with what they have."""
        ...

    async def aclose(self) -> None:
        """Let go of what the place holds; nothing runs any more."""
        ...


class Here:
    """This process: each attempt is a run of ``agent``, in the history as all are.

    ``options`` are those of every row, as `Agent.start` takes them.
    """

    def __init__(self, agent: Prepares, options: Mapping[str, Any]) -> None:
        self._agent = agent
        self._options = dict(options)
        self._running: set[Run] = set()
        self._is_stopping = False

    async def attempt(self, row: Row, company: Company) -> RowResult:
        waits = _Waits(company)
        try:
            run = self._agent.prepare(
                row.prompt, media=row.media, with_terms=waits.terms, **self._options
            )
        except AgentnbError as error:
            # What this one row asks for cannot be sent; others may be fine.
            return unsent(row, error.message, code=type(error).__name__)
        if row.local_id is not None:
            run.local_id = row.local_id
        recent.remember(run)
        self._running.add(run)
        try:
            run.start()
            if self._is_stopping:
                run.cancel()
            await _ended(run)
        except BaseException:
            run.cancel()
            raise
        finally:
            self._running.discard(run)
        return result_of(run, row, was_waiting=waits.are_on)

    def stop(self) -> None:
        self._is_stopping = True
        for run in tuple(self._running):
            run.cancel()

    async def aclose(self) -> None:
        """Do nothing: connections are the platform's, and serve others, too."""


class _Waits:
    """What a run's requests do when the platform refuses them."""

    __slots__ = ("_company", "_is_refused", "are_on")

    def __init__(self, company: Company) -> None:
        #: Whether the run waits for the gate at this moment.
        self.are_on = False
        self._company = company
        self._is_refused = False

    def terms(self, terms: Terms) -> Terms:
        return replace(terms, pausing=self._pausing, sleep=self._sleep)

    def _pausing(self, pause: Pause) -> None:
        self._is_refused = is_refusal(pause.error)
        if self._is_refused:
            self._company.refused(pause.seconds)

    async def _sleep(self, seconds: float) -> None:
        if not self._is_refused:
            await asyncio.sleep(seconds)
            return
        # Not undone when it is cancelled: that is what a run ended in whose time was up.
        self.are_on = True
        await self._company.pause(seconds)
        self.are_on = False


def unsent(row: Row, error: str, *, code: str) -> RowResult:
    """Return the result of a row for which nothing was sent."""
    return RowResult(
        position=row.position, status="failed", error=error, error_code=code, verdict="failed"
    )


def is_refusal(error: BaseException | None) -> bool:
    """Tell whether a platform said that it was asked too often, rather than that it failed."""
    match error:
        case RateLimitError():
            return True
        case PlatformError(status=int(status), retry_after=float() | int()):
            return status >= 500
        case _:
            return False


def result_of(run: Run, row: Row, *, was_waiting: bool = False) -> RowResult:
    """Return what came of ``row``, of which ``run`` was the latest attempt and has ended.

    ``was_waiting``: it ended while it waited for a platform that refused it.
    """
    usage = run.usage or _NOTHING
    verdict, wait = _verdict(run, was_waiting=was_waiting)
    # It was about to wait for its turn when the map ended.
    is_overtaken = isinstance(run.exception, GateClosedError)
    failure = None if is_overtaken else run.transcript.failure
    return RowResult(
        position=row.position,
        status="cancelled" if is_overtaken else run.status,
        answer=run.structured_text,
        run_id=run.id,
        session_id=run.session_id,
        started_at=to_micros(run.created_at),
        duration=run.duration,
        time_to_first_token=run.time_to_first_token,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
        cached_tokens=usage.cached_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost_usd=usage.cost_usd,
        model=run.transcript.model,
        attempts=1,
        error=None if is_overtaken else run.error,
        error_code=None if failure is None else failure.code or failure.error_type,
        local_id=run.local_id,
        verdict=verdict,
        wait=wait,
    )


def _verdict(run: Run, *, was_waiting: bool) -> tuple[Verdict, float]:
    """Return what to do with the row of ``run``, and how long the platform wishes to be left."""
    if run.status in ("completed", "paused"):
        return "done", 0.0
    if run.status in ("cancelled", "interrupted"):
        return "failed", 0.0
    error, failure = run.exception, run.transcript.failure
    wait = (failure.retry_after if failure else None) or 0.0
    if is_refusal(error) or (failure and (failure.code or "").lower() in _REFUSALS):
        return "refused", wait
    match error:
        case DeadlineError(deadline="total") if was_waiting:
            return "refused", wait
        case PlatformError(status=int(status)):
            return ("may_pass" if is_passing(status) else "failed"), wait
        case ConnectionFailedError(lasting=True):
            return "failed", wait
        case _ if isinstance(error, _LASTING):
            return "failed", wait
        case _:
            # What an agent fails by it seldom says in a way to be relied upon.
            return "may_pass", wait


async def _ended(run: Run) -> None:
    """Wait for the end of ``run`` on the loop that drives it."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def heard() -> None:
        if run.done and not future.done():
            future.set_result(None)

    undo = run.subscribe(heard)
    try:
        heard()
        await future
    finally:
        undo()
