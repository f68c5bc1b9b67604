"""`BaseRun`: the readable data of a run, live or stored, and its exports."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from agentnb._support.text import identifier_or_none, printable
from agentnb.event.approvals import Decision
from agentnb.event.transcript import Status, Step, ToolCall, Transcript
from agentnb.event.types import (
    CitationAdded,
    CustomEvent,
    Event,
    MediaProduced,
    Usage,
    event_to_dict,
)
from agentnb.recording.clock import Clock
from agentnb.recording.recording import Recording, Waiting
from agentnb.render.visible import visible

if TYPE_CHECKING:
    from agentnb.event.timeline import Segment
    from agentnb.platforms.base import Capabilities, RunRequest
    from agentnb.render import RunView

#: By `Platform.stream`, `Platform.invoke`, `Platform.attach`, attached again after a decision, or
#: not at all: it is a recorded run that is replayed.
Via = Literal["stream", "invoke", "attach", "decision", "replay"]

#: The line of a cancelled run begins with it.
CANCELLED: Final = "The run was cancelled"
# The reasons that agentnb gives itself.
_DEFAULT_REASONS: Final = ("", "Cancelled.", "cancelled by the user", "cancelled on the platform")


class PlatformFacts(Protocol):
    """Name and capabilities of the platform that a run was sent to."""

    @property
    def name(self) -> str: ...
    @property
    def capabilities(self) -> Capabilities: ...


class BaseRun:
    """A run as it is read; `agentnb.Run` also executes it."""

    #: By which call of the platform it was started.
    via: Via = "stream"
    #: Whether it is kept in the history's store.
    durable: bool = False

    def __init__(
        self,
        platform: PlatformFacts,
        request: RunRequest,
        *,
        title: str,
        recording: Recording | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.local_id = uuid.uuid4().hex
        self.request = request
        self.title = printable(title)
        #: The decisions on approvals that were made here.
        self.decisions: list[Decision] = []
        self._platform = platform
        self._recording = recording or Recording(
            Transcript(
                session_id=identifier_or_none(request.session_id), agent=printable(request.agent)
            ),
            clock=clock,
        )

    # -- identity --------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The platform's id of the run; agentnb's own until it is known, or where there is none."""
        return self.transcript.run_id or self._recording.played_id or self.local_id

    @property
    def session_id(self) -> str | None:
        """The platform's session or thread, which continues the conversation."""
        return self.transcript.session_id

    @property
    def agent(self) -> str:
        """The agent's id on its platform."""
        return printable(self.request.agent)

    @property
    def client(self) -> PlatformFacts:
        """The platform that it was sent to."""
        return self._platform

    @property
    def platform(self) -> str:
        """The platform's name."""
        return printable(self._platform.name)

    @property
    def created_at(self) -> datetime:
        """When it was sent, in UTC; for a played run, when the recorded one was."""
        return self._recording.clock.sent_at

    @property
    def prompt(self) -> str:
        """The prompt; safe to print, with symbols for control characters.

        ``request.prompt`` is as it was sent.
        """
        return printable(self.request.prompt)

    # -- content ---------------------------------------------------------------------------------

    @property
    def transcript(self) -> Transcript:
        """The content so far; hold `lock` to read several parts of it together."""
        return self._recording.transcript

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """Guards the transcript of a run in progress; reentrant."""
        return self._recording.lock

    @property
    def status(self) -> Status:
        """One of queued, running, paused, completed, failed, cancelled, truncated, interrupted."""
        return self.transcript.status

    @property
    def text(self) -> str:
        """The answer so far (Markdown); safe to print, with symbols for control characters.

        ``transcript.text`` is as received.
        """
        with self.lock:
            return printable(self.transcript.text)

    @property
    def reasoning(self) -> str:
        """The reasoning so far; safe to print, with symbols for control characters.

        ``transcript.reasoning`` is as received.
        """
        with self.lock:
            return printable(self.transcript.reasoning)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls, in the order of their start."""
        with self.lock:
            return self.transcript.tool_calls

    @property
    def refusal(self) -> str:
        """What the agent refused to answer with, "" where it did not; safe to print."""
        with self.lock:
            return printable(self.transcript.refusal)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps and sub-agents, in the order of their start."""
        with self.lock:
            return self.transcript.steps

    @property
    def media(self) -> tuple[MediaProduced, ...]:
        """The images and other files that it produced; `MediaProduced.save` writes one."""
        with self.lock:
            return self.transcript.media

    @property
    def citations(self) -> tuple[CitationAdded, ...]:
        """The sources that the answer cites."""
        with self.lock:
            return tuple(self.transcript.citations)

    @property
    def custom_events(self) -> tuple[CustomEvent, ...]:
        """The events that the agent defines itself."""
        with self.lock:
            return tuple(self.transcript.custom_events)

    @property
    def state(self) -> Any:
        """The state that the agent shares, as JSON-like data; None where it shares none."""
        return self.transcript.state

    @property
    def usage(self) -> Usage | None:
        """Tokens and cost as the platform reported them, None where it reported none."""
        return self.transcript.usage

    @property
    def followups(self) -> tuple[str, ...]:
        """Prompts that the agent suggests to continue with."""
        return self.transcript.followups

    @property
    def error(self) -> str | None:
        """What went wrong and what to do next, in one line; None where nothing did.

        For a completed run it is `parse_error`.  Safe to print: control characters are removed, and
        invisible ones spelled out.  The event in `events` has the text as received.
        """
        if (failure := self.transcript.failure) is not None:
            return visible(failure.line)
        if self.transcript.output_error is not None:
            return visible(self.transcript.output_error)
        cancelled = self.transcript.cancelled
        return None if cancelled is None else _cancellation(cancelled.reason)

    @property
    def parse_error(self) -> str | None:
        """Why the answer does not match ``output_type``, in one line.

        None where it does, without an ``output_type``, and until the run has completed.
        """
        return self.transcript.output_error and visible(self.transcript.output_error)

    @property
    def exception(self) -> BaseException | None:
        """The exception that it failed by, where it failed in this process."""
        return None

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

    def events_since(self, first: int) -> tuple[list[Event], list[float]]:
        """Return `events` and `event_times` from number ``first`` on, without copying all."""
        return self._recording.since(first)

    @property
    def duration(self) -> float | None:
        """Seconds from sending to the end, or to its pause; None while it is in progress."""
        return self._recording.duration

    @property
    def platform_duration(self) -> float | None:
        """The platform's own figure of the duration in seconds, None where it reported none."""
        return self.transcript.platform_duration

    @property
    def elapsed(self) -> float:
        """Seconds since sending, 0 before it; constant once the run has ended."""
        return self._recording.elapsed

    @property
    def time_to_first_token(self) -> float | None:
        """Seconds from sending to the first fragment of answer or reasoning, None before it."""
        return self._recording.first_token

    @property
    def done(self) -> bool:
        """Whether it has ended, or waits for an approval."""
        return self._recording.ended

    @property
    def waiting(self) -> Waiting | None:
        """The wait before another attempt; None while its stream is open, and after its end.

        ``kind`` is ``reconnect`` where its stream broke off, ``retry`` where its request failed.
        Attempt ``attempt`` of at most ``of`` in a row starts when `elapsed` is ``until``;
        ``reason`` is the failure in one line.
        """
        return self._recording.waiting

    @property
    def reconnects(self) -> int | None:
        """How often its stream was resumed; None where that is unknown."""
        return self._recording.reconnects

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` after every batch of events and at the end; return what undoes it.

        It is called on the background loop and must not block; what it raises is logged.
        """
        return self._recording.subscribe(callback)

    # -- export ----------------------------------------------------------------------------------

    def view(self) -> RunView:
        """Return the data that renderers display."""
        from agentnb.render import RunView

        return RunView(
            transcript=self.transcript,
            title=self.title,
            platform=self.platform,
            prompt=self.request.prompt,
            elapsed=self.elapsed,
            duration=self.duration,
            time_to_first_token=self.time_to_first_token,
            takes_decisions=self._platform.capabilities.approvals,
            segments=self._segments,
        )

    def _segments(self) -> list[Segment]:
        from agentnb.event.timeline import timeline

        recording = self._recording
        with self.lock:
            # With infinity: the number of segments of a saved output must not depend on times.
            return timeline(recording.events, recording.times, until=self.elapsed, silence=math.inf)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-like data: request, content, and every event with its time.

        Times are ISO 8601 in UTC, durations seconds.
        """
        with self.lock:
            return {
                "format": "agentnb.run/1",
                "id": self.id,
                "local_id": self.local_id,
                "title": self.title,
                "platform": self.platform,
                "prompt": self.request.prompt,
                "params": dict(self.request.params),
                "created_at": self.created_at.isoformat(),
                "duration": self.duration,
                "platform_duration": self.platform_duration,
                "time_to_first_token": self.time_to_first_token,
                "reconnects": self.reconnects,
                "text": self.transcript.text,
                **self.transcript.to_dict(),
                "events": [
                    {"at": at, **event_to_dict(event)}
                    for at, event in zip(self._recording.times, self._recording.events, strict=True)
                ],
            }

    def to_markdown(self) -> str:
        """Return prompt, reasoning, tool calls and answer as Markdown."""
        from agentnb.render import to_markdown

        with self.lock:
            return to_markdown(self.view())

    def export(self, path: str | Path) -> Path:
        """Write it in the format of the suffix ``.md``, ``.html`` or ``.json``; return the path.

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
        # For lone surrogates; "backslashreplace" writes them as JSON does.
        errors = "backslashreplace" if path.suffix.lower() == ".json" else "replace"
        path.write_text(content, encoding="utf-8", errors=errors, newline="\n")
        return path

    def __repr__(self) -> str:
        more = f", {self.elapsed:.1f} s" if self.duration is not None else ""
        if (waiting := self.waiting) is not None:
            more += f", {waiting.kind} {waiting.attempt} of {waiting.of}"
        return f"<Run {self.platform}:{self.agent} {self.status}{more}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from agentnb.render import to_html, to_text

        with self.lock:
            view = self.view()
            return {"text/plain": to_text(view), "text/html": to_html(view)}


def _cancellation(reason: str | None) -> str:
    """Return the line of a cancelled run."""
    text = " ".join((reason or "").split())
    return f"{CANCELLED}." if text in _DEFAULT_REASONS else visible(f"{CANCELLED}: {text}")
