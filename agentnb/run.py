"""`Run`: one question to one agent, live and afterwards."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agentnb._loop import in_background
from agentnb.driver import Driver, Source
from agentnb.errors import (
    AgentnbError,
    RunCancelledError,
    RunError,
    RunFailedError,
    RunTruncatedError,
)
from agentnb.events import Event, Usage, event_to_dict
from agentnb.feed import EventIterator
from agentnb.output import parse_output
from agentnb.recording import Recording
from agentnb.transcript import Status, ToolCall, Transcript

if TYPE_CHECKING:
    from agentnb.platforms.base import Platform, RunRequest
    from agentnb.render import RunView

__all__ = ["Run"]

# How often a waiting thread or loop looks up, in seconds: Ctrl-C does not wake it everywhere.
_TICK: Final = 0.1


class Run:
    """One execution of an agent.

    Made by `Agent.run`, `Agent.start` and their like, never directly.  Its properties may be read
    from any thread at any moment and show what has arrived so far; what has arrived is never lost,
    however the run ends.

    ``await run`` waits for its end and returns it; `wait` does the same for blocking code.
    """

    def __init__(
        self,
        source: Source,
        *,
        platform: Platform,
        request: RunRequest,
        title: str,
        output_type: Any = None,
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        self.local_id = uuid.uuid4().hex
        self.request = request
        self.title = title
        self.created_at = datetime.now(UTC)
        self._platform = platform
        self._output_type = output_type
        self._recording = Recording(Transcript(session_id=request.session_id, agent=request.agent))
        # Wakes those who wait.  One that has begun cannot be cancelled by who merely waits for it.
        self._ending: Future[None] = Future()
        self._ending.set_running_or_notify_cancel()
        self._driver = Driver(
            source,
            self._recording,
            platform=platform,
            request=request,
            finished=lambda: self._ending.set_result(None),
            failed=failed,
        )

    # -- what it is ------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The platform's id of the run; until it is known, and where there is none, agentnb's."""
        return self.transcript.run_id or self.local_id

    @property
    def session_id(self) -> str | None:
        """The platform's session or thread, to go on in the same conversation."""
        return self.transcript.session_id

    @property
    def agent(self) -> str:
        """The agent's id on its platform."""
        return self.request.agent

    @property
    def platform(self) -> str:
        """The platform's name."""
        return self._platform.name

    @property
    def prompt(self) -> str:
        """The question."""
        return self.request.prompt

    # -- what it brought -------------------------------------------------------------------------

    @property
    def transcript(self) -> Transcript:
        """What has arrived so far; hold `lock` to read several things of it together."""
        return self._recording.transcript

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """Guards the transcript while the run goes on; who holds it may take it again."""
        return self._recording.lock

    @property
    def exception(self) -> BaseException | None:
        """What was raised inside, where the run failed by an exception."""
        return self._driver.exception

    @property
    def status(self) -> Status:
        """One of queued, running, paused, completed, failed, cancelled, truncated, interrupted."""
        return self.transcript.status

    @property
    def text(self) -> str:
        """The answer (Markdown), as far as it has arrived."""
        with self.lock:
            return self.transcript.text

    @property
    def reasoning(self) -> str:
        """What the agent thought, as far as it has arrived."""
        with self.lock:
            return self.transcript.reasoning

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls, in the order they began."""
        with self.lock:
            return self.transcript.tool_calls

    @property
    def usage(self) -> Usage | None:
        """Tokens and cost as the platform reported them, None where it reported none."""
        return self.transcript.usage

    @property
    def followups(self) -> tuple[str, ...]:
        """Questions that the agent suggests to ask next."""
        return self.transcript.followups

    @property
    def error(self) -> str | None:
        """What went wrong, in one line; None where nothing did."""
        if (failure := self.transcript.failure) is not None:
            return failure.message
        return "The run was cancelled." if self.transcript.cancelled is not None else None

    @property
    def events(self) -> tuple[Event, ...]:
        """Every event so far, in order."""
        with self.lock:
            return tuple(self._recording.events)

    @property
    def event_times(self) -> tuple[float, ...]:
        """When each of `events` arrived, in seconds since the run was sent."""
        with self.lock:
            return tuple(self._recording.times)

    @property
    def parsed(self) -> Any:
        """The answer as structured data, where the run was given an ``output_type``.

        An instance of the pydantic model, or the parsed JSON for a schema given as a dict; None
        where neither was given.

        Raises:
            OutputError: the answer is not of the asked form; its text stays in `text`.
        """
        return None if self._output_type is None else parse_output(self.text, self._output_type)

    @property
    def duration(self) -> float | None:
        """Seconds from sending to the end, or to the pause it ended with; None while it goes on."""
        return self._recording.duration

    @property
    def elapsed(self) -> float:
        """Seconds since sending, 0 before it; stands still once the run has ended."""
        return self._recording.elapsed

    @property
    def time_to_first_token(self) -> float | None:
        """Seconds from sending to the first fragment of answer or reasoning, None before it."""
        return self._recording.first_token

    @property
    def done(self) -> bool:
        """Whether it has ended, in whatever way, or waits for an approval."""
        return self._recording.ended

    # -- driving it ------------------------------------------------------------------------------

    def start(self) -> Run:
        """Send it, on the background loop; return it at once.  A second call changes nothing."""
        self._driver.start()
        return self

    def cancel(self) -> None:
        """Stop it: close the connection, tell the platform, keep what arrived.

        Returns at once, from any thread; after the end it does nothing.  A run that ended paused
        is given up on the platform.
        """
        self._driver.cancel()

    def wait(self, timeout: float | None = None, *, check: bool = True) -> Run:
        """Block until it has ended and return it.

        ``timeout`` is in seconds, None for ever.  Waiting does not own the run: when the wait is
        interrupted the run goes on, see `cancel`.

        Raises:
            RunError: it did not complete, and ``check`` is true.
            TimeoutError: it goes on still.
        """
        if in_background():
            raise RuntimeError("wait() blocks; on an event loop write 'await run'.")
        end = None if timeout is None else time.monotonic() + timeout
        while not self.done:
            left = _TICK if end is None else end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"The run goes on after {timeout:g} s.")
            with suppress(TimeoutError):
                self._ending.result(min(left, _TICK))
        return self.raise_for_status() if check else self

    async def wait_async(self, *, check: bool = True) -> Run:
        """Wait for its end on the running event loop and return it.

        Raises:
            RunError: it did not complete, and ``check`` is true.
        """
        future = asyncio.wrap_future(self._ending)
        try:
            while not self.done:
                # A loop that sleeps in select() does not see a signal whose handler is in Python.
                await asyncio.wait({future}, timeout=_TICK)
        finally:
            # Else the end of the run would be told to a loop that may be closed by then.
            future.cancel()
        return self.raise_for_status() if check else self

    def __await__(self) -> Generator[Any, None, Run]:
        return self.wait_async().__await__()

    def raise_for_status(self) -> Run:
        """Return the run where it completed, paused or goes on.

        Raises:
            RunError: it failed, was cut off or cancelled; the error's ``run`` is this run.
        """
        error: RunError
        match self.status:
            case "queued" | "running" | "paused" | "completed":
                return self
            case "cancelled":
                error = RunCancelledError("The run was cancelled.", run=self)
            case "failed":
                error = RunFailedError(self.error or "The run failed.", run=self, hint=self._hint)
            case "truncated" | "interrupted":
                error = RunTruncatedError(
                    self.error or f"The run was {self.status}.", run=self, hint=self._hint
                )
        raise error from self.exception

    # -- listening -------------------------------------------------------------------------------

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` after every batch of events and at the end; return what undoes it.

        It is called on the background loop and must not block.  One that raises is logged and
        hurts nobody else.
        """
        return self._recording.subscribe(callback)

    def iterate(self) -> EventIterator:
        """Return its events from the first on, for ``async for``, as they arrive.

        The run is slowed down to the pace of the consumer, until that stops taking events.
        """
        return self._recording.iterate()

    # -- keeping it ------------------------------------------------------------------------------

    def view(self) -> RunView:
        """Return what the renderers need of it."""
        from agentnb.render import RunView

        return RunView(
            transcript=self.transcript,
            title=self.title,
            platform=self.platform,
            prompt=self.prompt,
            elapsed=self.elapsed,
            duration=self.duration,
            time_to_first_token=self.time_to_first_token,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-like data: what was asked, what came of it, every event and its time.

        Times are ISO 8601 in UTC, durations seconds.
        """
        with self.lock:
            return {
                "format": "agentnb.run/1",
                "id": self.id,
                "local_id": self.local_id,
                "title": self.title,
                "platform": self.platform,
                "prompt": self.prompt,
                "params": dict(self.request.params),
                "created_at": self.created_at.isoformat(),
                "duration": self.duration,
                "time_to_first_token": self.time_to_first_token,
                "text": self.transcript.text,
                **self.transcript.to_dict(),
                "events": [
                    {"at": at, **event_to_dict(event)}
                    for at, event in zip(self._recording.times, self._recording.events, strict=True)
                ],
            }

    def to_markdown(self) -> str:
        """Return the question and the answer, with reasoning and tool calls, as Markdown."""
        from agentnb.render import to_markdown

        with self.lock:
            return to_markdown(self.view())

    def export(self, path: str | Path) -> Path:
        """Write it as the suffix says: ``.md``, ``.html`` or ``.json``; return the path.

        Raises:
            ValueError: the suffix is another.
        """
        from agentnb.render import to_html

        path = Path(path)
        match path.suffix.lower():
            case ".md":
                content = self.to_markdown()
            case ".html":
                with self.lock:
                    content = to_html(self.view(), standalone=True)
            case ".json":
                content = json.dumps(self.to_dict(), indent=2, ensure_ascii=False, default=str)
            case other:
                raise ValueError(f"A run is exported as .md, .html or .json, not as '{other}'.")
        # A lone surrogate in a platform's text is no reason to lose the rest; what this makes of
        # one is how JSON itself writes it.
        errors = "backslashreplace" if path.suffix.lower() == ".json" else "replace"
        path.write_text(content, encoding="utf-8", errors=errors, newline="\n")
        return path

    def __repr__(self) -> str:
        took = f", {self.elapsed:.1f} s" if self.duration is not None else ""
        return f"<Run {self.platform}:{self.agent} {self.status}{took}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from agentnb.render import to_html, to_text

        with self.lock:
            view = self.view()
            return {"text/plain": to_text(view), "text/html": to_html(view)}

    # -- inside ----------------------------------------------------------------------------------

    @property
    def _hint(self) -> str | None:
        return self.exception.hint if isinstance(self.exception, AgentnbError) else None
