"""Messages between kernel and page for a run: the counterpart of ``js/src/protocol.ts``.

The fixtures in ``tests/fixtures/protocol`` test both sides.  Times are in seconds, offsets and
lengths of text in UTF-16 code units, as in JavaScript.

The kernel sends ``{type: "ops", seq, ops}`` with changes, where ``seq`` increases by one,
``{type: "snapshot", seq, run}`` with the whole state, ``{type: "ack", of: "stop" | "decide"}`` when
it has received a click, and on request `events_message` and `timeline_message`.  An operation is

- ``{op: "run", set}``: merge ``set`` into the run's top-level fields
- ``{op: "part", index, part}``: append or replace the part at ``index``
- ``{op: "append", index, field, offset, text}``: append ``text`` to a part's ``text``,
  ``arguments`` or ``result``, whose length must be ``offset``
- ``{op: "set", index, set}``: merge ``set`` into the fields of part ``index``

A page is not trusted: `parse_message` accepts only the listed messages, within limits.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any, Final, NoReturn, TypedDict, cast

from agentnb._support.text import well_formed
from agentnb.event.approvals import changed_ids
from agentnb.event.timeline import timeline
from agentnb.event.types import Event, event_to_dict
from agentnb.recording.recording import Waiting
from agentnb.render import RunView
from agentnb.widgets.bounds import (
    KEY_TEXT,
    NAME_TEXT,
    QUESTION_TEXT,
    STATE_TEXT,
    TOOL_TEXT,
    bounded_head,
    part_state,
    shortened,
)

_log = logging.getLogger(__name__)

EVENTS_PER_MESSAGE: Final = 200
# Characters of each text of an event; the full texts stay in `Run.events`.
MAX_EVENT_TEXT: Final = 4000
# Items of each list or object in an event.
_MAX_EVENT_ITEMS: Final = 100
_MAX_REASON: Final = 500
# Bars of a timeline.
MAX_SEGMENTS: Final = 500


Op = dict[str, Any]
Fields = Mapping[str, Callable[[Any], Any]]


class Snapshot(TypedDict):
    """Whole state of a run, as in the trait ``snapshot``."""

    seq: int
    run: dict[str, Any]


def ops_message(seq: int, ops: list[Op]) -> dict[str, Any]:
    """Return the message with changes."""
    return {"type": "ops", "seq": seq, "ops": ops}


def events_message(
    events: Sequence[Event], times: Sequence[float], *, offset: int
) -> dict[str, Any]:
    """Return at most `EVENTS_PER_MESSAGE` events from ``offset`` on, and how many there are.

    Each event is its JSON form with ``at``, the seconds since the request.
    """
    end = offset + EVENTS_PER_MESSAGE
    pairs = zip(events[offset:end], times[offset:end], strict=False)
    return {
        "type": "events",
        "offset": offset,
        "total": len(events),
        "events": [_truncated(jsonable({"at": at, **event_to_dict(event)})) for event, at in pairs],
    }


def timeline_message(
    events: Sequence[Event], times: Sequence[float], *, took: float
) -> dict[str, Any]:
    """Return the first `MAX_SEGMENTS` segments of the timeline, and how many there are.

    ``took`` are the seconds until the run's end, or now; ``end`` is where the axis ends.
    """
    segments = timeline(events, times, until=took)
    return {
        "type": "timeline",
        # Events after the end, such as usage, do not extend the axis.
        "end": max([took, *(segment.end for segment in segments)]),
        "total": len(segments),
        "segments": [_truncated(jsonable(asdict(each))) for each in segments[:MAX_SEGMENTS]],
    }


def _truncated(value: Any) -> Any:
    match value:
        case str() if len(value) > MAX_EVENT_TEXT:
            return value[:MAX_EVENT_TEXT] + "…"
        case dict():
            items = islice(cast("dict[str, Any]", value).items(), _MAX_EVENT_ITEMS)
            return {_truncated(key): _truncated(item) for key, item in items}
        case list():
            return [_truncated(item) for item in cast("list[Any]", value)[:_MAX_EVENT_ITEMS]]
        case _:
            return value


def text(limit: int) -> Callable[[Any], str]:
    """Return the parser of a text of at most ``limit`` characters."""

    def parse(value: Any) -> str:
        if not isinstance(value, str) or len(value) > limit:
            raise ValueError("not a text within the limit")
        return value

    return parse


def optional(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a parser that also accepts None."""
    return lambda value: None if value is None else parse(value)


def json_text(limit: int) -> Callable[[Any], Any]:
    """Return the parser of JSON of at most ``limit`` characters, which returns its value."""

    def parse(value: Any) -> Any:
        try:
            return json.loads(text(limit)(value), parse_constant=_refuse_constant)
        except RecursionError:
            raise ValueError("nested too deeply") from None

    return parse


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def count(value: Any) -> int:
    """Parse a number that JavaScript represents exactly, at least 0."""
    # In Python a bool is an int.
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise ValueError("not a number")
    return value


