"""Tool calls that are told again, without what was delivered of them before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from agentnb.event import Event, ToolCallDelta, ToolCallFinished, ToolCallStarted

__all__ = ["SplicedCalls"]

Call = ToolCallStarted | ToolCallDelta | ToolCallFinished


@dataclass(slots=True)
class _Call:
    """One call: what the reader has of it, and what has come again (``told``)."""

    call_id: str
    name: str = ""
    begins: int = 0
    ends: int = 0
    arguments: str = ""
    streamed: bool = False
    output: str = ""
    claimed: bool = False
    begins_told: int = 0
    ends_told: int = 0
    arguments_told: str = ""
    output_told: str = ""

    @property
    def is_done(self) -> bool:
        return (
            self.claimed
            and self.begins_told >= self.begins
            and self.ends_told >= self.ends
            and len(self.output_told) >= len(self.output)
            and (not self.streamed or len(self.arguments_told) >= len(self.arguments))
        )


class SplicedCalls:
    """Hands out what of calls that are told again was not delivered.

    A call is found by its id; where the id is another one, or belongs to another tool, it is the
    next of that tool's name that has not come yet.  Arguments that streamed and the output go on
    where they stopped; a beginning or an end that was delivered does not come twice.
    """

    def __init__(self, delivered: Iterable[Event]) -> None:
        self._calls: dict[str, _Call] = {}
        self._renamed: dict[str, str] = {}
        for event in delivered:
            if isinstance(event, ToolCallStarted | ToolCallDelta | ToolCallFinished):
                call = self._calls.setdefault(event.call_id, _Call(event.call_id))
                _deliver(call, event)
        self.count = len(self._calls)

    @property
    def caught_up(self) -> bool:
        """Whether all that was delivered has come again."""
        return all(call.is_done for call in self._calls.values())

    def feed(self, event: Call) -> list[Event]:
        """Return what an event adds."""
        call = self._find(event)
        if call is None:
            return [event]
        call.claimed = True
        match event:
            case ToolCallStarted():
                call.begins_told += 1
                call.arguments_told = event.arguments
                if call.begins_told > call.begins:
                    call.begins = call.begins_told
                    call.arguments = event.arguments
                    return [replace(event, call_id=call.call_id)]
                return self._begin(call, event)
            case ToolCallDelta():
                call.arguments_told += event.arguments
                call.output_told += event.output
                new = ToolCallDelta(
                    call_id=call.call_id,
                    arguments=self._arguments(call) if event.arguments else "",
                    output=_beyond(call.output, call.output_told),
                )
                call.output += new.output
                return [new] if new.arguments or new.output else []
            case ToolCallFinished():
                call.ends_told += 1
                if call.ends_told <= call.ends:
                    return []
                call.ends = call.ends_told
                return [replace(event, call_id=call.call_id)]

    def _find(self, event: Call) -> _Call | None:
        call_id = self._renamed.get(event.call_id)
        if call_id is not None:
            return self._calls.get(call_id)
        known = self._calls.get(event.call_id)
        if not isinstance(event, ToolCallStarted):
            return known
        if known is not None and (not known.name or not event.name or known.name == event.name):
            return known
        for call in self._calls.values():
            if not call.claimed and call.name == event.name and call.call_id != event.call_id:
                self._renamed[event.call_id] = call.call_id
                return call
        if known is None:
            return None
        # The id is taken by a call of another tool.
        fresh = _Call(self._fresh(event.call_id), event.name, claimed=True)
        self._renamed[event.call_id] = fresh.call_id
        self._calls[fresh.call_id] = fresh
        return fresh

    def _fresh(self, call_id: str) -> str:
        number = 2
        while f"{call_id}-{number}" in self._calls:
            number += 1
        return f"{call_id}-{number}"

    def _begin(self, call: _Call, event: ToolCallStarted) -> list[Event]:
        """Return what a beginning that came already says that it did not say before."""
        if call.begins_told < call.begins or not event.arguments:
            return []
        if call.arguments and not call.streamed:
            # Another record may write the same arguments with other spaces.
            return []
        if event.arguments.startswith(call.arguments):
            new = self._arguments(call)
            return [ToolCallDelta(call_id=call.call_id, arguments=new)] if new else []
        if call.arguments.startswith(event.arguments) or call.ends:
            return []
        # What streamed of them was written otherwise; a second beginning replaces it.
        call.arguments = event.arguments
        return [replace(event, call_id=call.call_id)]

    def _arguments(self, call: _Call) -> str:
        if call.begins_told < call.begins:
            return ""  # a later beginning replaced them
        new = _beyond(call.arguments, call.arguments_told)
        call.arguments += new
        return new


def _deliver(call: _Call, event: Call) -> None:
    match event:
        case ToolCallStarted():
            call.begins += 1
            call.name = event.name or call.name
            if event.arguments:
                call.arguments, call.streamed = event.arguments, False
        case ToolCallDelta():
            call.arguments += event.arguments
            call.streamed = call.streamed or bool(event.arguments)
            call.output += event.output
        case ToolCallFinished():
            call.ends += 1
            call.name = event.name or call.name


def _beyond(had: str, told: str) -> str:
    """Return what goes beyond what the reader has; "" also where it is another text."""
    return told[len(had) :] if told.startswith(had) else ""
