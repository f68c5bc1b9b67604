"""SeekrFlow's stream, decoded: one tolerant decoder for both chunk dialects.

What ends a run, as far as the vendor's client and examples show it:

- ``/runs/stream``: ``end_node``.  ``final_result_event`` does not: it announces that the final
  answer *begins*, and text follows it.
- ``/runs/stream/vercel``: ``finish``, or ``abort``; then ``data: [DONE]``.
- Either: ``error``, and a bare ``[DONE]``, which is the platform's own word that all has been said.
- A stream that just ends has not said so; no terminal event is made up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

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
    UsageReported,
    text_deltas,
)
from agentnb.platforms._bodies import parse_error_body
from agentnb.platforms._usage import read_usage
from agentnb.platforms._wire import (
    Inbound,
    MalformedError,
    as_text,
    json_payload,
    mend,
    mend_deep,
    one_line,
    peek,
)
from agentnb.platforms.seekr import chunks
from agentnb.platforms.seekr.frames import first_text, is_error, object_in, sole_error, unwrap
from agentnb.platforms.seekr.parts import final_text, first_fragment, missing_text
from agentnb.platforms.seekr.passages import Passages
from agentnb.platforms.seekr.tool_calls import Calls
from agentnb.sse import ServerSentEvent

__all__ = ["Decoder"]

_ENDS: Final = frozenset({"end_node", "finish", "done", "abort", "error"})
# A sub-agent's messages end by these, too.
_MESSAGE_ENDS: Final = frozenset({"end_node", "finish", "done"})
_RUN_ID: Final = ("run_id", "runId")
_THREAD_ID: Final = ("thread_id", "threadId")
_IDS: Final = frozenset({*_RUN_ID, *_THREAD_ID})
# A list, since a chunk's type may be anything.
_ANSWERS: Final = ["text_delta", "streaming_chunk"]
_ID_PLACES: Final = frozenset({*_IDS, "meta_data", "messageMetadata"})
_NOT_PLAIN: Final = _ID_PLACES | {"data"}


class Decoder:
    """Turns the stream's frames into events.  Pure; one per stream."""

    def __init__(self) -> None:
        #: Whether no frame was missed: else what an answer adds at the end cannot be known.
        self.hears_all = True
        self._passages = Passages()
        self._ids: tuple[str | None, str | None] = (None, None)
        self._calls = Calls()
        self._calls_by_part: dict[int | None, str] = {}
        self._early_arguments: list[str] = []
        self._result_call: str | None = None
        self._sub_agent_end: tuple[str, Inbound | None, dict[str, Any]] | None = None
        self._ended = False

    def decode_all(self, frames: Sequence[ServerSentEvent]) -> list[Event]:
        """Return the events of several frames, as `decode` returns those of each."""
        events: list[Event] = []
        texts: list[str] = []
        is_plain = self._passages.is_plain
        for frame, value in zip(frames, peek(frames), strict=True):
            # Nearly all are this one kind, and calls for each of them would cost most of the time.
            if (
                value is not None
                and value.get("type") in _ANSWERS
                and type(text := value.get("text")) is str
                and (text.isascii() or mend(text) is text)
                and is_plain
                and (len(value) == 2 or _NOT_PLAIN.isdisjoint(value))
            ):
                if text:
                    texts.append(text)
                continue
            if texts:
                self._passages.note(texts)
                events += text_deltas(texts)
                texts.clear()
            events += self.decode(frame)
            is_plain = self._passages.is_plain
        self._passages.note(texts)
        events += text_deltas(texts)
        return events

    def decode(self, sse: ServerSentEvent) -> list[Event]:
        """Return the events of one frame; total, whatever the frame holds."""
        data = sse.data.strip()
        if not data:
            return []
        if data == "[DONE]":
            if self._sub_agent_end is not None and not self._ended:
                # Nothing came after it, so it was the end of the run.
                return self._over(*self._sub_agent_end)
            return self._finished()
        try:
            payload = json_payload(data)
            if not isinstance(payload, dict):
                raise MalformedError("not a JSON object")
            chunk = cast("dict[str, Any]", payload)
        except MalformedError as error:
            if sse.event == "error":
                return self._end(RunFailed(message=one_line(data)))
            return [RawEvent(name=mend(sse.event), data=mend(data), problem=str(error))]
        tag = chunk.get("type")
        if not isinstance(tag, str) or "data" in chunk:
            tag, chunk = unwrap(chunk, sse.event)
        field = chunks.FRAGMENTS.get(tag)
        events = self._passages.ends_before(tag)
        if field is not None and isinstance(text := chunk.get(field), str):
            events += self._passages.fragment(tag, text, chunk)
        else:
            events += self._chunk(tag, chunk, data)
        # All chunks of a run whose id is not told are looked at: most have nothing of the kind.
        if self._ids[0] is None and not _ID_PLACES.isdisjoint(chunk):
            return self._started(chunk) + events
        return events

    def finish(self) -> list[Event]:
        """Return what was still held back when the stream ended cleanly."""
        events = self._passages.finish()
        if self._early_arguments:
            lost = mend("".join(self._early_arguments))
            self._early_arguments.clear()
            problem = "arguments of a call that was never named"
            events.append(RawEvent(name="tool_call_part_delta", data=lost, problem=problem))
        return events

    # --- one chunk ----------------------------------------------------------------------------

    def _chunk(self, tag: str, chunk: dict[str, Any], data: str) -> list[Event]:
        raw = RawEvent(name=mend(tag) or "message", data=mend(data))
        try:
            model = chunks.CHUNKS.parse(tag, chunk)
        except MalformedError as error:
            spoilt = RawEvent(name=raw.name, data=raw.data, problem=str(error))
            # However garbled, the end of a run is its end.
            return [spoilt, *(self._over(tag, None, chunk) if tag in _ENDS else ())]
        if tag in _MESSAGE_ENDS and self._passages.speakers.end_message(chunk):
            self._sub_agent_end = (tag, model, chunk)
            return []
        if tag in _ENDS:
            return self._over(tag, model, chunk)
        match model:
            case chunks.PartStop():
                return self._passages.edge(tag, model.id, chunk)
            case chunks.PartStart():
                return self._part_start(model, chunk, raw)
            case chunks.ToolArgsDelta():
                return self._arguments(model)
            case chunks.ToolRequest():
                return self._tool_request(model)
            case chunks.ToolResponse():
                return [self._tool_response(model)]
            case chunks.ToolInput():
                return self._tool_input(tag, model)
            case chunks.ToolOutput():
                return self._tool_output(tag, model)
            case chunks.Approval():
                return [self._approval(model)]
            case chunks.Nested():
                return self._nested(model, raw)
            case chunks.FinalResult():
                if model.tool_name is not None:
                    self._result_call = self._calls.last
                return []
            case chunks.Marker():
                if tag in ("start", "message-metadata"):
                    self._passages.speakers.begin_message(tag, chunk)
                return []
            case _:
                return [raw] if tag or not is_error(chunk) else self._failure(chunk)

    def _started(self, chunk: Mapping[str, Any]) -> list[Event]:
        """Look for the run's ids, which chunks may carry and need not."""
        run_id = session_id = None
        for place in (chunk, object_in(chunk, "meta_data"), object_in(chunk, "messageMetadata")):
            if not _IDS.isdisjoint(place):
                run_id = run_id or first_text(place, _RUN_ID)
                session_id = session_id or first_text(place, _THREAD_ID)
        ids = (run_id, session_id or self._ids[1])
        if ids == self._ids:
            return []
        self._ids = ids
        return [RunStarted(run_id=run_id, session_id=ids[1])]

    def _part_start(
        self, model: chunks.PartStart, chunk: dict[str, Any], raw: RawEvent
    ) -> list[Event]:
        self._calls_by_part.pop(model.part_index, None)
        part = first_fragment(model.part_content)
        match part.kind:
            case "text":
                return self._passages.fragment("text_delta", part.text, chunk)
            case "reasoning":
                return self._passages.reasoning(part.text)
            case "tool":
                if not part.call_id:
                    return []  # its request follows, with an id
                self._passages.interrupt()
                self._calls_by_part[model.part_index] = part.call_id
                return self._calls.begin(part.call_id, part.name, part.arguments)
            case "other":
                return [raw]

    # --- tools --------------------------------------------------------------------------------

    def _arguments(self, model: chunks.ToolArgsDelta) -> list[Event]:
        text = as_text(model.args_delta)
        call_id = self._calls_by_part.get(model.part_index)
        if call_id is None:
            # The delta names no call; its request, with the whole arguments, follows.
            self._early_arguments.append(text)
            return []
        return self._calls.go_on(call_id, text)

    def _tool_request(self, model: chunks.ToolRequest) -> list[Event]:
        self._early_arguments.clear()
        self._passages.interrupt()
        return self._calls.complete(model.tool_id, model.tool_name, model.tool_args)

    def _tool_response(self, model: chunks.ToolResponse) -> Event:
        self._passages.interrupt()
        call_id, output = model.tool_id, model.tool_output
        name = model.tool_name or self._calls.name(call_id)
        error = sole_error(output)
        result = None if output is None or error is not None else as_text(output)
        return ToolCallFinished(call_id=call_id, name=name, result=result, error=error)

    def _tool_input(self, tag: str, model: chunks.ToolInput) -> list[Event]:
        call_id = model.tool_call_id
        if tag == "tool-input-delta":
            text = model.input_text_delta or model.delta or as_text(model.input)
            return self._calls.go_on(call_id, text)
        self._passages.interrupt()
        if tag == "tool-input-start":
            return self._calls.begin(call_id, model.tool_name, as_text(model.input))
        if tag == "tool-input-available":
            return self._calls.complete(call_id, model.tool_name, model.input)
        return [
            ToolCallFinished(
                call_id=call_id,
                name=self._calls.note(call_id, model.tool_name) or None,
                arguments=as_text(model.input) or None,
                error=model.error_text or "The arguments were not valid.",
            )
        ]

    def _tool_output(self, tag: str, model: chunks.ToolOutput) -> list[Event]:
        if model.preliminary:
            return []  # the whole output comes again, later and complete
        self._passages.interrupt()
        call_id = model.tool_call_id
        name = self._calls.name(call_id)
        if tag == "tool-output-error":
            error = model.error_text or "The tool failed."
            return [ToolCallFinished(call_id=call_id, name=name, error=error)]
        result = None if model.output is None else as_text(model.output)
        return [ToolCallFinished(call_id=call_id, name=name, result=result)]

    def _approval(self, model: chunks.Approval) -> Event:
        tool = self._calls.name(model.tool_call_id)
        message = f"The agent asks to call {tool}." if tool else "The agent asks for approval."
        return ApprovalRequested(approval_id=model.approval_id, message=message, tool=tool)

    def _nested(self, model: chunks.Nested, raw: RawEvent) -> list[Event]:
        """Show what an agent says that runs as a tool as that tool's output."""
        chunk = model.data.chunk
        tag = chunk.get("type")
        if not isinstance(tag, str):
            return [raw]
        if tag.startswith("tool-") and tag != "tool-approval-request":
            return self._chunk(tag, chunk, raw.data)
        parent = mend((model.data.tool_call_path or [""])[-1])
        delta = chunk.get("delta")
        if tag == "text-delta" and isinstance(delta, str) and parent in self._calls:
            return [ToolCallDelta(call_id=parent, output=mend(delta))] if delta else []
        if tag == "reasoning-delta" and isinstance(delta, str):
            return self._passages.reasoning(delta, f"nested {parent}")
        # Its beginning and end are not the run's.
        return [] if tag in chunks.STRUCTURE else [raw]

    # --- the end ------------------------------------------------------------------------------

    def _over(self, tag: str, model: Inbound | None, chunk: dict[str, Any]) -> list[Event]:
        if tag == "error":
            return self._failure(chunk)
        events = self._usage(chunk)
        known = ("type", "final_output")
        details = mend_deep({k: v for k, v in chunk.items() if k not in known and v})
        if tag == "abort":
            reason = model.reason if isinstance(model, chunks.Finish) else None
            return [*events, *self._end(RunCancelled(reason=reason))]
        if isinstance(model, chunks.Finish) and model.finish_reason == "error":
            message = "The agent ended with an error and did not say which."
            return [*events, *self._end(RunFailed(message=message, details=details))]
        final = final_text(model.final_output) if isinstance(model, chunks.EndNode) else ""
        if self._result_call is not None:
            # The structured answer came as the arguments of a call that no tool will answer.
            events.append(ToolCallFinished(call_id=self._result_call))
            self._result_call = None
        return [*events, *self._finished(final, details)]

    def _finished(self, final: str = "", details: dict[str, Any] | None = None) -> list[Event]:
        """Return the end of a run that completed, preceded by what is missing of its answer."""
        passages = self._passages
        events = passages.finish()
        if self.hears_all:
            events += passages.missing(missing_text(final, passages.said, passages.passage))
        if not self._ended:
            events += passages.sole_plan(final)
        return [*events, *self._end(RunFinished(output=final or None, details=details or {}))]

    def _failure(self, chunk: dict[str, Any]) -> list[Event]:
        said = parse_error_body(0, chunk)
        failed = RunFailed(
            message=said.message or "The agent reported an error and did not say which.",
            code=said.code,
            retry_after=said.retry_after,
            details=mend_deep({k: v for k, v in chunk.items() if k != "type"}),
        )
        return [*self._usage(chunk), *self._end(failed)]

    def _usage(self, chunk: dict[str, Any]) -> list[Event]:
        for place in (chunk, object_in(chunk, "meta_data"), object_in(chunk, "messageMetadata")):
            if (usage := read_usage(place.get("usage"))) is not None:
                model = place.get("model")
                named = mend(model) if isinstance(model, str) else None
                return [UsageReported(usage=usage, model=named)]
        return []

    def _end(self, event: Event) -> list[Event]:
        """Return the terminal event, the first time; a run ends once."""
        if self._ended:
            return []
        self._ended = True
        return [*self.finish(), event]
