"""A run as stretches of time."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from agentnb.event.timeline import Segment, timeline
from agentnb.event.types import (
    ApprovalRequested,
    Event,
    RawEvent,
    ReasoningDelta,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from tests.strategies import event_lists

STARTED = RunStarted(run_id="r")
DONE = RunFinished()


def tool(call_id: str, name: str = "search", arguments: str = "") -> ToolCallStarted:
    return ToolCallStarted(call_id=call_id, name=name, arguments=arguments)


def end(call_id: str, error: str | None = None) -> ToolCallFinished:
    return ToolCallFinished(call_id=call_id, result="42", error=error)


def of(*timed: tuple[float, Event], until: float | None = None) -> list[Segment]:
    return timeline([event for _, event in timed], [at for at, _ in timed], until=until)


def spans(segments: list[Segment]) -> list[tuple[str, float, float]]:
    return [(one.kind, one.start, one.end) for one in segments]


def test_a_run_with_everything() -> None:
    segments = of(
        (0.1, STARTED),
        (1.0, ReasoningDelta("Let me ")),
        (1.5, ReasoningDelta("see.")),
        (1.6, tool("a", "prices", '{"symbol": "NVDA"}')),
        (1.7, tool("b", "news")),
        (2.5, end("b", error="no network")),
        (3.0, end("a")),
        (4.0, TextDelta("It is ")),
        (5.0, TextDelta("**up**.")),
        (5.1, UsageReported(usage=Usage(total_tokens=9))),
        (5.2, DONE),
    )
    assert segments == [
        Segment("waiting", "Waiting", 0.0, 1.0, None, ""),
        Segment("reasoning", "Reasoning", 1.0, 1.5, None, "Let me see."),
        Segment("tool", "prices", 1.6, 3.0, "completed", '{"symbol": "NVDA"}'),
        Segment("tool", "news", 1.7, 2.5, "failed", "no network"),
        Segment("text", "Answer", 4.0, 5.0, None, "It is **up**."),
    ]


def test_nothing_has_happened() -> None:
    assert timeline([], []) == []


def test_it_still_waits() -> None:
    assert spans(of((0.5, STARTED))) == [("waiting", 0.0, 0.5)]
    assert spans(of((0.5, STARTED), until=2.0)) == [("waiting", 0.0, 2.0)]
    assert spans(of(until=2.0)) == [("waiting", 0.0, 2.0)]


def test_a_run_that_failed_at_once_waited() -> None:
    assert spans(of((0.1, STARTED), (3.0, RunFailed(message="no")))) == [("waiting", 0.0, 3.0)]


def test_what_is_no_substance_does_not_end_the_waiting() -> None:
    segments = of(
        (0.1, STARTED),
        (0.2, RawEvent(name="ping", data="")),
        (0.3, TextDelta("")),
        (0.9, TextDelta("Hi")),
    )
    assert spans(segments) == [("waiting", 0.0, 0.9), ("text", 0.9, 0.9)]


def test_no_waiting_where_there_was_none() -> None:
    assert spans(of((0.0, TextDelta("Hi")), (1.0, DONE))) == [("text", 0.0, 0.0)]


def test_consecutive_fragments_are_one_segment() -> None:
    deltas = [(at / 10, TextDelta("x")) for at in range(200)]
    assert spans(of(*deltas)) == [("text", 0.0, 19.9)]


def test_a_tool_splits_the_answer() -> None:
    segments = of(
        (0.0, TextDelta("a")), (1.0, tool("t")), (2.0, end("t")), (3.0, TextDelta("b")), (4.0, DONE)
    )
    assert spans(segments) == [("text", 0.0, 0.0), ("tool", 1.0, 2.0), ("text", 3.0, 3.0)]


def test_an_answer_that_streams_while_a_tool_runs_is_one_segment() -> None:
    segments = of(
        (0.0, tool("t")),
        (0.1, TextDelta("a")),
        (0.2, ToolCallDelta(call_id="t", output="x")),
        (0.3, TextDelta("b")),
        (0.4, end("t")),
        (0.5, TextDelta("c")),
    )
    assert spans(segments) == [("tool", 0.0, 0.4), ("text", 0.1, 0.5)]


def test_a_silence_in_which_a_tool_ends_splits_the_answer() -> None:
    segments = of((0.0, tool("t")), (0.1, TextDelta("a")), (5.0, end("t")), (5.1, TextDelta("b")))
    assert spans(segments) == [("tool", 0.0, 5.0), ("text", 0.1, 0.1), ("text", 5.1, 5.1)]


def test_an_answer_that_was_not_streamed() -> None:
    segments = of((0.1, STARTED), (2.0, RunFinished(output="All of it.")))
    assert spans(segments) == [("waiting", 0.0, 2.0), ("text", 2.0, 2.0)]
    assert segments[1].detail == "All of it."


def test_an_unfinished_call_ends_with_the_last_event() -> None:
    running = of((0.0, tool("t")), (3.0, TextDelta("x")))
    assert spans(running)[0] == ("tool", 0.0, 3.0)
    assert running[0].status == "running"
    assert of((0.0, tool("t")), until=7.0)[0].end == 7.0


def test_an_unfinished_call_ends_with_the_run() -> None:
    cut = of((0.0, tool("t")), (3.0, RunCancelled()), (9.0, RawEvent(name="late", data="")))
    assert spans(cut) == [("tool", 0.0, 3.0)]
    assert cut[0].status == "abandoned"


def test_a_call_whose_beginning_was_not_told() -> None:
    segments = of((1.0, ToolCallFinished(call_id="t", name="late", result="")))
    assert segments[1] == Segment("tool", "late", 1.0, 1.0, "completed", "")


def test_arguments_that_stream() -> None:
    segments = of(
        (0.0, tool("t")),
        (0.1, ToolCallDelta(call_id="t", arguments='{"a"')),
        (0.2, ToolCallDelta(call_id="t", arguments=": 1}")),
        (0.3, end("t")),
    )
    assert segments[0].detail == '{"a": 1}'


def test_an_approval_lasts_until_the_run_goes_on() -> None:
    asked = ApprovalRequested(tool="send_mail", message="Send it?")
    assert of((1.0, asked), until=9.0)[1] == Segment(
        "approval", "send_mail", 1.0, 9.0, "pending", "Send it?"
    )
    decided = of((1.0, asked), (4.0, TextDelta("Sent.")), (5.0, DONE))
    assert (decided[1].end, decided[1].status) == (4.0, "decided")
    given_up = of((1.0, asked), (4.0, RunCancelled()))
    assert (given_up[1].end, given_up[1].status) == (4.0, "abandoned")


def test_details_are_one_short_line() -> None:
    segments = of((0.0, TextDelta("a\n\n b")), (0.1, TextDelta("x" * 5000)))
    assert segments[0].detail.startswith("a b")
    assert len(segments[0].detail) == 160


@given(event_lists, st.lists(st.floats(), max_size=20), st.none() | st.floats())
def test_any_events_in_any_order(
    events: list[Event], times: list[float], until: float | None
) -> None:
    segments = timeline(events, times, until=until)
    ends = [at for at in (*times[: len(events)], until) if at is not None and math.isfinite(at)]
    last = max(0.0, *ends) if ends else 0.0
    assert all(0 <= one.start <= one.end <= last for one in segments)
    assert [one.start for one in segments] == sorted(one.start for one in segments)
    assert all("\n" not in one.detail and len(one.detail) <= 160 for one in segments)


@given(event_lists)
def test_every_call_is_a_segment(events: list[Event]) -> None:
    calls = {
        event.call_id
        for event in events
        if isinstance(event, ToolCallStarted | ToolCallDelta | ToolCallFinished)
    }
    segments = timeline(events, [float(at) for at in range(len(events))])
    assert sum(one.kind == "tool" for one in segments) == len(calls)
