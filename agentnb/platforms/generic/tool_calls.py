"""Tool calls of a stream, whole or in fragments, by id, by place or by order."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Final

from agentnb._support.text import well_formed
from agentnb.event.types import Event, ToolCallDelta, ToolCallFinished, ToolCallStarted
from agentnb.platforms._bodies import parse_error_body
from agentnb.platforms._payloads import as_list, as_object, first_value
from agentnb.platforms._tool_calls import OpenCalls
from agentnb.platforms._wire import MalformedError, as_text
from agentnb.platforms.generic.categories import words

_UNNAMED: Final = "tool"
# In order of preference.
_CALL_IDS: Final = words("tool_call_id tool_use_id call_id callID tool_id toolCallID")
_TOOL_NAMES: Final = words("tool tool_name tool_call_name function_name name function")
_NESTED_CALLS: Final = words(
    "tool tool_call tool_use function function_call item content_block call start part state data"
)
_ARGUMENTS: Final = words(
    "input arguments args params parameters tool_input tool_args kwargs tool_kwargs"
)
_FRAGMENTS: Final = (
    *words("partial_json delta input_text_delta args_delta argsTextDelta"),
    *("arguments_delta", "chunk", *_ARGUMENTS, "data"),
)
_RESULTS: Final = words(
    "output result tool_output tool_result content tool_return aggregated_output response data "
    "text value observation message"
)


class CallFields:
    """Fields of a tool call: ``fields`` are the event's own, merged with nested ones.

    ``call_id`` is from a field that is named after it; ``own_id`` may be the call's or the event's.
    """

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = fields
        names = (
            well_formed(name) for key in _TOOL_NAMES if isinstance(name := fields.get(key), str)
        )
        self.name = next(filter(None, names), None)
        self.call_id = as_text(first_value(fields, *_CALL_IDS)) or None
        self.own_id = as_text(fields.get("id")) or None
        self.arguments: Any = first_value(fields, *_ARGUMENTS)
        #: Whether the event is about a tool call, whatever its name.
        has_tool = first_value(fields, "tool", "toolName", "tool_name") is not None
        self.is_of_call = has_tool or self.call_id is not None
        #: Whether the call has a result or an error.
        self.is_over = first_value(fields, *_RESULTS) is not None or bool(fields.get("error"))

    @property
    def fragment(self) -> str | None:
        """A fragment of the arguments."""
        for value in map(self.fields.get, _FRAGMENTS):
            if isinstance(value, str):
                return value
            texts = map(as_object(value).get, ("partial_json", "text", "content", *_ARGUMENTS))
            if (text := next((t for t in texts if isinstance(t, str)), None)) is not None:
                return text
        return None

    @property
    def result(self) -> str | None:
        """Joined parts of text, any other result as JSON."""
        value = first_value(self.fields, *_RESULTS)
        parts = [as_object(item) for item in as_list(value)]
        texts = [t for part in parts if isinstance(t := part.get("text"), str)]
        is_text = all(part.get("type", "text") == "text" for part in parts)
        if parts and is_text and len(texts) == len(parts):
            return as_text("".join(texts))
        nested = as_object(value)
        if "tool_name" in nested and isinstance(nested.get("content"), str):
            value = nested["content"]
        return None if value is None else as_text(value)


def read_call(fields: Mapping[str, Any]) -> CallFields:
    """Return the fields of a tool call, which an event may nest."""
    merged = dict(fields)
    for key in _NESTED_CALLS * 2:
        if isinstance(merged.get(key), dict):
            inner = as_object(merged.pop(key))
            merged |= {name: value for name, value in inner.items() if value is not None}
    return CallFields(merged)


class ToolCallTracker:
    """Turns a stream's frames of tool calls into events.

    A call is found by its id, by its ``place`` (the index of a block or of a fragment), by its
    tool's name, or by order, see `OpenCalls`.  Methods raise `MalformedError` for a frame without
    the name or the text that it needs.
    """

    def __init__(self) -> None:
        self.open_calls = OpenCalls()
        self._places: dict[Hashable, str] = {}
        self._names: dict[str, str] = {}
        self._arguments: dict[str, list[str]] = {}
        self._latest: str | None = None
        self._finished: set[str | None] = set()

    def is_known(self, call: CallFields) -> bool:
        """Return whether a call of this id has started."""
        return any(key in self._places or key in self._names for key in (call.own_id, call.call_id))

    def forget_places(self) -> None:
        """Forget the places of blocks, whose numbers each message starts anew."""
        self._places.clear()

    def start(
        self, call: CallFields, *, place: Hashable = None, streams: bool = False
    ) -> list[Event]:
        """Return the start of a call; ``streams``: its arguments follow in fragments."""
        if call.name is None:
            raise MalformedError("tool: Field required")
        arguments = "" if streams and call.arguments in ({}, "") else as_text(call.arguments)
        return self._start(call, arguments, place, call.call_id or call.own_id)

    def start_once(self, call: CallFields) -> list[Event]:
        """Return the start of a call, nothing if it has started: states repeat calls."""
        is_open = self.is_known(call)
        if call.call_id is None and call.own_id is None:
            is_open = self.open_calls.is_open_name(call.name or "")
        return [] if is_open else self.start(call)

    def finish_once(self, call: CallFields) -> list[Event]:
        """Return the end of a call, nothing if it has ended: states repeat results."""
        return [] if {call.call_id, call.own_id} & self._finished else self.finish(call)

    def done(self, name: str, arguments: str, result: str) -> list[Event]:
        """Return a call that starts and ends at once."""
        call_id = self.open_calls.start(name)
        self.open_calls.finish(name, call_id)
        return [
            ToolCallStarted(call_id=call_id, name=name, arguments=arguments),
            ToolCallFinished(call_id=call_id, name=name, result=result),
        ]

    def fragments(self, items: Any) -> list[Event]:
        """Return the events of Chat Completions' ``tool_calls``, whole or in fragments."""
        events: list[Event] = []
        for number, item in enumerate(as_list(items if isinstance(items, list) else [items])):
            call = read_call(as_object(item))
            index = call.fields.get("index")
            place = ("call", index if isinstance(index, int) else number)
            text, wire_id = as_text(call.arguments), call.call_id or call.own_id
            known = self._places.get(place)
            if known is None or wire_id not in (None, known):
                events += self._start(call, text, place, wire_id)
            else:
                events += self._append(known, text)
        return events

    def arguments(self, call: CallFields, *, place: Hashable = None) -> list[Event]:
        """Return a fragment of a call's arguments."""
        text = call.fragment
        if text is None:
            raise MalformedError("delta: Field required")
        call_id = self._find(call, place)
        if call_id is None:
            return self._start(call, well_formed(text), place, call.call_id)
        return self._append(call_id, well_formed(text))

    def arguments_done(self, call: CallFields, *, place: Hashable = None) -> list[Event]:
        """Return a second start with a call's whole arguments, if they are not those streamed."""
        call_id, whole = self._find(call, place), as_text(call.arguments)
        if call_id is None or call.arguments is None:
            return []
        is_known = whole == "".join(self._arguments.get(call_id, []))
        return [] if is_known else self._restart(call_id, whole)

    def output(self, call: CallFields) -> list[Event]:
        """Return a fragment of a call's output."""
        text = call.result if call.fragment is None else call.fragment
        if text is None:
            raise MalformedError("output: Field required")
        call_id = self.open_calls.find(call.name, self._result_id(call))
        events: list[Event] = []
        if call_id is None:
            # The call's start was not sent.
            name = call.name or _UNNAMED
            call_id = self.open_calls.start(name, call.call_id)
            events.append(ToolCallStarted(call_id=call_id, name=name))
        return [*events, ToolCallDelta(call_id=call_id, output=well_formed(text))]

    def finish(self, call: CallFields, *, failed: bool = False) -> list[Event]:
        """Return the end of a call."""
        fields, output, error = call.fields, call.result, None
        if reported := fields.get("error") or fields.get("errorText"):
            error = parse_error_body(0, reported).message or as_text(reported)
        elif (
            failed
            or True in (fields.get("isError"), fields.get("is_error"))
            or fields.get("success") is False
            or fields.get("status") in ("error", "failed")
        ):
            error = output or "The tool failed."
        # Two events may report the end of one call.
        call_id = self.open_calls.finish(call.name, self._result_id(call), again=True)
        self._finished.add(call_id)
        arguments = None if call.arguments is None else as_text(call.arguments)
        return [
            ToolCallFinished(
                call_id=call_id, name=call.name, arguments=arguments, result=output, error=error
            )
        ]

    def _start(
        self, call: CallFields, arguments: str, place: Hashable, wire_id: str | None
    ) -> list[Event]:
        name = call.name or _UNNAMED
        call_id = self.open_calls.start(name, wire_id)
        self._places |= {key: call_id for key in (place, call.own_id) if key is not None}
        self._names[call_id] = name
        self._latest = call_id
        return self._restart(call_id, arguments)

    def _restart(self, call_id: str, arguments: str) -> list[Event]:
        self._arguments[call_id] = [arguments] if arguments else []
        name = self._names.get(call_id, _UNNAMED)
        return [ToolCallStarted(call_id=call_id, name=name, arguments=arguments)]

    def _append(self, call_id: str, text: str) -> list[Event]:
        if not text:
            return []
        fragments = self._arguments.setdefault(call_id, [])
        if fragments == ["{}"]:
            # A placeholder for arguments that follow.
            return self._restart(call_id, text)
        fragments.append(text)
        return [ToolCallDelta(call_id=call_id, arguments=text)]

    def _find(self, call: CallFields, place: Hashable) -> str | None:
        if call.call_id is not None and call.call_id in self._names:
            return call.call_id
        item = as_text(first_value(call.fields, "item_id", "itemId")) or None
        for key in (item, call.own_id, place):
            if key is not None and key in self._places:
                return self._places[key]
        if call.call_id is not None:
            return None
        return (self.open_calls.find(call.name) if call.name else None) or self._latest

    def _result_id(self, call: CallFields) -> str | None:
        # A bare "id" may be the event's own; it counts if a call started with it.
        own = call.own_id
        if call.call_id is not None or own is None:
            return call.call_id
        return own if self.open_calls.is_open(own) else self._places.get(own)
