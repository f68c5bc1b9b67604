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
from dataclasses import replace
from typing import Any, Final, cast

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
from agentnb.platforms._payloads import (
    as_list,
    as_object,
    failure_event,
    first_text,
    first_value,
    json_object,
)
from agentnb.platforms._wire import (
    MalformedError,
    as_text,
    json_payload,
    mend_deep,
    one_line,
    peek,
)
from agentnb.platforms.seekr import wire
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
        self._sub_agent_end: tuple[str, dict[str, Any]] | None = None
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
            raw = RawEvent(name=well_formed(sse.event), data=well_formed(data), problem=str(error))
            return [raw]
        tag = chunk.get("type")
        if not isinstance(tag, str) or "data" in chunk:
            tag, chunk = wire.unwrap_chunk(chunk, sse.event)
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

    def _chunk(self, tag: str, chunk: dict[str, Any], data: str) -> list[Event]:
        raw = RawEvent(name=well_formed(tag) or "message", data=well_formed(data))
        try:
            wire.check_chunk(tag, chunk)
        except MalformedError as error:
            return [replace(raw, problem=str(error))]
        if tag in _MESSAGE_ENDS and self._text.senders.end_message(chunk):
            self._sub_agent_end = (tag, chunk)
            return []
        if tag in _ENDS:
            return self._finish_run(tag, chunk)
        match tag:
            case "text-start" | "text-end" | "reasoning-start" | "reasoning-end":
                return self._text.part_boundary(tag, chunk)
            case "part_start_event":
                return self._part_start(chunk, raw)
            case "tool_call_part_delta":
                return self._arguments(chunk)
            case "streaming_tool_response" | "streaming_tool":
                return self._tool_output(tag, chunk)
            case _ if tag.startswith("tool-output-") and tag in wire.CHUNKS:
                return self._tool_output(tag, chunk)
            case _ if wire.CHUNKS.get(tag) in ("tool_id", "toolCallId"):
                return self._tool_input(tag, chunk)
            case "tool-approval-request":
                tool = self._calls.name(first_text(chunk, "toolCallId"))
                wish = f"asks to call {tool}" if tool else "asks for approval"
                approval_id = first_text(chunk, "approvalId")
                message = f"The agent {wish}."
                return [ApprovalRequested(approval_id=approval_id, message=message, tool=tool)]
            case "data-nestedToolEvent":
                return self._nested(as_object(chunk.get("data")), raw)
            case "final_result_event":
                if first_text(chunk, "tool_name") is not None:
                    self._result_call = self._calls.last
                return []
            case "start" | "message-metadata":
                self._text.senders.begin_message(tag, chunk)
                return []
            case _ if tag in wire.CHUNKS:
                return []
            case _:
                is_error = any(chunk.get(name) for name in ("error", "errorText", "detail"))
                return self._failure(chunk) if is_error and not tag else [raw]

    def _started(self, chunk: Mapping[str, Any]) -> list[Event]:
        """Return the ids of run and thread if the chunk has new ones."""
        run_id = session_id = None
        for place in wire.places_in(chunk):
            if not _IDS.isdisjoint(place):
                run_id = run_id or first_text(place, *_RUN_ID)
                session_id = session_id or first_text(place, *_THREAD_ID)
        ids = (run_id, session_id or self._ids[1])
        if ids == self._ids:
            return []
        self._ids = ids
        return [RunStarted(run_id=run_id, session_id=ids[1])]

    def _part_start(self, chunk: dict[str, Any], raw: RawEvent) -> list[Event]:
        index = _part_index(chunk)
        self._calls_by_part.pop(index, None)
        kind, fields = wire.first_fragment(chunk.get("part_content"))
        text = fields.get("content")
        text = text if isinstance(text, str) else as_text(text)
        match kind:
            case "text":
                return self._text.fragment("text_delta", text, chunk)
            case "reasoning":
                return self._text.reasoning(text)
            case "tool":
                call_id, name = (
                    as_text(fields.get("tool_call_id")),
                    as_text(fields.get("tool_name")),
                )
                if not call_id:
                    return []  # its request follows, with an id
                self._text.end_passage()
                self._calls_by_part[index] = call_id
                name, arguments = as_text(fields.get("tool_name")), as_text(fields.get("args"))
                return self._calls.begin(call_id, name, arguments)
            case _:
                return [raw]

    # --- tools --------------------------------------------------------------------------------

    def _arguments(self, chunk: dict[str, Any]) -> list[Event]:
        text = as_text(chunk.get("args_delta"))
        call_id = self._calls_by_part.get(_part_index(chunk))
        if call_id is None:
            # The delta names no call; its request, with the whole arguments, follows.
            self._early_arguments.append(text)
            return []
        return self._calls.extend(call_id, text)

    def _tool_input(self, tag: str, chunk: dict[str, Any]) -> list[Event]:
        call_id = well_formed(chunk[wire.CHUNKS[tag]])
        name = first_text(chunk, "tool_name", "toolName")
        arguments = first_value(chunk, "tool_args", "input")
        if tag == "tool-input-delta":
            text = first_text(chunk, "inputTextDelta", "delta") or as_text(arguments)
            return self._calls.extend(call_id, text)
        self._text.end_passage()
        if tag == "tool-input-start":
            return self._calls.begin(call_id, name, as_text(arguments))
        if tag != "tool-input-error":
            self._early_arguments.clear()
            return self._calls.complete(call_id, name, arguments)
        return [
            ToolCallFinished(
                call_id=call_id,
                name=self._calls.add(call_id, name) or None,
                arguments=as_text(arguments) or None,
                error=first_text(chunk, "errorText") or "The arguments were not valid.",
            )
        ]

    def _tool_output(self, tag: str, chunk: dict[str, Any]) -> list[Event]:
        if chunk.get("preliminary") is True:
            return []  # the complete output follows
        self._text.end_passage()
        call_id = well_formed(chunk[wire.CHUNKS[tag]])
        name = first_text(chunk, "tool_name") or self._calls.name(call_id)
        output, error = first_value(chunk, "tool_output", "output"), None
        if tag == "tool-output-error":
            output, error = None, first_text(chunk, "errorText") or "The tool failed."
        elif tag != "tool-output-available" and list(as_object(output)) == ["error"]:
            error = as_text(output["error"]) or None
        result = None if output is None or error is not None else as_text(output)
        return [ToolCallFinished(call_id=call_id, name=name, result=result, error=error)]

    def _nested(self, data: dict[str, Any], raw: RawEvent) -> list[Event]:
        """Return the text of an agent that runs as a tool as that tool's output."""
        chunk = data.get("chunk")
        if not isinstance(chunk, dict):
            return [replace(raw, problem="data.chunk: Input should be a valid dictionary")]
        chunk = as_object(cast("object", chunk))
        tag, delta = chunk.get("type"), chunk.get("delta")
        if not isinstance(tag, str):
            return [raw]
        if tag.startswith("tool-") and tag != "tool-approval-request":
            return self._chunk(tag, chunk, raw.data)
        parent = next((p for p in as_list(data.get("toolCallPath"))[-1:] if isinstance(p, str)), "")
        parent = well_formed(parent)
        if tag == "text-delta" and isinstance(delta, str) and parent in self._calls:
            return [ToolCallDelta(call_id=parent, output=well_formed(delta))] if delta else []
        if tag == "reasoning-delta" and isinstance(delta, str):
            return self._text.reasoning(delta, f"nested {parent}")
        # Its start and end are not the run's.
        return [] if tag in wire.STRUCTURE_TAGS else [raw]

    # --- the end ------------------------------------------------------------------------------

    def _finish_run(self, tag: str, chunk: dict[str, Any]) -> list[Event]:
        if tag == "error":
            return self._failure(chunk)
        events = wire.chunk_usage(chunk)
        known = ("type", "final_output")
        details = mend_deep({k: v for k, v in chunk.items() if k not in known and v})
        if tag == "abort":
            return [*events, *self._end(RunCancelled(reason=first_text(chunk, "reason")))]
        if tag != "end_node" and chunk.get("finishReason") == "error":
            message = "The agent ended with an error and did not say which."
            return [*events, *self._end(RunFailed(message=message, details=details))]
        final = wire.final_text(chunk.get("final_output")) if tag == "end_node" else ""
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
        return [*wire.chunk_usage(chunk), *self._end(failed)]

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


def _part_index(chunk: Mapping[str, Any]) -> int | None:
    index = chunk.get("part_index")
    return index if isinstance(index, int) else None


def _is_json_of(text: str, value: Any) -> bool:
    try:
        return bool(json_payload(text) == value)
    except MalformedError:
        return False
