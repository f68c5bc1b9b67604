"""Decode SeekrFlow's streams: one lenient decoder for both chunk dialects.

What ends a run, as far as the vendor's client and examples show it:

- ``/runs/stream``: ``end_node``.  ``final_result_event`` does not: it announces that the final
  answer *begins*, and text follows it.
- ``/runs/stream/vercel``: ``finish`` or ``abort``, then ``data: [DONE]``.
- Either: ``error``, and ``[DONE]`` alone.
- A stream that just ends does not end its run: no terminal event is made up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from agentnb._support.text import well_formed
from agentnb.event.types import (
    ApprovalRequested,
    Event,
    RawEvent,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    text_deltas,
)
from agentnb.platforms._payloads import failure_event, first_text, json_object
from agentnb.platforms._wire import (
    Inbound,
    MalformedError,
    as_text,
    json_payload,
    mend_deep,
    one_line,
    peek,
)
from agentnb.platforms.seekr import wire
from agentnb.platforms.seekr.payloads import (
    chunk_usage,
    error_only,
    final_text,
    first_fragment,
    places_in,
    unwrap_chunk,
)
from agentnb.platforms.seekr.text_classifier import TextClassifier
from agentnb.sse import ServerSentEvent

# Chunks that end a sub-agent's messages, and those of the run.
_MESSAGE_ENDS: Final = frozenset({"end_node", "finish", "done"})
_ENDS: Final = _MESSAGE_ENDS | {"abort", "error"}
_RUN_ID: Final = ("run_id", "runId")
_THREAD_ID: Final = ("thread_id", "threadId")
_IDS: Final = frozenset({*_RUN_ID, *_THREAD_ID})
_ID_PLACES: Final = _IDS | {"meta_data", "messageMetadata"}
_NOT_PLAIN: Final = _ID_PLACES | {"data"}
# A list, since a chunk's type may be unhashable.
_TEXT_TAGS: Final = ["text_delta", "streaming_chunk"]


class Decoder:
    """Turns the frames of one stream into events, without I/O."""

    def __init__(self) -> None:
        #: Whether no frame was missed; else the end of a run cannot complete its answer.
        self.is_gapless = True
        self._text = TextClassifier()
        self._ids: tuple[str | None, str | None] = (None, None)
        self._calls = _ToolCalls()
        self._calls_by_part: dict[int | None, str] = {}
        self._early_arguments: list[str] = []
        # The call whose arguments are the structured answer.
        self._result_call: str | None = None
        self._sub_agent_end: tuple[str, Inbound | None, dict[str, Any]] | None = None
        self._ended = False

    def decode_all(self, frames: Sequence[ServerSentEvent]) -> list[Event]:
        """Return the events of several frames."""
        events: list[Event] = []
        texts: list[str] = []
        is_plain = self._text.is_plain
        for frame, value in zip(frames, peek(frames), strict=True):
            # Fast path for fragments of plain text, nearly all of a stream.
            if (
                value is not None
                and value.get("type") in _TEXT_TAGS
                and type(text := value.get("text")) is str
                and (text.isascii() or well_formed(text) is text)
                and is_plain
                and (len(value) == 2 or _NOT_PLAIN.isdisjoint(value))
            ):
                if text:
                    texts.append(text)
                continue
            if texts:
                self._text.add_text(texts)
                events += text_deltas(texts)
                texts.clear()
            events += self.decode(frame)
            is_plain = self._text.is_plain
        self._text.add_text(texts)
        return [*events, *text_deltas(texts)]

    def decode(self, sse: ServerSentEvent) -> list[Event]:
        """Return the events of one frame; never raises."""
        data = sse.data.strip()
        if not data:
            return []
        if data == "[DONE]":
            if self._sub_agent_end is not None and not self._ended:
                # Nothing followed, so it was the end of the run.
                return self._finish_run(*self._sub_agent_end)
            return self._completed()
        try:
            chunk = json_object(data)
        except MalformedError as error:
            if sse.event == "error":
                return self._end(RunFailed(message=one_line(data)))
            return [
                RawEvent(name=well_formed(sse.event), data=well_formed(data), problem=str(error))
            ]
        tag = chunk.get("type")
        if not isinstance(tag, str) or "data" in chunk:
            tag, chunk = unwrap_chunk(chunk, sse.event)
        field = wire.FRAGMENT_FIELDS.get(tag)
        events = self._text.end_part_before(tag)
        if field is not None and isinstance(text := chunk.get(field), str):
            events += self._text.fragment(tag, text, chunk)
        else:
            events += self._chunk(tag, chunk, data)
        # Few chunks carry ids; all are inspected until the run's id is known.
        if self._ids[0] is None and not _ID_PLACES.isdisjoint(chunk):
            return self._started(chunk) + events
        return events

    def finish(self) -> list[Event]:
        """Return the text and arguments held back at the clean end of the stream."""
        events = self._text.flush()
        if self._early_arguments:
            lost = well_formed("".join(self._early_arguments))
            self._early_arguments.clear()
            problem = "arguments of a call that was never named"
            events.append(RawEvent(name="tool_call_part_delta", data=lost, problem=problem))
        return events

    # --- one chunk ----------------------------------------------------------------------------

    def _chunk(self, tag: str, chunk: dict[str, Any], data: str) -> list[Event]:
        raw = RawEvent(name=well_formed(tag) or "message", data=well_formed(data))
        try:
            model = wire.CHUNKS.parse(tag, chunk)
        except MalformedError as error:
            malformed = RawEvent(name=raw.name, data=raw.data, problem=str(error))
            # The tag alone ends the run.
            return [malformed, *(self._finish_run(tag, None, chunk) if tag in _ENDS else ())]
        if tag in _MESSAGE_ENDS and self._text.senders.end_message(chunk):
            self._sub_agent_end = (tag, model, chunk)
            return []
        if tag in _ENDS:
            return self._finish_run(tag, model, chunk)
        match model:
            case wire.PartBoundary():
                return self._text.part_boundary(tag, model.id, chunk)
            case wire.PartStart():
                return self._part_start(model, chunk, raw)
            case wire.ToolArgsDelta():
                return self._arguments(model)
            case wire.ToolRequest():
                self._early_arguments.clear()
                self._text.end_passage()
                return self._calls.complete(model.tool_id, model.tool_name, model.tool_args)
            case wire.ToolResponse():
                return [self._tool_response(model)]
            case wire.ToolInput():
                return self._tool_input(tag, model)
            case wire.ToolOutput():
                return self._tool_output(tag, model)
            case wire.Approval():
                tool = self._calls.name(model.tool_call_id)
                wish = f"asks to call {tool}" if tool else "asks for approval"
                message, approval_id = f"The agent {wish}.", model.approval_id
                return [ApprovalRequested(approval_id=approval_id, message=message, tool=tool)]
            case wire.Nested():
                return self._nested(model, raw)
            case wire.FinalResult():
                if model.tool_name is not None:
                    self._result_call = self._calls.last
                return []
            case wire.Marker():
                if tag in ("start", "message-metadata"):
                    self._text.senders.begin_message(tag, chunk)
                return []
            case _:
                is_error = any(chunk.get(name) for name in ("error", "errorText", "detail"))
                return self._failure(chunk) if is_error and not tag else [raw]

    def _started(self, chunk: Mapping[str, Any]) -> list[Event]:
        """Return the ids of run and thread if the chunk has new ones."""
        run_id = session_id = None
        for place in places_in(chunk):
            if not _IDS.isdisjoint(place):
                run_id = run_id or first_text(place, *_RUN_ID)
                session_id = session_id or first_text(place, *_THREAD_ID)
        ids = (run_id, session_id or self._ids[1])
        if ids == self._ids:
            return []
        self._ids = ids
        return [RunStarted(run_id=run_id, session_id=ids[1])]

    def _part_start(
        self, model: wire.PartStart, chunk: dict[str, Any], raw: RawEvent
    ) -> list[Event]:
        self._calls_by_part.pop(model.part_index, None)
        part = first_fragment(model.part_content)
        match part.kind:
            case "text":
                return self._text.fragment("text_delta", part.text, chunk)
            case "reasoning":
                return self._text.reasoning(part.text)
            case "tool":
                if not part.call_id:
                    return []  # its request follows, with an id
                self._text.end_passage()
                self._calls_by_part[model.part_index] = part.call_id
                return self._calls.begin(part.call_id, part.name, part.arguments)
            case "other":
                return [raw]

    # --- tools --------------------------------------------------------------------------------

    def _arguments(self, model: wire.ToolArgsDelta) -> list[Event]:
        text = as_text(model.args_delta)
        call_id = self._calls_by_part.get(model.part_index)
        if call_id is None:
            # The delta names no call; its request, with the whole arguments, follows.
            self._early_arguments.append(text)
            return []
        return self._calls.extend(call_id, text)

    def _tool_response(self, model: wire.ToolResponse) -> Event:
        self._text.end_passage()
        call_id, output = model.tool_id, model.tool_output
        name = model.tool_name or self._calls.name(call_id)
        error = error_only(output)
        result = None if output is None or error is not None else as_text(output)
        return ToolCallFinished(call_id=call_id, name=name, result=result, error=error)

    def _tool_input(self, tag: str, model: wire.ToolInput) -> list[Event]:
        call_id, name = model.tool_call_id, model.tool_name
        if tag == "tool-input-delta":
            text = model.input_text_delta or model.delta or as_text(model.input)
            return self._calls.extend(call_id, text)
        self._text.end_passage()
        if tag == "tool-input-start":
            return self._calls.begin(call_id, name, as_text(model.input))
        if tag == "tool-input-available":
            return self._calls.complete(call_id, name, model.input)
        return [
            ToolCallFinished(
                call_id=call_id,
                name=self._calls.add(call_id, name) or None,
                arguments=as_text(model.input) or None,
                error=model.error_text or "The arguments were not valid.",
            )
        ]

    def _tool_output(self, tag: str, model: wire.ToolOutput) -> list[Event]:
        if model.preliminary:
            return []  # the complete output follows
        self._text.end_passage()
        call_id = model.tool_call_id
        name = self._calls.name(call_id)
        if tag == "tool-output-error":
            error = model.error_text or "The tool failed."
            return [ToolCallFinished(call_id=call_id, name=name, error=error)]
        result = None if model.output is None else as_text(model.output)
        return [ToolCallFinished(call_id=call_id, name=name, result=result)]

    def _nested(self, model: wire.Nested, raw: RawEvent) -> list[Event]:
        """Return the text of an agent that runs as a tool as that tool's output."""
        chunk = model.data.chunk
        tag = chunk.get("type")
        if not isinstance(tag, str):
            return [raw]
        if tag.startswith("tool-") and tag != "tool-approval-request":
            return self._chunk(tag, chunk, raw.data)
        parent = well_formed((model.data.tool_call_path or [""])[-1])
        delta = chunk.get("delta")
        if tag == "text-delta" and isinstance(delta, str) and parent in self._calls:
            return [ToolCallDelta(call_id=parent, output=well_formed(delta))] if delta else []
        if tag == "reasoning-delta" and isinstance(delta, str):
            return self._text.reasoning(delta, f"nested {parent}")
        # Its start and end are not the run's.
        return [] if tag in wire.STRUCTURE_TAGS else [raw]

    # --- the end ------------------------------------------------------------------------------

    def _finish_run(self, tag: str, model: Inbound | None, chunk: dict[str, Any]) -> list[Event]:
        if tag == "error":
            return self._failure(chunk)
        events = chunk_usage(chunk)
        known = ("type", "final_output")
        details = mend_deep({k: v for k, v in chunk.items() if k not in known and v})
        if tag == "abort":
            reason = model.reason if isinstance(model, wire.Finish) else None
            return [*events, *self._end(RunCancelled(reason=reason))]
        if isinstance(model, wire.Finish) and model.finish_reason == "error":
            message = "The agent ended with an error and did not say which."
            return [*events, *self._end(RunFailed(message=message, details=details))]
        final = final_text(model.final_output) if isinstance(model, wire.EndNode) else ""
        if self._result_call is not None:
            # The structured answer was sent as the arguments of a call that gets no response.
            events.append(ToolCallFinished(call_id=self._result_call))
            self._result_call = None
        return [*events, *self._completed(final, details)]

    def _completed(self, final: str = "", details: dict[str, Any] | None = None) -> list[Event]:
        """Return the end of a completed run, preceded by missing text of its answer."""
        events = self._text.flush()
        if self.is_gapless:
            events += self._text.missing_answer(final)
        if not self._ended:
            events += self._text.plan_as_answer(final)
        return [*events, *self._end(RunFinished(output=final or None, details=details or {}))]

    def _failure(self, chunk: dict[str, Any]) -> list[Event]:
        default = "The agent reported an error and did not say which."
        failed = failure_event(chunk, default=default, hidden=("type",))
        return [*chunk_usage(chunk), *self._end(failed)]

    def _end(self, event: Event) -> list[Event]:
        """Return the terminal event, once."""
        if self._ended:
            return []
        self._ended = True
        return [*self.finish(), event]


