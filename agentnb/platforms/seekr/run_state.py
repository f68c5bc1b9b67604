"""What a client remembers of runs: their location, and how far their streams were read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agentnb.errors import RequestError
from agentnb.event.types import Event
from agentnb.platforms._payloads import as_object, json_object
from agentnb.platforms._run_starts import RunStart
from agentnb.platforms._wire import MalformedError
from agentnb.platforms.base_platform import Recent
from agentnb.platforms.seekr.api import SeekrApi
from agentnb.platforms.seekr.decoder import Decoder
from agentnb.sse import ServerSentEvent

# Event ids remembered per stream: a reattached stream may begin a little before the break.
_MAX_IDS: Final = 1000
_MAX_ID_LENGTH: Final = 1000
# Types of the first chunk of a stream.
_FIRST_CHUNKS: Final = ("user_prompt", "start")
_MAX_LOCATIONS: Final = 1000
# Broken streams remembered.  Most are resumed at once or never, and a run whose state was dropped
# can still be resumed by comparing its text.
_MAX_BROKEN_STREAMS: Final = 32


class StreamState:
    """Decoder of a stream read from its beginning, and the latest event ids of it."""

    def __init__(self) -> None:
        self.first_data: str | None = None
        self.last_id = ""
        self.decoder = Decoder()
        self._ids: OrderedDict[str, int] = OrderedDict()
        self._may_be_unique = True

    @property
    def has_unique_ids(self) -> bool:
        """Whether each event had an id of its own (one without repeats the previous id)."""
        return bool(self._ids)

    def has_decoded(self, frame: ServerSentEvent) -> bool:
        """Return whether this event, same id and data, was decoded before."""
        return self._ids.get(frame.id) == hash(frame.data)

    def conflicts_with(self, frame: ServerSentEvent) -> bool:
        """Return whether the event's id was used for other data before."""
        return self._ids.get(frame.id, hash(frame.data)) != hash(frame.data)

    def decode(self, frames: Sequence[ServerSentEvent]) -> list[Event]:
        """Return the events of the next frames."""
        if self.first_data is None and frames:
            self.first_data = frames[0].data
        for frame in frames:
            if not self._may_be_unique:
                break
            if not frame.id or frame.id in self._ids:
                self._may_be_unique = False
                self._ids.clear()
                break
            self._ids[frame.id] = hash(frame.data)
            if len(self._ids) > _MAX_IDS:
                self._ids.popitem(last=False)
            self.last_id = frame.id
        return self.decoder.decode_all(frames)


class ReattachedStream:
    """Decoder of a stream that was attached to again, given the ``previous`` state of it.

    ``continues``: it is the same stream, so frames decoded before are dropped.  Its ids count on
    from the previous ones, or its first frame was decoded before.  Otherwise it is decoded
    separately, and the caller has to find out where it begins.
    ``restarts``: its first frame is the first one of the run.
    ``has_gap``: ids are missing, or belong to other frames.
    ``is_gapless``: numbered ids show that no frame is missing.
    """

    def __init__(self, previous: StreamState | None) -> None:
        self.continues = False
        self.restarts = False
        self.has_gap = False
        self.is_gapless = previous is None or previous.decoder.is_gapless
        self._previous = previous
        self._state: StreamState | None = None

    @property
    def last_id(self) -> str:
        """The ``Last-Event-ID`` to request, "" if there is none or it cannot be a header."""
        last_id = self._previous.last_id if self._previous and self._previous.has_unique_ids else ""
        can_send = len(last_id) <= _MAX_ID_LENGTH and last_id.isascii() and last_id.isprintable()
        return last_id if can_send else ""

    def decode(self, frames: Sequence[ServerSentEvent]) -> list[Event]:
        """Return the events of the next frames, without frames decoded before."""
        if self._state is None:
            self._state = self._match(frames[0])
        state = self._state
        if self.continues:
            frames = [frame for frame in frames if not state.has_decoded(frame)]
            if any(state.conflicts_with(frame) for frame in frames):
                self.has_gap = True
            if frames:
                last, following = state.last_id, frames[0].id
                are_numbers = _are_numbers(last, following)
                self.is_gapless = self.is_gapless and are_numbers
                state.decoder.is_gapless = self.is_gapless
                if are_numbers and int(following) > int(last) + 1:
                    self.has_gap = True
        return state.decode(frames)

    def next_state(self, *, is_delivered: bool) -> StreamState | None:
        """Return the state from which to read the stream after another break.

        ``is_delivered``: the events of this stream were delivered, too.
        """
        if self._state is None:
            return self._previous
        if self.continues:
            return None if self.has_gap else self._state
        return self._state if is_delivered and self.restarts else self._previous

    def _match(self, first: ServerSentEvent) -> StreamState:
        previous = self._previous
        self.restarts = _is_first_chunk(first) or (
            previous is not None and first.data == previous.first_data
        )
        if previous is None or not previous.has_unique_ids or previous.conflicts_with(first):
            return StreamState()
        if previous.has_decoded(first) or (
            _are_numbers(previous.last_id, first.id) and int(first.id) > int(previous.last_id)
        ):
            self.continues = True
            return previous
        return StreamState()


