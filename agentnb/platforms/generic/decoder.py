"""Decoder of streams in any dialect: a pure state machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from agentnb._support.text import well_formed
from agentnb.event.types import Event, RawEvent, text_deltas
from agentnb.platforms._payloads import as_list, as_object
from agentnb.platforms._wire import MalformedError, json_payload, peek
from agentnb.platforms.generic.categories import (
    Category,
    category_of,
    marker_category,
    normalized,
)
from agentnb.platforms.generic.content import data_stream_part
from agentnb.platforms.generic.fields import own_types
from agentnb.platforms.generic.frame_decoder import CONTINUES, FrameDecoder
from agentnb.sse import ServerSentEvent

# The start of JSON other than numbers and literals.
_JSON: Final = re.compile(r'\{\s*(?:["}]|$)|\[\s*(?:[\[{"\]\-\dtfn]|$)|"')
_SCALAR: Final = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")
_TYPED_KEYS: Final = frozenset({"content", "type"})
_PLAIN_SOURCE: Final = ("", "data")
_TEXT_NAMES: Final = frozenset({"data", "output", "values"})


def _json_marker(payload: Any) -> Category | None:
    """Return the category of a marker that is the whole JSON of a frame."""
    fields = as_object(payload)
    text = fields.get("data") if len(fields) == 1 else payload
    return marker_category(text) if isinstance(text, str) and text[:1] in ("[", "<") else None


def _is_batch(payload: Any) -> bool:
    """Return whether a frame is a list of frames."""
    items = [as_object(item) for item in as_list(payload)]
    if not items:
        return False
    return all("candidates" in item or "choices" in item for item in items) or all(
        any(map(category_of, own_types(item))) for item in items
    )


class GenericDecoder(FrameDecoder):
    """Turns the frames of one run into events, in any names and shapes.

    A frame's category comes from its ``event:`` line, else from the type in its JSON, else from
    the JSON's shape; data that is no JSON is text of the answer.  A frame of no category becomes a
    `RawEvent`.  The first end of the run counts.

    Some events, such as ``finish_reason``, end a run in one dialect and one of several messages in
    another: they end the run if the stream ends after them, see `close`.

    A subclass names the ids of its platform (`run_id_keys`, `session_id_keys`) and decodes its own
    kinds of frames (`own_kinds`, `decode_own`).
    """

    def __init__(self, *, run_id: str | None = None, session_id: str | None = None) -> None:
        super().__init__(run_id=run_id, session_id=session_id)
        # Whether any text came without JSON around it.
        self._is_plain = False

    def decode_all(self, frames: Sequence[ServerSentEvent]) -> list[Event]:
        """Return the events of several frames, the same as `decode` on each."""
        events: list[Event] = []
        texts: list[str] = []
        held, size = self._joiner.held, self._answer.size
        name, source = "", ("", "")
        for frame, value in zip(frames, peek(frames), strict=True):
            # Fast path: nearly all frames are fragments of the same kind of text.
            if frame.event is not name:
                name = frame.event
                source = ("" if name == "message" else normalized(name), "content")
            if (
                value is not None
                and type(text := value.get("content")) is str
                and (text.isascii() or well_formed(text) is text)
                and not held
                and (
                    len(value) == 1
                    or (value.keys() == _TYPED_KEYS and value["type"] == name != "message")
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
        marker = marker_category(text)
        if marker == "ping" and not named:
            return [RawEvent(name="message", data=well_formed(text))]
        if marker == "end" and text.lstrip()[:1] == "<" and self.calls.open_calls.is_any_open:
            # The model has ended, to call a tool.
            return [RawEvent(name=well_formed(named) or "message", data=well_formed(text))]
        if marker is not None:
            # A name that is more specific than the marker counts.
            is_vague = category_of(named) in (None, "text", "whole_text", "structure", "start")
            return self.decode_frame(marker if is_vague and marker != "ping" else named, {})
        if not named and not self._is_plain and (part := data_stream_part(text)) is not None:
            return self.decode_frame("", part, raw=text)
        try:
            payload = self._payload(named, text)
        except MalformedError as error:
            return [
                RawEvent(
                    name=well_formed(named) or "message", data=well_formed(text), problem=str(error)
                )
            ]
        if isinstance(payload, str) and normalized(named) in _TEXT_NAMES:
            # LangServe sends fragments of text as whole frames.
            return self._text(payload, (normalized(named), "data"))
        if not named and _is_batch(payload):
            return [event for item in payload for event in self.decode_frame("", item)]
        if not named and (category := _json_marker(payload)) is not None:
            return self.decode_frame(category, {})
        if named or not isinstance(payload, str):
            return self.decode_frame(named, payload, raw=text)
        if is_object_stream and _SCALAR.fullmatch(payload):
            return [RawEvent(name="message", data=well_formed(text))]
        if is_object_stream and payload.startswith("{"):
            return [RawEvent(name="message", data=well_formed(text), problem="not JSON")]
        self._is_plain = self._is_plain or payload is text
        return self._text(payload, _PLAIN_SOURCE)

    def close(self) -> list[Event]:
        """Return the events at a clean end of the stream.

        The run has ended if the model has stopped.  Without other text, text that may be the answer
        is used.
        """
        if self.ended:
            return []
        if self._stopped is not None and self._stopped not in CONTINUES:
            return self._complete({})
        return self._use_fallback()

    def _payload(self, named: str, text: str) -> Any:
        """Return a frame's data as JSON, or unchanged if it is text.

        Raises:
            MalformedError: it is neither.
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
            # A text may start with a bracket or a quotation mark.
            is_text = category_of(named) == "text" if named else not self._is_structured
            if is_plain or (is_text and stripped[0] != "{"):
                return text
            raise
