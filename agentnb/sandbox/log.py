"""A run's events, kept for whoever reads them: now, later, or again."""

from __future__ import annotations

import asyncio
from typing import Final

from agentnb.event.types import Event

__all__ = ["EventLog", "Reader"]

# How far an agent may run ahead of its slowest reader, in events.
_AHEAD: Final = 256
# What a late reader can still get, in events; beyond it the beginning is dropped.
_KEEP: Final = 50_000


class EventLog:
    """The events of one run, in order, with any number of readers.  One event loop's own."""

    def __init__(self, *, keep: int = _KEEP) -> None:
        self.closed = False
        self.readers: list[Reader] = []
        self._keep = keep
        self._first = 0
        self._events: list[Event] = []
        self._room = asyncio.Event()

    def __len__(self) -> int:
        return len(self._events)

    def append(self, event: Event) -> None:
        self._events.append(event)
        if len(self._events) > self._keep + self._keep // 4:
            # In blocks, because cutting a list's head costs its length.
            del self._events[: -self._keep]
            self._first += self._keep // 4 + 1
        self._wake()

    def close(self) -> None:
        """Close the log: no event follows."""
        self.closed = True
        self._wake()
        self._room.set()

    async def room(self) -> None:
        """Wait until the slowest reader has caught up; without readers there is always room."""
        while not self.closed and self._lag() >= _AHEAD:
            self._room.clear()
            await self._room.wait()

    @property
    def is_whole(self) -> bool:
        """Whether it still has its beginning."""
        return self._first == 0

    def reader(self, *, late: bool = False) -> Reader:
        """Return a reader that begins with the oldest event kept, or with the next; close it."""
        reader = Reader(self, self.end() if late else self._first)
        self.readers.append(reader)
        return reader

    def since(self, position: int) -> list[Event]:
        """Return what is kept of the events from ``position`` on."""
        return self._events[max(position - self._first, 0) :]

    def end(self) -> int:
        """Return the position after the last event."""
        return self._first + len(self._events)

    def leave(self, reader: Reader) -> None:
        if reader in self.readers:
            self.readers.remove(reader)
        self._room.set()

    def advance(self) -> None:
        self._room.set()

    def _lag(self) -> int:
        end = self.end()
        return max((end - r.position for r in self.readers), default=0)

    def _wake(self) -> None:
        for reader in self.readers:
            reader.arrived.set()


class Reader:
    """One way through an `EventLog`, from its beginning to its end."""

    def __init__(self, log: EventLog, position: int) -> None:
        self.position = position
        self.arrived = asyncio.Event()
        self._log = log
        self.arrived.set()

    async def next(self, *, patience: float) -> list[Event] | None:
        """Return what has arrived; [] after ``patience`` seconds without, None at the end."""
        while True:
            batch = self._log.since(self.position)
            if batch:
                self.position = self._log.end()
                self._log.advance()
                return batch
            if self._log.closed:
                return None
            self.arrived.clear()
            try:
                async with asyncio.timeout(patience):
                    await self.arrived.wait()
            except TimeoutError:
                return []

    @property
    def is_up_to_date(self) -> bool:
        """Whether nothing has arrived that was not read."""
        return self.position == self._log.end()

    def close(self) -> None:
        self._log.leave(self)
