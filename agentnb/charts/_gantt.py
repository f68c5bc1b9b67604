"""One run on a time axis."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import altair as alt
import pandas as pd

from agentnb.charts._frame import as_frame, need, seconds, short
from agentnb.charts._look import (
    FAILED,
    LABEL,
    NEUTRAL,
    ROW,
    WIDTH,
    Chart,
    LayerChart,
    axis,
    empty,
    legend,
    title,
)
from agentnb.errors import RequestError
from agentnb.event.timeline import Segment
from agentnb.event.timeline import timeline as segments_of
from agentnb.event.types import Event, RawEvent, event_from_dict
from agentnb.render.visible import one_line

__all__ = ["timeline"]

_AXIS: Final = "Time since sending (s)"
_COLOURS: Final = {
    "Waiting": NEUTRAL,
    "Reasoning": "#b07aa1",
    "Tool call": "#4e79a7",
    "Tool call, failed": FAILED,
    "Tool call, unfinished": "#76b7b2",
    "Approval": "#f28e2b",
    "Answer": "#59a14f",
}
_MOST_BARS: Final = 1000
_MOST_ROWS: Final = 40
_TITLE: Final = 60
# Of the axis: what is over in a moment must still be seen, and hit by the pointer.
_THINNEST: Final = 0.004


def timeline(run: Any) -> Chart | LayerChart:
    """Draw one run as bars on an axis of seconds: waiting, reasoning, each tool call, the answer.

    ``run`` is a `Run`, also one that still goes on, a stored run, or a table of `agentnb.events` of
    one run.  Calls that overlap stand below each other.  A run of more than 1,000 bars is drawn
    without the shortest, and the chart says so.

    Raises:
        RequestError: it is none of these, the table has events of several runs, or lacks a column.
    """
    found, named = _segments(run)
    heading = f"Timeline of {named}" if named else "Timeline"
    if not found:
        return empty("No events", x=_AXIS, y="Part", heading=heading, height=120)
    total = max(segment.end for segment in found)
    by_length = sorted(range(len(found)), key=lambda at: found[at].start - found[at].end)
    # In the order they began, which for those that began together is not that of their length.
    kept = [found[at] for at in sorted(by_length[:_MOST_BARS])]
    rows = _rows(kept, total)
    lanes = list(dict.fromkeys(row["lane"] for row in rows))
    kinds = [kind for kind in _COLOURS if any(row["what"] == kind for row in rows)]
    left_out = len(found) - len(kept)
    note = f"{left_out:,} of {len(found):,} bars, the shortest, are left out." * bool(left_out)
    return (
        Chart(pd.DataFrame(rows))
        .mark_bar(height={"band": 0.7}, cornerRadius=2)
        .encode(
            x=alt.X(
                "start:Q",
                title=_AXIS,
                scale=alt.Scale(domain=[0, total or 1], nice=False),
                axis=axis(format="~f"),
            ),
            x2="shown:Q",
            y=alt.Y(
                "lane:N",
                title=None,
                sort=lanes,
                axis=axis(labelLimit=LABEL, grid=True, tickBand="extent"),
            ),
            color=alt.Color(
                "what:N",
                title=None,
                scale=alt.Scale(domain=kinds, range=[_COLOURS[kind] for kind in kinds]),
                legend=legend(),
            ),
            tooltip=[
                alt.Tooltip("what:N", title="Part"),
                alt.Tooltip("label:N", title="Name"),
                alt.Tooltip("start:Q", title="Start (s)", format=".3~f"),
                alt.Tooltip("end:Q", title="End (s)", format=".3~f"),
                alt.Tooltip("took:Q", title="Duration (s)", format=".3~f"),
                alt.Tooltip("status:N", title="Status"),
                alt.Tooltip("detail:N", title="Detail"),
            ],
        )
        .properties(
            width=WIDTH, height=alt.Step(ROW), title=title(heading, f"{total:.3g} s in all.", note)
        )
    )


def _segments(run: Any) -> tuple[list[Segment], str]:
    """Return the run's segments and what it is called."""
    events, times = getattr(run, "events", None), getattr(run, "event_times", None)
    if isinstance(events, Iterable) and isinstance(times, Iterable):
        until = getattr(run, "elapsed", None) if getattr(run, "duration", None) is None else None
        made = segments_of(
            cast("Iterable[Event]", events), cast("Iterable[float]", times), until=until
        )
        named = str(getattr(run, "title", None) or getattr(run, "agent", None) or "")
        return made, one_line(named, _TITLE)
    frame = as_frame(run, "timeline")
    need(frame, "timeline", "type", "at", of="events")
    for column in ("local_id", "run_id"):
        if column in frame.columns and frame[column].nunique() > 1:
            raise RequestError(
                f"charts.timeline draws one run; this table has events of "
                f"{frame[column].nunique():,}.",
                hint="Choose one: agentnb.events(run=...).",
            )
    if "position" in frame.columns:
        frame = frame.sort_values("position")
    known = frame.dropna(subset=["type"])
    records = cast("list[Mapping[str, Any]]", known.astype("object").to_dict("records"))
    return segments_of(map(_event, records), seconds(known["at"])), _run_id(known)


