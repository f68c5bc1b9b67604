"""What a page is told of a run: the differences, their pace, and what heals a loss."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb.event.transcript import TextBuffer
from agentnb.event.types import (
    Event,
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
from agentnb.widgets.cursor import Cursor
from agentnb.widgets.protocol import ops_message, run_state
from agentnb.widgets.run import INTERVAL, RunPublisher
from tests.strategies import event_lists
from tests.widgets.page import FakeRun, Page, Wire


def told(run: FakeRun, cursor: Cursor) -> list[Any]:
    run.advance()
    return cursor.ops(run.view())


class TestCursor:
    @given(event_lists, st.data())
    def test_operations_alone_keep_a_page_exact(self, events: list[Event], data: Any) -> None:
        run = FakeRun(events)
        cursor = Cursor()
        page = Page.opened({"seq": 0, "run": cursor.snapshot(run.view())})
        while not run.finished:
            run.advance(data.draw(st.integers(1, 4)))
            if ops := cursor.ops(run.view()):
                page.hear(ops_message(page.seq + 1, ops))
            assert page.asks == []
            # A page's clock goes on by itself and is only set right now and then.
            assert page.run | {"elapsed": 0} == run_state(run.view()) | {"elapsed": 0}
        assert cursor.ops(run.view()) == []
        assert page.run["elapsed"] == run_state(run.view())["elapsed"]

    def test_what_is_new_is_appended_where_javascript_counts_it(self) -> None:
        run = FakeRun([TextDelta("a🚀"), TextDelta("é👩"), TextDelta("b")])
        cursor = Cursor()
        cursor.snapshot(run.view())
        told(run, cursor)
        assert told(run, cursor) == [
            {"op": "append", "index": 0, "field": "text", "offset": 3, "text": "é👩"}
        ]
        assert told(run, cursor)[-1] == (
            {"op": "append", "index": 0, "field": "text", "offset": 6, "text": "b"}
        )

    def test_only_what_is_new_is_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        run = FakeRun([TextDelta("abc") for _ in range(50)] + [TextDelta("end"), TextDelta("")])
        cursor = Cursor()
        run.advance(50)
        cursor.snapshot(run.view())

        def read_whole(buffer: TextBuffer) -> str:
            raise AssertionError("the whole text was joined for one delta")

        monkeypatch.setattr(TextBuffer, "__str__", read_whole)
        (op,) = told(run, cursor)
        assert (op["offset"], op["text"]) == (150, "end")

    def test_repeated_arguments_are_not_sent_again(self) -> None:
        run = FakeRun(
            [
                ToolCallStarted(call_id="c", name="get", arguments='{"a"'),
                ToolCallDelta(call_id="c", arguments=":1}"),
                ToolCallFinished(call_id="c", arguments='{"a":1}', result="7"),
                TextDelta("x"),
            ]
        )
        cursor = Cursor()
        cursor.snapshot(run.view())
        told(run, cursor)
        told(run, cursor)
        assert told(run, cursor) == [
            {"op": "append", "index": 0, "field": "result", "offset": 0, "text": "7"},
            {"op": "set", "index": 0, "set": {"status": "completed", "finished": 0.375}},
        ]

    def test_arguments_that_differ_replace(self) -> None:
        run = FakeRun(
            [
                ToolCallStarted(call_id="c", name="get", arguments="{a}"),
                ToolCallFinished(call_id="c", arguments="{b}"),
                ToolCallDelta(call_id="c", arguments="!"),
                TextDelta("x"),
            ]
        )
        cursor = Cursor()
        cursor.snapshot(run.view())
        told(run, cursor)
        assert told(run, cursor)[0]["set"]["arguments"] == "{b}"
        assert told(run, cursor) == [
            {"op": "append", "index": 0, "field": "arguments", "offset": 3, "text": "!"}
        ]

    def test_half_a_pair_can_be_sent(self) -> None:
        run = FakeRun([TextDelta("a\ud83d"), TextDelta("\ude80b"), RunFinished()])
        cursor = Cursor()
        page = Page.opened({"seq": 0, "run": cursor.snapshot(run.view())})
        while not run.finished:
            page.hear(ops_message(page.seq + 1, told(run, cursor)))
        assert page.asks == []
        assert page.run["parts"][0]["text"] == "a\ufffd\ufffdb"
        assert run_state(run.view())["parts"][0]["text"] == "a🚀b"


class TestHealing:
    @given(event_lists, st.data())
    def test_no_loss_outlives_a_resync(self, events: list[Event], data: Any) -> None:
        run = FakeRun(events)
        wire = Wire(run, paced=False)
        while not run.finished:
            run.advance(data.draw(st.integers(1, 4)))
            wire.publisher.flush()
            for message in wire.messages:
                if data.draw(st.booleans(), label="arrives"):
                    wire.page.hear(message)
            wire.messages.clear()
            # The question itself may be lost, and so may its answer.
            if wire.page.broken and data.draw(st.booleans(), label="asks"):
                wire.publisher.receive({"type": "resync", "seq": wire.page.seq})
        wire.messages.clear()
        # What the page's idle timer brings about in the end.
        wire.publisher.receive({"type": "resync", "seq": wire.page.seq})
        wire.deliver()
        assert wire.page.run == run_state(run.view())

    @given(event_lists)
    def test_the_final_snapshot_repairs_a_page_without_messages(self, events: list[Event]) -> None:
        run = FakeRun([*events, RunFinished()])
        wire = Wire(run, paced=False)
        run.advance(len(run.script))
        wire.publisher.flush()
        wire.page.read(wire.kept[-1])
        assert wire.page.run == run_state(run.view())

    def test_a_lost_answer_shows_as_a_gap(self) -> None:
        run = FakeRun([RunStarted(run_id="r"), TextDelta("a"), TextDelta("b")])
        wire = Wire(run, paced=False)
        run.advance()
        # The status is in the snapshot and will not be sent again.
        wire.publisher.receive({"type": "resync", "seq": 0})
        wire.messages.clear()
        run.advance()
        wire.publisher.flush()
        wire.deliver()
        assert wire.page.broken
        wire.publisher.receive({"type": "resync", "seq": wire.page.seq})
        run.advance()
        wire.publisher.flush()
        wire.deliver()
        assert not wire.page.broken
        assert wire.page.run["status"] == "running"
        assert wire.page.run["parts"] == [{"kind": "text", "text": "ab", "text_more": 0}]

    def test_two_pages_of_one_widget_both_stay_right(self) -> None:
        run = FakeRun([TextDelta("a"), TextDelta("b"), RunFinished()])
        wire = Wire(run, paced=False)
        other = Page.opened({"seq": wire.page.seq, "run": wire.page.run})
        while not run.finished:
            run.advance()
            wire.publisher.flush()
            wire.publisher.receive({"type": "resync", "seq": 0})
        for message in wire.messages:
            other.hear(message)
        wire.deliver()
        assert wire.page.run == other.run == run_state(run.view())
        assert wire.page.asks == other.asks == []


pytestmark = pytest.mark.anyio


class TestPace:
    async def test_first_fragment_is_sent_at_once(self) -> None:
        run = FakeRun([TextDelta("a"), TextDelta("b"), TextDelta("c")])
        wire = Wire(run)
        run.advance()
        assert len(wire.messages) == 1
        run.advance()
        assert len(wire.messages) == 1

    async def test_what_follows_is_gathered(self) -> None:
        run = FakeRun([TextDelta(str(i % 10)) for i in range(400)] + [RunFinished()])
        wire = Wire(run)
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not run.finished:
            run.advance()
            await asyncio.sleep(0.001)
        await wire.ended.wait()
        lasted = loop.time() - began
        assert 3 < len(wire.messages) <= lasted / INTERVAL + 2
        wire.deliver()
        assert wire.page.asks == []
        assert wire.page.run == run_state(run.view())

    async def test_the_last_fragment_is_sent_without_a_further_one(self) -> None:
        run = FakeRun([TextDelta("a"), TextDelta("b"), TextDelta("never comes")])
        wire = Wire(run)
        run.advance()
        run.advance()
        await asyncio.sleep(2 * INTERVAL)
        wire.deliver()
        assert wire.page.run["parts"][0]["text"] == "ab"

    async def test_nothing_new_is_not_sent(self) -> None:
        run = FakeRun([TextDelta("a"), TextDelta("")])
        wire = Wire(run)
        run.advance()
        wire.messages.clear()
        for _ in range(3):
            await asyncio.sleep(2 * INTERVAL)
            run.notify()
        assert wire.messages == []


class TestEnd:
    async def test_final_snapshot_is_kept_once(self) -> None:
        run = FakeRun([TextDelta("a"), RunFinished()])
        wire = Wire(run)
        run.advance(2)
        await asyncio.sleep(2 * INTERVAL)
        run.notify()
        await asyncio.sleep(2 * INTERVAL)
        assert wire.kept == [{"seq": 1, "run": run_state(run.view())}]

    async def test_events_after_the_end_are_sent(self) -> None:
        late = UsageReported(usage=Usage(total_tokens=3))
        run = FakeRun([TextDelta("a"), RunFailed(message="m"), late])
        wire = Wire(run)
        run.advance(2)
        await asyncio.sleep(2 * INTERVAL)
        run.advance()
        await asyncio.sleep(2 * INTERVAL)
        assert [kept["run"]["usage"] for kept in wire.kept] == [None, {"total_tokens": 3}]
        wire.deliver()
        assert wire.page.run == run_state(run.view()) == wire.kept[-1]["run"]

    async def test_a_finished_run_is_displayed(self) -> None:
        run = FakeRun([TextDelta("a"), RunFinished()])
        run.advance(2)
        wire = Wire(run)
        assert wire.page.run == run_state(run.view())
        run.notify()
        await asyncio.sleep(2 * INTERVAL)
        assert wire.messages == wire.kept == []

    async def test_changes_before_the_subscription_are_sent(self) -> None:
        run = FakeRun([TextDelta("a"), RunFinished()])
        sent: list[Any] = []
        kept: list[Any] = []
        publisher = RunPublisher(run, send=sent.append, keep=kept.append)
        page = Page.opened(publisher.first())
        run.advance(2)
        publisher.start()
        for message in sent:
            page.hear(message)
        assert page.run == run_state(run.view()) == kept[0]["run"]
