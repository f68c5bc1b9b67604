"""What the history's widget says, as the page's own tests read it.

``python -m tests.widgets.listed`` writes the file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from agentnb.event.types import RunFinished, TextDelta
from agentnb.store.record import RunRecord
from agentnb.tables.pages import Page, PageQuery
from agentnb.widgets.history_protocol import (
    agents_message,
    history_state,
    opened_message,
    page_message,
)
from agentnb.widgets.protocol import run_state
from tests.widgets.page import FakeRun, over_the_wire

FIXTURE: Final = Path(__file__).resolve().parents[1] / "fixtures" / "tables" / "history.json"

QUERY: Final = PageQuery(limit=3)
ROWS: Final = (
    RunRecord(
        key="a1",
        run_id="run_1",
        platform="operativus",
        agent="finance_agent",
        status="failed",
        prompt="<img src=x onerror=alert(1)> What is it?",
        started_at=1_795_333_947_250_000,
        duration=2_500_000,
        total_tokens=1234,
        cost_usd=0.021,
        error="The model is overloaded.",
    ),
    RunRecord(
        key="b2",
        run_id=None,
        platform="local",
        agent="<b>bold</b>",
        status="running",
        prompt="How far is it?",
        started_at=1_795_333_900_000_000,
        duration=None,
        total_tokens=None,
        cost_usd=None,
        error=None,
    ),
    RunRecord(
        key="c3",
        run_id="run_3",
        platform="seekr",
        agent="support_agent",
        status="completed",
        prompt="",
        started_at=1_700_000_000_000_000,
        duration=61_000_000,
        total_tokens=10,
        cost_usd=0.0,
        error=None,
    ),
)
AT: Final = 1795333950.0


def said() -> dict[str, Any]:
    """Return everything that the kernel says, once."""
    run = FakeRun((TextDelta("It is **142.50**."), RunFinished()))
    run.advance(2)
    found = Page(rows=ROWS, total=5)
    return over_the_wire(
        {
            "snapshot": {"seq": 0, "history": history_state(QUERY, found, at=AT)},
            "page": page_message("p-1", QUERY, found, at=AT),
            "looking": {"type": "looking", "id": "p-1"},
            "failed": page_message("p-1", QUERY, None, at=AT, error="The store is damaged."),
            "agents": agents_message(["operativus:finance_agent", "seekr:support_agent"]),
            "opened": opened_message("a1", {"seq": 0, "run": run_state(run.view())}, live=False),
            "unknown": opened_message("a1", None, live=False, error="There is no such run."),
        }
    )


if __name__ == "__main__":
    text = json.dumps(said(), ensure_ascii=False, indent=1)
    FIXTURE.parent.mkdir(exist_ok=True)
    FIXTURE.write_text(text + "\n", encoding="utf-8")
