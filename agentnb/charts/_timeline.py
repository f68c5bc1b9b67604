"""The timeline of one run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import altair as alt
import pandas as pd

from agentnb.charts import _style as style
from agentnb.charts._data import seconds, short_label, table
from agentnb.charts._style import Chart, LayerChart
from agentnb.errors import RequestError
from agentnb.event.timeline import Segment
from agentnb.event.timeline import timeline as segments_of
from agentnb.event.types import Event, RawEvent, event_from_dict
from agentnb.render.visible import one_line

_AXIS: Final = "Time since sending (s)"
_COLOURS: Final = {
    "Waiting": style.NEUTRAL_COLOUR,
    "Reasoning": "#b07aa1",
    "Tool call": "#4e79a7",
    "Tool call, failed": style.FAILED_COLOUR,
    "Tool call, unfinished": "#76b7b2",
    "Approval": "#f28e2b",
    "Answer": "#59a14f",
}
_MAX_BARS: Final = 1000
_MAX_LANES: Final = 40
_MAX_TITLE_CHARS: Final = 60
# Fraction of the axis that the shortest bar takes, to be visible and hit by the pointer.
_MIN_WIDTH: Final = 0.004


def timeline(run: Any) -> Chart | LayerChart:
    """Draw one run as bars on an axis of seconds: waiting, reasoning, each tool call, the answer.

    ``run`` is a `Run`, running or not, a stored run, or a table of `agentnb.events` of one run.
    Overlapping calls have a lane each.  Of more than 1,000 bars the shortest are left out, and the
    chart says so.

    Raises:
        RequestError: ``run`` is none of these, has events of several runs, or lacks a column.
    """
    segments, name = _segments(run)
    heading = f"Timeline of {name}" if name else "Timeline"
    if not segments:
        return style.empty("No events", x=_AXIS, y="Part", heading=heading, height=120)
    total = max(segment.end for segment in segments)
    by_length = sorted(range(len(segments)), key=lambda i: segments[i].start - segments[i].end)
    drawn = [segments[i] for i in sorted(by_length[:_MAX_BARS])]
    rows = _rows(drawn, total)
    lanes = list(dict.fromkeys(row["lane"] for row in rows))
    kinds = {row["what"] for row in rows}
    colours = {kind: colour for kind, colour in _COLOURS.items() if kind in kinds}
    left_out = len(segments) - len(drawn)
    note = f"{left_out:,} of {len(segments):,} bars, the shortest, are left out." * bool(left_out)
    return (
        Chart(pd.DataFrame(rows))
        .mark_bar(height={"band": 0.7}, cornerRadius=2)
        .encode(
            x=alt.X(
                "start:Q",
                title=_AXIS,
                scale=alt.Scale(domain=[0, total or 1], nice=False),
                axis=style.axis(format="~f"),
            ),
            x2="drawn_end:Q",
            y=alt.Y(
                "lane:N",
                title=None,
                sort=lanes,
                axis=style.axis(labelLimit=style.LABEL_WIDTH, grid=True, tickBand="extent"),
            ),
            color=style.colour("what:N", colours),
            tooltip=[
                alt.Tooltip("what:N", title="Part"),
                alt.Tooltip("label:N", title="Name"),
                alt.Tooltip("start:Q", title="Start (s)", format=".3~f"),
                alt.Tooltip("end:Q", title="End (s)", format=".3~f"),
                alt.Tooltip("duration:Q", title="Duration (s)", format=".3~f"),
                alt.Tooltip("status:N", title="Status"),
                alt.Tooltip("detail:N", title="Detail"),
            ],
        )
        .properties(
            width=style.WIDTH,
            height=alt.Step(style.ROW_HEIGHT),
            title=style.title(heading, f"{total:.3g} s in all.", note),
        )
    )


def _segments(run: Any) -> tuple[list[Segment], str]:
    """Return the run's segments and its name for the title."""
    events, times = getattr(run, "events", None), getattr(run, "event_times", None)
    if isinstance(events, Iterable) and isinstance(times, Iterable):
        until = getattr(run, "elapsed", None) if getattr(run, "duration", None) is None else None
        segments = segments_of(
            cast("Iterable[Event]", events), cast("Iterable[float]", times), until=until
        )
        name = str(getattr(run, "title", None) or getattr(run, "agent", None) or "")
        return segments, one_line(name, _MAX_TITLE_CHARS)
    frame = table(run, "timeline", "type", "at", of="events")
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
    return short_label(str(ids.iloc[0])) if len(ids) else ""


def _event(row: Mapping[str, Any]) -> Event:
    """Return the event of a row of `agentnb.events`."""
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
        # Required fields are missing where content is not stored.
        if values.get("type") in ("text_delta", "reasoning_delta"):
            return event_from_dict({"text": "", "name": "", "data": "", **values})
        return RawEvent(name=str(row.get("type")), data="")


def _rows(segments: list[Segment], total: float) -> list[dict[str, Any]]:
    """Return a row for each segment; overlapping segments of one name get a lane each."""
    busy: dict[str, list[float]] = {}
    min_width = (total or 1.0) * _MIN_WIDTH
    rows: list[dict[str, Any]] = []
    for segment in segments:
        name = short_label(segment.label) if segment.kind == "tool" else _part(segment)
        lanes = busy.setdefault(name, [])
        free = next((i for i, end in enumerate(lanes) if end <= segment.start), len(lanes))
        if free == len(lanes):
            lanes.append(0.0)
        drawn_end = max(segment.end, segment.start + min_width)
        lanes[free] = drawn_end
        rows.append(
            {
                "lane": name if free == 0 else f"{name} ({free + 1})",
                "what": _part(segment),
                "label": one_line(segment.label),
                "start": round(segment.start, 4),
                "end": round(segment.end, 4),
                "drawn_end": round(min(drawn_end, (total or 1.0) + min_width), 4),
                "duration": round(segment.end - segment.start, 4),
                "status": segment.status or "",
                "detail": one_line(segment.detail),
            }
        )
    names = list(dict.fromkeys(row["lane"] for row in rows))
    if len(names) > _MAX_LANES + 1:
        rest = set(names[_MAX_LANES:])
        for row in rows:
            if row["lane"] in rest:
                row["lane"] = f"other ({len(rest)})"
    return rows


def _part(segment: Segment) -> str:
    if segment.kind == "tool":
        if segment.status == "failed":
            return "Tool call, failed"
        return "Tool call" if segment.status == "completed" else "Tool call, unfinished"
    return "Answer" if segment.kind == "text" else segment.kind.capitalize()
