"""What a frame of Operativus holds, whichever of the ways of writing it a server has taken."""

from __future__ import annotations

import math
from typing import Any, cast

from agentnb.platforms._wire import MalformedError, json_payload
from agentnb.platforms.operativus.wire import STREAM_EVENTS, ToolData
from agentnb.sse import ServerSentEvent

__all__ = ["given", "inner_value", "milliseconds", "payload_of"]


def payload_of(sse: ServerSentEvent, text: str) -> Any:
    """Return the frame as one object, also where only its ``event:`` line names its kind.

    ``text`` is its data without the white space around it.
    """
    if not STREAM_EVENTS.knows(sse.event):
        return json_payload(text)
    if not text.startswith(("{", "[", '"')):
        return {"event": sse.event, "data": sse.data}
    payload: Any = json_payload(text)
    if isinstance(payload, dict) and ("event" in payload or "eventType" in payload):
        return cast("Any", payload)
    return {"event": sse.event, "data": cast("Any", payload)}


def inner_value(data: Any) -> Any:
    """Return a payload that is JSON in a string as its value, any other as it is."""
    if isinstance(data, str) and data.lstrip().startswith(("{", "[")):
        try:
            return json_payload(data)
        except MalformedError:
            return data
    return data


def given(tool: ToolData, *names: str) -> Any:
    """Return the first of these fields that a tool event has, whether its model knows it or not."""
    extra = tool.model_extra or {}
    values = (
        getattr(tool, n, None) if n in type(tool).model_fields else extra.get(n) for n in names
    )
    return next((value for value in values if value is not None), None)


def milliseconds(value: Any) -> float | None:
    """Return a timestamp, None where it is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None
