"""The transcript: a pure fold of events into the text and tool calls that a view displays.

A `Transcript` is an ordered list of parts (passages of text, passages of reasoning, tool calls)
plus the run's status, usage and the like.  Only `Transcript.apply` changes it; no order of events
raises.  Shared fixtures keep ``js/src/transcript.ts`` to the same result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from agentnb._support.text import printable, printable_or_none
from agentnb.event.types import (
    ApprovalRequested,
    Event,
    FollowupsSuggested,
    RawEvent,
    ReasoningDelta,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)

__all__ = [
    "FINAL_STATUSES",
    "Part",
    "Passage",
    "Status",
    "TextBuffer",
    "ToolCall",
    "Transcript",
    "fold",
]

Status = Literal[
    "queued", "running", "paused", "completed", "failed", "cancelled", "truncated", "interrupted"
]
FINAL_STATUSES: frozenset[Status] = frozenset(
    {"completed", "failed", "cancelled", "truncated", "interrupted"}
)


class TextBuffer:
    """Text that grows at its end.

    Appending is O(1) and `since` costs the length of its result: a long answer stays linear.
    """

    __slots__ = ("_chunks", "_length")

    def __init__(self, text: str = "") -> None:
        self._chunks: list[str] = [text] if text else []
        self._length = len(text)

    def append(self, text: str) -> None:
        if text:
            self._chunks.append(text)
            self._length += len(text)

    def extend(self, texts: Sequence[str]) -> None:
        self._chunks.extend(texts)
        self._length += sum(map(len, texts))

    def since(self, offset: int) -> str:
        """Return the text from ``offset`` (code points) on."""
        missing = self._length - offset
        tail: list[str] = []
        # `__str__` may replace the list on another thread; `reversed` keeps this one.
        for chunk in reversed(self._chunks):
            if missing <= 0:
                break
            tail.append(chunk if len(chunk) <= missing else chunk[len(chunk) - missing :])
            missing -= len(chunk)
        return "".join(reversed(tail))

    def __len__(self) -> int:
        return self._length

    def __str__(self) -> str:
        if len(self._chunks) > 1:
            self._chunks = ["".join(self._chunks)]
        return self._chunks[0] if self._chunks else ""

    def __repr__(self) -> str:
        return f"TextBuffer({str(self)!r})"


@dataclass(slots=True)
class Passage:
    """Consecutive text, or consecutive reasoning."""

    kind: Literal["text", "reasoning"]
    part_id: str | None = None
    text: TextBuffer = field(default_factory=TextBuffer)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "text": str(self.text)}


@dataclass(slots=True)
class ToolCall:
    """One call of a tool.

    ``arguments_text`` and ``result_text`` are as the platform sent them.  ``started`` and
    ``finished`` are seconds since the run was sent, None without times.
    """

    call_id: str
    name: str
    arguments_text: TextBuffer = field(default_factory=TextBuffer)
    result_text: TextBuffer = field(default_factory=TextBuffer)
    error: str | None = None
    status: Literal["running", "completed", "failed", "abandoned"] = "running"
    started: float | None = None
    finished: float | None = None

    @property
    def kind(self) -> Literal["tool"]:
        return "tool"

    @property
    def arguments(self) -> str:
        """The arguments as text, usually JSON; safe to print, with signs for controls."""
        return printable(str(self.arguments_text))

    @property
    def result(self) -> str:
        """The result as text, "" while there is none; safe to print, too."""
        return printable(str(self.result_text))

    @property
    def duration(self) -> float | None:
        """Seconds from start to end, None while it runs or without times."""
        if self.started is None or self.finished is None:
            return None
        return self.finished - self.started

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": "tool",
            "call_id": self.call_id,
            "name": self.name,
            "arguments": str(self.arguments_text),
            "result": str(self.result_text),
            "error": self.error,
            "status": self.status,
            "started": self.started,
            "finished": self.finished,
        }


Part = Passage | ToolCall


@dataclass(slots=True)
class Transcript:
    """The content of a run so far.

    A text delta continues the last part when that is text too (or the part of the same
    ``part_id``), and starts a new one otherwise; reasoning likewise.  The first terminal event
    decides the status; later ones change nothing, while usage and followups after it still count.
    """

    status: Status = "queued"
    run_id: str | None = None
    session_id: str | None = None
    agent: str | None = None
    model: str | None = None
    parts: list[Part] = field(default_factory=list[Part])
    usage: Usage | None = None
    followups: tuple[str, ...] = ()
    approvals: list[ApprovalRequested] = field(default_factory=list[ApprovalRequested])
    raw_events: list[RawEvent] = field(default_factory=list[RawEvent])
    finished: RunFinished | None = None
    failure: RunFailed | None = None
    cancelled: RunCancelled | None = None
    # Why the answer of a completed run does not match the requested schema, in one line.
    output_error: str | None = None
    # Number of approvals that the run no longer waits for.
    _decided: int = field(default=0, init=False, repr=False, compare=False)
    # Parts by id: searching the list would cost the square of the number of calls.
    _calls: dict[str, ToolCall] = field(
        default_factory=dict[str, ToolCall], init=False, repr=False, compare=False
    )
    _passages: dict[tuple[str, str], Passage] = field(
        default_factory=dict[tuple[str, str], Passage], init=False, repr=False, compare=False
    )

    def apply(self, event: Event, at: float | None = None) -> None:
        """Fold one event; ``at`` is its arrival in seconds since the run was sent."""
        match event:
            case TextDelta():
                self._append("text", event.text, event.part_id)
            case ReasoningDelta():
                self._append("reasoning", event.text, event.part_id)
            case RunStarted():
                self.run_id = event.run_id or self.run_id
                self.session_id = event.session_id or self.session_id
                self.agent = event.agent or self.agent
                self.model = event.model or self.model
                self._running()
            case ToolCallStarted():
                self._running()
                if (call := self.find_tool_call(event.call_id)) is None:
                    call = self._new_call(event.call_id, event.name, at)
                else:
                    call.name = event.name or call.name
                if event.arguments:
                    call.arguments_text = TextBuffer(event.arguments)
            case ToolCallDelta():
                self._running()
                call = self._call(event.call_id, at)
                call.arguments_text.append(event.arguments)
                call.result_text.append(event.output)
            case ToolCallFinished():
                self._running()
                call = self._call(event.call_id, at)
                call.name = event.name or call.name
                if event.arguments is not None:
                    call.arguments_text = TextBuffer(event.arguments)
                if event.result is not None:
                    call.result_text = TextBuffer(event.result)
                call.error = printable_or_none(event.error)
                call.status = "completed" if event.error is None else "failed"
                call.finished = at
            case UsageReported():
                self.usage = event.usage if self.usage is None else self.usage.merged(event.usage)
                self.model = event.model or self.model
            case FollowupsSuggested():
                self.followups = event.followups
            case ApprovalRequested():
                self.approvals.append(event)
                if self.status not in FINAL_STATUSES:
                    self.status = "paused"
            case RawEvent():
                self.raw_events.append(event)
            case RunFinished():
                if self._end("completed"):
                    self.finished = event
                    if event.output and not any(p.kind == "text" for p in self.parts):
                        self.parts.append(Passage("text", text=TextBuffer(event.output)))
            case RunFailed():
                if self._end(event.status):
                    self.failure = event
            case RunCancelled():
                if self._end("cancelled"):
                    self.cancelled = event

    def apply_all(self, events: Iterable[Event], at: float | None = None) -> None:
        """Fold events that arrived together, as `apply` does each of them."""
        continued: TextBuffer | None = None
        part_id: str | None = None
        texts: list[str] = []
        for event in events:
            # Nearly all events continue the last text: append those in one step.
            if continued is not None and type(event) is TextDelta and event.part_id == part_id:
                texts.append(event.text)
                continue
            if continued is not None:
                continued.extend(texts)
                continued, texts = None, []
            self.apply(event, at)
            last = self.parts[-1] if self.parts else None
            if self.status == "running" and isinstance(last, Passage) and last.kind == "text":
                continued, part_id = last.text, last.part_id
        if continued is not None:
            continued.extend(texts)

    @property
    def text(self) -> str:
        """The answer: every text delta, concatenated."""
        return "".join(self._texts("text"))

    @property
    def reasoning(self) -> str:
        """The reasoning: every reasoning delta, with a blank line between passages."""
        return "\n\n".join(self._texts("reasoning"))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(p for p in self.parts if isinstance(p, ToolCall))

    @property
    def pending_approvals(self) -> tuple[ApprovalRequested, ...]:
        """The approvals that the run waits for; the last request of each id."""
        pending = enumerate(self.approvals[self._decided :] if self.status == "paused" else ())
        latest = {n if a.approval_id is None else a.approval_id: a for n, a in pending}
        return tuple(latest.values())

    @property
    def error_code(self) -> str | None:
        """The code of the failure; "output" where the answer does not match its schema."""
        if self.failure is not None:
            return self.failure.code
        return None if self.output_error is None else "output"

    @property
    def platform_duration(self) -> float | None:
        """Seconds that the run took by the platform's own figure, None where it gave none."""
        return None if self.finished is None else self.finished.duration

    @property
    def is_final(self) -> bool:
        return self.status in FINAL_STATUSES

    def find_tool_call(self, call_id: str) -> ToolCall | None:
        return self._calls.get(call_id)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, which the page has too."""
        return {**self.head_to_dict(), "parts": [p.to_dict() for p in self.parts]}

    def head_to_dict(self) -> dict[str, Any]:
        """Return the JSON form without the parts.

        ``approvals`` are the pending ones; where none is pending, all that were requested.
        """
        error = None
        if self.failure is not None:
            error = {"message": self.failure.line, "code": self.failure.code}
        elif self.output_error is not None:
            error = {"message": self.output_error, "code": self.error_code}
        return {
            "status": self.status,
            "run_id": self.run_id,
            "session_id": self.session_id,
            "agent": self.agent,
            "model": self.model,
            "usage": None if self.usage is None else self.usage.to_dict(),
            "followups": list(self.followups),
            "approvals": [asdict(a) for a in self.pending_approvals or self.approvals],
            "raw_events": len(self.raw_events),
            "error": error,
        }

    def _texts(self, kind: str) -> list[str]:
        return [str(p.text) for p in self.parts if isinstance(p, Passage) and p.kind == kind]

    def _append(self, kind: Literal["text", "reasoning"], text: str, part_id: str | None) -> None:
        self._running()
        last = self.parts[-1] if self.parts else None
        if isinstance(last, Passage) and last.kind == kind and last.part_id == part_id:
            last.text.append(text)
            return
        if part_id is not None and (known := self._passages.get((kind, part_id))) is not None:
            known.text.append(text)
        elif text:
            passage = Passage(kind, part_id, TextBuffer(text))
            self.parts.append(passage)
            if part_id is not None:
                self._passages[kind, part_id] = passage

    def _call(self, call_id: str, at: float | None) -> ToolCall:
        call = self.find_tool_call(call_id)
        return self._new_call(call_id, "", at) if call is None else call

    def _new_call(self, call_id: str, name: str, at: float | None) -> ToolCall:
        # After the run's end nothing will finish it, though its own end may still arrive.
        status = "abandoned" if self.is_final else "running"
        call = ToolCall(call_id, name, status=status, started=at)
        self.parts.append(call)
        self._calls[call_id] = call
        return call

    def _running(self) -> None:
        if self.status == "paused":
            self._decided = len(self.approvals)
        if self.status in ("queued", "paused"):
            self.status = "running"

    def _end(self, status: Status) -> bool:
        if self.status in FINAL_STATUSES:
            return False
        self.status = status
        for call in self.tool_calls:
            if call.status == "running":
                call.status = "abandoned"
        return True


def fold(events: Iterable[Event]) -> Transcript:
    """Return the transcript of ``events``."""
    transcript = Transcript()
    transcript.apply_all(events)
    return transcript
