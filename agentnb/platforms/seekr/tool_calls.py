"""The tool calls of one stream, whose arguments come in fragments, whole, or both."""

from __future__ import annotations

from typing import Any

from agentnb.event.types import Event, ToolCallDelta, ToolCallStarted
from agentnb.platforms._wire import MalformedError, as_text, json_payload

__all__ = ["Calls"]


class Calls:
    """Knows each call's name, and what of its arguments has streamed.

    ``last`` is the id of the call that began last.
    """

    def __init__(self) -> None:
        self.last: str | None = None
        self._names: dict[str, str] = {}
        self._streamed: dict[str, list[str]] = {}

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._names

    def name(self, call_id: str | None) -> str | None:
        """Return the tool's name; None where it is not known."""
        return self._names.get(call_id or "") or None

    def note(self, call_id: str, name: str | None) -> str:
        """Remember a call that begins or goes on; return its name, "" where it is not known."""
        self.last = call_id
        self._names[call_id] = name or self._names.get(call_id, "")
        return self._names[call_id]

    def begin(self, call_id: str, name: str | None, arguments: str = "") -> list[Event]:
        """Return the beginning of a call whose arguments, or the rest of them, are to follow."""
        name = self.note(call_id, name)
        self._streamed[call_id] = [arguments]
        return [ToolCallStarted(call_id=call_id, name=name, arguments=arguments)]

    def go_on(self, call_id: str, arguments: str) -> list[Event]:
        """Return what a fragment of a call's arguments adds."""
        if not arguments:
            return []
        if call_id in self._streamed:
            self._streamed[call_id].append(arguments)
        return [ToolCallDelta(call_id=call_id, arguments=arguments)]

    def complete(self, call_id: str, name: str | None, arguments: Any) -> list[Event]:
        """Return what a call's whole arguments, a JSON value, add to those that streamed."""
        known = self._names.get(call_id)
        name = self.note(call_id, name)
        text = as_text(arguments)
        streamed = self._streamed.pop(call_id, None)
        if streamed is None or name != known:
            return [ToolCallStarted(call_id=call_id, name=name, arguments=text)]
        sent = "".join(streamed)
        if not text or sent == text or _is(sent, arguments):
            return []
        if not sent:
            return [ToolCallDelta(call_id=call_id, arguments=text)]
        # A second beginning replaces what streamed, and was not what the agent meant.
        return [ToolCallStarted(call_id=call_id, name=name, arguments=text)]


def _is(text: str, value: Any) -> bool:
    try:
        return bool(json_payload(text) == value)
    except MalformedError:
        return False
