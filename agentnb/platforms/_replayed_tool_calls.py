"""Filter tool calls that a resumed stream repeats."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from agentnb.event.types import Event, ToolCallDelta, ToolCallFinished, ToolCallStarted

CallEvent = ToolCallStarted | ToolCallDelta | ToolCallFinished


class _RepeatedText:
    """A delivered text and how much of it was repeated; joined only where it is compared."""

    __slots__ = ("_differs", "_pieces", "_repeated", "_size")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._size = self._repeated = 0
        self._differs = False

    @property
    def whole(self) -> str:
        if len(self._pieces) != 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0]

    @property
    def is_repeated(self) -> bool:
        return self._repeated >= self._size

    def add(self, piece: str) -> None:
        """Append delivered text."""
        if piece:
            self._pieces.append(piece)
            self._size += len(piece)

    def replace(self, text: str) -> None:
        """Replace the delivered text."""
        self._pieces, self._size, self._repeated = [text], len(text), len(text)
        self._differs = False

    def restart(self) -> None:
        self._repeated, self._differs = 0, False

    def take(self, piece: str) -> str:
        """Return what the next repeated piece adds; "" also where it differs."""
        known = min(len(piece), max(self._size - self._repeated, 0))
        if known and not self._differs:
            self._differs = not self.whole.startswith(piece[:known], self._repeated)
        self._repeated += len(piece)
        if self._differs:
            return ""
        self.add(piece[known:])
        return piece[known:]


@dataclass(slots=True)
class _DeliveredCall:
    """The delivered content of one call, and how much of it was repeated."""

    call_id: str
    name: str = ""
    starts: int = 0
    ends: int = 0
    streamed: bool = False
    claimed: bool = False
    is_bare: bool = False  # its delivered end has neither result nor error
    starts_repeated: int = 0
    ends_repeated: int = 0
    arguments: _RepeatedText = field(default_factory=_RepeatedText)
    output: _RepeatedText = field(default_factory=_RepeatedText)

    @property
    def is_done(self) -> bool:
        return (
            self.claimed
            and self.starts_repeated >= self.starts
            and self.ends_repeated >= self.ends
            and self.output.is_repeated
            and (not self.streamed or self.arguments.is_repeated)
        )


class ReplayedToolCalls:
    """Passes what repeated calls add to the delivered ones.

    A call is matched by its id; where that is new, or belongs to another tool, by the name of its
    tool and order.  Streamed arguments and output continue where they stopped; a delivered start or
    end is not repeated.
    """

    def __init__(self, delivered: Iterable[Event]) -> None:
        self._calls: dict[str, _DeliveredCall] = {}
        self._renamed: dict[str, str] = {}
        for event in delivered:
            if isinstance(event, ToolCallStarted | ToolCallDelta | ToolCallFinished):
                call = self._calls.setdefault(event.call_id, _DeliveredCall(event.call_id))
                _deliver(call, event)
        self.count = len(self._calls)

    @property
    def caught_up(self) -> bool:
        """Whether all delivered calls were repeated."""
        return all(call.is_done for call in self._calls.values())

    def feed(self, event: CallEvent) -> list[Event]:
        """Return what an event adds."""
        call = self._find(event)
        if call is None:
            return [event]
        call.claimed = True
        match event:
            case ToolCallStarted():
                call.starts_repeated += 1
                if call.starts_repeated > call.starts:
                    call.starts = call.starts_repeated
                    call.arguments.replace(event.arguments)
                    return [replace(event, call_id=call.call_id)]
                return self._restart(call, event)
            case ToolCallDelta():
                new = ToolCallDelta(
                    call_id=call.call_id,
                    arguments=self._arguments(call, event.arguments),
                    output=call.output.take(event.output),
                )
                return [new] if new.arguments or new.output else []
            case ToolCallFinished():
                call.ends_repeated += 1
                if call.ends_repeated <= call.ends:
                    return _outcome(call, event)
                call.ends = call.ends_repeated
                return [replace(event, call_id=call.call_id)]

    def _find(self, event: CallEvent) -> _DeliveredCall | None:
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
        # A call of another tool has this id.
        fresh = _DeliveredCall(self._fresh(event.call_id), event.name, claimed=True)
        self._renamed[event.call_id] = fresh.call_id
        self._calls[fresh.call_id] = fresh
        return fresh

    def _fresh(self, call_id: str) -> str:
        number = 2
        while f"{call_id}-{number}" in self._calls:
            number += 1
        return f"{call_id}-{number}"

    def _restart(self, call: _DeliveredCall, event: ToolCallStarted) -> list[Event]:
        """Return what a repeated start adds."""
        had = call.arguments.whole
        call.arguments.restart()
        if call.starts_repeated < call.starts or not event.arguments:
            return []
        if had and not call.streamed:
            # Another record may format the same arguments with other spaces.
            call.arguments.take(event.arguments[: len(had)])
            return []
        if event.arguments.startswith(had):
            new = self._arguments(call, event.arguments)
            return [ToolCallDelta(call_id=call.call_id, arguments=new)] if new else []
        if had.startswith(event.arguments) or call.ends:
            call.arguments.take(event.arguments[: len(had)])
            return []
        # The streamed arguments were formatted otherwise; a second start replaces them.
        call.arguments.replace(event.arguments)
        return [replace(event, call_id=call.call_id)]

    def _arguments(self, call: _DeliveredCall, piece: str) -> str:
        if call.starts_repeated < call.starts:
            return ""  # a later start replaced them
        return call.arguments.take(piece)


def _outcome(call: _DeliveredCall, event: ToolCallFinished) -> list[Event]:
    """Return what a repeated end adds.

    Its result becomes output, so that the end's time stays.
    """
    if not call.is_bare or call.output.whole:
        return []
    if event.error is not None:
        call.is_bare = False
        return [replace(event, call_id=call.call_id)]
    new = call.output.take(event.result or "")
    call.is_bare = not new
    return [ToolCallDelta(call_id=call.call_id, output=new)] if new else []


def _deliver(call: _DeliveredCall, event: CallEvent) -> None:
    match event:
        case ToolCallStarted():
            call.starts += 1
            call.name = event.name or call.name
            if event.arguments:
                call.arguments = _RepeatedText()
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
