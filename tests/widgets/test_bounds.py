"""A page is told, and a notebook saves, only so much of a run; the run has it whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentnb.event.transcript import TextBuffer, fold
from agentnb.event.types import (
    ApprovalRequested,
    Event,
    FollowupsSuggested,
    RawEvent,
    RunFailed,
    RunFinished,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
)
from agentnb.widgets.bounds import (
    ERROR_TEXT,
    LATER_TOOL_TEXT,
    PASSAGE_TEXT,
    TOOL_TEXT,
)
from agentnb.widgets.cursor import Cursor
from agentnb.widgets.protocol import EVENTS_PER_MESSAGE, events_message, ops_message, run_state
from tests.widgets.page import FakeRun, Page

HUGE = 10_000_000


def size(value: Any) -> int:
    return len(json.dumps(value))


class Told:
    """A page that follows a run, and how many characters it took to tell it."""

    def __init__(self, run: FakeRun) -> None:
        self.run = run
        self.cursor = Cursor()
        self.page = Page.opened({"seq": 0, "run": self.cursor.snapshot(run.view())})
        self.sent = 0

    def advance(self, count: int = 1) -> None:
        self.run.advance(count)
        if ops := self.cursor.ops(self.run.view()):
            message = ops_message(self.page.seq + 1, ops)
            self.sent += size(message)
            self.page.hear(message)

    def until_the_end(self) -> dict[str, Any]:
        while not self.run.finished:
            self.advance()
        assert self.page.asks == []
        assert self.page.run == run_state(self.run.view())
        return self.page.run


def called(number: int, result: str) -> list[Event]:
    key = str(number)
    return [
        ToolCallStarted(call_id=key, name="look"),
        ToolCallFinished(call_id=key, result=result),
    ]


def test_a_huge_result_in_one_piece() -> None:
    result = "🚀" + "x" * HUGE
    told = Told(FakeRun([*called(1, result), TextDelta("so"), RunFinished()]))
    state = told.until_the_end()
    assert state["parts"][0]["result"] == result[:TOOL_TEXT]
    assert state["parts"][0]["result_more"] == HUGE + 1 - TOOL_TEXT
    assert told.sent < 3 * TOOL_TEXT
    assert told.run.transcript.tool_calls[0].result == result


def test_a_huge_result_that_streams_is_not_read_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pieces = [ToolCallDelta(call_id="1", output="y" * 1000) for _ in range(5000)]
    told = Told(FakeRun([ToolCallStarted(call_id="1", name="look"), *pieces]))
    read = 0
    since = TextBuffer.since

    def counting(buffer: TextBuffer, offset: int) -> str:
        nonlocal read
        text = since(buffer, offset)
        read += len(text)
        return text

    monkeypatch.setattr(TextBuffer, "since", counting)
    for _ in range(len(told.run.script)):
        told.advance()
    (call,) = told.page.run["parts"]
    assert len(call["result"]) == TOOL_TEXT
    assert call["result_more"] == 5_000_000 - TOOL_TEXT
    assert read <= TOOL_TEXT + 1000
    assert told.page.asks == []


def test_replaced_results_are_bounded() -> None:
    told = Told(
        FakeRun(
            [
                ToolCallStarted(call_id="1", name="look", arguments="a" * 2 * TOOL_TEXT),
                ToolCallFinished(call_id="1", arguments="b" * 3 * TOOL_TEXT, result="r"),
                ToolCallDelta(call_id="1", output="s" * 2 * TOOL_TEXT),
            ]
        )
    )
    (call,) = told.until_the_end()["parts"]
    assert (call["arguments"], call["arguments_more"]) == ("b" * TOOL_TEXT, 2 * TOOL_TEXT)
    assert (len(call["result"]), call["result_more"]) == (TOOL_TEXT, TOOL_TEXT + 1)


def test_a_thousand_calls_are_bounded_together() -> None:
    events = [event for n in range(1000) for event in called(n, "z" * 2 * TOOL_TEXT)]
    told = Told(FakeRun([*events, RunFinished()]))
    state = told.until_the_end()
    assert len(state["parts"]) == 1000
    assert len(state["parts"][0]["result"]) == TOOL_TEXT
    assert len(state["parts"][-1]["result"]) == LATER_TOOL_TEXT
    assert size(state) < 20 * TOOL_TEXT + 1000 * (LATER_TOOL_TEXT + 500)


def test_a_huge_answer() -> None:
    events: list[Event] = [TextDelta("w" * 999) for _ in range(1500)]
    told = Told(FakeRun([*events, RunFinished()]))
    (passage,) = told.until_the_end()["parts"]
    assert len(passage["text"]) == PASSAGE_TEXT
    assert passage["text_more"] == 999 * 1500 - PASSAGE_TEXT


def test_huge_errors() -> None:
    told = Told(
        FakeRun(
            [
                ToolCallStarted(call_id="1", name="look"),
                ToolCallFinished(call_id="1", error="e" * HUGE),
                RunFailed(message="f" * HUGE, code="c" * HUGE),
            ]
        )
    )
    state = told.until_the_end()
    more = f"… ({HUGE - ERROR_TEXT:,} more characters)"
    assert state["parts"][0]["error"] == "e" * ERROR_TEXT + more
    assert state["error"]["message"] == "f" * ERROR_TEXT + more
    assert size(state) < 20_000
    assert told.run.transcript.failure is not None
    assert len(told.run.transcript.failure.message) == HUGE


def test_huge_questions_and_approvals() -> None:
    told = Told(
        FakeRun(
            [
                FollowupsSuggested(followups=("g" * HUGE,) * 3 + ("h",) * 1000),
                ApprovalRequested(message="m" * HUGE, tool="t" * HUGE, arguments="a" * HUGE),
            ]
        )
    )
    state = told.until_the_end()
    assert len(state["followups"]) == 20
    (asked,) = state["approvals"]
    assert asked["arguments"].startswith("a" * TOOL_TEXT)
    assert asked["arguments"].endswith("more characters)")
    assert size(state) < 2 * TOOL_TEXT


def test_many_and_huge_raw_events() -> None:
    events: list[Event] = [RawEvent(name="new", data="d" * HUGE) for _ in range(3)]
    events += [RawEvent(name="new", data="{}") for _ in range(10_000)]
    details = {"a": {str(n): "v" * 100 for n in range(10_000)}, "b": list(range(10_000))}
    events.append(RunFinished(details=details))
    times = [0.0] * len(events)
    page = events_message(events, times, offset=0)
    assert len(page["events"]) == EVENTS_PER_MESSAGE
    assert page["total"] == len(events)
    assert size(page) < 100_000
    assert size(events_message(events, times, offset=len(events) - 1)) < 20_000
    run = FakeRun(events)
    run.advance(len(events))
    assert size(run_state(run.view())) < 1000
    assert len(fold(events).raw_events) == 10_003
