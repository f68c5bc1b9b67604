"""The hooks of a decoder at ``[DONE]`` and at the clean end of a stream."""

from __future__ import annotations

from agentnb.event import Event, RawEvent, RunFinished, TextDelta
from agentnb.plugin import BaseDecoder, RunRequest, ServerSentEvent

DONE = ServerSentEvent("message", "[DONE]", "", None)
REQUEST = RunRequest(agent="a", prompt="p")


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
