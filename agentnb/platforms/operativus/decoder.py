"""Decoder of Operativus's live streams and of the records of its runs: a pure state machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from agentnb._support.text import well_formed
from agentnb.event.surrogates import SurrogateJoiner
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
from agentnb.platforms._payloads import as_object, usage_events
from agentnb.platforms._wire import (
    MalformedError,
    as_text,
    json_payload,
    mend_deep,
    one_line,
    peek,
    validated,
)
from agentnb.platforms.http_platform import row_text
from agentnb.platforms.operativus.responses import approval, read_followups, response_events
from agentnb.platforms.operativus.server_times import ServerTimes
from agentnb.platforms.operativus.tool_calls import ToolCallDecoder
from agentnb.platforms.operativus.wire import (
    STREAM_TAGS,
    RecordedEvent,
    RunResponse,
    StartData,
    milliseconds,
    nested_json,
)
from agentnb.sse import ServerSentEvent

_RECORDED: Final = frozenset(
    {
        *("RUN_START", "TOOL_INVOKED", "TOOL_COMPLETED", "RUN_PAUSED"),
        *("RUN_COMPLETE", "RUN_FAILED", "RUN_CANCELLED"),
    }
)
# Records about how the platform works, not about what its agent does.
_INTERNAL: Final = frozenset(
    {
        *("LLM_REQUEST", "LLM_RESPONSE", "DELEGATION_START", "DELEGATION_COMPLETE", "HANDOFF"),
        *("ORCHESTRATOR_DECISION", "TASK_CREATED", "TASK_UPDATED"),
    }
)
_KEEPS_PAUSE: Final = (RawEvent, UsageReported, FollowupsSuggested, RunStarted, *TERMINAL_EVENTS)


class Decoder:
    """Turns the frames of one run into events.

    ``session_id`` is the requested one, for servers whose START is empty; ``run_id`` is the run's
    id as far as it is known.  Records of other runs than that of the constructor, which it started
    on other agents, are dropped.

    No terminal event is invented.  A STOP after an ERROR is no success; a STOP while the run waits
    for a person ends the stream and not the run.  An AGENT_SWITCH is kept raw: the run continues as
    a run of the requested agent.
    """

    def __init__(self, *, session_id: str | None = None, run_id: str | None = None) -> None:
        self.run_id = run_id
        self.session_id = session_id
        #: Whether the run's end was decoded.
        self.has_ended = False
        #: Whether the run waits for a decision.
        self.is_paused = False
        self._recorded_run = run_id
        self._joiner = SurrogateJoiner()
        self._tools = ToolCallDecoder()
        # In seconds, by the clock of the stream or of the record.
        self._started_at: float | None = None
        self._output: str | None = None
        self._followups: tuple[str, ...] = ()
        self._details: dict[str, Any] = {}
        self._seen: set[type[Event]] = set()

    def decode_all(self, frames: Sequence[ServerSentEvent]) -> list[Event]:
        """Return the events of several frames, the same as `decode` on each."""
        events: list[Event] = []
        texts: list[str] = []
        held = self._joiner.held
        for frame, value in zip(frames, peek(frames), strict=True):
            # Fast path: nearly all frames are fragments of ASCII text.
            if (
                value is not None
                and value.get("event") == "CONTENT_DELTA"
                and type(text := value.get("data")) is str
                and (text.isascii() or well_formed(text) is text)
                and not held
            ):
                if text:
                    texts.append(text)
                continue
            events += self._deltas(text_deltas(texts))
            texts.clear()
            events += self.decode(frame)
        return events + self._deltas(text_deltas(texts))

    def decode(self, sse: ServerSentEvent) -> list[Event]:
        """Return the events of one frame; never raises."""
        text = sse.data
        stripped = text.strip()
        if not stripped or stripped == "[DONE]":
            return []
        name, problem = sse.event or "message", None
        try:
            fields = _frame_object(sse, stripped)
            is_live = "event" in fields
            tag = fields.get("event" if is_live else "eventType")
            if isinstance(tag, str):
                name = well_formed(tag)
                events = self._live(tag, fields) if is_live else self._record(tag, fields)
                if events is not None:
                    return events
        except MalformedError as error:
            problem = str(error)
        return [RawEvent(name=name, data=well_formed(text), problem=problem)]

    def finish(self) -> list[Event]:
        """Return the text held back when the stream ends."""
        return self._note(self._flush())

    # -- the live stream -------------------------------------------------------------------------

    def _live(self, tag: str, fields: dict[str, Any]) -> list[Event] | None:
        data, timestamp = fields.get("data"), fields.get("timestamp")
        match tag:
            case "CONTENT_DELTA" | "REASONING_DELTA":
                return self._fragment(tag, fields)
            case "START":
                self._started_at = _seconds(timestamp)
                events: list[Event] = [self._start(data)]
            case "TOOL_START":
                events = self._tools.start(data, timestamp)
            case "TOOL_END" | "TOOL_ERROR":
                events = [self._tools.end(data, failed=tag == "TOOL_ERROR")]
            case "CONTENT_DONE":
                self._output = as_text(data) or self._output
                events = self._flush()
            case "FOLLOWUP_SUGGESTION":
                if not (followups := read_followups(data)):
                    raise MalformedError("no questions in it")
                events = self._suggest(followups)
            case "METRICS":
                events = self._metrics(nested_json(data))
            case "PAUSED":
                events = [approval(nested_json(data))]
            case "STOP":
                events = self._flush() + self._stop(data, _seconds(timestamp))
            case "CANCELLED":
                events = self._flush() + self._end(RunCancelled(reason=as_text(data) or None))
            case "ERROR":
                events = self._flush() + self._error(data)
            case "AGENT_SWITCH":
                events = [RawEvent(name=tag, data=as_text(data))]
            case _:
                return None
        return self._note(events)

    def _fragment(self, tag: str, fields: dict[str, Any]) -> list[Event]:
        if "data" not in fields:
            raise MalformedError("data: Field required")
        if not isinstance(text := fields["data"], str):
            raise MalformedError("data: Input should be a valid string")
        if tag == "CONTENT_DELTA":
            text = self._joiner.feed(text, "text")
            return self._deltas([TextDelta(text)] if text else [])
        text = self._joiner.feed(text, "reasoning")
        return self._deltas([ReasoningDelta(text)] if text else [])

    def _deltas(self, deltas: Sequence[Event]) -> list[Event]:
        if not deltas:
            return []
        self._seen.add(type(deltas[0]))
        self.is_paused = False
        return [*self._tools.end_announced(), *deltas]

    def _note(self, events: list[Event]) -> list[Event]:
        for event in events:
            self._seen.add(type(event))
            if isinstance(event, RunStarted):
                self.run_id = event.run_id or self.run_id
                self.session_id = event.session_id or self.session_id
            if not isinstance(event, _KEEPS_PAUSE):
                self.is_paused = isinstance(event, ApprovalRequested)
        return events

    def _start(self, data: Any) -> RunStarted:
        inner = nested_json(data)
        start = validated(StartData, inner) if isinstance(inner, dict) else StartData()
        return RunStarted(
            run_id=start.run_id or self.run_id, session_id=start.session_id or self.session_id
        )

    def _suggest(self, followups: tuple[str, ...]) -> list[Event]:
        merged = tuple(dict.fromkeys((*self._followups, *followups)))
        if merged == self._followups:
            return []
        self._followups = merged
        return [FollowupsSuggested(followups=merged)]

    def _metrics(self, data: Any) -> list[Event]:
        if not isinstance(data, dict):
            raise MalformedError("metrics are no object")
        metrics = cast("dict[str, Any]", data)
        if (calls := metrics.get("llmCalls")) is not None:
            self._details |= mend_deep({"llmCalls": calls})
        return usage_events(metrics, model=as_text(metrics.get("model")) or None)

    def _error(self, data: Any) -> list[Event]:
        inner, text = nested_json(data), as_text(data)
        error = parse_error_body(0, inner)
        line = one_line(text)
        failure = RunFailed(
            message=error.message or line or "The agent reported an error.",
            code=error.code,
            retry_after=error.retry_after,
            details={"message": text} if line != text and isinstance(inner, str) else {},
        )
        return self._end(failure) or [RawEvent(name="ERROR", data=text)]

    def _stop(self, data: Any, stopped_at: float | None) -> list[Event]:
        inner = nested_json(data)
        events: list[Event] = []
        output, end = self._output, None
        if isinstance(inner, dict):
            try:
                response = validated(RunResponse, inner)
            except MalformedError as error:
                # The stream is complete even if its payload cannot be read.
                events.append(RawEvent(name="STOP", data=as_text(data), problem=str(error)))
            else:
                output = response.content or output
                parts, end = response_events(response, known=self._seen, tools=self._tools)
                events += [
                    e for e in parts if not (isinstance(e, RunStarted) and e.run_id == self.run_id)
                ]
                self._details |= end.details if isinstance(end, RunFinished) else {}
                events += self._suggest(read_followups(inner) or read_followups(response.metadata))
                if any(isinstance(e, ApprovalRequested) for e in parts):
                    return events
        elif isinstance(inner, list):
            events += self._suggest(read_followups(cast("Any", inner)))
        elif text := as_text(data):
            self._details["message"] = text
        if end is None and self.is_paused:
            return events
        if end is None or isinstance(end, RunFinished):
            if not self.has_ended:
                events += self._tools.end_announced(always=True)
            duration = self._duration(stopped_at)
            end = RunFinished(output=output, duration=duration, details=dict(self._details))
        return events + self._end(end)

    def _end(self, event: Event) -> list[Event]:
        # The first end counts: a STOP after an ERROR is no success.
        if self.has_ended:
            return []
        self.has_ended = True
        return [event]

    def _duration(self, ended_at: float | None) -> float | None:
        if ended_at is None or self._started_at is None or ended_at < self._started_at:
            return None
        return round(ended_at - self._started_at, 6)

    def _flush(self) -> list[Event]:
        return [
            TextDelta(text) if key == "text" else ReasoningDelta(text)
            for key, text in self._joiner.flush().items()
        ]

    # -- records ---------------------------------------------------------------------------------

    def _record(self, tag: str, fields: dict[str, Any]) -> list[Event] | None:
        if tag not in _RECORDED:
            return [] if tag in _INTERNAL else None
        record = validated(RecordedEvent, fields)
        if self._recorded_run and record.run_id and record.run_id != self._recorded_run:
            return []
        details = record.payload or {}
        time = ServerTimes().read(record.event_ts)
        seconds = None if time is None else time.timestamp()
        match tag:
            case "RUN_START":
                self._started_at = seconds
                started = RunStarted(
                    run_id=record.run_id or self._recorded_run,
                    session_id=record.session_id,
                    agent=record.agent_id,
                    model=row_text(details, "modelId model"),
                )
                events: list[Event] = [started]
            case "TOOL_INVOKED":
                events = self._tools.start(details)
            case "TOOL_COMPLETED":
                events = [self._tools.record_end(details)]
            case "RUN_PAUSED":
                events = [approval(details)]
            case "RUN_COMPLETE":
                output, duration = row_text(details, "content output"), self._duration(seconds)
                end = RunFinished(output=output, duration=duration, details=mend_deep(details))
                events = self._end(end)
            case "RUN_FAILED":
                message = one_line(row_text(details, "errorMessage message errorClass") or "")
                message = message or "The platform reports the run as failed."
                events = self._end(RunFailed(message=message, details=mend_deep(details)))
            case _:
                events = self._end(RunCancelled(reason=row_text(details, "reason message")))
        return self._note(events)


def _seconds(timestamp: Any) -> float | None:
    value = milliseconds(timestamp)
    return None if value is None else value / 1000


def _frame_object(sse: ServerSentEvent, text: str) -> dict[str, Any]:
    """Return the JSON of a frame, with ``event`` from the ``event:`` line if only that names it.

    ``text`` is the frame's data without the white space around it.
    """
    if sse.event not in STREAM_TAGS:
        return as_object(json_payload(text))
    if not text.startswith(("{", "[", '"')):
        return {"event": sse.event, "data": sse.data}
    payload: Any = json_payload(text)
    fields = as_object(payload)
    return (
        fields if fields.keys() & {"event", "eventType"} else {"event": sse.event, "data": payload}
    )
