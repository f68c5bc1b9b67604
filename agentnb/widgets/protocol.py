"""Messages between kernel and page for a run: the counterpart of ``js/src/protocol.ts``.

The fixtures in ``tests/fixtures/protocol`` test both sides.  Times are in seconds, offsets and
lengths of text in UTF-16 code units, as in JavaScript.

The kernel sends ``{type: "ops", seq, ops}`` with changes, where ``seq`` increases by one,
``{type: "snapshot", seq, run}`` with the whole state, ``{type: "ack", of: "stop" | "decide"}`` when
it has received a click, and on request `events_message` and `timeline_message`.  The page sends the
messages that `parse_page_message` lists.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any, Final, Literal, TypedDict, cast

from agentnb.event.timeline import timeline
from agentnb.event.types import Event, changed_ids, event_to_dict
from agentnb.recording.recording import Waiting
from agentnb.render import RunView
from agentnb.render.visible import well_formed
from agentnb.widgets.bounds import (
    KEY_TEXT,
    NAME_TEXT,
    QUESTION_TEXT,
    bounded_head,
    part_state,
    shortened,
)

__all__ = [
    "EVENTS_PER_MESSAGE",
    "MAX_EVENT_TEXT",
    "MAX_SEGMENTS",
    "AppendOp",
    "Op",
    "PartOp",
    "RunOp",
    "SetOp",
    "Snapshot",
    "events_message",
    "jsonable",
    "ops_message",
    "parse_page_message",
    "run_fields",
    "run_state",
    "timeline_message",
    "utf16_length",
    "waiting_state",
]

EVENTS_PER_MESSAGE: Final = 200
# Characters of each text of an event; the full texts stay in `Run.events`.
MAX_EVENT_TEXT: Final = 4000
# Items of each list or object in an event.
_MAX_EVENT_ITEMS: Final = 100
_MAX_REASON: Final = 500
# Bars of a timeline.
MAX_SEGMENTS: Final = 500


class RunOp(TypedDict):
    """Merge ``set`` into the run's top-level fields."""

    op: Literal["run"]
    set: dict[str, Any]


class PartOp(TypedDict):
    """Append or replace the part at ``index``."""

    op: Literal["part"]
    index: int
    part: dict[str, Any]


class AppendOp(TypedDict):
    """Append ``text`` to a part's field, whose length must be ``offset``."""

    op: Literal["append"]
    index: int
    field: Literal["text", "arguments", "result"]
    offset: int
    text: str


class SetOp(TypedDict):
    """Merge ``set`` into the fields of part ``index``."""

    op: Literal["set"]
    index: int
    set: dict[str, Any]


Op = RunOp | PartOp | AppendOp | SetOp


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


def parse_page_message(content: object) -> dict[str, Any] | None:
    """Return a validated message of the page, or None.

    - ``{type: "stop"}``: the user clicked Stop
    - ``{type: "resync"}``: send a snapshot; other fields are ignored
    - ``{type: "timeline"}`` and ``{type: "events", offset}``: send the timeline, or events
    - ``{type: "decide", approval_id, approved, key?}``: the user decided an approval; ``key`` is
      that of the approval as it was displayed, without it the id alone counts
    """
    if not isinstance(content, Mapping):
        return None
    match cast("Mapping[str, Any]", content):
        case {"type": "stop" | "resync" | "timeline" as kind}:
            return {"type": kind}
        # In Python a bool is an int.
        case {"type": "events", "offset": int(offset)} if offset >= 0 and offset is not True:
            return {"type": "events", "offset": int(offset)}
        case {
            "type": "decide",
            "approval_id": str() | None as approval_id,
            "approved": bool(approved),
            **rest,
        } if len(approval_id or "") <= KEY_TEXT and isinstance(rest.get("key", ""), str):
            message = {"type": "decide", "approval_id": approval_id, "approved": approved}
            return {**message, "key": rest["key"]} if "key" in rest else message
        case _:
            return None


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
    return {
        **head,
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
