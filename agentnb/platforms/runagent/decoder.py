"""run-agent.ai's stream, decoded: start, chunk, error, done."""

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
    """Turns the stream's frames into events.  Pure; one per stream.

    Chunks are put in the order of their ``index``, and one that came already is dropped, so that a
    stream that was taken up again a little too early does not repeat itself.  Chunks wait a little
    for one that is missing before them; where it does not come, and where the platform numbers
    with gaps, those that wait follow in order, and later ones are taken as they arrive.  A chunk
    that comes after one with a higher index was delivered is reported as a `RawEvent`, and not put
    behind it.  Chunks without an index are taken as they arrive.

    One that arrives damaged is reported, too.  Where it does not come again (`to_ask_again`), the
    answer lacks a part, and a run that completed on its platform is ``truncated`` here.
    """

    def __init__(self) -> None:
        #: How many chunks came again with other content.
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
        """The index to resume from: the one after the last chunk that was handed out in order."""
        if self._missing is not None:
            return self._missing
        if self._last is None:
            return 0
        return self._last + (self._length if self._counts_characters else 1)

    def to_ask_again(self) -> int | None:
        """Return the index of a chunk that arrived damaged and is to be fetched again, each once.

        None where there is none, or its place is not certain: the platform may count chunks or
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

    def decode_on(
        self, frames: Iterator[tuple[ServerSentEvent, dict[str, Any] | None]]
    ) -> tuple[list[Event], int | None]:
        """Return the events of the next frames, each with what `peek` has found of it.

        Stops at a frame behind which a chunk is to be fetched again, and returns its index, too.
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
            # Nearly all are chunks that follow each other, and calls for each of them would cost
            # most of the time.
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
            if self._damaged and (index := self.to_ask_again()) is not None:
                return events, index
            expected, by_characters = self._expected(), self._counts_characters
        if texts:
            events += self._passed(numbers, texts)
        return events, None

    def decode(self, sse: ServerSentEvent) -> list[Event]:
        """Return the events of one frame; total, whatever the frame holds."""
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
                # What comes next of those in order, and is not held back.
                self._damaged.add(self.next_index)
        if tag in ("", "message"):
            tag = _tag_of(payload) or tag
        elif (
            tag == "chunk"
            and isinstance(content := payload.get("content"), str)
            and _is_index(index := payload.get("index"))
        ):
            # Nearly all frames are such chunks: they are not worth a model each.
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
            # However garbled, the end of a run is its end.
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
        """Return what was still held back when the run has ended, or will not be taken up again."""
        return [*self._release(), *(TextDelta(text) for text in self._joiner.flush().values())]

    def pause(self) -> list[Event]:
        """Return the chunks that still wait when the stream ended cleanly and may be taken up.

        The one that they waited for remains the next; where it comes after all, it is reported.
        """
        if self._ordered and self._waiting and self._missing is None:
            self._missing = self.next_index
        return self._release()

    def _start(self, start: Start) -> list[Event]:
        # A stream that is taken up again may begin as the first one did.
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
            # Text after it was delivered and cannot be moved.
            problem = f"chunk {index} came after chunk {self._last}"
            return [RawEvent(name="chunk", data=well_formed(data), problem=problem)]
        if self._last is not None and index < self._last + self._length:
            # Who counts characters has no chunk that begins within another.
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
        """Return what chunks tell that follow each other, and all before them."""
        self._see(numbers, texts)
        self._last, self._length = numbers[-1], len(texts[-1])
        return text_deltas(texts)

    def _see(self, numbers: list[int], texts: list[str]) -> None:
        """Remember chunks that were not seen before."""
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
        """Return the terminal event, the first time; a run ends once."""
        if self._ended:
            return []
        self._ended = True
        return [*self.finish(), event]


async def first_chunk(
    batches: AsyncIterable[Sequence[ServerSentEvent]], *, index: int
) -> ServerSentEvent | None:
    """Return the first chunk of a stream where that is the one with ``index``, else None.

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
    """Return the events that a stream would have brought for an answer of ``invoke``.

    ``session_id`` is the request's; the answer's own, in its ``metadata``, takes precedence.
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
    """Tell a place, or none, from what has yet to be understood as one, or forgiven."""
    return value is None or (type(value) is int and value >= 0)


def _tag_of(payload: dict[str, Any]) -> str | None:
    """Return the kind of a frame without an ``event:`` line."""
    for name in ("type", "event"):
        if isinstance(found := payload.get(name), str) and EVENTS.knows(found):
            return found
    # The platform's own Python example takes whatever has content for a chunk.
    return "chunk" if "content" in payload else None
