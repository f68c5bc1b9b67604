"""Tables to draw: as agentnb makes them, of any size."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pandas as pd

from agentnb.event.types import (
    ApprovalRequested,
    Event,
    ReasoningDelta,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    event_to_dict,
)
from agentnb.tables.columns import EVENT_COLUMNS, RUN_COLUMNS, TOOL_CALL_COLUMNS

BEGAN: Final = datetime(2026, 10, 20, 22, 30, tzinfo=UTC)

_ERRORS: Final = ("RateLimitError", "ServerError", None)


def runs(count: int, *, agents: int = 4, hours: float = 0.5, **same: Any) -> pd.DataFrame:
    """Return ``count`` runs, one every ``hours``; ``same`` are columns of one value."""
    rows = [
        {
            "run_id": f"run-{at}",
            "session_id": f"0f6f3a9e-0000-4000-8000-{at % 50:012d}",
            "agent": f"agent_{at % agents:02d}",
            "platform": ("operativus", "seekr")[at % 2],
            "model": ("small", "large")[at % 3 == 0],
            "user_name": ("ada", "grace")[at % 2],
            "status": "failed" if at % 10 == 9 else "completed",
            "error_class": _ERRORS[at % 3] if at % 10 == 9 else None,
            "started_at": BEGAN + timedelta(hours=hours * at),
            "duration": timedelta(milliseconds=100 + 37 * (at % 400)),
            "time_to_first_token": timedelta(milliseconds=20 + 3 * (at % 400)),
            "total_tokens": 100 + at % 7,
            "cost_usd": 0.001 * (1 + at % 5),
            "cost_source": ("platform", "prices")[at % 2],
            **same,
        }
        for at in range(count)
    ]
    return _table(rows, RUN_COLUMNS)


def tool_calls(count: int) -> pd.DataFrame:
    rows = [
        {
            "name": ("search", "price", "a_tool_whose_name_is_longer_than_any_axis_has_room_for")[
                at % 3
            ],
            "status": "failed" if at % 10 == 9 else "completed",
            "started_at": BEGAN + timedelta(minutes=at),
            "duration": timedelta(milliseconds=1 + at % 500),
        }
        for at in range(count)
    ]
    return _table(rows, TOOL_CALL_COLUMNS)


def timed(calls: int) -> list[tuple[float, Event]]:
    """Return a run's events with their times: ``calls`` calls, of which neighbours overlap."""
    found: list[tuple[float, Event]] = [
        (0.1, RunStarted(run_id="r")),
        (0.5, ReasoningDelta("Let me ")),
        (0.9, ReasoningDelta("see.")),
    ]
    for at in range(calls):
        call = f"call-{at}"
        found.append((1.0 + at, ToolCallStarted(call_id=call, name=f"tool_{at % 60}")))
        error = "no network" if at % 5 == 1 else None
        found.append((2.5 + at, ToolCallFinished(call_id=call, result="", error=error)))
    end = 3.0 + calls
    found += [
        (end, ApprovalRequested(tool="send_mail", message="Send it?")),
        (end + 1.0, TextDelta("Here it ")),
        (end + 2.5, TextDelta("is.")),
        (end + 2.6, RunFinished()),
    ]
    return sorted(found, key=lambda one: one[0])


def events(calls: int, *, run: str = "r") -> pd.DataFrame:
    """Return the events of `timed` as their table."""
    return event_table(timed(calls), run=run)


def event_table(found: list[tuple[float, Event]], *, run: str = "r") -> pd.DataFrame:
    from json import dumps

    rows: list[dict[str, Any]] = []
    for position, (at, event) in enumerate(found):
        rest = event_to_dict(event)
        own = {
            name: rest.pop(name)
            for name in ("type", "text", "part_id", "call_id", "name")
            if name in rest
        }
        rows.append(
            {
                "run_id": run,
                "local_id": run,
                "position": position,
                "at": timedelta(seconds=at),
                **own,
                "data": dumps(rest) if rest else None,
            }
        )
    return _table(rows, EVENT_COLUMNS)


def _table(rows: list[dict[str, Any]], columns: dict[str, str]) -> pd.DataFrame:
    made: Any = pd.DataFrame(rows, columns=list(columns), dtype="object")
    return made.astype(columns)
