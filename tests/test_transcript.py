"""The fold of events into what a reader sees."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb.event.transcript import FINAL_STATUSES, Passage, TextBuffer, Transcript, fold
from agentnb.event.types import (
    ApprovalRequested,
    Event,
    FollowupsSuggested,
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
from tests.strategies import event_lists, terminal_events, texts


class TestTextBuffer:
    @given(st.lists(texts), st.integers(-5, 200))
    def test_since_is_a_slice(self, chunks: list[str], offset: int) -> None:
        buffer = TextBuffer()
        for chunk in chunks:
            buffer.append(chunk)
        whole = "".join(chunks)
        assert len(buffer) == len(whole)
        assert buffer.since(offset) == whole[max(offset, 0) :]
        assert str(buffer) == whole

    @given(st.lists(texts, max_size=8), st.lists(texts, max_size=8))
    def test_reading_in_between_changes_nothing(self, first: list[str], then: list[str]) -> None:
        buffer = TextBuffer("".join(first))
        told = len(buffer)
        assert str(buffer) == "".join(first)
        for chunk in then:
            buffer.append(chunk)
        assert buffer.since(told) == "".join(then)
        assert str(buffer) == "".join(first + then)

    def test_since_reads_only_what_is_new(self) -> None:
        class Counted(str):
            reads = 0

            def __len__(self) -> int:
                Counted.reads += 1
                return super().__len__()

        buffer = TextBuffer()
        for _ in range(1000):
            buffer.append(Counted("abc"))
        Counted.reads = 0
        assert buffer.since(2997) == "abc"
        assert Counted.reads < 10

    def test_repr_shows_the_text(self) -> None:
        assert repr(TextBuffer("a'b")) == """TextBuffer("a'b")"""


class TestOrder:
    @given(event_lists)
    def test_any_order_of_events_is_taken(self, events: list[Event]) -> None:
        transcript = fold(events)
        assert transcript.text == "".join(
            str(p.text) for p in transcript.parts if isinstance(p, Passage) and p.kind == "text"
        )
        ids = [call.call_id for call in transcript.tool_calls]
        assert len(ids) == len(set(ids))

    @given(event_lists, st.data())
    def test_cutting_in_batches_changes_nothing(self, events: list[Event], data: Any) -> None:
        cut = data.draw(st.integers(0, len(events)))
        whole = fold(events)
        parts = fold(events[:cut])
        for event in events[cut:]:
            parts.apply(event)
        assert parts.to_dict() == whole.to_dict()

    @given(event_lists)
    def test_text_is_never_lost(self, events: list[Event]) -> None:
        deltas = [e.text for e in events if isinstance(e, TextDelta)]
        if all(e.part_id is None for e in events if isinstance(e, TextDelta)):
            # An end that brings the whole answer may come before the first of them.
            assert "".join(deltas) in fold(events).text
        assert len(fold(events).text) >= sum(map(len, deltas))

    @given(event_lists, terminal_events, event_lists)
    def test_first_end_decides(self, before: list[Event], end: Event, after: list[Event]) -> None:
        ended = fold([*before, end])
        status = ended.status
        assert status in FINAL_STATUSES
        assert fold([*before, end, *after]).status == status

    @given(event_lists, terminal_events)
    def test_no_call_runs_after_the_end(self, events: list[Event], end: Event) -> None:
        assert all(call.status != "running" for call in fold([end, *events]).tool_calls)
        assert all(call.status != "running" for call in fold([*events, end]).tool_calls)

    @given(event_lists)
    def test_head_is_all_but_the_parts(self, events: list[Event]) -> None:
        transcript = fold(events)
        whole = transcript.to_dict()
        assert whole.pop("parts") == [part.to_dict() for part in transcript.parts]
        assert transcript.head_to_dict() == whole


class TestPassages:
    def test_deltas_of_a_kind_are_one_passage(self) -> None:
        transcript = fold([TextDelta("a"), TextDelta("b")])
        assert [p.to_dict() for p in transcript.parts] == [
            {"kind": "text", "text": "ab", "depth": 0}
        ]

    def test_another_kind_begins_a_new_passage(self) -> None:
        transcript = fold(
            [ReasoningDelta("r"), TextDelta("a"), ReasoningDelta("s"), TextDelta("b")]
        )
        assert [p.kind for p in transcript.parts] == ["reasoning", "text", "reasoning", "text"]
        assert (transcript.text, transcript.reasoning) == ("ab", "r\n\ns")

    def test_a_tool_call_begins_a_new_passage(self) -> None:
        events = [TextDelta("a"), ToolCallStarted(call_id="c", name="n"), TextDelta("b")]
        assert [p.kind for p in fold(events).parts] == ["text", "tool", "text"]

    def test_what_brings_no_text_interrupts_nothing(self) -> None:
        usage = UsageReported(usage=Usage(input_tokens=1))
        raw = RawEvent(name="n", data="d")
        assert len(fold([TextDelta("a"), usage, raw, TextDelta("b")]).parts) == 1

    def test_an_id_finds_its_passage_again(self) -> None:
        events = [TextDelta("a", "1"), ReasoningDelta("r", "1"), TextDelta("b", "1")]
        transcript = fold(events)
        assert [p.kind for p in transcript.parts] == ["text", "reasoning"]
        assert transcript.text == "ab"

    def test_another_id_begins_a_new_passage(self) -> None:
        assert len(fold([TextDelta("a", "1"), TextDelta("b", "2")]).parts) == 2

    def test_empty_deltas_make_no_passage(self) -> None:
        transcript = fold([TextDelta(""), ReasoningDelta("")])
        assert transcript.parts == []
        assert transcript.status == "running"


class TestToolCalls:
    def test_a_call_from_start_to_end(self) -> None:
        transcript = Transcript()
        transcript.apply(ToolCallStarted(call_id="c", name="get", arguments="{}"), at=0.5)
        (call,) = transcript.tool_calls
        assert (call.status, call.duration, call.result) == ("running", None, "")
        transcript.apply(ToolCallFinished(call_id="c", result="42"), at=2.0)
        assert (call.status, call.duration, call.result) == ("completed", 1.5, "42")
        assert (call.kind, call.arguments, call.error) == ("tool", "{}", None)

    def test_arguments_and_output_stream(self) -> None:
        transcript = fold(
            [
                ToolCallStarted(call_id="c", name="get"),
                ToolCallDelta(call_id="c", arguments='{"a'),
                ToolCallDelta(call_id="c", arguments='":1}', output="x"),
                ToolCallDelta(call_id="c", output="y"),
                ToolCallFinished(call_id="c"),
            ]
        )
        (call,) = transcript.tool_calls
        assert (call.arguments, call.result) == ('{"a":1}', "xy")

    def test_final_arguments_and_result_replace_what_streamed(self) -> None:
        transcript = fold(
            [
                ToolCallStarted(call_id="c", name="get", arguments="{"),
                ToolCallDelta(call_id="c", output="part"),
                ToolCallFinished(call_id="c", name="get_price", arguments="{}", result=""),
            ]
        )
        (call,) = transcript.tool_calls
        assert (call.name, call.arguments, call.result) == ("get_price", "{}", "")

    def test_a_failed_call_keeps_its_output(self) -> None:
        transcript = fold(
            [
                ToolCallDelta(call_id="c", output="half"),
                ToolCallFinished(call_id="c", error="no"),
            ]
        )
        (call,) = transcript.tool_calls
        assert (call.status, call.error, call.result) == ("failed", "no", "half")

    def test_an_end_without_a_start_makes_the_call(self) -> None:
        transcript = fold([ToolCallFinished(call_id="c", name="get", result="1")])
        assert [c.to_dict() for c in transcript.tool_calls] == [
            {
                "kind": "tool",
                "call_id": "c",
                "name": "get",
                "arguments": "",
                "result": "1",
                "error": None,
                "status": "completed",
                "started": None,
                "finished": None,
                "depth": 0,
            }
        ]

    def test_a_late_start_names_the_call(self) -> None:
        events = [
            ToolCallDelta(call_id="c", arguments="{}"),
            ToolCallStarted(call_id="c", name="get"),
        ]
        (call,) = fold(events).tool_calls
        assert (call.name, call.arguments) == ("get", "{}")

    def test_calls_side_by_side_stay_apart(self) -> None:
        transcript = fold(
            [
                ToolCallStarted(call_id="a", name="x"),
                ToolCallStarted(call_id="b", name="y"),
                ToolCallDelta(call_id="a", output="1"),
                ToolCallDelta(call_id="b", output="2"),
                ToolCallFinished(call_id="b"),
            ]
        )
        assert [(c.result, c.status) for c in transcript.tool_calls] == [
            ("1", "running"),
            ("2", "completed"),
        ]

    @pytest.mark.parametrize(
        "end",
        [RunFinished(), RunFailed(message="m"), RunCancelled()],
        ids=["finished", "failed", "cancelled"],
    )
    def test_the_end_abandons_what_runs(self, end: Event) -> None:
        transcript = fold([ToolCallStarted(call_id="c", name="x"), end])
        assert transcript.tool_calls[0].status == "abandoned"

    def test_a_call_that_begins_after_the_end_is_abandoned_until_it_ends(self) -> None:
        transcript = fold([RunFinished(), ToolCallStarted(call_id="c", name="x")])
        assert transcript.tool_calls[0].status == "abandoned"
        transcript.apply(ToolCallFinished(call_id="c", result="late"))
        assert transcript.tool_calls[0].status == "completed"

    def test_an_unknown_id_finds_nothing(self) -> None:
        assert fold([ToolCallStarted(call_id="c", name="x")]).find_tool_call("d") is None


class TestHead:
    def test_what_is_known_grows(self) -> None:
        transcript = fold(
            [
                RunStarted(session_id="s", agent="a"),
                RunStarted(run_id="r"),
                UsageReported(usage=Usage(input_tokens=1), model="m"),
            ]
        )
        assert (transcript.run_id, transcript.session_id) == ("r", "s")
        assert (transcript.agent, transcript.model) == ("a", "m")

    def test_usage_adds_up_by_replacing(self) -> None:
        transcript = fold(
            [
                UsageReported(usage=Usage(input_tokens=10, output_tokens=1)),
                UsageReported(usage=Usage(output_tokens=9, total_tokens=19)),
            ]
        )
        assert transcript.usage == Usage(input_tokens=10, output_tokens=9, total_tokens=19)
        assert transcript.to_dict()["usage"] == {
            "input_tokens": 10,
            "output_tokens": 9,
            "total_tokens": 19,
        }

    def test_usage_and_followups_after_the_end_count(self) -> None:
        transcript = fold(
            [
                RunFinished(),
                UsageReported(usage=Usage(total_tokens=3)),
                FollowupsSuggested(followups=("more?",)),
            ]
        )
        assert transcript.usage == Usage(total_tokens=3)
        assert transcript.followups == ("more?",)
        assert transcript.status == "completed"

    def test_raw_events_are_kept_and_counted(self) -> None:
        raw = RawEvent(name="n", data="d", problem="p")
        transcript = fold([raw, raw])
        assert transcript.raw_events == [raw, raw]
        assert transcript.to_dict()["raw_events"] == 2
        assert transcript.status == "queued"


class TestApprovals:
    def test_those_it_waits_for(self) -> None:
        transcript = Transcript()
        first, second, third = (ApprovalRequested(approval_id=name) for name in "abc")
        for event, pending in (
            (RunStarted(), ()),
            (first, (first,)),
            (UsageReported(usage=Usage(total_tokens=1)), (first,)),
            (second, (first, second)),
            (TextDelta("on"), ()),
            (third, (third,)),
            (RunFinished(), ()),
        ):
            transcript.apply(event)
            assert transcript.pending_approvals == pending
        assert transcript.approvals == [first, second, third]

    def test_the_json_form_has_those_it_waits_for(self) -> None:
        transcript = fold([ApprovalRequested(approval_id="a"), TextDelta("on")])
        assert [a["approval_id"] for a in transcript.to_dict()["approvals"]] == ["a"]
        transcript.apply(ApprovalRequested(approval_id="b"))
        assert [a["approval_id"] for a in transcript.to_dict()["approvals"]] == ["b"]


class TestStatus:
    @pytest.mark.parametrize(
        ("events", "statuses"),
        [
            pytest.param([TextDelta("a"), RunFinished()], ["running", "completed"], id="done"),
            pytest.param([RunStarted(), RunCancelled()], ["running", "cancelled"], id="cancelled"),
            pytest.param(
                [RunStarted(), ApprovalRequested(), TextDelta("a"), RunFinished()],
                ["running", "paused", "running", "completed"],
                id="paused",
            ),
            pytest.param([RunFinished(), ApprovalRequested()], ["completed"] * 2, id="late pause"),
            pytest.param([RunFailed(message="m"), RunFinished()], ["failed"] * 2, id="two ends"),
            pytest.param(
                [RunFailed(message="m", status="truncated"), TextDelta("late")],
                ["truncated"] * 2,
                id="late text",
            ),
        ],
    )
    def test_statuses(self, events: list[Event], statuses: list[str]) -> None:
        transcript = Transcript()
        assert transcript.status == "queued"
        seen: list[str] = []
        for event in events:
            transcript.apply(event)
            seen.append(transcript.status)
        assert seen == statuses

    @given(event_lists)
    def test_final_is_for_ever(self, events: list[Event]) -> None:
        transcript = Transcript()
        seen: list[str] = []
        for event in events:
            transcript.apply(event)
            seen.append(transcript.status)
        assert all(was == now for was, now in pairwise(seen) if was in FINAL_STATUSES)

    def test_only_the_deciding_end_is_kept(self) -> None:
        transcript = fold([RunCancelled(reason="stop"), RunFailed(message="cut")])
        assert transcript.cancelled == RunCancelled(reason="stop")
        assert transcript.failure is None
        assert transcript.to_dict()["error"] is None

    def test_a_failure_is_told(self) -> None:
        transcript = fold([RunFailed(message="no", code="x", retry_after=2)])
        assert transcript.to_dict()["error"] == {
            "message": "no. Try again in 2 s.",
            "code": "x",
        }


class TestRepeatedAnswer:
    def test_output_fills_an_answer_that_did_not_stream(self) -> None:
        transcript = fold([ReasoningDelta("hm"), RunFinished(output="42")])
        assert transcript.text == "42"

    def test_output_does_not_double_an_answer_that_did(self) -> None:
        transcript = fold([TextDelta("42"), RunFinished(output="42")])
        assert transcript.text == "42"
        assert transcript.finished == RunFinished(output="42")

    def test_output_of_a_later_end_is_ignored(self) -> None:
        assert fold([RunCancelled(), RunFinished(output="42")]).text == ""
