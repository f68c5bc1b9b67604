"""From RunTools' frames to events: a pure state machine."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final, cast

from pydantic import ValidationError

from agentnb.event import (
    Event,
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
    UsageReported,
    text_deltas,
)
from agentnb.platforms._bodies import parse_error_body
from agentnb.platforms._calls import OpenCalls
from agentnb.platforms._peeking import peek
from agentnb.platforms._usage import read_count, read_usage
from agentnb.platforms._wire import MalformedError, SurrogateJoiner, as_text, json_payload, mend
from agentnb.platforms.runtools import wire
from agentnb.platforms.runtools.answers import read_status
from agentnb.sse import ServerSentEvent

__all__ = ["Decoder", "result_events"]

_ENVELOPE: Final = frozenset({"type", "event", "data", "payload"})
_NOT_PLAIN: Final = _ENVELOPE | wire.IDS


class Decoder:
    """Turns the frames of one run into events.

    A frame's kind is its ``event:`` line or, where that says nothing, its JSON ``type``.  Kinds
    that no runtime was seen to send are kept raw, and no terminal event is invented.

    A ``file_edit`` and a ``dev_url`` are things the agent did at that point of its answer, and a
    reader wants them there, with the diff or the address at hand: each becomes a finished tool
    call of that name, with the path as its argument and the diff, or the address, as its result.
    """

    def __init__(self, *, run_id: str | None = None, session_id: str | None = None) -> None:
        self.run_id = run_id
        self.session_id = session_id
        self._calls = OpenCalls()
        self._text = SurrogateJoiner()
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether a terminal event has come."""
        return self._ended

    def decode_all(self, frames: Sequence[ServerSentEvent]) -> list[Event]:
        """Return the events of several frames, as `decode` returns those of each."""
        events: list[Event] = []
        texts: list[str] = []
        held = self._text.held
        name, is_text = "", False
        for frame, value in zip(frames, peek(frames), strict=True):
            # Nearly all are this one kind, and calls for each of them would cost most of the time.
            if frame.event is not name:
                name = frame.event
                is_text = wire.kind_of(name) in wire.TEXT_KINDS
            if (
                is_text
                and value is not None
                and type(text := value.get("content")) is str
                and (text.isascii() or mend(text) is text)
                and not held
                and (len(value) == 1 or _NOT_PLAIN.isdisjoint(value))
            ):
                if text:
                    texts.append(text)
                continue
            if texts:
                events += text_deltas(texts)
                texts.clear()
            events += self.decode(frame)
        events += text_deltas(texts)
        return events

    def decode(self, sse: ServerSentEvent) -> list[Event]:
        """Return the events of one frame; never raises."""
        text = sse.data
        named = sse.event if sse.event != "message" else ""
        stripped = text.strip()
        if stripped == "[DONE]" or not (stripped or named):
            return []
        try:
            if named and not stripped.startswith(("{", "[", '"')):
                # A runtime that sends bare text under a name.
                payload: Any = text if stripped else {}
            else:
                payload = json_payload(stripped)
        except MalformedError as error:
            return [RawEvent(name=mend(named) or "message", data=mend(text), problem=str(error))]
        return self.decode_frame(named, payload, raw=text)

    def decode_frame(self, name: str, payload: Any, *, raw: str | None = None) -> list[Event]:
        """Return the events of a frame whose JSON is read already; never raises.

        ``name`` is "" where only the payload names its kind; ``raw`` is the frame as it came.
        """
        outer = cast("dict[str, Any]", payload) if isinstance(payload, dict) else {"data": payload}
        own = outer.get("type", outer.get("event"))
        own = own if isinstance(own, str) else ""
        word, kind, problem = name, wire.kind_of(name), None
        if kind is None:
            kind = wire.kind_of(own)
            word = own if kind is not None else name or own or "message"
        if kind is not None:
            try:
                return self._known(kind, _fields(outer))
            except MalformedError as error:
                problem = str(error)
        data = as_text(payload) if raw is None else mend(raw)
        return [RawEvent(name=mend(word), data=data, problem=problem)]

    def finish(self) -> list[Event]:
        """Return what was held back when the stream ends."""
        return [
            TextDelta(text) if key == "text" else ReasoningDelta(text)
            for key, text in self._text.flush().items()
        ]

    def _known(self, kind: str, fields: dict[str, Any]) -> list[Event]:
        """Return the events of a frame of a known kind.

        Raises:
            MalformedError: its content is not what its kind promises.
        """
        if isinstance(text := fields.get("content"), str) and wire.IDS.isdisjoint(fields):
            # Nearly all frames are fragments without an id, and there is nothing in one but its
            # text that could be wrong: they are not worth a model each.
            if kind in wire.TEXT_KINDS:
                return self._answer(text)
            if kind in wire.THINKING_KINDS:
                return self._reasoning(text)
        frame = wire.FRAMES.parse(kind, fields)
        return [] if frame is None else self._ids(frame) + self._apply(kind, frame)

    def _ids(self, frame: wire.Frame) -> list[Event]:
        """Return a `RunStarted` where a frame brings an id, or a start more, that was unknown."""
        run_id = mend(frame.run_id or "") or self.run_id
        session_id = mend(frame.thread_id or "") or self.session_id
        agent = model = None
        if isinstance(frame, wire.StartFrame):
            agent, model = as_text(frame.agent) or None, as_text(frame.model) or None
        if (run_id, session_id) == (self.run_id, self.session_id) and not (agent or model):
            return []
        self.run_id, self.session_id = run_id, session_id
        return [RunStarted(run_id=run_id, session_id=session_id, agent=agent, model=model)]

    def _apply(self, kind: str, frame: wire.Frame) -> list[Event]:
        match frame:
            case wire.TextFrame():
                return self._answer(frame.content)
            case wire.ThinkingFrame():
                return self._reasoning(frame.content)
            case wire.ToolCallFrame():
                name = mend(frame.tool)
                call_id = self._calls.start(
                    name, as_text(frame.call_id) or as_text(frame.id) or None
                )
                arguments = as_text(frame.input)
                return [ToolCallStarted(call_id=call_id, name=name, arguments=arguments)]
            case wire.ToolOutputFrame():
                return self._tool_output(frame)
            case wire.ToolResultFrame():
                return [self._tool_result(frame, failed=kind == "tool_call_failed")]
            case wire.FileEditFrame():
                shown = {"path": frame.path, **_others(frame)}
                return self._done("file_edit", shown, as_text(frame.diff))
            case wire.DevUrlFrame():
                return self._done("dev_url", _others(frame), mend(frame.url))
            case wire.UsageFrame():
                return _usage(frame.usage if frame.usage is not None else frame.model_extra, frame)
            case wire.CompleteFrame():
                return self.finish() + _usage(frame.usage, frame) + self._complete(frame)
            case wire.ErrorFrame():
                return self.finish() + self._end(_failure(frame))
            case wire.CancelledFrame():
                return self.finish() + self._end(RunCancelled(reason=as_text(frame.reason) or None))
            case _:
                return []

    def _answer(self, text: str) -> list[Event]:
        text = self._text.feed(text, "text")
        return [TextDelta(text)] if text else []

    def _reasoning(self, text: str) -> list[Event]:
        text = self._text.feed(text, "reasoning")
        return [ReasoningDelta(text)] if text else []

    def _tool_output(self, frame: wire.ToolOutputFrame) -> list[Event]:
        name = mend(frame.tool or "") or None
        call_id = self._calls.find(name, self._wire_id(frame))
        if call_id is not None:
            return [ToolCallDelta(call_id=call_id, output=mend(frame.output))]
        # Output of a call that was never announced: it is announced now.
        call_id = self._calls.start(name or "tool", as_text(frame.call_id) or None)
        return [
            ToolCallStarted(call_id=call_id, name=name or "tool"),
            ToolCallDelta(call_id=call_id, output=mend(frame.output)),
        ]

    def _tool_result(self, frame: wire.ToolResultFrame, *, failed: bool) -> ToolCallFinished:
        name = mend(frame.tool or "") or None
        output = None if frame.output is None else as_text(frame.output)
        error = None
        if frame.error:
            error = parse_error_body(0, frame.error).message or as_text(frame.error)
        elif failed or frame.is_error is True or frame.success is False:
            error = output or "The tool failed."
        return ToolCallFinished(
            # `tool_result` and `tool_call_completed` may both tell the end of one call.
            call_id=self._calls.finish(name, self._wire_id(frame), again=True),
            name=name,
            arguments=None if frame.input is None else as_text(frame.input),
            result=output,
            error=error,
        )

    def _wire_id(self, frame: wire.ToolOutputFrame | wire.ToolResultFrame) -> str | None:
        # A bare "id" may be the event's own; it counts where a call began with it.
        own = as_text(frame.id)
        return as_text(frame.call_id) or (own if self._calls.is_open(own) else None)

    def _done(self, name: str, arguments: dict[str, Any], result: str) -> list[Event]:
        call_id = self._calls.start(name)
        self._calls.finish(name, call_id)
        text = as_text(arguments) if arguments else ""
        return [
            ToolCallStarted(call_id=call_id, name=name, arguments=text),
            ToolCallFinished(call_id=call_id, name=name, result=result),
        ]

    def _complete(self, frame: wire.CompleteFrame) -> list[Event]:
        milliseconds = frame.duration_ms
        seconds = None
        if isinstance(milliseconds, int | float) and not isinstance(milliseconds, bool):
            # An integer may be larger than any float.
            seconds = milliseconds / 1000 if 0 <= milliseconds <= sys.float_info.max else None
        return self._end(
            _terminal(frame.status, frame.output, frame.error, frame.iterations, duration=seconds)
            or RunFinished(output=as_text(frame.output) or None, duration=seconds)
        )

    def _end(self, event: Event) -> list[Event]:
        # The first end counts: a completion that follows an error is no success.
        if self._ended:
            return []
        self._ended = True
        return [event]


