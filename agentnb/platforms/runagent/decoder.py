"""Decoder of run-agent.ai's stream: start, chunk, error, done."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterable, Iterator, Sequence
from typing import Any, Final, TypeGuard, cast

from agentnb._support.text import well_formed
from agentnb.event.surrogates import SurrogateJoiner
from agentnb.event.types import (
    Event,
    RawEvent,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    text_deltas,
)
from agentnb.platforms._bodies import execution_time
from agentnb.platforms._payloads import as_object, failure_event, usage_events
from agentnb.platforms._wire import (
    Inbound,
    MalformedError,
    as_text,
    json_payload,
    mend_deep,
    one_line,
)
from agentnb.platforms.runagent.wire import EVENTS, Chunk, Start
from agentnb.sse import ServerSentEvent

# How many chunks may wait for one that is missing before them.
_MAX_WAITING: Final = 8
# Latest chunks whose content is remembered.
_MAX_SEEN: Final = 256
# Damaged chunks fetched again; if there are more, the next is likely damaged, too.
_MAX_REFETCHED: Final = 8


class Decoder:
    """Turns frames into events.  Pure; one per stream.

    Chunks are put in the order of their ``index``, and repeated ones are dropped, so that a stream
    that is resumed a little too early does not repeat itself.  Chunks wait a little for one that is
    missing before them; if it does not arrive, or the platform numbers with gaps, those that wait
    follow in order, and later ones are delivered as they arrive.  A chunk whose successor was
    delivered becomes a `RawEvent`.  Chunks without an index are delivered as they arrive.

    A damaged chunk becomes a `RawEvent`, too.  If it is not received again (`damaged_index`), the
    answer lacks a part, and a run that completed on its platform is ``truncated`` here.
    """

    def __init__(self) -> None:
        #: Number of chunks received again with other content.
        self.conflicts = 0
        self._joiner = SurrogateJoiner()
        self._seen: OrderedDict[int, int] = OrderedDict()
        self._forgotten = -1
        self._waiting: dict[int, str] = {}
        self._ordered = True
        self._last: int | None = None
        self._length = 0
        #: None as long as either may be.
        self._counts_characters: bool | None = None
        self._missing: int | None = None
        self._damaged: set[int] = set()
        self._refetched: set[int] = set()
        self._ids: set[tuple[str | None, str | None]] = set()
        self._ended = False

    @property
    def next_index(self) -> int:
        """The index to resume from: the one after the last chunk delivered in order."""
        if self._missing is not None:
            return self._missing
        if self._last is None:
            return 0
        return self._last + (self._length if self._counts_characters else 1)

    def damaged_index(self) -> int | None:
        """Return the index of a damaged chunk that is to be requested again, each one once.

        None where there is none, or its index is uncertain: the platform may count chunks or
        characters, and a request for the first chunk may start a new run.
        """
        index = self.next_index
        is_certain = (
            self._last is not None
            and self._missing is None
            and (self._counts_characters is not None or self._length == 1)
        )
        if (
            not is_certain
            or index not in self._damaged - self._refetched
            or len(self._refetched) == _MAX_REFETCHED
        ):
            return None
        self._refetched.add(index)
        return index

    def decode_until_damaged(
        self, frames: Iterator[tuple[ServerSentEvent, dict[str, Any] | None]]
    ) -> tuple[list[Event], int | None]:
        """Return the events of the next frames, each with its result of `peek`.

        Stops before a chunk that is to be requested again, and returns its index, too.
        """
        events: list[Event] = []
        texts: list[str] = []
        numbers: list[int] = []
        held, expected, by_characters = (
            self._joiner.held,
            self._expected(),
            self._counts_characters,
        )
        for frame, value in frames:
            # Nearly all are consecutive chunks, where calls for each would take most of the time.
            if (
                value is not None
                and frame.event == "chunk"
                and type(text := value.get("content")) is str
                and text
                and (text.isascii() or well_formed(text) is text)
                and not held
                and type(index := value.get("index")) is int
                and index == expected
            ):
                texts.append(text)
                numbers.append(index)
                expected = index + (len(text) if by_characters else 1)
                continue
            if texts:
                events += self._passed(numbers, texts)
                texts, numbers = [], []
            events += self.decode(frame)
            if self._damaged and (index := self.damaged_index()) is not None:
                return events, index
            expected, by_characters = self._expected(), self._counts_characters
        if texts:
            events += self._passed(numbers, texts)
        return events, None

    def decode(self, sse: ServerSentEvent) -> list[Event]:
        """Return the events of one frame, whatever it contains."""
        tag, data = sse.event, sse.data
        problem: str | None = None
        payload: dict[str, Any] = {}
        try:
            value = json_payload(data)
            if isinstance(value, dict):
                payload = cast("dict[str, Any]", value)
            else:
                problem = "not a JSON object"
        except MalformedError as error:
            problem = str(error)
            if tag == "error" and data.strip():
                return self._end(RunFailed(message=one_line(data)))
            if tag == "chunk":
                # The next ones in order, which are not withheld.
                self._damaged.add(self.next_index)
        if tag in ("", "message"):
            tag = _tag_of(payload) or tag
        elif (
            tag == "chunk"
            and isinstance(content := payload.get("content"), str)
            and _is_index(index := payload.get("index"))
        ):
            # Nearly all frames are such chunks; a model for each would be slow.
            return self._chunk(content, index, data)
        model: Inbound | None = None
        if problem is None:
            try:
                model = EVENTS.parse(tag, payload)
            except MalformedError as error:
                problem = str(error)
        events: list[Event] = []
        if problem is not None or model is None:
            events.append(RawEvent(name=well_formed(tag), data=well_formed(data), problem=problem))
        if tag == "error":
            # Even an invalid one ends the run.
            return [*events, *usage_events(payload.get("usage")), *self._end(_failure(payload))]
        if tag == "done":
            return [*events, *self._done(payload)]
        match model:
            case Chunk():
                return self._chunk(model.content, model.index, data)
            case Start():
                return self._start(model)
            case _:
                return events

    def finish(self) -> list[Event]:
        """Return the withheld events when the run has ended, or will not be resumed."""
        return [*self._release(), *(TextDelta(text) for text in self._joiner.flush().values())]

    def pause(self) -> list[Event]:
        """Return the chunks that still wait when the stream ended cleanly and may be resumed.

        The chunk that they waited for remains the next one; if it arrives after all, it is a
        `RawEvent`.
        """
        if self._ordered and self._waiting and self._missing is None:
            self._missing = self.next_index
        return self._release()

    def _start(self, start: Start) -> list[Event]:
        # A resumed stream may begin like the first one.
        ids = (start.run_id, start.session_id)
        if ids in self._ids:
            return []
        self._ids.add(ids)
        return [RunStarted(run_id=start.run_id, session_id=start.session_id)]

    # --- chunks -------------------------------------------------------------------------------

    def _chunk(self, content: str, index: int | None, data: str) -> list[Event]:
        if index is None:
            return [*self._release(), *self._text(content)]
        mark = hash(content)
        if index <= self._forgotten:
            return []
        if index in self._seen:
            if self._seen[index] == mark:
                return []
            self.conflicts += 1
            problem = f"chunk {index} came again with other content"
            return [RawEvent(name="chunk", data=well_formed(data), problem=problem)]
        self._see([index], [content])
        if self._last is not None and index < self._last:
            # Later text was delivered and cannot be moved.
            problem = f"chunk {index} came after chunk {self._last}"
            return [RawEvent(name="chunk", data=well_formed(data), problem=problem)]
        if self._last is not None and index < self._last + self._length:
            # With indexes that count characters, no chunk begins within another.
            self._counts_characters = False
        if self._ordered and not self._follows(index):
            self._waiting[index] = content
            if len(self._waiting) <= _MAX_WAITING:
                return []
            self._ordered = False
            return self._release()
        events = self._take(index, content)
        while self._waiting and self._follows(first := min(self._waiting)):
            events += self._take(first, self._waiting.pop(first))
        return events

    def _expected(self) -> int | None:
        """Return the index of a chunk that needs no reordering, None if there is none."""
        if (
            self._last is None
            or self._counts_characters is None
            or not self._length
            or self._waiting
            or self._damaged
        ):
            return None
        return self._last + (self._length if self._counts_characters else 1)

    def _passed(self, numbers: list[int], texts: list[str]) -> list[TextDelta]:
        """Return the events of consecutive chunks, and of all that waited before them."""
        self._see(numbers, texts)
        self._last, self._length = numbers[-1], len(texts[-1])
        return text_deltas(texts)

    def _see(self, numbers: list[int], texts: list[str]) -> None:
        """Remember new chunks."""
        seen = self._seen
        seen.update(zip(numbers[-_MAX_SEEN:], map(hash, texts[-_MAX_SEEN:]), strict=True))
        if (more := len(seen) - _MAX_SEEN) > 0:
            gone = [seen.popitem(last=False)[0] for _ in range(more)]
            self._forgotten = max(self._forgotten, *gone, *numbers[:-_MAX_SEEN])

    def _follows(self, index: int) -> bool:
        # Some platforms count chunks, some characters; the first chunk may have any number.
        if self._last is None:
            return True
        by_chunks, by_characters = self._last + 1, self._last + self._length
        if self._counts_characters is None:
            return index in (by_chunks, by_characters)
        return index == (by_characters if self._counts_characters else by_chunks)

    def _take(self, index: int, content: str) -> list[Event]:
        if self._counts_characters is None and self._last is not None and self._length > 1:
            self._counts_characters = index == self._last + self._length or None
        self._last, self._length = index, len(content)
        if self._damaged:
            self._damaged.discard(index)
        return self._text(content)

    def _release(self) -> list[Event]:
        waiting, self._waiting = self._waiting, {}
        return [event for i in sorted(waiting) for event in self._take(i, waiting[i])]

    def _text(self, content: str) -> list[Event]:
        text = self._joiner.feed(content)
        return [TextDelta(text)] if text else []

    # --- the end ------------------------------------------------------------------------------

    def _done(self, payload: dict[str, Any]) -> list[Event]:
        events = usage_events(payload.get("usage"))
        if isinstance(session := payload.get("session_id"), str) and session:
            events.append(RunStarted(session_id=well_formed(session)))
        end = _finished(payload, ("usage", "execution_time", "session_id"))
        return [*events, *self._end(_incomplete(end) if self._damaged else end)]

    def _end(self, event: Event) -> list[Event]:
        """Return the terminal event, once."""
        if self._ended:
            return []
        self._ended = True
        return [*self.finish(), event]


async def first_chunk(
    batches: AsyncIterable[Sequence[ServerSentEvent]], *, index: int
) -> ServerSentEvent | None:
    """Return the first chunk of a stream if its index is ``index``, else None.

    A stream that begins elsewhere may be another answer.
    """
    async for frames in batches:
        for frame in frames:
            try:
                chunk = EVENTS.parse(frame.event, json_payload(frame.data))
            except MalformedError:
                continue
            if isinstance(chunk, Chunk):
                return frame if chunk.index == index else None
    return None


def invoked_events(payload: Any, *, session_id: str | None = None) -> list[Event]:
    """Return the events of a stream with the same content as a response of ``invoke``.

    ``session_id`` is the request's; the one in the response's ``metadata`` takes precedence.
    """
    answer = cast("dict[str, Any]", payload) if isinstance(payload, dict) else {"result": payload}
    if answer.get("error") is not None and answer.get("result") is None:
        return [*usage_events(answer.get("usage")), _failure(answer)]
    metadata = as_object(answer.get("metadata"))
    named = metadata.get("session_id") or answer.get("session_id")
    text = as_text(answer.get("result"))
    finished = _finished({**metadata, **answer}, ("usage", "execution_time", "result", "metadata"))
    return [
        RunStarted(session_id=well_formed(named) if isinstance(named, str) else session_id),
        *([TextDelta(text)] if text else []),
        *usage_events(answer.get("usage")),
        finished,
    ]


def _failure(payload: dict[str, Any]) -> RunFailed:
    default = "The platform reported an error and did not say which."
    return failure_event(payload, default=default)


def _finished(fields: dict[str, Any], known: Sequence[str]) -> RunFinished:
    details = mend_deep({k: v for k, v in fields.items() if k not in known})
    return RunFinished(duration=execution_time(fields), details=details)


def _incomplete(end: RunFinished) -> RunFailed:
    return RunFailed(
        message="The run completed, but a part of its answer arrived damaged, and it could not be "
        "had again.",
        status="truncated",
        code="answer_incomplete",
        details=end.details,
    )


def _is_index(value: Any) -> TypeGuard[int | None]:
    """Return whether an unvalidated value is an index, or is to be ignored as one."""
    return value is None or (type(value) is int and value >= 0)


def _tag_of(payload: dict[str, Any]) -> str | None:
    """Return the kind of a frame without an ``event:`` line."""
    for name in ("type", "event"):
        if isinstance(found := payload.get(name), str) and EVENTS.knows(found):
            return found
    # The platform's own Python example treats everything with content as a chunk.
    return "chunk" if "content" in payload else None
