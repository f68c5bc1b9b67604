"""Tool calls on wires that give them no ids."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["OpenCalls"]


@dataclass(slots=True)
class _Call:
    call_id: str
    name: str
    from_wire: bool
    is_supposed_ended: bool = False


class OpenCalls:
    """Knows which calls are open, and which one a later event means.

    A call is found by the wire's id, else by its tool's name, else by order: the oldest open call
    comes first, because tools are answered in the order they were asked wherever nothing else is
    said.
    """

    def __init__(self) -> None:
        self._open: list[_Call] = []
        self._used: set[str] = set()
        self._last: _Call | None = None
        self._count = 0

    def start(self, name: str, wire_id: str | None = None) -> str:
        """Return the id of a call that begins; the wire's own where it gave one.

        A second start of an open wire id is the same call.
        """
        if wire_id is not None and self.is_open(wire_id):
            return wire_id
        call = _Call(wire_id or self._fresh(), name, wire_id is not None)
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
        """Return the id of the open call that is meant; None where no open call fits."""
        call = self._match(name, wire_id)
        return None if call is None else call.call_id

    def suppose_ended(self, call_id: str) -> bool:
        """Take an open call to have ended, until its end is told; tell whether there was one."""
        for call in self._open:
            if call.call_id == call_id and not call.is_supposed_ended:
                call.is_supposed_ended = True
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
        """Close the call that is meant and return its id; a call never seen gets a new one.

        ``again`` is for wires that may say the same end twice: where no open call fits, the call
        that ended last is meant, if nothing speaks against it.  With ``open_first``, a call that
        is supposed to have ended is meant only where no other fits.
        """
        call = self._match(name, wire_id, open_first=open_first)
        if call is not None:
            self._open.remove(call)
        elif again and wire_id is None and self._last and name in (None, "", self._last.name):
            call = self._last
        elif wire_id is not None:
            call = _Call(wire_id, name or "", True)
        else:
            call = _Call(self._fresh(), name or "", False)
        self._used.add(call.call_id)
        self._last = call
        return call.call_id

    def _match(
        self, name: str | None, wire_id: str | None, *, open_first: bool = False
    ) -> _Call | None:
        if wire_id is not None:
            for call in self._open:
                if call.call_id == wire_id:
                    return call
            # The end names an id that the start did not: only a call without one can be meant.
            candidates = [call for call in self._open if not call.from_wire]
        else:
            candidates = self._open
        if open_first:
            candidates = sorted(candidates, key=lambda call: call.is_supposed_ended)
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
