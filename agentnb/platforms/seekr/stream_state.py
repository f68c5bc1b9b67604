"""What a run's stream has told, frame by frame, for whoever hears it again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final, Protocol, cast

from agentnb.event.types import Event
from agentnb.platforms._wire import MalformedError, json_payload
from agentnb.platforms.seekr.decoder import Decoder
from agentnb.sse import ServerSentEvent

__all__ = ["Heard", "HeardAgain", "Hearing"]

# How many of a stream's latest ids to remember: a stream that is joined again may begin a little
# before the place where it broke off.
_MOST_IDS: Final = 1000
_LONGEST_ID: Final = 1000
# Chunks that nothing comes before.
_BEGINNINGS: Final = ("user_prompt", "start")


class Hearing(Protocol):
    """Turns a stream's frames into events."""

    def take(self, frames: Sequence[ServerSentEvent]) -> list[Event]: ...


class Heard:
    """A stream from its beginning.

    ``is_numbered`` tells that each frame had an id of its own, so that ids tell frames apart: a
    frame without one repeats the id of the frame before.  Of the latest ids it is known what came
    with them.
    """

    def __init__(self) -> None:
        self.first: str | None = None
        self.last_id = ""
        self._decoder = Decoder()
        self._ids: OrderedDict[str, int] = OrderedDict()
        self._is_numbered = True

    @property
    def is_numbered(self) -> bool:
        return self._is_numbered and bool(self._ids)

    @property
    def hears_all(self) -> bool:
        """Whether no frame can have been missed."""
        return self._decoder.hears_all

    @hears_all.setter
    def hears_all(self, value: bool) -> None:
        self._decoder.hears_all = value

    def knows(self, frame: ServerSentEvent) -> bool:
        """Tell whether this very frame came before."""
        return self.is_numbered and self._ids.get(frame.id) == hash(frame.data)

    def contradicts(self, frame: ServerSentEvent) -> bool:
        """Tell whether another frame came with this id, so that it tells nothing."""
        return self._ids.get(frame.id, hash(frame.data)) != hash(frame.data)

    def take(self, frames: Sequence[ServerSentEvent]) -> list[Event]:
        """Return what the next frames tell."""
        if self.first is None and frames:
            self.first = frames[0].data
        for frame in frames:
            if not self._is_numbered:
                break
            self._number(frame)
        return self._decoder.decode_all(frames)

    def _number(self, frame: ServerSentEvent) -> None:
        if not frame.id or frame.id in self._ids:
            self._is_numbered = False
            self._ids.clear()
            return
        self._ids[frame.id] = hash(frame.data)
        if len(self._ids) > _MOST_IDS:
            self._ids.popitem(last=False)
        self.last_id = frame.id


class HeardAgain:
    """A stream that is joined again.

    ``goes_on`` tells that it is the same stream, of which what came before is dropped: its ids
    count on after those of ``before``, or it begins with a frame that came before.  Other ids do
    not tell what lies between them.  Where it does not go on it is decoded by itself, and whoever
    reads it has to find out where it begins; ``begins`` is true where its first frame says that.
    ``has_gap`` tells that ids are missing, or are those of other frames.  ``counts`` tells that
    none can be missing unseen.
    """

    def __init__(self, before: Heard | None) -> None:
        self.goes_on = False
        self.begins = False
        self.has_gap = False
        self.counts = before is None or before.hears_all
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
            if any(heard.contradicts(frame) for frame in frames):
                self.has_gap = True
            if frames:
                self.counts = self.counts and _count(heard.last_id, frames[0].id)
                heard.hears_all = self.counts
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
        if before is None or not before.is_numbered or before.contradicts(first):
            return Heard()
        if before.knows(first) or (
            _count(before.last_id, first.id) and int(first.id) > int(before.last_id)
        ):
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
    return _count(last, following) and int(following) > int(last) + 1


def _count(*ids: str) -> bool:
    return all(text.isascii() and text.isdigit() and len(text) < 19 for text in ids)
