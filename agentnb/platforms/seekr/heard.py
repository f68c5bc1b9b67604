"""What a run's stream has told, frame by frame, for whoever hears it again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol, cast

from agentnb.event import Event
from agentnb.platforms._wire import MalformedError, json_payload
from agentnb.platforms.seekr.decode import Decoder
from agentnb.sse import ServerSentEvent

__all__ = ["Heard", "HeardAgain", "Hearing"]

# How many ids of one stream to remember.
_MOST_IDS: Final = 50_000
_LONGEST_ID: Final = 1000
# Chunks that nothing comes before.
_BEGINNINGS: Final = ("user_prompt", "start")


class Hearing(Protocol):
    """Turns a stream's frames into events."""

    def take(self, frames: Sequence[ServerSentEvent]) -> list[Event]: ...


class Heard:
    """A stream from its beginning.

    ``is_numbered`` tells that each frame had an id of its own, so that ids tell frames apart: a
    frame without one repeats the id of the frame before.
    """

    def __init__(self) -> None:
        self.first: str | None = None
        self.last_id = ""
        self._decoder = Decoder()
        self._ids: set[str] = set()
        self._is_numbered = True

    @property
    def is_numbered(self) -> bool:
        return self._is_numbered and bool(self._ids)

    def knows(self, frame: ServerSentEvent) -> bool:
        """Tell whether this very frame came before."""
        return self.is_numbered and frame.id in self._ids

    def take(self, frames: Sequence[ServerSentEvent]) -> list[Event]:
        """Return what the next frames tell."""
        for frame in frames:
            if self.first is None:
                self.first = frame.data
            if self._is_numbered:
                self._number(frame.id)
        return [event for frame in frames for event in self._decoder.decode(frame)]

    def _number(self, frame_id: str) -> None:
        if not frame_id or frame_id in self._ids or len(self._ids) >= _MOST_IDS:
            self._is_numbered = False
            self._ids.clear()
            return
        self._ids.add(frame_id)
        self.last_id = frame_id


class HeardAgain:
    """A stream that is joined again.

    ``goes_on`` tells that its ids go on after those of ``before``: then it is the same stream, and
    what came before is dropped.  Otherwise it is decoded by itself, and whoever reads it has to
    find out where it begins; ``begins`` is true where its first frame says that.  ``has_gap`` tells
    that ids are missing.
    """

    def __init__(self, before: Heard | None) -> None:
        self.goes_on = False
        self.begins = False
        self.has_gap = False
        self._before = before
        self._heard: Heard | None = None

    @property
    def last_id(self) -> str:
        """The id to ask for what came after, "" where there is none, or none for a header."""
        last_id = self._before.last_id if self._before and self._before.is_numbered else ""
        sendable = len(last_id) <= _LONGEST_ID and last_id.isascii() and last_id.isprintable()
        return last_id if sendable else ""

    def take(self, frames: Sequence[ServerSentEvent]) -> list[Event]:
        """Return what the next frames tell, but for frames that came before."""
        if self._heard is None:
            self._heard = self._recognize(frames[0])
        heard = self._heard
        if self.goes_on:
            frames = [frame for frame in frames if not heard.knows(frame)]
            if frames:
                self.has_gap = self.has_gap or _is_gap(heard.last_id, frames[0].id)
        return heard.take(frames)

    def kept(self, *, is_complete: bool) -> Heard | None:
        """Return what to hear the stream by the next time.

        ``is_complete`` says that what was told here, too, was delivered.
        """
        if self._heard is None:
            return self._before
        if self.goes_on:
            return None if self.has_gap else self._heard
        return self._heard if is_complete and self.begins else self._before

    def _recognize(self, first: ServerSentEvent) -> Heard:
        before = self._before
        self.begins = _is_beginning(first) or (before is not None and first.data == before.first)
        if before is not None and before.is_numbered and first.id:
            self.goes_on = True
            return before
        return Heard()


def _is_beginning(frame: ServerSentEvent) -> bool:
    try:
        payload: Any = json_payload(frame.data)
    except MalformedError:
        return False
    if not isinstance(payload, dict):
        return False
    chunk = cast("dict[str, Any]", payload)
    inner = chunk.get("data")
    tags = (chunk.get("type"), cast("Any", inner).get("type") if isinstance(inner, dict) else None)
    return any(tag in _BEGINNINGS for tag in tags if isinstance(tag, str))


def _is_gap(last: str, following: str) -> bool:
    """Tell whether ids that count miss some in between; others do not tell."""
    if not all(text.isascii() and text.isdigit() and len(text) < 19 for text in (last, following)):
        return False
    return int(following) > int(last) + 1