def _is_first_chunk(frame: ServerSentEvent) -> bool:
    try:
        chunk = json_object(frame.data)
    except MalformedError:
        return False
    tags = (chunk.get("type"), as_object(chunk.get("data")).get("type"))
    return any(tag in _FIRST_CHUNKS for tag in tags if isinstance(tag, str))


def _are_numbers(*ids: str) -> bool:
    return all(text.isascii() and text.isdigit() and len(text) < 19 for text in ids)


@dataclass(frozen=True, slots=True)
class RunLocation:
    """The thread that lists a run, the agent needed to cancel it, and the API of its team."""

    thread_id: str
    agent: str | None
    api: SeekrApi


class RunRegistry:
    """Locations of the latest runs, and states of their broken streams.

    ``api`` is used for runs that are not registered.
    """

    def __init__(self, api: SeekrApi) -> None:
        self._api = api
        self._locations = Recent[RunLocation](_MAX_LOCATIONS)
        self._streams = Recent[StreamState](_MAX_BROKEN_STREAMS)
        self._requests = Recent[RunStart](1000)

    def add(self, run_id: str, location: RunLocation) -> None:
        self._locations.note(run_id, location)

    def locate(self, run_id: str | None, session_id: str | None) -> RunLocation:
        """Return where a run is.

        Raises:
            RequestError: the run is not registered, and no session is given.
        """
        known = self._locations.get(run_id) if run_id is not None else None
        if known is not None and session_id in (None, known.thread_id):
            return known
        if not session_id:
            raise RequestError(
                f"{self._api.name}: a run is found by its thread; session_id is needed.",
                hint="Give session=..., the id of the run's thread.",
            )
        return RunLocation(session_id, None, self._api)

    def add_request(self, thread_id: str, *, is_new_thread: bool) -> RunStart:
        """Record that a run is about to be requested in a thread."""
        known = {run_id for run_id, at in self._locations.items() if at.thread_id == thread_id}
        return self._requests.note(thread_id, RunStart(fresh=is_new_thread, known=known))

    def latest_request(self, thread_id: str, *, is_new_thread: bool = False) -> RunStart:
        """Return the latest request for a run in a thread.

        ``is_new_thread``: the thread is known to have been created for that run.
        """
        if is_new_thread:
            return RunStart(fresh=True)
        return self._requests.get(thread_id) or RunStart(fresh=False)

    def save_stream(self, run_id: str, state: StreamState | None) -> None:
        """Keep the state of a broken stream, if there is any."""
        if state is not None:
            self._streams.note(run_id, state)

    def pop_stream(self, run_id: str) -> StreamState | None:
        """Remove and return the state of a broken stream."""
        return self._streams.pop(run_id, None)
