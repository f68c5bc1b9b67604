"""Tool calls of a stream, whole or in fragments, by id, by place or by order."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, cast

from agentnb.event.types import Event, ToolCallDelta, ToolCallFinished, ToolCallStarted
from agentnb.platforms._bodies import parse_error_body
from agentnb.platforms._tool_calls import OpenCalls
from agentnb.platforms._wire import MalformedError, as_text, mend
from agentnb.platforms.generic.fields import CallFields, as_object, read_call

__all__ = ["ToolCallTracker"]

_UNNAMED = "tool"


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
        self._finished: set[str] = set()

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
        given = call.arguments
        arguments = "" if streams and given in ({}, "") else as_text(given)
        return self._start(mend(call.name), call.call_id or call.own_id, arguments, call, place)

    def start_once(self, call: CallFields) -> list[Event]:
        """Return the start of a call, nothing if it has started: states repeat calls."""
        has_id = call.call_id is not None or call.own_id is not None
        is_open = (
            not has_id and call.name is not None and self.open_calls.is_open_name(mend(call.name))
        )
        return [] if is_open or self.is_known(call) else self.start(call)

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
        listed = cast("list[Any]", items) if isinstance(items, list) else [items]
        for number, item in enumerate(listed):
            fields = as_object(item)
            index = fields.get("index")
            place = ("call", index if isinstance(index, int) else number)
            events += self._fragment(read_call(fields), place)
        return events

    def arguments(self, call: CallFields, *, place: Hashable = None) -> list[Event]:
        """Return a fragment of a call's arguments."""
        text = call.fragment
        if text is None:
            raise MalformedError("delta: Field required")
        call_id = self._find(call, place)
        if call_id is None:
            name = mend(call.name or _UNNAMED)
            return self._start(name, call.call_id, mend(text), call, place)
        return self._append(call_id, mend(text))

    def arguments_done(self, call: CallFields, *, place: Hashable = None) -> list[Event]:
        """Return a second start with a call's whole arguments, if they are not those streamed."""
        given = call.arguments
        call_id = self._find(call, place)
        if given is None or call_id is None:
            return []
        whole = as_text(given)
        if whole == "".join(self._arguments.get(call_id, [])):
            return []
        self._arguments[call_id] = [whole]
        name = self._names.get(call_id, _UNNAMED)
        return [ToolCallStarted(call_id=call_id, name=name, arguments=whole)]

    def output(self, call: CallFields) -> list[Event]:
        """Return a fragment of a call's output."""
        text = call.fragment
        if text is None:
            text = call.result
        if text is None:
            raise MalformedError("output: Field required")
        name = mend(call.name or "") or None
        call_id = self.open_calls.find(name, self._result_id(call))
        events: list[Event] = []
        if call_id is None:
            # The call's start was not sent.
            name = name or _UNNAMED
            call_id = self.open_calls.start(name, call.call_id)
            events.append(ToolCallStarted(call_id=call_id, name=name))
        return [*events, ToolCallDelta(call_id=call_id, output=mend(text))]

    def finish(self, call: CallFields, *, failed: bool = False) -> list[Event]:
        """Return the end of a call."""
        name = mend(call.name or "") or None
        fields, output, error = call.fields, call.result, None
        reported = fields.get("error") or fields.get("errorText")
        if reported:
            error = parse_error_body(0, reported).message or as_text(reported)
        elif (
            failed
            or fields.get("isError") is True
            or fields.get("is_error") is True
            or fields.get("success") is False
            or fields.get("status") in ("error", "failed")
        ):
            error = output or "The tool failed."
        given = call.arguments
        # Two events may report the end of one call.
        call_id = self.open_calls.finish(name, self._result_id(call), again=True)
        self._finished.add(call_id)
        arguments = None if given is None else as_text(given)
        return [
            ToolCallFinished(
                call_id=call_id, name=name, arguments=arguments, result=output, error=error
            )
        ]

    def _start(
        self, name: str, wire_id: str | None, arguments: str, call: CallFields, place: Hashable
    ) -> list[Event]:
        call_id = self.open_calls.start(name, wire_id)
        for key in (place, call.own_id):
            if key is not None:
                self._places[key] = call_id
        self._names[call_id] = name
        self._arguments[call_id] = [arguments] if arguments else []
        self._latest = call_id
        return [ToolCallStarted(call_id=call_id, name=name, arguments=arguments)]

    def _fragment(self, call: CallFields, place: Hashable) -> list[Event]:
        text, name = as_text(call.arguments), mend(call.name or "")
        wire_id = call.call_id or call.own_id
        known = self._places.get(place)
        if known is None or (wire_id is not None and wire_id != known):
            return self._start(name or _UNNAMED, wire_id, text, call, place)
        events: list[Event] = []
        if name and self._names.get(known) == _UNNAMED != name:
            self._names[known] = name
            events.append(ToolCallStarted(call_id=known, name=name))
        return events + self._append(known, text)

    def _append(self, call_id: str, text: str) -> list[Event]:
        if not text:
            return []
        fragments = self._arguments.setdefault(call_id, [])
        if fragments == ["{}"]:
            # A placeholder for arguments that follow.
            fragments[:] = [text]
            name = self._names.get(call_id, _UNNAMED)
            return [ToolCallStarted(call_id=call_id, name=name, arguments=text)]
        fragments.append(text)
        return [ToolCallDelta(call_id=call_id, arguments=text)]

    def _find(self, call: CallFields, place: Hashable) -> str | None:
        if call.call_id is not None and call.call_id in self._names:
            return call.call_id
        item = call.fields.get("item_id") or call.fields.get("itemId")
        for key in (item, call.own_id, place):
            if isinstance(key, Hashable) and key is not None and key in self._places:
                return self._places[key]
        if call.call_id is not None:
            return None
        return self.open_calls.find(call.name) or self._latest if call.name else self._latest

    def _result_id(self, call: CallFields) -> str | None:
        # A bare "id" may be the event's own; it counts if a call started with it.
        own = call.own_id
        if call.call_id is not None or own is None:
            return call.call_id
        return own if self.open_calls.is_open(own) else self._places.get(own)
