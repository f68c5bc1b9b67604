"""What the kernel and the page say to each other: the mirror of ``js/src/protocol.ts``.

Both sides are held together by the fixtures in ``tests/fixtures/protocol``.  Numbers are seconds,
offsets and lengths of text are UTF-16 code units, as the page counts them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any, Final, Literal, NotRequired, TypedDict, cast

from agentnb.event.approvals import changed_ids
from agentnb.event.timeline import timeline
from agentnb.event.types import Event, event_to_dict
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
    "EVENTS_A_MESSAGE",
    "EVENT_TEXT",
    "SEGMENTS_A_MESSAGE",
    "Ack",
    "AppendOp",
    "AskEvents",
    "AskTimeline",
    "Decide",
    "EventsPage",
    "Op",
    "Ops",
    "PageMessage",
    "PartOp",
    "Resync",
    "RunOp",
    "SetOp",
    "Snapshot",
    "SnapshotMessage",
    "Stop",
    "TimelinePage",
    "ack_message",
    "events_message",
    "jsonable",
    "ops_message",
    "parse_page_message",
    "run_fields",
    "run_state",
    "snapshot_message",
    "timeline_message",
    "utf16_length",
    "waiting_state",
]

EVENTS_A_MESSAGE: Final = 200
# Characters of each text of an event; the whole ones stay in `Run.events`.
EVENT_TEXT: Final = 4000
# What a list or an object in an event shows of itself.
_EVENT_ITEMS: Final = 100
# Why a run waits: it stands in the view all the time.
_REASON: Final = 500
# Bars of a timeline; nobody reads as many.
SEGMENTS_A_MESSAGE: Final = 500


class RunOp(TypedDict):
    """Merge ``set`` into the run's top-level fields."""

    op: Literal["run"]
    set: dict[str, Any]


class PartOp(TypedDict):
    """Put a part at ``index``: after the last one, or in place of the one that is there."""

    op: Literal["part"]
    index: int
    part: dict[str, Any]


class AppendOp(TypedDict):
    """Append ``text`` to a part's field, whose present length must be ``offset``."""

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


class Ops(TypedDict):
    """Changes; ``seq`` is one more than that of the message before."""

    type: Literal["ops"]
    seq: int
    ops: list[Op]


class Snapshot(TypedDict):
    """The whole state of a run, as the trait ``snapshot`` holds it."""

    seq: int
    run: dict[str, Any]


class SnapshotMessage(TypedDict):
    """The whole state as an answer to `Resync`."""

    type: Literal["snapshot"]
    seq: int
    run: dict[str, Any]


class Ack(TypedDict):
    """The kernel has seen a click."""

    type: Literal["ack"]
    of: Literal["stop", "decide"]


class EventsPage(TypedDict):
    """Some of a run's events, from the one numbered ``offset`` on; ``total`` is how many there are.

    Each event is its JSON form with ``at``, the seconds since sending.  It carries no state.
    """

    type: Literal["events"]
    offset: int
    total: int
    events: list[dict[str, Any]]


class TimelinePage(TypedDict):
    """What the run did when, as `Segment` tells it: the first ones of ``total``.

    ``end`` is where the axis ends, in seconds since sending.  It carries no state.
    """

    type: Literal["timeline"]
    end: float
    total: int
    segments: list[dict[str, Any]]


class Resync(TypedDict):
    """The page asks for a snapshot.

    It also tells the ``seq`` of the last message it applied, for whoever reads the wire.
    """

    type: Literal["resync"]


class Stop(TypedDict):
    """The user clicked Stop."""

    type: Literal["stop"]


class AskEvents(TypedDict):
    """The page asks for the events from the one numbered ``offset`` on."""

    type: Literal["events"]
    offset: int


class AskTimeline(TypedDict):
    """The page asks what the run did when."""

    type: Literal["timeline"]


class Decide(TypedDict):
    """The user answered what the run waits for.

    ``key`` is that of the approval as it was displayed; without it, its id alone counts.
    """

    type: Literal["decide"]
    approval_id: str | None
    key: NotRequired[str]
    approved: bool


PageMessage = Resync | Stop | AskEvents | AskTimeline | Decide


def ops_message(seq: int, ops: list[Op]) -> Ops:
    """Return the message that carries ``ops``."""
    return {"type": "ops", "seq": seq, "ops": ops}


