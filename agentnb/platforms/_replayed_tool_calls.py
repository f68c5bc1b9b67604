"""Tool calls that are told again, without what was delivered of them before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from agentnb.event.types import Event, ToolCallDelta, ToolCallFinished, ToolCallStarted

__all__ = ["SplicedCalls"]

Call = ToolCallStarted | ToolCallDelta | ToolCallFinished


class _Text:
    """A text that the reader has, and how much of it has come again.

    It comes in many pieces, and is put together only where it is compared.
    """

    __slots__ = ("_differs", "_pieces", "_size", "_told")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._size = self._told = 0
        self._differs = False

    @property
    def whole(self) -> str:
        if len(self._pieces) != 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0]

    @property
    def is_told(self) -> bool:
        return self._told >= self._size

    def add(self, piece: str) -> None:
        """Take note of what the reader has."""
        if piece:
            self._pieces.append(piece)
            self._size += len(piece)

    def replace(self, text: str) -> None:
        """Begin anew, for the reader too."""
        self._pieces, self._size, self._told, self._differs = [text], len(text), len(text), False

    def begin_again(self) -> None:
        self._told, self._differs = 0, False

    def take(self, piece: str) -> str:
        """Return what the next piece that comes again adds; "" also where it is another text."""
        known = min(len(piece), max(self._size - self._told, 0))
        if known and not self._differs:
            self._differs = not self.whole.startswith(piece[:known], self._told)
        self._told += len(piece)
        if self._differs:
            return ""
        self.add(piece[known:])
        return piece[known:]


@dataclass(slots=True)
class _Call:
    """One call: what the reader has of it, and what has come again (``told``)."""

    call_id: str
    name: str = ""
    begins: int = 0
    ends: int = 0
    streamed: bool = False
    claimed: bool = False
    is_bare: bool = False  # its end that was delivered has neither result nor error
    begins_told: int = 0
    ends_told: int = 0
    arguments: _Text = field(default_factory=_Text)
    output: _Text = field(default_factory=_Text)

    @property
    def is_done(self) -> bool:
        return (
            self.claimed
            and self.begins_told >= self.begins
            and self.ends_told >= self.ends
            and self.output.is_told
            and (not self.streamed or self.arguments.is_told)
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
                if call.begins_told > call.begins:
                    call.begins = call.begins_told
                    call.arguments.replace(event.arguments)
                    return [replace(event, call_id=call.call_id)]
                return self._begin(call, event)
            case ToolCallDelta():
                new = ToolCallDelta(
                    call_id=call.call_id,
                    arguments=self._arguments(call, event.arguments),
                    output=call.output.take(event.output),
                )
                return [new] if new.arguments or new.output else []
            case ToolCallFinished():
                call.ends_told += 1
                if call.ends_told <= call.ends:
                    return _outcome(call, event)
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
        had = call.arguments.whole
        call.arguments.begin_again()
        if call.begins_told < call.begins or not event.arguments:
            return []
        if had and not call.streamed:
            # Another record may write the same arguments with other spaces.
            call.arguments.take(event.arguments[: len(had)])
            return []
        if event.arguments.startswith(had):
            new = self._arguments(call, event.arguments)
            return [ToolCallDelta(call_id=call.call_id, arguments=new)] if new else []
        if had.startswith(event.arguments) or call.ends:
            call.arguments.take(event.arguments[: len(had)])
            return []
        # What streamed of them was written otherwise; a second beginning replaces it.
        call.arguments.replace(event.arguments)
        return [replace(event, call_id=call.call_id)]

    def _arguments(self, call: _Call, piece: str) -> str:
        if call.begins_told < call.begins:
            return ""  # a later beginning replaced them
        return call.arguments.take(piece)


def _outcome(call: _Call, event: ToolCallFinished) -> list[Event]:
    """Return what an end that was delivered says now and did not say then.

    The result comes as output, so that the call has not taken until now.
    """
    if not call.is_bare or call.output.whole:
        return []
    if event.error is not None:
        call.is_bare = False
        return [replace(event, call_id=call.call_id)]
    new = call.output.take(event.result or "")
    call.is_bare = not new
    return [ToolCallDelta(call_id=call.call_id, output=new)] if new else []


def _deliver(call: _Call, event: Call) -> None:
    match event:
        case ToolCallStarted():
            call.begins += 1
            call.name = event.name or call.name
            if event.arguments:
                call.arguments = _Text()
                call.arguments.add(event.arguments)
                call.streamed = False
        case ToolCallDelta():
            call.arguments.add(event.arguments)
            call.streamed = call.streamed or bool(event.arguments)
            call.output.add(event.output)
        case ToolCallFinished():
            call.ends += 1
            call.is_bare = event.result is None and event.error is None
            call.name = event.name or call.name
