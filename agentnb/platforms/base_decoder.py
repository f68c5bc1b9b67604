"""`BaseDecoder`: turns the server-sent events of one run into events by a subclass's `on`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, ClassVar, Final, cast

from agentnb._support.text import well_formed
from agentnb.event.types import (
    TERMINAL_EVENTS,
    ApprovalRequested,
    Event,
    RawEvent,
    ReasoningDelta,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
)
from agentnb.platforms._wire import MalformedError, json_payload, one_line
from agentnb.platforms.base import RunRequest
from agentnb.sse import ServerSentEvent

# As in `Transcript`, a run that waits goes on with any of them.
_CONTINUING: Final = (
    RunStarted,
    TextDelta,
    ReasoningDelta,
    ToolCallStarted,
    ToolCallDelta,
    ToolCallFinished,
)


class BaseDecoder:
    """Decodes the frames of one run, without I/O; one is made for each response.

    A subclass overrides `on`.  Whatever that raises becomes a `RawEvent` with the exception as its
    ``problem``, so that a defect in a decoder, or a malformed frame, never ends a run.  Only the
    first terminal event counts; later ones are dropped, and so is a `RunFinished` while the run
    waits for a decision: after an `ApprovalRequested`, until text, a tool call or `RunStarted`.
    """

    #: The field of a frame's JSON that names it where no ``event:`` line does.
    name_field: ClassVar[str] = "type"
    #: Names of frames that carry nothing for a user.
    ignored: ClassVar[Collection[str]] = frozenset()

    def __init__(self, request: RunRequest) -> None:
        self.request = request
        #: Whether a terminal event was decoded.
        self.has_ended = False
        self._is_waiting = False

    def on(self, name: str, data: Any) -> Iterable[Event] | None:
        """Return the events of a frame, or None for an unknown one, which becomes a `RawEvent`.

        ``name`` is "" where neither the ``event:`` line nor the JSON names the frame.  ``data`` is
        the frame's JSON, without NaN and infinities.
        """
        raise NotImplementedError

    def on_done(self) -> Iterable[Event]:
        """Return the events of a ``[DONE]``, which ends the stream in some protocols.

        By default there are none, and neither this nor `on_end` ends the run: without a terminal
        event it is ``truncated``.
        """
        return ()

    def on_end(self) -> Iterable[Event]:
        """Return the events that follow the last frame, at the clean end of the stream.

        By default there are none, see `on_done`.
        """
        return ()

    def decode_all(self, frames: Sequence[ServerSentEvent]) -> list[Event]:
        """Return the events of several frames; never raises."""
        return [event for frame in frames for event in self.decode(frame)]

    def decode(self, frame: ServerSentEvent) -> list[Event]:
        """Return the events of one frame; never raises."""
        text = frame.data.strip()
        if not text:
            return []
        if text == "[DONE]":
            return self._finished(self.on_done)
        name = frame.event if frame.event != "message" else ""

        def read() -> Iterable[Event] | None:
            nonlocal name
            data = json_payload(text)
            if not name and isinstance(data, dict):
                found = cast("dict[str, Any]", data).get(self.name_field)
                name = found if isinstance(found, str) else ""
            return () if name in self.ignored else self.on(name, data)

        events, problem = _guarded(read)
        if events is not None:
            return self._with_one_end(events)
        name = well_formed(name) or "message"
        return [RawEvent(name=name, data=well_formed(frame.data), problem=problem)]

    def finish(self) -> list[Event]:
        """Return the events of `on_end`; never raises."""
        return self._finished(self.on_end)

    def _finished(self, read: Callable[[], Iterable[Event]]) -> list[Event]:
        events, problem = _guarded(read)
        if events is None:
            return [RawEvent(name="end", data="", problem=problem)]
        return self._with_one_end(events)

    def _with_one_end(self, events: list[Event]) -> list[Event]:
        """Return the events without a second end of the run, or a finish while it waits."""
        kept: list[Event] = []
        for event in events:
            if isinstance(event, TERMINAL_EVENTS):
                if self.has_ended or (self._is_waiting and isinstance(event, RunFinished)):
                    continue
                self.has_ended = True
            elif isinstance(event, ApprovalRequested):
                self._is_waiting = True
            elif self._is_waiting and isinstance(event, _CONTINUING):
                self._is_waiting = False
            kept.append(event)
        return kept


def _guarded(
    read: Callable[[], Iterable[Event] | None],
) -> tuple[list[Event] | None, str | None]:
    """Return the events that ``read`` returns; None without any, with the reason if it raised."""
    try:
        events = read()
        if events is None:
            return None, None
        events = list(events)
        for event in events:
            # For callers without a type checker.
            if not isinstance(event, Event):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"{type(event).__name__} is no event")
    except MalformedError as error:
        return None, str(error)
    except Exception as error:
        return None, one_line(f"{type(error).__name__}: {error}")
    return events, None
