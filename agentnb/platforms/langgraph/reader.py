"""How far a run's stream was read, from where it is joined again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agentnb.event import Event
from agentnb.platforms.langgraph.decoder import Decoder
from agentnb.plugin import RunRequest, ServerSentEvent

#: The ``Last-Event-ID`` that comes before all others.
START: Final = "-1"
_ID: Final = re.compile(r"(\d{1,19})(?:-(\d{1,19}))?", re.ASCII)


class Position:
    """The frames that were read, by their ids: a time in milliseconds and a number.

    The development server gives frames of one millisecond the same id, and sends frames twice that
    arise while a stream is joined.  So a stream is joined before the newest id, and what was read
    is counted.  A frame that equals another one of the same id may be either: `is_doubtful` then
    says that the stream has to be joined once more, which brings that millisecond once.
    """

    def __init__(self) -> None:
        #: Whether every frame had an id, so that the stream can be joined here.
        self.is_known = True
        #: Whether the rest of the connection was left unread.
        self.is_doubtful = False
        self._before = START
        self._newest: tuple[int, int] | None = None
        self._newest_id = START
        # The frames of the newest id, and how many of them the connection still repeats.
        self._read: list[tuple[str, str]] = []
        self._repeats = 0
        # The largest id received, and the one before the stream was joined: frames up to that are
        # sent once.  None for the first connection, where all are.
        self._largest = (-1, -1)
        self._certain: tuple[int, int] | None = None
        # Whether the connection has sent all that it sends again.
        self._is_live = False

    def join(self) -> str:
        """Return the ``Last-Event-ID`` of the next connection."""
        self._repeats, self._certain = len(self._read), self._largest
        self._is_live = self.is_doubtful = False
        return self._before

    def unread(self, frames: Sequence[ServerSentEvent]) -> list[ServerSentEvent]:
        """Return the frames that were not read before, up to a doubtful one."""
        found: list[ServerSentEvent] = []
        for frame in frames:
            if (parsed := _ID.fullmatch(frame.id)) is None:
                self.is_known = False
                found.append(frame)
                continue
            key = int(parsed[1]), int(parsed[2] or 0)
            self._largest = max(self._largest, key)
            if not self.is_doubtful and self._is_unread(key, frame):
                found.append(frame)
        return found

    def _is_unread(self, key: tuple[int, int], frame: ServerSentEvent) -> bool:
        content = frame.event, frame.data
        if self._newest is None or key > self._newest:
            self._before, self._newest, self._newest_id = self._newest_id, key, frame.id
            self._read, self._repeats = [content], 0
            return True
        if key < self._newest and self._certain is None:
            # The server's clock was set back.
            return True
        if key < self._newest:
            # The frames that arose meanwhile begin again, up to the newest one.
            self._repeats, self._is_live = len(self._read), True
            return False
        if self._repeats:
            self._repeats -= 1
            return False
        is_certain = self._is_live or self._certain is None or key <= self._certain
        if not is_certain and content in self._read:
            self.is_doubtful = True
            return False
        self._read.append(content)
        return True


@dataclass(slots=True)
class Chain:
    """The runs of a thread that are one run here: each after the first follows a decision.

    ``repeated`` are the fields of the first one's request that the others have, too; None where
    this process did not start it.
    """

    thread_id: str
    runs: list[str] = field(default_factory=list[str])
    repeated: Mapping[str, Any] | None = None


class Reader:
    """Reads the runs of a chain, one after the other."""

    def __init__(self, chain: Chain, request: RunRequest, delivered: Sequence[Event] = ()) -> None:
        self.chain = chain
        self.request = request
        self.decoder = Decoder(request, thread_id=chain.thread_id)
        self.position = Position()
        #: Number of events that were returned, with those delivered before.
        self.count = 0
        self._index = 0
        self._delivered = delivered

    @property
    def run_id(self) -> str | None:
        """The id of the run that is read, None while it is unknown."""
        runs = self.chain.runs
        return runs[self._index] if self._index < len(runs) else None

    @property
    def is_followed(self) -> bool:
        """Whether another run continues the one that is read."""
        return self._index + 1 < len(self.chain.runs)

    def follow(self) -> None:
        """Go on to the next run."""
        self._index += 1
        self.position = Position()
        self.decoder = Decoder(self.request, thread_id=self.chain.thread_id, after=self.decoder)

    def new(self, events: Sequence[Event]) -> list[Event] | None:
        """Return the events that were not delivered before; None where others were."""
        start, self.count = self.count, self.count + len(events)
        again = list(self._delivered[start : self.count])
        return list(events[len(again) :]) if again == list(events[: len(again)]) else None