def flag(value: Any) -> bool:
    """Parse a bool."""
    if not isinstance(value, bool):
        raise ValueError("not a bool")
    return value


def anything(value: Any) -> Any:
    """Accept any value, which another parser checks."""
    return value


def parse_fields(content: object, fields: Fields) -> dict[str, Any]:
    """Return the parsed ``fields`` of an object; those whose name ends in "?" may be missing.

    Raises:
        ValueError: a field is missing or invalid.
    """
    if not isinstance(content, Mapping):
        raise ValueError("not an object")
    parsed: dict[str, Any] = {}
    for name, parse in fields.items():
        key = name.removesuffix("?")
        if key in content:
            parsed[key] = parse(content[key])
        elif key == name:
            raise ValueError(f"{key} is missing")
    return parsed


def parse_message(content: object, messages: Mapping[str, Fields]) -> dict[str, Any] | None:
    """Return the type and the fields of a page's message, None for one not in ``messages``."""
    try:
        kind = parse_fields(content, {"type": text(KEY_TEXT)})["type"]
        return {"type": kind, **parse_fields(content, messages[kind])}
    except (KeyError, ValueError):
        _log.debug("A page sent a message that is not part of the protocol")
        return None


# Resync is answered by a snapshot.  ``key`` is that of the approval as it was displayed; without it
# the id alone counts.  ``payload`` is the answer of a form, as JSON.
_RUN_MESSAGES: Final[dict[str, Fields]] = {
    "stop": {},
    "resync": {},
    "timeline": {},
    "events": {"offset": count},
    "decide": {
        "approval_id": optional(text(KEY_TEXT)),
        "approved": flag,
        "key?": text(KEY_TEXT),
        "payload?": json_text(TOOL_TEXT),
    },
}


def parse_page_message(content: object) -> dict[str, Any] | None:
    """Return a validated message of the page for a run, or None."""
    return parse_message(content, _RUN_MESSAGES)


def run_state(view: RunView, waiting: Waiting | None = None) -> dict[str, Any]:
    """Return the whole state of a run in its JSON form, with bounded texts.

    The caller holds the lock of an unfinished run.
    """
    parts = [part_state(part, index) for index, part in enumerate(view.transcript.parts)]
    state = {**run_fields(view), "waiting": waiting_state(waiting, now=view.took)}
    return jsonable({**state, "parts": parts, "elapsed": view.took})


def waiting_state(waiting: Waiting | None, *, now: float) -> dict[str, Any] | None:
    """Return the reconnect or retry that a run waits for, in its JSON form.

    ``now`` is the ``elapsed`` of the same message; ``seconds`` remain from then on, 0 during the
    attempt.
    """
    if waiting is None:
        return None
    return {
        "kind": waiting.kind,
        "attempt": waiting.attempt,
        "of": waiting.of,
        "seconds": max(0.0, waiting.until - now),
        "reason": shortened(waiting.reason, _MAX_REASON),
    }


def run_fields(view: RunView) -> dict[str, Any]:
    """Return the top-level fields of the state, except the parts and those that depend on time."""
    head = bounded_head(view.transcript.head_to_dict())
    pending = view.transcript.pending_approvals
    changed = changed_ids(view.transcript.approvals) if pending else set[str]()
    for approval, state in zip(pending, head["approvals"], strict=False):
        state["changed"] = approval.approval_id in changed
    state = view.transcript.state_text
    return {
        **head,
        "state": None if state is None else shortened(state, STATE_TEXT),
        "title": shortened(view.title, NAME_TEXT),
        "platform": shortened(view.platform, NAME_TEXT),
        "prompt": shortened(view.prompt, QUESTION_TEXT),
        "time_to_first_token": view.time_to_first_token,
        "duration": view.duration,
        "platform_duration": view.transcript.platform_duration,
        "notice": view.notice,
        "can_decide": view.can_decide,
    }


def jsonable(value: Any) -> Any:
    """Return JSON-like data that every JSON parser accepts.

    Lone surrogates become U+FFFD, which keeps the length in UTF-16 units; NaN and infinities
    become None.
    """
    match value:
        case str():
            return well_formed(value)
        case float():
            return value if math.isfinite(value) else None
        case dict():
            items = cast("dict[str, Any]", value).items()
            return {well_formed(key): jsonable(item) for key, item in items}
        case list() | tuple():
            return [jsonable(item) for item in cast("list[Any]", value)]
        case _:
            return value


def utf16_length(text: str) -> int:
    """Return the length of ``text`` in UTF-16 code units."""
    if text.isascii():
        return len(text)
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
