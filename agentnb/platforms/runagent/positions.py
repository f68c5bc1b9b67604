"""How far this client has read its streams, from where they are resumed."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from agentnb.event.types import TERMINAL_EVENTS, Event, RunStarted, TextDelta
from agentnb.platforms.base import RunRequest
from agentnb.platforms.base_platform import Recent
from agentnb.platforms.runagent.decoder import Decoder


@dataclass(slots=True, eq=False)
class Position:
    """How far the stream of a request was read; ``decoder`` decodes what follows.

    ``first`` is the index that the request itself began at; ``session_id`` is the id in its stream,
    and ``ids`` are that one and the run's others.  ``is_read`` is whether a run is reading it now:
    two would take each other's chunks.
    """

    request: RunRequest
    first: int = 0
    decoder: Decoder = field(default_factory=Decoder)
    session_id: str | None = None
    ids: set[str] = field(default_factory=set[str])
    ended: bool = False
    is_read: bool = False

    def __post_init__(self) -> None:
        if self.request.session_id:
            self.session_id = self.request.session_id
            self.ids.add(self.session_id)

    @property
    def next_index(self) -> int:
        return max(self.first, self.decoder.next_index)

    @property
    def can_resume(self) -> bool:
        """Whether the stream is unfinished, and can be requested from here."""
        return not self.ended and self.next_index > 0 and bool(self.ids)

    @contextmanager
    def reading(self) -> Generator[None, None, None]:
        """Mark it as read by the caller."""
        self.is_read = True
        try:
            yield
        finally:
            self.is_read = False

    def note(self, events: Sequence[Event]) -> None:
        """Update the ids and the end from the stream's events."""
        if set(map(type, events)) == {TextDelta}:
            return  # as nearly always, and a stream has many
        for event in events:
            if isinstance(event, RunStarted):
                self.session_id = event.session_id or self.session_id
                self.ids |= {found for found in (event.run_id, event.session_id) if found}
            self.ended = self.ended or isinstance(event, TERMINAL_EVENTS)


class Positions:
    """The positions of one client's unfinished streams, by the ids of their runs and sessions."""

    def __init__(self) -> None:
        # One that is dropped cannot be resumed.
        self._positions = Recent[Position](200)

    def of(self, *ids: str | None) -> Position | None:
        """Return the position of the first of ``ids`` that has one."""
        return next((self._positions[i] for i in ids if i and i in self._positions), None)

    def remember(self, position: Position) -> None:
        """Keep a position under all its ids until it has ended; the newest one for each id."""
        for key in position.ids:
            if not position.ended:
                self._positions.note(key, position)
            elif self._positions.get(key) is position:
                del self._positions[key]
