"""Messages, their guards, and text as JSON and JavaScript count it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb._support.text import well_formed
from agentnb.event.transcript import fold
from agentnb.event.types import Event, RawEvent, RunFinished, TextDelta, Usage, UsageReported
from agentnb.render import RunView
from agentnb.widgets.protocol import (
    EVENTS_PER_MESSAGE,
    MAX_EVENT_TEXT,
    events_message,
    jsonable,
    parse_page_message,
    run_state,
    utf16_length,
)

ANY_TEXT = st.text(st.characters(codec=None) | st.sampled_from("\ud83d\ude80\udfff"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param({"type": "stop"}, {"type": "stop"}, id="stop"),
        pytest.param({"type": "resync", "seq": 3}, {"type": "resync"}, id="resync"),
        pytest.param({"type": "resync"}, {"type": "resync"}, id="resync without a number"),
        pytest.param({"type": "resync", "seq": "x"}, {"type": "resync"}, id="resync, bad number"),
        pytest.param({"type": "stop", "more": 1}, {"type": "stop"}, id="a later version's field"),
        pytest.param({"type": "events", "offset": 7}, {"type": "events", "offset": 7}, id="events"),
        pytest.param({"type": "timeline", "x": 1}, {"type": "timeline"}, id="timeline"),
        pytest.param({"type": "events"}, None, id="events from nowhere"),
        pytest.param({"type": "events", "offset": -1}, None, id="events before the first"),
        pytest.param({"type": "events", "offset": True}, None, id="events from no number"),
        pytest.param(
            {"type": "decide", "approval_id": "a", "approved": True},
            {"type": "decide", "approval_id": "a", "approved": True},
            id="approve",
        ),
        pytest.param(
            {"type": "decide", "approval_id": None, "approved": False},
            {"type": "decide", "approval_id": None, "approved": False},
            id="deny what has no id",
        ),
        pytest.param({"type": "decide", "approved": True}, None, id="decide without what"),
        pytest.param(
            {"type": "decide", "approval_id": "a", "approved": 1}, None, id="decide with a number"
        ),
        pytest.param({"type": "ops", "seq": 1, "ops": []}, None, id="the kernel's own"),
        pytest.param({}, None, id="empty"),
        pytest.param([], None, id="list"),
        pytest.param("stop", None, id="text"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_messages_of_the_page(content: Any, message: Any) -> None:
    assert parse_page_message(content) == message


@given(ANY_TEXT)
def test_length_is_what_javascript_says(text: str) -> None:
    assert utf16_length(text) == sum(2 if ord(c) > 0xFFFF else 1 for c in text)


@given(ANY_TEXT)
def test_any_text_can_be_sent(text: str) -> None:
    sent = well_formed(text)
    assert sent.encode().decode() == sent
    assert utf16_length(sent) == utf16_length(text)


def test_a_split_pair_is_joined() -> None:
    assert well_formed("a\ud83d\ude80b\ud83d") == "a🚀b\ufffd"


def test_numbers_that_json_lacks_are_none() -> None:
    data = {"a": [math.nan, 1.5], "b": (-math.inf, "x\ud800"), "c": 3, "d": None, "e": True}
    assert jsonable(data) == {
        "a": [None, 1.5],
        "b": [None, "x\ufffd"],
        "c": 3,
        "d": None,
        "e": True,
    }


def test_state_holds_the_transcript_and_what_surrounds_it() -> None:
    transcript = fold(
        [
            TextDelta("hi"),
            UsageReported(usage=Usage(total_tokens=2, cost_usd=0.5)),
            RunFinished(),
        ]
    )
    view = RunView(
        transcript=transcript,
        title="echo",
        platform="sandbox",
        prompt="hi?",
        elapsed=9.0,
        duration=1.5,
        notice="look",
    )
    state = run_state(view)
    json.dumps(state, allow_nan=False)
    assert state == {
        **transcript.to_dict(),
        "parts": [{"kind": "text", "text": "hi", "text_more": 0}],
        "waiting": None,
        "usage": {"total_tokens": 2, "cost_usd": 0.5},
        "title": "echo",
        "platform": "sandbox",
        "prompt": "hi?",
        "elapsed": 1.5,
        "time_to_first_token": None,
        "duration": 1.5,
        "platform_duration": None,
        "notice": "look",
        "can_decide": False,
    }


class TestEvents:
    def test_each_has_its_time_and_its_json_form(self) -> None:
        events = [TextDelta("hi"), UsageReported(usage=Usage(total_tokens=2)), RunFinished()]
        assert events_message(events, [0.5, 1.0, 1.25], offset=1) == {
            "type": "events",
            "offset": 1,
            "total": 3,
            "events": [
                {"at": 1.0, "type": "usage_reported", "usage": {"total_tokens": 2}},
                {"at": 1.25, "type": "run_finished", "details": {}},
            ],
        }

    def test_a_message_holds_so_many(self) -> None:
        events: list[Event] = [TextDelta(str(i)) for i in range(EVENTS_PER_MESSAGE + 5)]
        times = [float(i) for i in range(len(events))]
        first = events_message(events, times, offset=0)
        rest = events_message(events, times, offset=EVENTS_PER_MESSAGE)
        beyond = events_message(events, times, offset=9999)
        assert [len(m["events"]) for m in (first, rest, beyond)] == [EVENTS_PER_MESSAGE, 5, 0]
        assert rest["events"][0]["text"] == str(EVENTS_PER_MESSAGE)
        assert {m["total"] for m in (first, rest, beyond)} == {len(events)}

    def test_long_texts_are_cut_and_all_can_be_sent(self) -> None:
        events: list[Event] = [
            RawEvent(name="x", data="d" * 9000, problem="half \ud83d"),
            RunFinished(output="o" * MAX_EVENT_TEXT, details={"in": ["y" * 9000], "n": math.inf}),
        ]
        raw, end = events_message(events, [0.0, 1.0], offset=0)["events"]
        json.dumps([raw, end], allow_nan=False).encode()
        assert raw["data"] == "d" * MAX_EVENT_TEXT + "…"
        assert raw["problem"] == "half \ufffd"
        assert end["output"] == "o" * MAX_EVENT_TEXT
        assert end["details"] == {"in": ["y" * MAX_EVENT_TEXT + "…"], "n": None}
