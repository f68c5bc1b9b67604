"""The log of a run's events, for any number of readers."""

from __future__ import annotations

import asyncio
from typing import Final

from agentnb.event.types import Event

# How far an agent may run ahead of its slowest reader, in events.
_AHEAD: Final = 256
# Events kept for a late reader; the oldest go beyond that.
_KEEP: Final = 50_000


class EventLog:
    """The events of one run, in order.  Belongs to one event loop."""

    def __init__(self, *, keep: int = _KEEP) -> None:
        self.closed = False
        self.readers: list[LogReader] = []
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
        self.closed = True
        self._wake()
        self._room.set()

    async def wait_for_room(self) -> None:
        """Wait until the slowest reader has caught up; without readers there is always room."""
        while not self.closed and any(self.end() - r.position >= _AHEAD for r in self.readers):
            self._room.clear()
            await self._room.wait()

    @property
    def is_whole(self) -> bool:
        """Whether its beginning is still there."""
        return self._first == 0

    def reader(self, *, late: bool = False) -> LogReader:
        """Return a reader that begins with the oldest event kept, or with the next; close it."""
        reader = LogReader(self, self.end() if late else self._first)
        self.readers.append(reader)
        return reader

    def since(self, position: int) -> list[Event]:
        """Return the events kept from ``position`` on."""
        return self._events[max(position - self._first, 0) :]

    def end(self) -> int:
        return self._first + len(self._events)

    def leave(self, reader: LogReader) -> None:
        if reader in self.readers:
            self.readers.remove(reader)
        self._room.set()

    def advance(self) -> None:
        self._room.set()

    def _wake(self) -> None:
        for reader in self.readers:
            reader.arrived.set()


class LogReader:
    """One reader's position in an `EventLog`."""

    def __init__(self, log: EventLog, position: int) -> None:
        self.position = position
        self.arrived = asyncio.Event()
        self._log = log
        self.arrived.set()

    async def next(self, *, timeout: float) -> list[Event] | None:
        """Return the new events; [] after ``timeout`` seconds without any, None at the end."""
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
                async with asyncio.timeout(timeout):
                    await self.arrived.wait()
            except TimeoutError:
                return []

    @property
    def is_up_to_date(self) -> bool:
        """Whether every event has been read."""
        return self.position == self._log.end()

    def close(self) -> None:
        self._log.leave(self)
