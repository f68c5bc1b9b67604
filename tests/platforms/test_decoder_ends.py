"""The hooks of a decoder at ``[DONE]`` and at the clean end of a stream."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from agentnb.event import (
    ApprovalRequested,
    Event,
    RawEvent,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    Usage,
    UsageReported,
)
from agentnb.event.transcript import fold
from agentnb.plugin import BaseDecoder, RunRequest, ServerSentEvent

DONE = ServerSentEvent("message", "[DONE]", "", None)
REQUEST = RunRequest(agent="a", prompt="p")
APPROVAL = ApprovalRequested(approval_id="1", message="Delete it?")


class Ending(BaseDecoder):
    def on_done(self) -> list[Event]:
        return [RunFinished()]

    def on_end(self) -> list[Event]:
        return [TextDelta("end")]


class Broken(BaseDecoder):
    def on_done(self) -> list[Event]:
        raise KeyError("choices")

    on_end = on_done


def test_done_has_no_events_unless_a_decoder_has_some() -> None:
    decoder = BaseDecoder(REQUEST)
    assert decoder.decode(DONE) == []
    assert decoder.finish() == []


def test_done_and_the_end_are_told_apart() -> None:
    decoder = Ending(REQUEST)
    assert decoder.decode(DONE) == [RunFinished()]
    assert decoder.finish() == [TextDelta("end")]


def test_a_defect_at_an_end_is_reported() -> None:
    raw = RawEvent(name="end", data="", problem="KeyError: 'choices'")
    assert Broken(REQUEST).decode(DONE) == [raw]
    assert Broken(REQUEST).finish() == [raw]


class Asking(BaseDecoder):
    EVENTS: ClassVar[dict[str, list[Event]]] = {
        "ask": [APPROVAL],
        "ask and end": [APPROVAL, RunFinished()],
        "usage": [UsageReported(usage=Usage(input_tokens=1))],
        "text": [TextDelta("x")],
        "start": [RunStarted()],
        "end": [RunFinished()],
        "fail": [RunFailed(message="m")],
        "cancel": [RunCancelled()],
    }

    def on(self, name: str, data: Any) -> list[Event] | None:
        return self.EVENTS[name]


@pytest.mark.parametrize(
    ("names", "status"),
    [
        (["ask", "end"], "paused"),
        (["ask and end"], "paused"),
        (["ask", "usage", "end", "end"], "paused"),
        (["ask", "end", "fail"], "failed"),
        (["ask", "cancel"], "cancelled"),
        (["ask", "text", "end"], "completed"),
        (["ask", "start", "end"], "completed"),
        (["ask", "text", "ask", "end"], "paused"),
    ],
)
def test_a_run_that_waits_for_a_decision_has_not_finished(names: list[str], status: str) -> None:
    decoder = Asking(REQUEST)
    frames = [ServerSentEvent(name, "{}", "", None) for name in names]
    assert fold(decoder.decode_all(frames)).status == status
    assert decoder.has_ended == (status != "paused")
