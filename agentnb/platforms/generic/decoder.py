"""From the frames of an agent of any kind to events: a pure state machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, cast

from agentnb.event.types import Event, RawEvent, text_deltas
from agentnb.platforms._wire import MalformedError, json_payload, mend, peek
from agentnb.platforms.generic.dialects import coded
from agentnb.platforms.generic.fields import mapping, own_types
from agentnb.platforms.generic.frames import GOES_ON, FrameDecoder
from agentnb.platforms.generic.names import Category, category_of, is_marker, normalized
from agentnb.sse import ServerSentEvent

__all__ = ["GenericDecoder"]

# How JSON begins that is no number and no literal.
_JSON: Final = re.compile(r'\{\s*(?:["}]|$)|\[\s*(?:[\[{"\]\-\dtfn]|$)|"')
_SCALAR: Final = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")
_TYPED: Final = frozenset({"content", "type"})
_PLAIN: Final = ("", "data")
_BARE_NAMES: Final = frozenset({"data", "output", "values"})


def _marker_in(payload: Any) -> Category | None:
    """Return the category of a marker that is all the JSON of a frame, None where it is none."""
    fields = mapping(payload)
    found = fields.get("data") if len(fields) == 1 else payload
    return is_marker(found) if isinstance(found, str) and found[:1] in ("[", "<") else None


def _is_batch(payload: Any) -> bool:
    """Return whether a frame is a list of what others send in a frame each."""
    if not isinstance(payload, list) or not payload:
        return False
    items = [mapping(item) for item in cast("list[Any]", payload)]
    return all("candidates" in item or "choices" in item for item in items) or all(
        any(map(category_of, own_types(item))) for item in items
    )


class GenericDecoder(FrameDecoder):
    """Turns the frames of one run into events, whatever names and shapes the server gives them.

    A frame's category is that of its ``event:`` line, else of the type that its JSON names, else
    it is found by what the JSON holds; data that is no JSON is text of the answer.  What belongs
    to no category becomes a `RawEvent`.  The first event that ends the run decides how it ended.

    Some events end a run in one dialect and one message of several in another, as
    ``finish_reason`` does: the run has ended by them where the stream ends, see `close`.

    A subclass names the ids of its platform (`run_id_keys`, `session_id_keys`) and decodes the
    kinds of frames that it alone has (`own_kinds`, `decode_own`).
    """

    def __init__(self, *, run_id: str | None = None, session_id: str | None = None) -> None:
        super().__init__(run_id=run_id, session_id=session_id)
        # Whether text has come as it is, without JSON around it.
        self._is_plain = False

    def decode_all(self, frames: Sequence[ServerSentEvent]) -> list[Event]:
        """Return the events of several frames, as `decode` returns those of each."""
        events: list[Event] = []
        texts: list[str] = []
        held, size = self._joiner.held, self._answer.size
        name, source = "", ("", "")
        for frame, value in zip(frames, peek(frames), strict=True):
            # Nearly all frames are fragments of text, and to decode them one by one costs most of
            # the time that a stream takes.
            if frame.event is not name:
                name = frame.event
                source = ("" if name == "message" else normalized(name), "content")
            if (
                value is not None
                and type(text := value.get("content")) is str
                and (text.isascii() or mend(text) is text)
                and not held
                and (
                    len(value) == 1
                    or (value.keys() == _TYPED and value["type"] == name != "message")
                )
                and self._stopped is None
                and self._answer.is_fragments(source)
                and 2 * len(text) < size
            ):
                if text:
                    texts.append(text)
                    size += len(text)
                continue
            if texts:
                self._answer.add(texts)
                events += text_deltas(texts)
                texts.clear()
            events += self.decode(frame)
            size = self._answer.size
        self._answer.add(texts)
        events += text_deltas(texts)
        return events

    def decode(self, sse: ServerSentEvent) -> list[Event]:
        """Return the events of one frame; never raises."""
        text = sse.data
        named = sse.event if sse.event != "message" else ""
        is_object_stream = self._is_structured and not self._is_plain
        if not named and (not text or (is_object_stream and not text.strip())):
            return []
        marker = is_marker(text)
        if marker == "ping" and not named:
            return [RawEvent(name="message", data=mend(text))]
        if marker == "end" and text.lstrip()[:1] == "<" and self.calls.is_any_open:
            # The model has ended, to call a tool.
            return [RawEvent(name=mend(named) or "message", data=mend(text))]
        if marker is not None:
            # A name that says more than the marker counts.
            is_vague = category_of(named) in (None, "text", "whole_text", "structure", "start")
            return self.decode_frame(marker if is_vague and marker != "ping" else named, {})
        if not named and not self._is_plain and (line := coded(text)) is not None:
            return self.decode_frame("", line, raw=text)
        try:
            payload = self._payload(named, text)
        except MalformedError as error:
            return [RawEvent(name=mend(named) or "message", data=mend(text), problem=str(error))]
        if isinstance(payload, str) and normalized(named) in _BARE_NAMES:
            # A whole frame that is a text, as LangServe sends the pieces of one.
            return self._text(payload, (normalized(named), "data"))
        if not named and _is_batch(payload):
            return [event for item in payload for event in self.decode_frame("", item)]
        ending = _marker_in(payload)
        if ending is not None and not named:
            return self.decode_frame(ending, {})
        if named or not isinstance(payload, str):
            return self.decode_frame(named, payload, raw=text)
        if is_object_stream and _SCALAR.fullmatch(payload):
            return [RawEvent(name="message", data=mend(text))]
        if is_object_stream and payload.startswith("{"):
            return [RawEvent(name="message", data=mend(text), problem="not JSON")]
        self._is_plain = self._is_plain or payload is text
        return self._text(payload, _PLAIN)

    def close(self) -> list[Event]:
        """Return what it means that the stream ended cleanly after all these frames.

        The run has ended where the model had, though no event said so of the run; and text whose
        place was not certain is shown where there is no other.
        """
        if self._ended:
            return []
        if self._stopped is not None and self._stopped not in GOES_ON:
            return self._complete({})
        return self._spared()

    def _payload(self, named: str, text: str) -> Any:
        """Return a frame's data as JSON, or as it is where it is text.

        Raises:
            MalformedError: it is meant to be JSON and is none.
        """
        stripped = text.strip()
        if named and stripped in ("", "null"):
            return {}
        if not _JSON.match(stripped):
            return text
        is_plain = self._is_plain and not self._is_structured and not named
        if is_plain and stripped[0] != "{":
            return text
        try:
            return json_payload(stripped)
        except MalformedError:
            # A bracket or a quotation mark may begin a text.
            is_text = category_of(named) == "text" if named else not self._is_structured
            if is_plain or (is_text and stripped[0] != "{"):
                return text
            raise
