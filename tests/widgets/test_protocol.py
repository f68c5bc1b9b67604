"""Messages, their guards, and text as JSON and JavaScript count it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb.events import RunFinished, TextDelta, Usage, UsageReported
from agentnb.render import RunView
from agentnb.render.visible import well_formed
from agentnb.transcript import fold
from agentnb.widgets.protocol import jsonable, parse_page_message, run_state, utf16_length

ANY_TEXT = st.text(st.characters(codec=None) | st.sampled_from("\ud83d\ude80\udfff"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param({"type": "stop"}, {"type": "stop"}, id="stop"),
        pytest.param({"type": "resync", "seq": 3}, {"type": "resync"}, id="resync"),
        pytest.param({"type": "resync"}, {"type": "resync"}, id="resync without a number"),
        pytest.param({"type": "resync", "seq": "x"}, {"type": "resync"}, id="resync, bad number"),
        pytest.param({"type": "stop", "more": 1}, {"type": "stop"}, id="a later version's field"),
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
            UsageReported(usage=Usage(total_tokens=2, cost_usd=math.nan)),
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
        "usage": {"total_tokens": 2, "cost_usd": None},
        "title": "echo",
        "platform": "sandbox",
        "prompt": "hi?",
        "elapsed": 1.5,
        "time_to_first_token": None,
        "duration": 1.5,
        "notice": "look",
    }