def result_events(data: Any) -> list[Event] | None:
    """Return the events of an answer that is not streamed; None where it is no run."""
    outer = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
    inner = outer.get("data", outer)
    try:
        found = wire.RunResult.model_validate(inner)
    except (ValidationError, RecursionError):
        return None
    if not {"status", "result", "run_id"} & found.model_fields_set:
        return None
    events: list[Event] = [
        RunStarted(
            run_id=mend(found.run_id or "") or None,
            session_id=mend(found.thread_id or "") or None,
            model=mend(found.model or "") or None,
        )
    ]
    if text := as_text(found.result):
        events.append(TextDelta(text))
    events += _usage(found.usage, found)
    end = _terminal(found.status or "completed", found.result, found.error, found.iterations)
    return [*events, end] if end is not None else events


def _terminal(
    status: str | None, output: Any, error: Any, iterations: Any, *, duration: float | None = None
) -> Event | None:
    """Return the end that a status tells of; None for a run that has not ended."""
    details = {} if (turns := read_count(iterations)) is None else {"iterations": turns}
    match read_status(status) if status or error else "completed":
        case "failed":
            told = parse_error_body(0, error)
            message = told.message or "The platform reports the run as failed."
            return RunFailed(
                message=message, code=told.code, retry_after=told.retry_after, details=details
            )
        case "cancelled":
            return RunCancelled()
        case "completed":
            return RunFinished(output=as_text(output) or None, duration=duration, details=details)
        case _:
            return None