def snapshot_message(snapshot: Snapshot) -> SnapshotMessage:
    """Return the message that carries a whole state."""
    return {"type": "snapshot", **snapshot}


def ack_message(of: Literal["stop", "decide"] = "stop") -> Ack:
    """Return the answer to a click on Stop, or on a decision."""
    return {"type": "ack", "of": of}


def events_message(events: Sequence[Event], times: Sequence[float], *, offset: int) -> EventsPage:
    """Return the message with what of a run's events is asked for, at most `EVENTS_A_MESSAGE`."""
    end = offset + EVENTS_A_MESSAGE
    shown = zip(events[offset:end], times[offset:end], strict=False)
    return {
        "type": "events",
        "offset": offset,
        "total": len(events),
        "events": [_cut(jsonable({"at": at, **event_to_dict(event)})) for event, at in shown],
    }


def timeline_message(
    events: Sequence[Event], times: Sequence[float], *, took: float
) -> TimelinePage:
    """Return the message with a run's timeline; ``took`` are the seconds until its end, or now."""
    segments = timeline(events, times, until=took)
    # What came after the end, usage for example, needs no axis of its own.
    end = max([took, *(segment.end for segment in segments)])
    shown = segments[:SEGMENTS_A_MESSAGE]
    return {
        "type": "timeline",
        "end": end,
        "total": len(segments),
        "segments": [_cut(jsonable(asdict(segment))) for segment in shown],
    }


def _cut(value: Any) -> Any:
    match value:
        case str() if len(value) > EVENT_TEXT:
            return value[:EVENT_TEXT] + "…"
        case dict():
            items = islice(cast("dict[str, Any]", value).items(), _EVENT_ITEMS)
            return {_cut(key): _cut(item) for key, item in items}
        case list():
            return [_cut(item) for item in cast("list[Any]", value)[:_EVENT_ITEMS]]
        case _:
            return value


def parse_page_message(content: object) -> PageMessage | None:
    """Return what the page said, or None where it is none of this protocol's messages."""
    if not isinstance(content, Mapping):
        return None
    match cast("Mapping[str, Any]", content):
        case {"type": "stop"}:
            return {"type": "stop"}
        # What the page has does not matter: the answer is the whole state.
        case {"type": "resync"}:
            return {"type": "resync"}
        case {"type": "timeline"}:
            return {"type": "timeline"}
        # A bool is an int to Python; to the page it is none.
        case {"type": "events", "offset": int(offset)} if offset >= 0 and offset is not True:
            return {"type": "events", "offset": int(offset)}
        case {
            "type": "decide",
            "approval_id": str() | None as approval_id,
            "approved": bool(approved),
            **rest,
        } if len(approval_id or "") <= KEY_TEXT:
            made: Decide = {"type": "decide", "approval_id": approval_id, "approved": approved}
            if "key" in rest:
                if not isinstance(key := rest["key"], str):
                    return None
                made["key"] = key
            return made
        case _:
            return None


def run_state(view: RunView, waiting: Waiting | None = None) -> dict[str, Any]:
    """Return the whole state of a run in its JSON form, its texts bounded.

    A run that goes on must be locked by the caller.
    """
    parts = [part_state(part, index) for index, part in enumerate(view.transcript.parts)]
    waits = waiting_state(waiting, now=view.took)
    whole = {**run_fields(view), "waiting": waits, "parts": parts, "elapsed": view.took}
    return jsonable(whole)


def waiting_state(waiting: Waiting | None, *, now: float) -> dict[str, Any] | None:
    """Return what a run waits for in its JSON form; ``now`` is the ``elapsed`` it goes with.

    ``seconds`` is how long it still waits from then on, 0 while the attempt is made.
    """
    if waiting is None:
        return None
    return {
        "kind": waiting.kind,
        "attempt": waiting.attempt,
        "of": waiting.of,
        "seconds": max(0.0, waiting.until - now),
        "reason": shortened(waiting.reason, _REASON),
    }


def run_fields(view: RunView) -> dict[str, Any]:
    """Return every top-level field of the state but the parts and those that time moves."""
    head = bounded_head(view.transcript.head_to_dict())
    pending = view.transcript.pending_approvals
    changed = changed_ids(view.transcript.approvals) if pending else set[str]()
    for approval, told in zip(pending, head["approvals"], strict=False):
        told["changed"] = approval.approval_id in changed
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
    """Return JSON-like data as every JSON parser takes it.

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
