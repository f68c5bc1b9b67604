"""The form in which events and their times are stored: compact JSON, as many events as it takes.

    {"v": 1, "at": "mpmZmZmZuT8=", "n": [3], "events": ["Hel", "lo", {"type": "run_finished", ...}]}

``at`` are the times as doubles, little-endian, in Base64: exact, shorter than digits and far
quicker to write.  ``n`` tells how many events in a row have each of them, since what one network
read brought came at one moment; without it, each event has its own.  A text delta is its text
alone, further deltas are short lists, and every other event is `event_to_dict`.  Where a text holds
half a surrogate pair, which no database takes, the whole follows a ``~``, each character being one
byte of its UTF-8.
"""

from __future__ import annotations

import json
import sys
import warnings
from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
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

__all__ = ["decode", "decode_of", "encode"]

_VERSION: Final = 1
# Before a payload whose characters are bytes.
_BYTES: Final = "~"


def encode(events: Sequence[Event], times: Sequence[float]) -> str:
    """Return ``events`` and ``times``, which are as many, as text that `decode` reads.

    Lossless, but for values in the ``details`` of an event that JSON does not have: tuples become
    lists.  An event that cannot be written at all becomes a `RawEvent` that says so.
    """
    head: dict[str, Any] = {"v": _VERSION}
    if 2 * len(set(times)) < len(times):
        groups = [(time, len(list(same))) for time, same in groupby(times)]
        times = [time for time, _ in groups]
        head["n"] = [count for _, count in groups]
    head["at"] = b64encode(_doubles(times).tobytes()).decode()
    told = [
        # The usual one first, and without a call: this is done for every event of every run.
        event.text if type(event) is TextDelta and event.part_id is None else _told(event)
        for event in events
    ]
    try:
        payload = _dumps({**head, "events": told})
    except (TypeError, ValueError, RecursionError):
        told = [_writable(event) for event in events]
        payload = _dumps({**head, "events": told})
    if not payload.isascii():
        try:
            payload.encode()
        except UnicodeEncodeError:
            # JSON's own escapes would join two halves that were apart.
            return _BYTES + payload.encode("utf-8", "surrogatepass").decode("latin-1")
    return payload


def decode(payload: str) -> tuple[list[Event], list[float]]:
    """Return the events and times that `encode` made ``payload`` of.

    Raises:
        ValueError: it is not such a text, or of a newer version.
    """
    try:
        return _decoded(payload)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"These stored events are damaged: {type(error).__name__}.") from error


def decode_of(run: str, payload: str) -> tuple[list[Event], list[float]]:
    """Return what `decode` does; nothing, with a `HistoryWarning` that names ``run``, if it fails.

    One run whose events cannot be read takes nothing from the others.
    """
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
    at = array("d", b64decode(content["at"]))
    if sys.byteorder == "big":
        at.byteswap()
    times = at.tolist()
    if "n" in content:
        times = _repeated(times, content["n"], most=len(content["events"]))
    events: list[Event] = [
        TextDelta(told) if isinstance(told, str) else _event(told) for told in content["events"]
    ]
    if len(events) != len(times):
        raise ValueError("These stored events are damaged: they and their times do not match.")
    return events, times


def _repeated(times: Sequence[float], counts: Sequence[Any], *, most: int) -> list[float]:
    """Return each time as often as it counts; they are told apart before they take any room."""
    whole = all(type(count) is int and count >= 0 for count in counts)
    if not whole or len(counts) != len(times) or sum(counts) != most:
        raise ValueError("These stored events are damaged: they and their times do not match.")
    return list(chain.from_iterable(map(repeat, times, counts)))


def _doubles(times: Iterable[float]) -> array[float]:
    doubles = array("d", times)
    if sys.byteorder == "big":
        doubles.byteswap()
    return doubles


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _told(event: Event) -> Any:
    match event:
        case TextDelta():
            return event.text if event.part_id is None else ["t", event.text, event.part_id]
        case ReasoningDelta():
            return ["r", event.text] if event.part_id is None else ["r", event.text, event.part_id]
        case ToolCallDelta():
            return ["c", event.call_id, event.arguments, event.output]
        case _:
            return event_to_dict(event)


def _event(told: Any) -> Event:
    match told:
        case ["t", str(text), str(part_id)]:
            return TextDelta(text, part_id)
        case ["r", str(text)]:
            return ReasoningDelta(text)
        case ["r", str(text), str(part_id)]:
            return ReasoningDelta(text, part_id)
        case ["c", str(call_id), str(arguments), str(output)]:
            return ToolCallDelta(call_id=call_id, arguments=arguments, output=output)
        case dict():
            return event_from_dict(cast("dict[str, Any]", told))
        case _:
            raise ValueError("These stored events are damaged: one is of no known form.")


def _writable(event: Event) -> Any:
    """Return what stands for an event of a batch in which one cannot be written."""
    told = _told(event)
    try:
        _dumps(told)
    except (TypeError, ValueError, RecursionError) as error:
        problem = f"It could not be stored: {type(error).__name__}."
        return event_to_dict(RawEvent(name=event.type, data="", problem=problem))
    return told