def _run_id(frame: pd.DataFrame) -> str:
    ids = frame["run_id"].dropna() if "run_id" in frame.columns else frame[[]]
    return short(str(ids.iloc[0])) if len(ids) else ""


def _event(row: Mapping[str, Any]) -> Event:
    """Return the event that a row of `agentnb.events` was made from."""
    rest = row.get("data")
    values: dict[str, Any] = {}
    if isinstance(rest, str) and rest:
        try:
            parsed = json.loads(rest)
        except ValueError:
            parsed = None
        if isinstance(parsed, dict):
            values = cast("dict[str, Any]", parsed)
    for name in ("type", "text", "part_id", "call_id", "name"):
        value = row.get(name)
        if isinstance(value, str):
            values[name] = value
    try:
        return event_from_dict(values)
    except (TypeError, KeyError):
        # Where content is not stored, an event may lack what makes it one.
        return (
            event_from_dict({"text": "", "name": "", "data": "", **values})
            if (values.get("type") in ("text_delta", "reasoning_delta"))
            else RawEvent(name=str(row.get("type")), data="")
        )


def _rows(segments: list[Segment], total: float) -> list[dict[str, Any]]:
    """Return a row for each segment; of one name, those that overlap get a lane each."""
    busy: dict[str, list[float]] = {}
    thinnest = (total or 1.0) * _THINNEST
    rows: list[dict[str, Any]] = []
    for segment in segments:
        name = short(segment.label) if segment.kind == "tool" else _part(segment)
        lanes = busy.setdefault(name, [])
        free = next((at for at, end in enumerate(lanes) if end <= segment.start), len(lanes))
        if free == len(lanes):
            lanes.append(0.0)
        shown = max(segment.end, segment.start + thinnest)
        lanes[free] = shown
        rows.append(
            {
                "lane": name if free == 0 else f"{name} ({free + 1})",
                "what": _part(segment),
                "label": one_line(segment.label),
                "start": round(segment.start, 4),
                "end": round(segment.end, 4),
                "shown": round(min(shown, (total or 1.0) + thinnest), 4),
                "took": round(segment.end - segment.start, 4),
                "status": segment.status or "",
                "detail": one_line(segment.detail),
            }
        )
    _crowd(rows)
    return rows


def _crowd(rows: list[dict[str, Any]]) -> None:
    """Put all lanes beyond the most that can be drawn into one."""
    lanes = list(dict.fromkeys(row["lane"] for row in rows))
    rest = set(lanes[_MOST_ROWS:]) if len(lanes) > _MOST_ROWS + 1 else set[str]()
    for row in rows:
        if row["lane"] in rest:
            row["lane"] = f"other ({len(rest)})"


def _part(segment: Segment) -> str:
    match segment.kind:
        case "tool":
            if segment.status == "failed":
                return "Tool call, failed"
            return "Tool call" if segment.status == "completed" else "Tool call, unfinished"
        case "waiting":
            return "Waiting"
        case "reasoning":
            return "Reasoning"
        case "approval":
            return "Approval"
        case "text":
            return "Answer"
