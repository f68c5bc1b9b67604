"""Names have no end that a platform must keep to; what a page is told of them has."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from agentnb.event.types import ApprovalRequested, RunStarted, ToolCallStarted
from agentnb.store.record import RunRecord
from agentnb.tables.pages import Page, PageQuery
from agentnb.widgets.bounds import APPROVALS, NAME_TEXT, QUESTION_TEXT
from agentnb.widgets.history_protocol import agents_message, page_message
from agentnb.widgets.protocol import events_message, jsonable, run_fields, run_state
from tests.widgets.monitored import ROWS, FakeWatch, WidgetProbe
from tests.widgets.page import FakeRun

LENGTH = 1_000_000
NAME = "n" * LENGTH
HOSTILE = "\x1b]0;title\x07\u202e" + NAME


def size(value: Any) -> int:
    return len(json.dumps(value))


def test_of_a_run() -> None:
    run = FakeRun(
        [
            RunStarted(run_id=NAME, session_id=NAME, agent=NAME, model=NAME),
            ToolCallStarted(call_id=NAME, name="look"),
            *(ApprovalRequested(approval_id=str(at)) for at in range(APPROVALS + 5)),
        ]
    )
    run.advance(len(run.script))
    view = replace(run.view(), title=NAME, platform=NAME, prompt=NAME)
    cut = f"{NAME[:NAME_TEXT]}… ({LENGTH - NAME_TEXT:,} more characters)"
    told = run_state(view)
    for name in ("run_id", "session_id", "agent", "model", "title", "platform"):
        assert told[name] == cut, name
    assert told["parts"][0]["call_id"] == cut
    assert told["prompt"].startswith("n" * QUESTION_TEXT + "…")
    assert len(told["approvals"]) == APPROVALS
    assert size(run_fields(view)) < QUESTION_TEXT + 10 * NAME_TEXT + 200 * APPROVALS


def test_of_a_row_of_the_history() -> None:
    row = RunRecord(
        key="1",
        run_id=NAME,
        platform=NAME,
        agent=NAME,
        status="failed",
        prompt="?",
        started_at=0,
        duration=None,
        total_tokens=None,
        cost_usd=None,
        error=None,
    )
    page = Page(rows=(row,), total=1)
    assert size(page_message("a-1", PageQuery(), page, at=0.0)) < 5 * NAME_TEXT
    # Such an agent could not be asked for.
    assert agents_message(["local:a", NAME])["agents"] == ["local:a"]


def test_of_a_run_that_is_watched() -> None:
    changes = dict.fromkeys(("run_id", "platform", "agent", "detail", "error"), HOSTILE)
    rows = [replace(row, **changes) for row in ROWS]
    made = WidgetProbe(FakeWatch(watched=rows, problem=HOSTILE))
    told = made.traits[0]
    assert size(told) < 10_000
    for row in told["monitor"]["rows"]:
        for name, value in row.items():
            assert name == "key" or "\u202e" not in str(value), name
    made.widget.close()


def test_names_inside_of_events_can_be_sent() -> None:
    page = events_message([RunStarted(run_id=HOSTILE)], [0.0], offset=0)
    assert size(page) < 10_000
    assert jsonable({"\ud800": ["\ud800"]}) == {"\ufffd": ["\ufffd"]}