class _ToolCalls:
    """Names and arguments of tool calls; arguments arrive in fragments, whole, or both."""

    def __init__(self) -> None:
        #: The id of the latest call.
        self.last: str | None = None
        self._names: dict[str, str] = {}
        self._streamed: dict[str, list[str]] = {}

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._names

    def name(self, call_id: str | None) -> str | None:
        return self._names.get(call_id or "") or None

    def add(self, call_id: str, name: str | None) -> str:
        """Record a call; return its name, "" if unknown."""
        self.last = call_id
        self._names[call_id] = name or self._names.get(call_id, "")
        return self._names[call_id]

    def begin(self, call_id: str, name: str | None, arguments: str = "") -> list[Event]:
        """Start a call whose remaining arguments follow."""
        name = self.add(call_id, name)
        self._streamed[call_id] = [arguments]
        return [ToolCallStarted(call_id=call_id, name=name, arguments=arguments)]

    def extend(self, call_id: str, arguments: str) -> list[Event]:
        """Append a fragment of a call's arguments."""
        if not arguments:
            return []
        if call_id in self._streamed:
            self._streamed[call_id].append(arguments)
        return [ToolCallDelta(call_id=call_id, arguments=arguments)]

    def complete(self, call_id: str, name: str | None, arguments: Any) -> list[Event]:
        """Complete a call with its whole arguments, a JSON value."""
        known = self._names.get(call_id)
        name = self.add(call_id, name)
        text = as_text(arguments)
        fragments = self._streamed.pop(call_id, None)
        streamed = "".join(fragments or ())
        if fragments is not None and name == known:
            if not text or streamed == text or _is_json_of(streamed, arguments):
                return []
            if not streamed:
                return [ToolCallDelta(call_id=call_id, arguments=text)]
        # A second start replaces the arguments streamed so far.
        return [ToolCallStarted(call_id=call_id, name=name, arguments=text)]


def _is_json_of(text: str, value: Any) -> bool:
    try:
        return bool(json_payload(text) == value)
    except MalformedError:
        return False
