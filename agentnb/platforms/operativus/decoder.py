"""From Operativus's stream to events: a pure state machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from agentnb.event.types import (
    TERMINAL_EVENTS,
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
    UsageReported,
    text_deltas,
)
from agentnb.platforms._bodies import parse_error_body
from agentnb.platforms._tool_calls import OpenCalls
from agentnb.platforms._usage import read_usage
from agentnb.platforms._wire import (
    MalformedError,
    SurrogateJoiner,
    as_text,
    mend,
    one_line,
    peek,
    validated,
)
from agentnb.platforms.operativus import wire
from agentnb.platforms.operativus.frames import inner_value, milliseconds, payload_of
from agentnb.platforms.operativus.responses import plain, read_followups
from agentnb.platforms.operativus.timeline import Timeline
from agentnb.platforms.operativus.tool_calls import ToolCalls
from agentnb.platforms.operativus.whole_run import approval, response_events
from agentnb.sse import ServerSentEvent

__all__ = ["Decoder"]


class Decoder:
    """Turns the frames of one run into events.

    ``session_id`` is the one that was sent: a server may begin with an empty START.  ``run_id`` is
    the run's id as far as it is known.

    No terminal event is invented: where the wire brings none, none comes.  After an ERROR a STOP
    is no success.  A STOP while the run waits for a person ends the stream and not the run.
    An AGENT_SWITCH is kept raw: the run goes on as the same run of the agent that was asked.
    """

    def __init__(self, *, session_id: str | None = None, run_id: str | None = None) -> None:
        self.run_id = run_id
        self.session_id = session_id
        self._calls = OpenCalls()
        self._text = SurrogateJoiner()
        self._timeline = Timeline(self._calls, run_id)
        self._tools = ToolCalls(self._calls)
        self._began: float | None = None
        self._whole: str | None = None
        self._followups: tuple[str, ...] = ()
        self._details: dict[str, Any] = {}
        self._seen: set[type[Event]] = set()
        self._ended = False
        self._paused = False

    @property
    def has_ended(self) -> bool:
        """Whether the run's end was decoded."""
        return self._ended

    @property
    def is_paused(self) -> bool:
        """Whether the run waits for a decision, as far as was decoded."""
        return self._paused

    def decode_all(self, frames: Sequence[ServerSentEvent]) -> list[Event]:
        """Return the events of several frames, as `decode` returns those of each."""
        events: list[Event] = []
        texts: list[str] = []
        held = self._text.held
        for frame, value in zip(frames, peek(frames), strict=True):
            # Nearly all are this one kind, and calls for each of them would cost most of the time.
            if (
                value is not None
                and value.get("event") == "CONTENT_DELTA"
                and type(text := value.get("data")) is str
                and (text.isascii() or mend(text) is text)
                and not held
            ):
                if text:
                    texts.append(text)
                continue
            if texts:
                events += self._said(texts)
                texts.clear()
            events += self.decode(frame)
        if texts:
            events += self._said(texts)
        return events

    def _said(self, texts: list[str]) -> list[Event]:
        self._seen.add(TextDelta)
        self._paused = False
        return [*self._tools.end_announced(), *text_deltas(texts)]

    def decode(self, sse: ServerSentEvent) -> list[Event]:
        """Return the events of one frame; never raises."""
        text = sse.data
        stripped = text.strip()
        if not stripped or stripped == "[DONE]":
            return []
        name = sse.event or "message"
        try:
            payload = payload_of(sse, stripped)
            if isinstance(payload, dict):
                events = self._fragment(cast("dict[str, Any]", payload))
                if events is not None:
                    return events
                tag = cast("dict[str, Any]", payload).get("eventType")
                if isinstance(tag, str) and "event" not in payload:
                    name = mend(tag)
                    events = self._timeline.decode(tag, payload)
                    if events is not None:
                        return self._note([e for e in events if not self._is_late(e)])
                tag = cast("dict[str, Any]", payload).get("event")
                if isinstance(tag, str):
                    name = mend(tag)
                    event = wire.STREAM_EVENTS.parse(tag, payload)
                    if event is not None:
                        return self._note(self._apply(event))
        except MalformedError as error:
            return [RawEvent(name=name, data=mend(text), problem=str(error))]
        return [RawEvent(name=name, data=mend(text))]

    def finish(self) -> list[Event]:
        """Return what was held back when the stream ends."""
        return self._note(self._flush())

    def _fragment(self, payload: dict[str, Any]) -> list[Event] | None:
        """Return what a fragment of text or reasoning adds, None where the frame is none.

        Nearly all frames are such, and there is nothing in one but its text that could be wrong:
        they are not worth a model each.
        """
        tag, text = payload.get("event"), payload.get("data")
        if tag == "CONTENT_DELTA" and isinstance(text, str):
            kind, key = TextDelta, "text"
        elif tag == "REASONING_DELTA" and isinstance(text, str):
            kind, key = ReasoningDelta, "reasoning"
        else:
            return None
        shown = self._text.feed(text, key)
        if not shown:
            return []
        self._seen.add(kind)
        self._paused = False
        if self._tools.may_have_ended:
            return [*self._tools.end_announced(), kind(shown)]
        return [kind(shown)]

    def _note(self, events: list[Event]) -> list[Event]:
        for event in events:
            self._seen.add(type(event))
            match event:
                case RunStarted():
                    self.run_id = event.run_id or self.run_id
                    self.session_id = event.session_id or self.session_id
                case RunFinished() | RunFailed() | RunCancelled():
                    self._ended = True
                case ApprovalRequested():
                    self._paused = True
                case RawEvent() | UsageReported() | FollowupsSuggested():
                    pass
                case _:
                    self._paused = False
        return events

    def _apply(self, event: wire.StreamEvent) -> list[Event]:
        match event:
            case wire.Start():
                self._began = milliseconds(event.timestamp)
                return [self._start(event.data)]
            case wire.ToolStart():
                return self._tools.start(event)
            case wire.ToolEnd():
                return [self._tools.end(event.data, failed=False)]
            case wire.ToolError():
                return [self._tools.end(event.data, failed=True)]
            case wire.ContentDone():
                self._whole = as_text(event.data) or self._whole
                return self._flush()
            case wire.FollowupSuggestion():
                return self._followup(event.data)
            case wire.Metrics():
                return self._metrics(event.data)
            case wire.Paused():
                return [approval(inner_value(event.data))]
            case wire.Stop():
                return self._flush() + self._stop(event)
            case wire.Cancelled():
                return self._flush() + self._end(RunCancelled(reason=as_text(event.data) or None))
            case wire.Error():
                return self._flush() + self._error(event.data)
            case wire.AgentSwitch():
                return [RawEvent(name=event.event, data=as_text(event.data))]
            case _:
                return []

    def _start(self, data: Any) -> RunStarted:
        inner = inner_value(data)
        known = validated(wire.StartData, inner) if isinstance(inner, dict) else wire.StartData()
        return RunStarted(
            run_id=mend(known.run_id) if known.run_id else self.run_id,
            session_id=mend(known.session_id) if known.session_id else self.session_id,
        )

    def _followup(self, data: Any) -> list[Event]:
        found = read_followups(data)
        if not found:
            raise MalformedError("no questions in it")
        return self._suggest(found)

    def _suggest(self, found: tuple[str, ...]) -> list[Event]:
        merged = tuple(dict.fromkeys((*self._followups, *found)))
        if merged == self._followups:
            return []
        self._followups = merged
        return [FollowupsSuggested(followups=merged)]

    def _metrics(self, data: Any) -> list[Event]:
        inner = inner_value(data)
        if not isinstance(inner, dict):
            raise MalformedError("metrics are no object")
        metrics = cast("dict[str, Any]", inner)
        if (calls := metrics.get("llmCalls")) is not None:
            self._details["llmCalls"] = plain(calls)
        usage, model = read_usage(metrics), metrics.get("model")
        if usage is None:
            return []
        return [UsageReported(usage=usage, model=as_text(model) or None)]

    def _error(self, data: Any) -> list[Event]:
        inner = inner_value(data)
        told = parse_error_body(0, inner)
        text = as_text(data)
        message = told.message or one_line(text) or "The agent reported an error."
        details = {"message": text} if one_line(text) != text and isinstance(inner, str) else {}
        failure = RunFailed(
            message=message, code=told.code, retry_after=told.retry_after, details=details
        )
        return self._end(failure) or [RawEvent(name="ERROR", data=text)]

    def _stop(self, event: wire.Stop) -> list[Event]:
        inner = inner_value(event.data)
        events: list[Event] = []
        output, end = self._whole, None
        if isinstance(inner, dict):
            try:
                response = validated(wire.RunResponse, inner)
            except MalformedError as error:
                # The payload cannot be read; that the stream is complete still holds.
                events.append(
                    RawEvent(name=event.event, data=as_text(event.data), problem=str(error))
                )
            else:
                output = mend(response.content) if response.content else output
                parts, end = response_events(response, known=self._seen, calls=self._calls)
                events += [
                    e for e in parts if not (isinstance(e, RunStarted) and e.run_id == self.run_id)
                ]
                self._details.update(end.details if isinstance(end, RunFinished) else {})
                events += self._suggest(read_followups(inner) or read_followups(response.metadata))
                if any(isinstance(e, ApprovalRequested) for e in parts):
                    return events
        elif found := read_followups(inner) if isinstance(inner, list) else ():
            events += self._suggest(found)
        elif text := as_text(event.data):
            self._details["message"] = text
        if end is None and self._paused:
            return events
        if end is None or isinstance(end, RunFinished):
            if not self._ended:
                events += self._tools.end_announced(always=True)
            end = RunFinished(
                output=output,
                duration=self._duration(event.timestamp),
                details=dict(self._details),
            )
        return events + self._end(end)

    def _end(self, event: Event) -> list[Event]:
        # The first end counts: a STOP that follows an ERROR is no success.
        if self._ended:
            return []
        self._ended = True
        return [event]

    def _is_late(self, event: Event) -> bool:
        return self._ended and isinstance(event, TERMINAL_EVENTS)

    def _duration(self, timestamp: Any) -> float | None:
        stopped = milliseconds(timestamp)
        if stopped is None or self._began is None or stopped < self._began:
            return None
        return (stopped - self._began) / 1000

    def _flush(self) -> list[Event]:
        return [
            TextDelta(text) if key == "text" else ReasoningDelta(text)
            for key, text in self._text.flush().items()
        ]
