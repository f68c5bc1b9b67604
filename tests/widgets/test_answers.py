"""What a page asks of the kernel, and what it is answered."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentnb.event.types import (
    ApprovalRequested,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallStarted,
)
from agentnb.run.approvals import ApprovalRef
from agentnb.widgets.protocol import run_state
from agentnb.widgets.run import INTERVAL
from tests.widgets.page import FakeRun, Page, Wire

pytestmark = pytest.mark.anyio


class TestPage:
    async def test_stop_is_acknowledged_and_cancels(self) -> None:
        run = FakeRun([TextDelta("a")])
        wire = Wire(run)
        wire.publisher.receive({"type": "stop"})
        assert run.cancelled == 1
        wire.deliver()
        assert wire.page.acknowledged == 1

    async def test_current_events_are_sent(self) -> None:
        run = FakeRun([TextDelta("a"), TextDelta("b"), RunFinished()])
        wire = Wire(run, paced=False)
        run.advance(2)
        wire.publisher.receive({"type": "events", "offset": 1})
        run.advance()
        wire.publisher.receive({"type": "events", "offset": 2})
        wire.deliver()
        first, second = wire.page.pages
        assert (first["offset"], first["total"]) == (1, 2)
        assert first["events"] == [{"at": 0.25, "type": "text_delta", "text": "b"}]
        assert (second["offset"], second["total"]) == (2, 3)
        assert [event["type"] for event in second["events"]] == ["run_finished"]
        # They are no part of the state.
        assert wire.page.seq == 0

    async def test_the_current_timeline_is_sent(self) -> None:
        run = FakeRun([ToolCallStarted(call_id="c", name="look"), TextDelta("b"), RunFinished()])
        wire = Wire(run, paced=False)
        for _ in range(2):
            run.advance()
            wire.publisher.receive({"type": "timeline"})
        wire.deliver()
        first, second = wire.page.pages
        assert [(s["kind"], s["label"], s["status"]) for s in first["segments"]] == [
            ("waiting", "Waiting", None),
            ("tool", "look", "running"),
        ]
        assert (first["total"], second["total"]) == (2, 3)
        assert (first["end"], second["end"]) == (0.125, 0.25)
        assert wire.page.seq == 0

    async def test_a_decision_is_acknowledged_and_taken(self) -> None:
        taken: list[tuple[ApprovalRef, bool, Any]] = []

        def take(approval_id: ApprovalRef, approved: bool, payload: Any) -> None:
            taken.append((approval_id, approved, payload))

        wire = Wire(FakeRun([]), decide=take)
        assert wire.page.run["can_decide"] is True
        wire.publisher.receive({"type": "decide", "approval_id": "a", "approved": True})
        wire.publisher.receive({"type": "decide", "approval_id": None, "approved": False})
        assert taken == [("a", True, None), (None, False, None)]
        assert wire.messages == [{"type": "ack", "of": "decide"}] * 2

    async def test_the_payload_of_a_decision_is_json(self) -> None:
        taken: list[Any] = []

        def take(approval_id: ApprovalRef, approved: bool, payload: Any) -> None:
            taken.append(payload)

        wire = Wire(FakeRun([]), decide=take)
        decision = {"type": "decide", "approval_id": "a", "approved": True}
        for payload in ('{"n": 12345678901234567890}', "null", '"x"'):
            wire.publisher.receive({**decision, "payload": payload})
        assert taken == [{"n": 12345678901234567890}, None, "x"]
        taken.clear()
        hostile = ("", "{", "NaN", "[" * 50_000, f'"{"x" * 100_000}"', 5, None, ["x"], {"a": 1})
        for payload in hostile:
            wire.publisher.receive({**decision, "payload": payload})
        assert taken == []

    async def test_only_the_approval_that_is_displayed_is_decided(self) -> None:
        taken: list[tuple[ApprovalRequested | str | None, bool]] = []

        def take(approval: ApprovalRequested | str | None, approved: bool, payload: Any) -> None:
            assert payload is None
            taken.append((approval, approved))

        long = "i" * 5_000
        asked = ApprovalRequested(approval_id="a", arguments='{"path": "."}')
        changed = ApprovalRequested(approval_id="a", arguments='{"path": "/"}')
        odd = [ApprovalRequested(approval_id=each) for each in (f"{long}1", f"{long}2", long, None)]
        run = FakeRun([asked, *odd, changed, RunStarted(), asked])
        wire = Wire(run, decide=take, paced=False)

        def displayed() -> list[str]:
            wire.deliver()
            return [approval["key"] for approval in wire.page.run["approvals"]]

        def decide(key: object) -> None:
            decision = {"type": "decide", "approval_id": "a", "key": key, "approved": True}
            wire.publisher.receive(decision)

        run.advance(5)
        wire.publisher.flush()
        before = displayed()
        assert len(set(before)) == 5
        for key in before:
            decide(key)
        assert taken == [(each, True) for each in (asked, *odd)]
        taken.clear()

        # A decision that was on its way when the arguments changed.
        run.advance()
        decide(before[0])
        assert taken == []
        assert [each["changed"] for each in wire.page.run["approvals"]] == [False] * 5
        after = displayed()
        assert after[1:] == before[1:]
        assert [each["changed"] for each in wire.page.run["approvals"]] == [True, *[False] * 4]
        decide(after[0])
        assert taken == [(changed, True)]
        taken.clear()

        # One for what the run does not wait for any more, or never did.
        run.advance()
        for key in (*after, "", "__proto__", None, 5, ["a"]):
            decide(key)
        assert taken == []
        run.advance()
        wire.publisher.flush()
        (again,) = displayed()
        assert again == before[0]

    async def test_without_anybody_to_take_it_a_decision_is_ignored(self) -> None:
        wire = Wire(FakeRun([]))
        assert wire.page.run["can_decide"] is False
        wire.publisher.receive({"type": "decide", "approval_id": "a", "approved": True})
        assert wire.messages == []

    async def test_a_snapshot_sent_some_other_way_fits_in(self) -> None:
        run = FakeRun([TextDelta("a"), TextDelta("b"), RunFinished()])
        wire = Wire(run, paced=False)
        run.advance()
        page = Page.opened(wire.publisher.snapshot())
        run.advance(2)
        wire.publisher.flush()
        for message in wire.messages:
            page.hear(message)
        assert page.asks == []
        assert page.run == run_state(run.view())

    async def test_what_is_no_message_is_ignored(self) -> None:
        wire = Wire(FakeRun([TextDelta("a")]))
        contents: list[Any] = [None, 3, "resync", [], {"type": "ops"}, {"seq": 1}]
        for content in contents:
            wire.publisher.receive(content)
        assert wire.messages == []

    async def test_a_closed_view_receives_nothing_and_the_run_goes_on(self) -> None:
        run = FakeRun([TextDelta("a"), TextDelta("b"), TextDelta("c"), RunFinished()])
        wire = Wire(run)
        run.advance()
        run.advance()  # waits for the clock
        wire.messages.clear()
        wire.publisher.close()
        wire.publisher.close()
        assert run.listeners == 0
        run.advance(2)
        await asyncio.sleep(2 * INTERVAL)
        wire.publisher.receive({"type": "resync", "seq": 0})
        assert wire.messages == wire.kept == []
        assert run.transcript.status == "completed"
