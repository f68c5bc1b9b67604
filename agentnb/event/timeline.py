"""Fold a run's events into segments of time, to be drawn as bars.

Pure, like the transcript; no order of events raises.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from agentnb._support.text import printable
from agentnb.event.types import (
    TERMINAL_EVENTS,
    ApprovalRequested,
    Event,
    ReasoningDelta,
    RefusalDelta,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
)

Kind = Literal["waiting", "reasoning", "text", "tool", "approval", "step"]

# A result that arrives while the answer streams does not split it, unless text then pauses.
_SILENCE: Final = 0.5
_EXCERPT: Final = 160
_LABELS: Final[dict[Kind, str]] = {
    "waiting": "Waiting",
    "reasoning": "Reasoning",
    "text": "Answer",
    "tool": "Tool call",
    "approval": "Approval",
    "step": "Step",
}


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of a run, ``start`` and ``end`` in seconds since it was sent.

    ``label`` is the name of the tool or step, or the kind in words.  ``status`` is that of a tool
    call or a step (``running``, ``completed``, ``failed``, ``abandoned``) or of an approval
    (``pending``, ``decided``, ``abandoned``), else None.  ``detail`` is one short line: the
    beginning of a passage, a call's error or else its arguments, the message of an approval.
    """

    kind: Kind
    label: str
    start: float
    end: float
    status: str | None
    detail: str


def timeline(
    events: Iterable[Event],
    times: Iterable[float],
    *,
    until: float | None = None,
    silence: float = _SILENCE,
) -> list[Segment]:
    """Return the segments of a run in the order of their start; [] where there are no events.

    ``times`` are seconds since the run was sent, one for each event.  ``waiting`` is from then to
    the first text, reasoning, call or approval.  Consecutive deltas are one segment; tool calls may
    overlap anything.  An open segment ends with the run, or while that continues at ``until``
    (default: the last event; for a live run, the seconds elapsed).  A tool event splits a passage
    that pauses for longer than ``silence`` seconds; with infinity, the number of segments does not
    depend on times.
    """
    fold = _Fold(silence)
    # Not strict: a live run may grow between reading the two.
    for event, at in zip(events, times, strict=False):
        fold.add(event, at)
    return fold.segments(until)


@dataclass(slots=True)
class _Open:
    """A segment under construction."""

    kind: Kind
    start: float
    status: str | None = None
    label: str = ""
    end: float | None = None
    detail: str = ""
    error: str | None = None

    def append(self, text: str) -> None:
        # Only an excerpt is displayed; do not copy a long answer with each fragment.
        if len(self.detail) <= _EXCERPT:
            self.detail += text[: 2 * _EXCERPT]

    def closed(self, end: float) -> Segment:
        label = _one_line(self.label) or _LABELS[self.kind]
        detail = _one_line(self.detail if self.error is None else self.error)
        last = max(self.start, end if self.end is None else self.end)
        return Segment(self.kind, label, self.start, last, self.status, detail)


class _Fold:
    def __init__(self, silence: float) -> None:
        self._silence = silence
        self._now = 0.0
        self._begun = False  # a segment other than waiting has started
        self._has_events = False
        self._ended: float | None = None
        self._segments: list[_Open] = []
        self._spans: dict[tuple[str, str], _Open] = {}
        self._passage: _Open | None = None
        self._tool_since = False  # a tool event since the passage's last fragment
        self._approvals: list[_Open] = []

    def add(self, event: Event, at: float) -> None:
        # A clock that was set back, or NaN, must not give a segment a negative length.
        if math.isfinite(at) and at > self._now:
            self._now = at
        self._has_events = True
        match event:
            case TextDelta() | ReasoningDelta() | RefusalDelta():
                if event.text:
                    kind = "reasoning" if isinstance(event, ReasoningDelta) else "text"
                    self._grow(kind, event.text)
            case StepStarted(step_id=str(step_id)):
                self._passage = None
                step = self._span("step", step_id)
                step.label = event.name or step.label
            case StepFinished():
                self._passage = None
                step = self._span("step", event.step_id)
                step.error, step.end = event.error, self._now
                step.status = "completed" if event.error is None else "failed"
            case ToolCallStarted():
                self._passage = None
                call = self._span("tool", event.call_id)
                call.label = event.name or call.label
                call.detail = event.arguments or call.detail
            case ToolCallDelta():
                self._span("tool", event.call_id).append(event.arguments)
            case ToolCallFinished():
                call = self._span("tool", event.call_id)
                call.label = event.name or call.label
                call.detail = call.detail if event.arguments is None else event.arguments
                call.error = event.error
                call.status = "completed" if event.error is None else "failed"
                call.end = self._now
            case ApprovalRequested():
                self._passage = None
                status = "pending" if self._ended is None else "abandoned"
                approval = self._begin("approval", status=status)
                approval.label = event.tool or ""
                approval.detail = event.message or event.arguments
                if self._ended is None:
                    self._approvals.append(approval)
            case RunStarted():
                self._decide("decided")
            case _ if isinstance(event, TERMINAL_EVENTS):
                self._end(event)
            case _:
                pass

    def segments(self, until: float | None) -> list[Segment]:
        """Return all segments, with the open ones closed."""
        last = self._now
        if until is not None and math.isfinite(until):
            last = max(last, until)
        end = last if self._ended is None else self._ended
        if not self._begun and (self._has_events or end > 0):
            self._segments.append(_Open("waiting", 0.0, end=end))
        return [segment.closed(end) for segment in self._segments]

    def _begin(self, kind: Kind, *, status: str | None = None) -> _Open:
        if not self._begun:
            self._begun = True
            if self._now > 0:
                self._segments.append(_Open("waiting", 0.0, end=self._now))
        segment = _Open(kind, self._now, status)
        self._segments.append(segment)
        return segment

    def _grow(self, kind: Kind, text: str) -> None:
        self._decide("decided")
        passage = self._passage
        pause = 0.0 if passage is None else self._now - (passage.end or 0)
        split = self._tool_since and pause > self._silence
        if passage is None or passage.kind != kind or split:
            passage = self._passage = self._begin(kind)
        passage.append(text)
        passage.end = self._now
        self._tool_since = False

    def _span(self, kind: Literal["tool", "step"], key: str) -> _Open:
        """Return the segment of a tool call or a step, which lasts until its own end."""
        self._decide("decided")
        self._tool_since = True
        span = self._spans.get((kind, key))
        if span is None:
            status = "running" if self._ended is None else "abandoned"
            span = self._spans[kind, key] = self._begin(kind, status=status)
        return span

    def _decide(self, status: str) -> None:
        for approval in self._approvals:
            approval.end = self._now
            approval.status = status
        self._approvals.clear()

    def _end(self, event: Event) -> None:
        if self._ended is not None:
            return
        self._ended = self._now
        self._decide("abandoned")
        for span in self._spans.values():
            if span.status == "running":
                span.status = "abandoned"
        if (
            isinstance(event, RunFinished)
            and event.output
            and not any(segment.kind == "text" for segment in self._segments)
        ):
            # The answer was not streamed.
            answer = self._begin("text")
            answer.append(event.output)
            answer.end = self._now


def _one_line(text: str) -> str:
    line = " ".join(printable(text[: 2 * _EXCERPT]).split())
    return line if len(line) <= _EXCERPT else line[: _EXCERPT - 1] + "…"
