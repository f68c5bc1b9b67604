"""The transcript: a pure fold of events into what a view displays.

A `Transcript` is an ordered list of parts (passages, tool calls, steps, media) plus the run's
status, usage, state and the like.  Only `Transcript.apply` changes it; no order of events
raises.  Shared fixtures keep ``js/src/transcript.ts`` to the same result.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from agentnb._support.text import printable_or_none
from agentnb.event.parts import (
    FINAL_STATUSES,
    MAX_DEPTH,
    MediaPart,
    Part,
    PartIndex,
    Passage,
    Status,
    Step,
    TextBuffer,
    ToolCall,
)
from agentnb.event.state import apply_patch
from agentnb.event.types import (
    ApprovalRequested,
    CitationAdded,
    CustomEvent,
    Event,
    FollowupsSuggested,
    MediaProduced,
    RawEvent,
    ReasoningDelta,
    RefusalDelta,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    StateDelta,
    StateSnapshot,
    StepFinished,
    StepStarted,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)

__all__ = [
    "FINAL_STATUSES",
    "MediaPart",
    "Part",
    "Passage",
    "Status",
    "Step",
    "TextBuffer",
    "ToolCall",
    "Transcript",
    "fold",
]


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
    citations: list[CitationAdded] = field(default_factory=list[CitationAdded])
    custom_events: list[CustomEvent] = field(default_factory=list[CustomEvent])
    # What the agent shares as its state; None before it shares any.
    state: Any = None
    approvals: list[ApprovalRequested] = field(default_factory=list[ApprovalRequested])
    raw_events: list[RawEvent] = field(default_factory=list[RawEvent])
    finished: RunFinished | None = None
    failure: RunFailed | None = None
    cancelled: RunCancelled | None = None
    # Why the answer of a completed run does not match the requested schema, in one line.
    output_error: str | None = None
    # Number of approvals that the run no longer waits for.
    _decided: int = field(default=0, init=False, repr=False, compare=False)
    _state_text: str | None = field(default=None, init=False, repr=False, compare=False)
    _index: PartIndex = field(default_factory=PartIndex, init=False, repr=False, compare=False)
    # The step that the next part belongs to.
    _step: Step | None = field(default=None, init=False, repr=False, compare=False)

    def apply(self, event: Event, at: float | None = None) -> None:
        """Fold one event; ``at`` is its arrival in seconds since the run was sent."""
        match event:
            case TextDelta():
                self._append("text", event.text, event.part_id)
            case ReasoningDelta():
                self._append("reasoning", event.text, event.part_id)
            case RefusalDelta():
                self._append("refusal", event.text, event.part_id)
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
                self.usage = self._usage_with(event)
                self.model = event.model or self.model
            case StepStarted():
                self._running()
                self._start_step(event, at)
            case StepFinished():
                self._finish_step(event, at)
            case MediaProduced():
                self._running()
                self._add(MediaPart(event, self._depth))
            case CitationAdded():
                if event not in self.citations:
                    self.citations.append(event)
            case StateSnapshot():
                self.state, self._state_text = event.state, None
            case StateDelta():
                self._change_state(event)
            case CustomEvent():
                self.custom_events.append(event)
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
                    if event.output and not (self._texts("text") or self._texts("refusal")):
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
            last = self._open_passage("text")
            if last is not None and self.status == "running":
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
    def refusal(self) -> str:
        """What the agent refused with; "" where it did not."""
        return "".join(self._texts("refusal"))

    @property
    def state_text(self) -> str | None:
        """The state as JSON, None where there is none."""
        if self.state is None:
            return None
        if self._state_text is None:
            self._state_text = json.dumps(self.state, ensure_ascii=False, default=str)
        return self._state_text

    @property
    def media(self) -> tuple[MediaProduced, ...]:
        """The files that the run produced."""
        return tuple(p.media for p in self.parts if isinstance(p, MediaPart))

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps and sub-agents of the run, in the order of their start."""
        return tuple(self._index.steps.values())

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
        return self._index.calls.get(call_id)

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
            "citations": [asdict(each) for each in self.citations],
            "custom_events": len(self.custom_events),
            "state": self.state,
            "approvals": [asdict(a) for a in self.pending_approvals or self.approvals],
            "raw_events": len(self.raw_events),
            "error": error,
        }

    def _texts(self, kind: str) -> list[str]:
        return [str(p.text) for p in self.parts if isinstance(p, Passage) and p.kind == kind]

    @property
    def _depth(self) -> int:
        return 0 if self._step is None else self._step.depth + 1

    def _open_passage(self, kind: str) -> Passage | None:
        """Return the last part if it is a passage of ``kind`` in the current step."""
        match self.parts[-1:]:
            case [Passage() as last] if last.kind == kind and last.step is self._step:
                return last
            case _:
                return None

    def _append(
        self, kind: Literal["text", "reasoning", "refusal"], text: str, part_id: str | None
    ) -> None:
        self._running()
        last = self._open_passage(kind)
        if last is not None and last.part_id == part_id:
            last.text.append(text)
            return
        if part_id is not None and (known := self._index.passages.get((kind, part_id))) is not None:
            known.text.append(text)
        elif text:
            passage = Passage(kind, part_id, TextBuffer(text), self._depth, self._step)
            self._add(passage)
            if part_id is not None:
                self._index.passages[kind, part_id] = passage

    def _add(self, part: Part) -> None:
        self._index.append(self.parts, part, self._step)

    def _call(self, call_id: str, at: float | None) -> ToolCall:
        call = self.find_tool_call(call_id)
        return self._new_call(call_id, "", at) if call is None else call

    def _new_call(self, call_id: str, name: str, at: float | None) -> ToolCall:
        # After the run's end nothing will finish it, though its own end may still arrive.
        status = "abandoned" if self.is_final else "running"
        call = ToolCall(call_id, name, status=status, started=at, depth=self._depth)
        self._add(call)
        self._index.calls[call_id] = call
        return call

    def _start_step(self, event: StepStarted, at: float | None) -> None:
        if event.step_id is None:
            self._step = None
            return
        step = self._index.steps.get(event.step_id)
        if step is None:
            parent = self._step
            if event.parent_id is not None:
                parent = self._index.steps.get(event.parent_id, parent)
            depth = 0 if parent is None else min(parent.depth + 1, MAX_DEPTH)
            status = "abandoned" if self.is_final else "running"
            step = Step(event.step_id, "", status=status, started=at, depth=depth, parent=parent)
            self._index.append(self.parts, step, parent)
            self._index.steps[event.step_id] = step
        step.name = event.name or step.name
        self._step = step

    def _finish_step(self, event: StepFinished, at: float | None) -> None:
        if (step := self._index.steps.get(event.step_id)) is not None:
            step.error = printable_or_none(event.error)
            step.status = "completed" if event.error is None else "failed"
            step.finished = at
        while self._step is not None and self._step.status != "running":
            self._step = self._step.parent

    def _change_state(self, event: StateDelta) -> None:
        try:
            self.state, self._state_text = apply_patch(self.state, event.patch), None
        except ValueError as error:
            data = json.dumps(event.patch, default=str)
            self.raw_events.append(RawEvent(name=event.type, data=data, problem=str(error)))

    def _usage_with(self, event: UsageReported) -> Usage:
        if (known := self.usage) is None:
            return event.usage
        return known.plus(event.usage) if event.scope == "step" else known.merged(event.usage)

    def _running(self) -> None:
        if self.status == "paused":
            self._decided = len(self.approvals)
        if self.status in ("queued", "paused"):
            self.status = "running"

    def _end(self, status: Status) -> bool:
        if self.status in FINAL_STATUSES:
            return False
        self.status = status
        for part in (*self.tool_calls, *self.steps):
            if part.status == "running":
                part.status = "abandoned"
        return True


def fold(events: Iterable[Event]) -> Transcript:
    """Return the transcript of ``events``."""
    transcript = Transcript()
    transcript.apply_all(events)
    return transcript
