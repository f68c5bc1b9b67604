"""Server-sent events: bytes in, events out.

`Decoder` does no input or output.  It follows the WHATWG rules for event streams, however the bytes
are split into chunks, and returns each event as soon as its blank line has arrived::

    decoder = agentnb.sse.Decoder()
    for chunk in chunks:
        for event in decoder.feed(chunk):
            print(event.event, event.data)

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html, sections 9.2.5 and 9.2.6.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable
from functools import partial
from itertools import repeat
from typing import Final, NamedTuple, cast

from agentnb.errors import EventTooLargeError

__all__ = ["DEFAULT_MAX_EVENT_BYTES", "Decoder", "ServerSentEvent"]

DEFAULT_MAX_EVENT_BYTES: Final = 16 * 2**20

# Chunks are processed in steps of this size, which bounds the cost of splitting one into lines.
_STEP: Final = 64 * 2**10
# An incomplete block is kept and parsed again with the next chunk, up to this size; a longer one is
# parsed line by line, so that no byte is parsed more than a few times.
_SMALL: Final = 1024
_FIELDS: Final = frozenset({b"data", b"event", b"id", b"retry"})


class ServerSentEvent(NamedTuple):
    r"""One dispatched event.

    ``event`` is the type, ``"message"`` where the stream names none.  ``data`` is the payload, its
    lines joined by ``"\n"``.  ``id`` is the last event id at the time of dispatch, so it persists
    from event to event.  ``retry`` is the reconnection time in this event's block, in milliseconds,
    or None.
    """

    event: str
    data: str
    id: str
    retry: int | None


# `ServerSentEvent(...)` without its Python-level `__new__`: takes half the time.
_new_event = cast(
    "Callable[[tuple[str, str, str, int | None]], ServerSentEvent]",
    partial(tuple[object, ...].__new__, ServerSentEvent),
)
_new_tuple: Final = cast("Callable[[object, object], ServerSentEvent]", tuple[object, ...].__new__)


def _new_events(name: str, values: Iterable[str], last_id: str) -> list[ServerSentEvent]:
    fields = zip(repeat(name), values, repeat(last_id), repeat(None))
    return [*map(_new_tuple, repeat(ServerSentEvent), fields)]


class Decoder:
    """Incremental decoder of one event stream.

    The stream is UTF-8 whatever its headers say; invalid bytes become U+FFFD.  One byte order mark
    at its very start is dropped.  Lines end with LF, CRLF or CR; an event whose blank line ends
    with CR is returned at once, and an LF that follows is ignored.  An event without a blank line
    at the end of the stream is incomplete and dropped.

    Time is linear in the input, and memory below four times ``max_event_bytes``, however the
    stream is chunked.  ``max_event_bytes`` (default 16 MiB) bounds each line and each event.
    """

    __slots__ = (
        "_bom",
        "_data",
        "_event",
        "_held",
        "_id",
        "_last_event_id",
        "_limit",
        "_line",
        "_plain",
        "_reading_lines",
        "_retry",
        "_retry_of_block",
        "_skip_lf",
        "_small",
        "_step",
        "_tail",
        "_too_large",
    )

    def __init__(self, *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        if max_event_bytes < 1:
            raise ValueError("max_event_bytes must be at least 1")
        self._limit = max_event_bytes
        # Two steps fit into the limit: no event within one call of `feed` can be too large.
        self._step = max(1, min(_STEP, max_event_bytes // 2))
        self._small = min(_SMALL, self._step)
        self._last_event_id = ""
        self._retry: int | None = None
        self._too_large = False
        # Pending from earlier chunks: the start of a byte order mark, or whether an LF is ignored.
        self._bom: bytes | None = b""
        self._skip_lf = False
        # Whether `feed` may take its fast path: nothing is pending, no block is read line by line.
        self._plain = False
        # The incomplete block: its bytes ...
        self._tail = b""
        # ... or, read line by line, its incomplete line and the fields of the complete ones.
        self._reading_lines = False
        self._line = bytearray()
        self._data: bytearray | None = None
        self._held = 0
        self._event: str | None = None
        self._id: str | None = None
        self._retry_of_block: int | None = None

    @property
    def last_event_id(self) -> str:
        """The last id in a complete block, to resume after, or ""."""
        return self._last_event_id

    @property
    def retry(self) -> int | None:
        """The last reconnection time in the stream, in milliseconds, or None."""
        if b"\n" in self._tail:
            # A `retry` line counts as soon as it is complete, before its block is.
            self._read_tail_by_lines()
        return self._retry

    @property
    def reconnect_after(self) -> float | None:
        """`retry` in seconds, clamped to 0.5 to 60, or None.

        Servers may legally send 0, with which a client would flood them, or years.
        """
        retry = self.retry
        return None if retry is None else min(max(retry / 1000, 0.5), 60.0)

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Decode the next bytes of the stream; return the events that they completed.

        Raises:
            EventTooLargeError: a line or an event is larger than ``max_event_bytes``.  Events
                before it are returned first, and all further calls raise; call ``feed(b"")`` at the
                end of a stream.
        """
        # The fast path, for nearly every chunk of nearly every stream.
        if not self._plain or len(chunk) > self._step:
            return self._feed_carefully(chunk)
        if b"\r" in chunk:
            chunk = self._without_cr(chunk)
            self._plain = not self._skip_lf
        whole, blank, self._tail = (self._tail + chunk).rpartition(b"\n\n")
        if not blank:
            if len(self._tail) > self._small:
                self._read_tail_by_lines()
            return []
        try:
            text = whole.decode()
        except UnicodeDecodeError:
            text = whole.decode("utf-8", "replace")
        # Usually all blocks have one line of data, alone or after the same name.
        if text[:6] == "data: ":
            if "\n" not in text:
                return [_new_event(("message", text[6:], self._last_event_id, None))]
            head, name, lines = "data: ", "message", 2
        else:
            name = text[7 : text.find("\n")] if text[:7] == "event: " else ""
            head, lines = f"event: {name}\ndata: ", 3
        if text.startswith(head):
            values = text[len(head) :].split("\n\n" + head)
            if text.count("\n") == lines * len(values) - 2:
                return _new_events(name or "message", values, self._last_event_id)
        return self._read_blocks(text.split("\n\n"))

    def _read_blocks(self, blocks: list[str]) -> list[ServerSentEvent]:
        """Read complete blocks with any fields."""
        events: list[ServerSentEvent] = []
        for block in blocks:
            # Usually a block has a name and one line of data.
            head, found, data = block.partition("\ndata: ")
            if found and head[:7] == "event: " and "\n" not in head and "\n" not in data:
                event = (head[7:] or "message", data, self._last_event_id, None)
                events.append(_new_event(event))
                continue
            values: list[str] = []
            for line in block.split("\n"):
                name, _, value = line.partition(":")
                if value[:1] == " ":
                    value = value[1:]
                if name == "data":
                    values.append(value)
                else:
                    self._set_field(name, value)
            self._dispatch("\n".join(values) if values else None, events)
        return events

    def _feed_carefully(self, chunk: bytes) -> list[ServerSentEvent]:
        """Decode a chunk that the fast path cannot: too long, or after something pending."""
        events: list[ServerSentEvent] = []
        for start in range(0, len(chunk), self._step):
            if self._too_large:
                break
            piece = self._without_cr(self._without_bom(chunk[start : start + self._step]))
            if self._reading_lines:
                self._take_lines(piece, events)
            elif piece:
                self._plain = True
                events += self.feed(piece)
            self._plain = not (self._reading_lines or self._skip_lf or self._bom is not None)
        if self._too_large:
            self._plain = False
            if not events:
                raise EventTooLargeError(
                    f"A server-sent event is larger than {self._limit} bytes.", limit=self._limit
                )
        return events

    def _without_bom(self, piece: bytes) -> bytes:
        if self._bom is None:
            return piece
        start = self._bom + piece
        if len(start) < len(codecs.BOM_UTF8) and codecs.BOM_UTF8.startswith(start):
            self._bom = start
            return b""
        self._bom = None
        return start.removeprefix(codecs.BOM_UTF8)

    def _without_cr(self, piece: bytes) -> bytes:
        """Return the piece with LF for every CR and CRLF, also for one split between pieces."""
        if self._skip_lf and piece:
            self._skip_lf = False
            piece = piece.removeprefix(b"\n")
        if b"\r" in piece:
            self._skip_lf = piece.endswith(b"\r")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return piece

    def _read_tail_by_lines(self) -> None:
        tail, self._tail = self._tail, b""
        self._plain = False
        self._reading_lines = True
        # The tail has no blank line, so it completes no event.
        self._take_lines(tail, [])

    def _take_lines(self, piece: bytes, events: list[ServerSentEvent]) -> None:
        """Decode a piece of a block that is read line by line."""
        *ends, rest = piece.split(b"\n")
        for end in ends:
            line, self._line = self._line, bytearray()
            line += end
            self._take_line(line, events)
            if self._too_large:
                return
        self._line += rest
        if len(self._line) > self._limit:
            self._too_large = True
        elif len(self._line) <= self._small and not self._block_is_open():
            self._tail = bytes(self._line)
            self._line = bytearray()
            self._held = 0
            self._reading_lines = False

    def _block_is_open(self) -> bool:
        return not (self._data is self._event is self._id is self._retry_of_block is None)

    def _take_line(self, line: bytearray, events: list[ServerSentEvent]) -> None:
        """Decode one complete line, without its end; an empty one dispatches.  Consumes ``line``.

        Data stays bytes until then: the limit is in bytes, text may take four times as much memory,
        and a list of lines even more.
        """
        if not line:
            data, self._data = self._data, None
            self._held = 0
            self._dispatch(None if data is None else data.decode("utf-8", "replace"), events)
            return
        if len(line) > self._limit:
            self._too_large = True
            return
        colon = line.find(b":")
        end = len(line) if colon < 0 else colon
        name = bytes(line[:end]) if end <= len(b"event") else b""
        if name not in _FIELDS:
            return
        # Deleting the front of a bytearray does not copy the rest.
        del line[: end + 1]
        if line.startswith(b" "):
            del line[:1]
        self._held += len(line) + 1
        if self._held > self._limit + 1:
            self._too_large = True
        elif name != b"data":
            self._set_field(name.decode(), line.decode("utf-8", "replace"))
        elif self._data is None:
            self._data = line
        else:
            self._data += b"\n"
            self._data += line

    def _set_field(self, name: str, value: str) -> None:
        """Set a field other than ``data``; comments and unknown fields are ignored."""
        if name == "event":
            self._event = value
        elif name == "id":
            if "\0" not in value:
                self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            # Truncated, as Python refuses to parse some thousands of digits.
            self._retry_of_block = self._retry = int((value.lstrip("0") or "0")[:18])

    def _dispatch(self, data: str | None, events: list[ServerSentEvent]) -> None:
        if self._id is not None:
            self._last_event_id, self._id = self._id, None
        if data is not None:
            name = self._event or "message"
            event = (name, data, self._last_event_id, self._retry_of_block)
            events.append(_new_event(event))
        self._event = self._retry_of_block = None