def _failure(frame: wire.ErrorFrame) -> RunFailed:
    body: Any = frame.message
    if not isinstance(body, dict):
        body = {"message": body, "code": frame.code, "retryAfter": frame.retry_after}
    told = parse_error_body(0, body)
    return RunFailed(
        message=told.message or "The agent reported an error.",
        code=told.code or (as_text(frame.code) or None),
        retry_after=told.retry_after,
    )


def _usage(data: Any, frame: Any) -> list[Event]:
    usage = read_usage(data)
    if usage is None:
        return []
    return [UsageReported(usage=usage, model=mend(frame.model or "") or None)]


def _fields(outer: dict[str, Any]) -> dict[str, Any]:
    """Return a frame's own fields, which some runtimes put into ``data`` or ``payload``."""
    if _ENVELOPE.isdisjoint(outer):
        return outer
    for key in ("payload", "data"):
        inner = outer.get(key)
        if isinstance(inner, dict):
            around = {k: v for k, v in outer.items() if k not in _ENVELOPE}
            return {**around, **cast("dict[str, Any]", inner)}
    fields = {k: v for k, v in outer.items() if k not in ("type", "event")}
    if "payload" in fields and "data" not in fields:
        fields["data"] = fields.pop("payload")
    return fields


def _others(frame: wire.Frame) -> dict[str, Any]:
    return dict(frame.model_extra or {})
