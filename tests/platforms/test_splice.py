"""A run that is told again: whatever was delivered of it, and however it is cut this time."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb.event.transcript import fold
from agentnb.event.types import (
    ApprovalRequested,
    Event,
    FollowupsSuggested,
    RawEvent,
    ReasoningDelta,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from agentnb.platforms._replay_filter import ReplayFilter, rest_of

PIECES = st.text("ab é\n😀", min_size=1, max_size=4)
PARTS = st.sampled_from([None, "p", "q"])
NAMES = st.sampled_from(["look", "search"])


@st.composite
def runs(draw: st.DrawFn) -> list[Event]:
    """A run: text, reasoning and tool calls in any order, usage that grows, an end."""
    events: list[Event] = [RunStarted(run_id="r", session_id="s")]
    for number in range(draw(st.integers(0, 8))):
        match draw(st.integers(0, 6)):
            case 0 | 1:
                events += [TextDelta(t, draw(PARTS)) for t in draw(st.lists(PIECES, max_size=3))]
            case 2:
                events += [ReasoningDelta(t) for t in draw(st.lists(PIECES, max_size=3))]
            case 3 | 4:
                events += _call(f"c{number}", draw(NAMES), draw(st.booleans()), draw(st.booleans()))
            case 5:
                events.append(UsageReported(usage=Usage(total_tokens=number + 1)))
            case _:
                events.append(RawEvent(name="odd", data=str(number)))
    return [*events, FollowupsSuggested(followups=("More?",)), RunFinished()]


def _call(call_id: str, name: str, streams: bool, fails: bool) -> list[Event]:
    begin = ToolCallStarted(call_id=call_id, name=name, arguments="" if streams else '{"a": 1}')
    deltas = [ToolCallDelta(call_id=call_id, arguments=text) for text in ('{"a"', ": 1}")]
    end = ToolCallFinished(call_id=call_id, name=name, result=None if fails else "1")
    return [begin, *(deltas if streams else []), replace(end, error="no" if fails else None)]


def cut(data: st.DataObject, events: list[Event]) -> list[Event]:
    """The same run with its text cut into other pieces."""
    found: list[Event] = []
    for event in events:
        if isinstance(event, TextDelta | ReasoningDelta) and len(event.text) > 1:
            at = data.draw(st.integers(0, len(event.text)))
            pieces = [event.text[:at], event.text[at:]]
            found += [replace(event, text=text) for text in pieces if text]
        else:
            found.append(event)
    return found


def joined(events: list[Event]) -> list[Event]:
    found: list[Event] = []
    for event in events:
        match found[-1] if found else None, event:
            case TextDelta() as last, TextDelta() if last.part_id == event.part_id:
                found[-1] = replace(last, text=last.text + event.text)
            case ReasoningDelta() as last, ReasoningDelta() if last.part_id == event.part_id:
                found[-1] = replace(last, text=last.text + event.text)
            case _:
                found.append(event)
    return found


@given(st.data(), runs())
def test_what_was_delivered_is_left_out_and_nothing_else(
    data: st.DataObject, run: list[Event]
) -> None:
    sent = cut(data, run)
    delivered = sent[: data.draw(st.integers(0, len(sent) - 1))]
    splice = ReplayFilter(delivered)
    again = cut(data, run)
    middle = data.draw(st.integers(0, len(again)))
    rest = [*splice.feed(again[:middle]), *splice.feed(again[middle:])]
    assert not splice.diverged
    assert splice.caught_up
    assert joined([*delivered, *rest]) == joined(run)


@given(st.data(), runs())
def test_parts_and_calls_may_go_by_other_names(data: st.DataObject, run: list[Event]) -> None:
    delivered = run[: data.draw(st.integers(0, len(run) - 1))]
    again = [
        replace(event, call_id=f"other-{event.call_id}")
        if isinstance(event, ToolCallStarted | ToolCallDelta | ToolCallFinished)
        else event
        for event in run
    ]
    rest = ReplayFilter(delivered).feed(again)
    whole, found = fold(run), fold([*delivered, *rest])
    assert found.text == whole.text
    assert [(c.name, c.arguments, c.result, c.error) for c in found.tool_calls] == [
        (c.name, c.arguments, c.result, c.error) for c in whole.tool_calls
    ]


def test_a_part_with_another_id_goes_on_as_the_one_it_was() -> None:
    splice = ReplayFilter([TextDelta("Hel", "1")])
    rest = splice.feed([TextDelta("He", "x"), TextDelta("llo", "x"), TextDelta("!", "y")])
    assert rest == [TextDelta("lo", "1"), TextDelta("!", "y")]


def test_other_text_is_not_put_behind_what_was_delivered() -> None:
    splice = ReplayFilter([TextDelta("Hello there"), ToolCallStarted(call_id="a", name="look")])
    rest = splice.feed([TextDelta("Hello you"), TextDelta(", and so on")])
    assert rest == []
    assert splice.diverged
    assert not splice.caught_up


def test_what_says_nothing_new_is_not_said_again() -> None:
    usage = UsageReported(usage=Usage(total_tokens=7))
    earlier = UsageReported(usage=Usage(total_tokens=3))
    delivered: list[Event] = [RunStarted(run_id="r", agent="a"), earlier, usage]
    splice = ReplayFilter(delivered)
    assert splice.feed([RunStarted(run_id="r"), earlier, usage, usage]) == []
    news = RunStarted(run_id="r", model="m")
    assert splice.feed([news, news]) == [news]


def test_approvals_and_raw_events_count() -> None:
    asked = ApprovalRequested(approval_id="1", message="May I?")
    splice = ReplayFilter([asked, RawEvent(name="odd", data='{"x":1}')])
    # Another record tells the same ones in other words.
    assert splice.feed([replace(asked, approval_id=None), RawEvent(name="odd", data="{}")]) == []
    later: list[Event] = [replace(asked, approval_id="2"), RawEvent(name="odd", data="2")]
    assert splice.feed(later) == later


def test_arguments_written_otherwise_are_the_same_call() -> None:
    delivered: list[Event] = [ToolCallStarted(call_id="c", name="look", arguments='{"a": 1}')]
    told: list[Event] = [
        ToolCallStarted(call_id="call-1", name="look", arguments='{"a":1}'),
        ToolCallFinished(call_id="call-1", name="look", result="2"),
        ToolCallStarted(call_id="call-2", name="look", arguments="{}"),
    ]
    assert ReplayFilter(delivered).feed(told) == [replace(told[1], call_id="c"), told[2]]


def test_an_id_of_another_tool_is_another_call() -> None:
    delivered: list[Event] = [
        ToolCallStarted(call_id="call-1", name="look"),
        ToolCallStarted(call_id="call-2", name="search"),
    ]
    splice = ReplayFilter(delivered)
    swapped: list[Event] = [
        ToolCallStarted(call_id="call-1", name="search"),
        ToolCallStarted(call_id="call-2", name="look"),
    ]
    assert splice.feed(swapped) == []
    assert splice.feed([ToolCallFinished(call_id="call-1", result="x")]) == [
        ToolCallFinished(call_id="call-2", result="x")
    ]


def test_a_record_that_trims_and_knows_no_parts() -> None:
    delivered: list[Event] = [TextDelta("One. ", "1"), TextDelta("Tw", "2")]
    splice = ReplayFilter(delivered, loose=True)
    assert splice.feed([TextDelta("One."), TextDelta("Two.\n\nThree.")]) == [
        TextDelta("o.\n\nThree.", "2")
    ]


@pytest.mark.parametrize(
    ("whole", "said", "passage", "rest"),
    [
        ("Hello there", "Hello", "Hello", " there"),
        ("Hello there", "Hello ", "Hello ", "there"),
        ("Hello\n\nthere", "Hello\n", "Hello\n", "\nthere"),
        ("Hello", "Hello\n", "Hello\n", ""),
        ("Hello", "", "", "Hello"),
        ("It is 5 $.", "Let me see. It is", "It is", " 5 $."),
        ("It is", "Let me see. It is", "It is", ""),
        ("Something else", "Hello", "Hello", None),
        (
            "The beginning. This is where it was joined, and more.",
            "This is where it was joined, and",
            "This is where it was joined, and",
            None,
        ),
        (
            "The beginning. This is the very place where somebody joined it, and more.",
            "This is the very place where somebody joined it,",
            "",
            " and more.",
        ),
    ],
)
def test_the_rest_of_an_answer(whole: str, said: str, passage: str, rest: str | None) -> None:
    assert rest_of(whole, text=said, passage=passage) == rest


def test_long_output_of_a_tool_takes_time_in_proportion() -> None:
    def seconds(count: int) -> float:
        told = [ToolCallStarted(call_id="c", name="look", arguments="")]
        told += [ToolCallDelta(call_id="c", output="x" * 100) for _ in range(count)]
        splice = ReplayFilter(told[: count // 2])
        began = time.thread_time()
        new = splice.feed(told)
        taken = time.thread_time() - began
        assert len(new) == count + 1 - count // 2
        return taken

    assert seconds(20_000) < 10 * seconds(5_000) + 1


def test_output_that_goes_on_in_the_middle_of_a_piece() -> None:
    delivered = [
        ToolCallStarted(call_id="c", name="look", arguments=""),
        ToolCallDelta(call_id="c", arguments='{"n":', output="one t"),
    ]
    again = [
        delivered[0],
        ToolCallDelta(call_id="c", arguments='{"n": 1', output="on"),
        ToolCallDelta(call_id="c", arguments="}", output="e two"),
        ToolCallDelta(call_id="c", output=" three"),
    ]
    assert ReplayFilter(delivered).feed(again) == [
        ToolCallDelta(call_id="c", arguments=" 1"),
        ToolCallDelta(call_id="c", arguments="}", output="wo"),
        ToolCallDelta(call_id="c", output=" three"),
    ]
    other = [delivered[0], ToolCallDelta(call_id="c", output="one two"), *again[3:]]
    splice = ReplayFilter([delivered[0], ToolCallDelta(call_id="c", output="one x")])
    assert splice.feed(other) == []
