"""Match tool calls on wires that give them no ids."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class _OpenCall:
    call_id: str
    name: str
    from_wire: bool
    assumed_ended: bool = False


class OpenCalls:
    """The open tool calls of a run, and which of them an event belongs to.

    A call is matched by the wire's id, else by its tool's name, else by order: oldest first, since
    servers answer tools in the order of their calls.
    """

    def __init__(self) -> None:
        self._open: list[_OpenCall] = []
        self._used: set[str] = set()
        self._last: _OpenCall | None = None
        self._count = 0

    def start(self, name: str, wire_id: str | None = None) -> str:
        """Open a call and return its id: the wire's own where there is one.

        A second start with an open wire id is the same call.
        """
        if wire_id is not None and self.is_open(wire_id):
            return wire_id
        call = _OpenCall(wire_id or self._fresh(), name, wire_id is not None)
        self._used.add(call.call_id)
        self._open.append(call)
        return call.call_id

    def is_open(self, wire_id: str) -> bool:
        return any(call.call_id == wire_id for call in self._open)

    @property
    def is_any_open(self) -> bool:
        return bool(self._open)

    def is_open_name(self, name: str) -> bool:
        return any(call.name == name for call in self._open)

    def find(self, name: str | None = None, wire_id: str | None = None) -> str | None:
        """Return the id of the matching open call; None where none matches."""
        call = self._match(name, wire_id)
        return None if call is None else call.call_id

    def suppose_ended(self, call_id: str) -> bool:
        """Assume that a call has ended before its end arrives; return whether it was open."""
        for call in self._open:
            if call.call_id == call_id and not call.assumed_ended:
                call.assumed_ended = True
                return True
        return False

    def finish(
        self,
        name: str | None = None,
        wire_id: str | None = None,
        *,
        again: bool = False,
        open_first: bool = False,
    ) -> str:
        """Close the matching call and return its id; an unknown call gets a new one.

        ``again`` is for wires that may repeat an end: where no open call matches, the one that
        ended last does, unless its id or name differs.  With ``open_first``, calls that are assumed
        to have ended match last.
        """
        call = self._match(name, wire_id, open_first=open_first)
        if call is not None:
            self._open.remove(call)
        elif again and wire_id is None and self._last and name in (None, "", self._last.name):
            call = self._last
        elif wire_id is not None:
            call = _OpenCall(wire_id, name or "", True)
        else:
            call = _OpenCall(self._fresh(), name or "", False)
        self._used.add(call.call_id)
        self._last = call
        return call.call_id

    def _match(
        self, name: str | None, wire_id: str | None, *, open_first: bool = False
    ) -> _OpenCall | None:
        if wire_id is not None:
            for call in self._open:
                if call.call_id == wire_id:
                    return call
            # The start had no id, so only calls without one match.
            candidates = [call for call in self._open if not call.from_wire]
        else:
            candidates = self._open
        if open_first:
            candidates = sorted(candidates, key=lambda call: call.assumed_ended)
        for call in candidates:
            if not name or call.name == name:
                return call
        return None

    def _fresh(self) -> str:
        while True:
            self._count += 1
            call_id = f"call-{self._count}"
            if call_id not in self._used:
                return call_id
