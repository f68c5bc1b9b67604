"""Encode events and their times for the store, as compact JSON.

    {"v": 1, "at": "mpmZmZmZuT8=", "n": [3], "events": ["Hel", "lo", {"type": "run_finished", ...}]}

``at`` are the times as little-endian doubles in Base64: exact, shorter than digits and much faster
to write.  ``n`` is the number of consecutive events with each time, since those of one network read
have the same; without it, each event has its own.  A text delta is its bare text, other deltas are
short lists, and every other event is `event_to_dict`.  Where a text has a lone surrogate, which no
database takes, the payload is ``~`` and its UTF-8 bytes as Latin-1 characters.
"""

from __future__ import annotations

import json
import struct
import warnings
from base64 import b64decode, b64encode
from collections.abc import Sequence
from itertools import chain, groupby, repeat
from typing import Any, Final, cast

from agentnb.errors import HistoryWarning
from agentnb.event.types import (
    Event,
    RawEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    event_from_dict,
    event_to_dict,
)

_VERSION: Final = 1
# Prefix of a payload whose characters are bytes.
_BYTES: Final = "~"


def encode(events: Sequence[Event], times: Sequence[float]) -> str:
    """Return ``events`` and ``times``, of equal length, as text that `decode` reads.

    Lossless but for tuples in the ``details`` of an event, which become lists.  An event that JSON
    cannot encode becomes a `RawEvent` with the problem.
    """
    head: dict[str, Any] = {"v": _VERSION}
    if 2 * len(set(times)) < len(times):
        groups = [(time, len(list(same))) for time, same in groupby(times)]
        times = [time for time, _ in groups]
        head["n"] = [count for _, count in groups]
    head["at"] = b64encode(struct.pack(f"<{len(times)}d", *times)).decode()
    encoded = [
        # The most frequent kind without a call: this is done for every event of every run.
        event.text if type(event) is TextDelta and event.part_id is None else _encode(event)
        for event in events
    ]
    try:
        payload = _dumps({**head, "events": encoded})
    except (TypeError, ValueError, RecursionError):
        payload = _dumps({**head, "events": [_encode_or_raw(event) for event in events]})
    try:
        payload.encode()
    except UnicodeEncodeError:
        # JSON's escapes would join two lone halves that happen to be adjacent.
        return _BYTES + payload.encode("utf-8", "surrogatepass").decode("latin-1")
    return payload


def decode(payload: str) -> tuple[list[Event], list[float]]:
    """Return the events and times that `encode` was given.

    Raises:
        ValueError: it is damaged, or of a newer version.
    """
    try:
        return _decoded(payload)
    except (KeyError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise ValueError(f"These stored events are damaged: {type(error).__name__}.") from error


def decode_or_warn(run: str, payload: str) -> tuple[list[Event], list[float]]:
    """Do as `decode` does; on failure warn, with ``run`` named, and return nothing."""
    try:
        return decode(payload)
    except ValueError as error:
        warnings.warn(
            f"Events of the run {run} cannot be read and are left out: {error}",
            HistoryWarning,
            stacklevel=3,
        )
        return [], []


def _decoded(payload: str) -> tuple[list[Event], list[float]]:
    if payload.startswith(_BYTES):
        payload = payload[1:].encode("latin-1").decode("utf-8", "surrogatepass")
    data = json.loads(payload)
    if not isinstance(data, dict) or cast("dict[str, Any]", data).get("v") != _VERSION:
        raise ValueError("These events were stored by another version of agentnb.")
    content = cast("dict[str, Any]", data)
    at = b64decode(content["at"])
    times: Sequence[float] = struct.unpack(f"<{len(at) // 8}d", at)
    counts: Sequence[Any] = content.get("n", [1] * len(times))
    # Validated before allocating.
    whole = all(type(count) is int and count >= 0 for count in counts)
    if not whole or len(counts) != len(times) or sum(counts) != len(content["events"]):
        raise ValueError("These stored events are damaged: they and their times do not match.")
    events: list[Event] = [
        TextDelta(item) if isinstance(item, str) else _event(item) for item in content["events"]
    ]
    return events, list(chain.from_iterable(map(repeat, times, counts)))


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _encode(event: Event) -> Any:
    match event:
        case TextDelta():
            return event.text if event.part_id is None else ["t", event.text, event.part_id]
        case ReasoningDelta():
            return ["r", event.text] if event.part_id is None else ["r", event.text, event.part_id]
        case ToolCallDelta():
            return ["c", event.call_id, event.arguments, event.output]
        case _:
            return event_to_dict(event)


def _event(item: Any) -> Event:
    match item:
        case ["t", str(text), str(part_id)]:
            return TextDelta(text, part_id)
        case ["r", str(text)]:
            return ReasoningDelta(text)
        case ["r", str(text), str(part_id)]:
            return ReasoningDelta(text, part_id)
        case ["c", str(call_id), str(arguments), str(output)]:
            return ToolCallDelta(call_id=call_id, arguments=arguments, output=output)
        case dict():
            return event_from_dict(cast("dict[str, Any]", item))
        case _:
            raise ValueError("These stored events are damaged: one is of no known form.")


def _encode_or_raw(event: Event) -> Any:
    item = _encode(event)
    try:
        _dumps(item)
    except (TypeError, ValueError, RecursionError) as error:
        problem = f"It could not be stored: {type(error).__name__}."
        return event_to_dict(RawEvent(name=event.type, data="", problem=problem))
    return item
