"""Decoder of ``runagent serve``: messages of its WebSocket, and responses of its calls."""

from __future__ import annotations

import json
from typing import Any, Final, cast

from agentnb._support.text import well_formed
from agentnb.event.surrogates import SurrogateJoiner
from agentnb.event.types import (
    Event,
    RawEvent,
    ReasoningDelta,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
)
from agentnb.platforms._bodies import parse_seconds
from agentnb.platforms._payloads import (
    as_list,
    as_object,
    failure_event,
    first_text,
    json_object,
    usage_events,
)
from agentnb.platforms._wire import MalformedError, as_text, json_payload, mend_deep

# Types that the vendor's serializer gives to what it wraps.
_WRAPPED: Final = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})
# Where the frameworks that the server runs put the text of a chunk, the most specific first.
_TEXT_KEYS: Final = (
    *("output_text", "content", "text", "delta", "token", "message", "chunk"),
    *("answer", "response", "output", "result", "choices"),
)
_PROMPT_ROLES: Final = frozenset({"user", "human", "system", "developer", "tool", "function"})
_MAX_DEPTH: Final = 6
_FAILED: Final = ("fail", "error")
# How much of an answer without text is returned as JSON, in characters.
_MAX_JSON: Final = 200_000


class MessageDecoder:
    """Turns the messages of one WebSocket into events.  Pure; one per stream.

    The text of structured chunks is part of the answer; chunks without text are kept as
    `RawEvent`, and where no chunk had any, the answer is their JSON, one chunk a line.
    """

    def __init__(self) -> None:
        #: Whether the run has ended; the server leaves the socket open.
        self.ended = False
        self._joiner = SurrogateJoiner()
        self._has_text = False
        self._json: list[str] = []
        self._json_length = 0

    def decode(self, message: str) -> list[Event]:
        """Return the events of one message, whatever it contains."""
        if self.ended:
            return []
        try:
            fields = json_object(message)
        except MalformedError as error:
            return [RawEvent(name="message", data=well_formed(message), problem=str(error))]
        match fields.get("type"):
            case "data" | "raw_data":
                return self._data(fields, message)
            case "status":
                return self._status(fields, message)
            case "error":
                return self._end(_failure(fields))
            case kind:
                return [
                    RawEvent(name=well_formed(str(kind or "message")), data=well_formed(message))
                ]

    def finish(self) -> list[Event]:
        """Return the withheld text when the stream has ended."""
        return [TextDelta(text) for text in self._joiner.flush().values()]

    def _status(self, fields: dict[str, Any], message: str) -> list[Event]:
        status = fields.get("status")
        if status == "stream_started":
            return [RunStarted(run_id=first_text(fields, "invocation_id"))]
        if status == "stream_completed":
            hidden = ("type", "status", "execution_time", "invocation_id")
            details = {k: mend_deep(v) for k, v in fields.items() if k not in hidden}
            output = None if self._has_text else "\n".join(self._json) or None
            seconds = parse_seconds(fields.get("execution_time"))
            return self._end(RunFinished(output=output, duration=seconds, details=details))
        if isinstance(status, str) and any(word in status.lower() for word in _FAILED):
            return self._end(_failure(fields))
        return [RawEvent(name="status", data=well_formed(message))]

    def _data(self, fields: dict[str, Any], message: str) -> list[Event]:
        content = fields["content"] if "content" in fields else fields.get("data")
        try:
            value = _unwrapped(content)
        except MalformedError as error:
            return [RawEvent(name="data", data=well_formed(message), problem=str(error))]
        if value is None:
            return []
        if not isinstance(value, dict | list):
            return self._text(value if isinstance(value, str) else as_text(value))
        usage = usage_events(as_object(value).get("usage"))
        text = _chunk_text(value)
        if text is None:
            text = as_text(value)
            if self._json_length < _MAX_JSON:
                self._json.append(text[: _MAX_JSON - self._json_length])
                self._json_length += len(text)
            return [RawEvent(name="data", data=text), *usage]
        if _is_reasoning(value):
            return [*([ReasoningDelta(well_formed(text))] if text else []), *usage]
        return [*self._text(text), *usage]

    def _text(self, text: str) -> list[Event]:
        text = self._joiner.feed(text)
        self._has_text = self._has_text or bool(text)
        return [TextDelta(text)] if text else []

    def _end(self, event: Event) -> list[Event]:
        self.ended = True
        return [*self.finish(), event]


def result_events(payload: Any) -> list[Event]:
    """Return the events of a stream with the same content as a response of ``run``."""
    answer = cast("dict[str, Any]", payload) if isinstance(payload, dict) else {"data": payload}
    if answer.get("success") is False:
        return [RunStarted(), _failure(answer)]
    data = answer["data"] if "data" in answer else answer.get("output_data")
    text = answer_text(data)
    seconds = parse_seconds(answer.get("execution_time"))
    return [
        RunStarted(),
        *([TextDelta(text)] if text else []),
        RunFinished(duration=seconds),
    ]


def answer_text(data: Any) -> str:
    """Return the answer of an entrypoint as text, "" where there is none."""
    if isinstance(result := as_object(data).get("result_data"), dict):
        data = as_object(result).get("data")
    try:
        value: Any = _unwrapped(data)
    except MalformedError:
        value = data
    text = _chunk_text(value) if isinstance(value, dict | list) else None
    return as_text(value) if text is None else well_formed(text)


def recorded_text(data: Any) -> str:
    """Return the answer in the record of an invocation, "" where it has none.

    The record has the first chunks of a stream, which may be all.
    """
    record = as_object(data)
    if "stream_completed" not in record:
        return answer_text(data)
    chunks = as_list(record.get("sample_chunks"))
    if len(chunks) != record.get("total_chunks"):
        return ""
    decoder = MessageDecoder()
    messages = [{"type": "data", "content": chunk} for chunk in chunks]
    events = [event for fields in messages for event in decoder.decode(json.dumps(fields))]
    return "".join(
        event.text for event in [*events, *decoder.finish()] if isinstance(event, TextDelta)
    )


def _failure(fields: dict[str, Any]) -> RunFailed:
    return failure_event(fields, default="The server reported an error without a message.")


def _unwrapped(content: Any) -> Any:
    """Return the value that the server serialized: JSON, or JSON with a type around it.

    Raises:
        MalformedError: it looks like JSON and is invalid.
    """
    if not isinstance(content, str):
        return content
    try:
        value = json_payload(content)
    except MalformedError:
        if content.lstrip().startswith(("{", "[")):
            raise
        return content
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, Any]", value)
    payload = fields.get("payload")
    if fields.get("type") not in _WRAPPED or not isinstance(payload, str):
        return fields
    try:
        return json_payload(payload)
    except MalformedError:
        if fields["type"] in ("array", "object"):
            raise
        return payload


def _chunk_text(value: Any) -> str | None:
    """Return the text of a structured chunk, None where it has none."""
    if isinstance(value, list):
        # As in LangGraph's pairs of a message and its metadata.
        items = cast("list[Any]", value)
        return _text_in(items[0], 0) if items and isinstance(items[0], dict) else None
    return _text_in(value, 0)


def _text_in(value: Any, depth: int) -> str | None:
    if isinstance(value, str):
        return value
    if depth > _MAX_DEPTH:
        return None
    if isinstance(value, list):
        texts = [_text_in(item, depth + 1) for item in cast("list[Any]", value)]
        found = [text for text in texts if text is not None]
        return "".join(found) if found else None
    if not isinstance(value, dict):
        return None
    fields = cast("dict[str, Any]", value)
    if fields.get("role") in _PROMPT_ROLES:
        return None
    for key in _TEXT_KEYS:
        if (text := _text_in(fields.get(key), depth + 1)) is not None:
            return text
    return None


def _is_reasoning(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    kind = cast("dict[str, Any]", value).get("type")
    return isinstance(kind, str) and ("reasoning" in kind or "thinking" in kind)
