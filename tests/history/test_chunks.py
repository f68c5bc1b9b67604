"""Events and their times as the store keeps them: what went in comes out."""

from __future__ import annotations

import json
import math
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb.event.serialization import decode, encode
from agentnb.event.types import (
    Event,
    RawEvent,
    ReasoningDelta,
    RunFinished,
    TextDelta,
    ToolCallDelta,
)
from tests import strategies

# Halves of surrogate pairs, alone and side by side.
broken = st.text('ab\x00\ud83d\ude00é😀~"\\', max_size=6)
timed = st.lists(
    st.tuples(
        strategies.events
        | st.builds(TextDelta, broken, st.none() | broken)
        | st.builds(ReasoningDelta, broken, st.none() | broken)
        | st.builds(ToolCallDelta, call_id=broken, arguments=broken, output=broken)
        | st.builds(RunFinished, details=st.dictionaries(broken, broken, max_size=2)),
        st.floats(0, allow_nan=False) | st.sampled_from([0.0, 0.1, 1 / 3]),
    ),
    max_size=30,
)


@given(timed)
def test_what_is_encoded_comes_back(pairs: list[tuple[Event, float]]) -> None:
    events = [event for event, _ in pairs]
    times = [time for _, time in pairs]
    payload = encode(events, times)
    # What a database takes: valid Unicode, without NUL.
    payload.encode()
    assert "\0" not in payload
    back, when = decode(payload)
    assert back == events
    assert [type(event) for event in back] == [type(event) for event in events]
    assert when == times


def test_a_text_delta_is_little_more_than_its_text() -> None:
    events = [TextDelta("five5") for _ in range(1000)]
    payload = encode(events, [1.5] * 1000)
    assert json.loads(payload)["events"] == ["five5"] * 1000
    assert len(payload) < 1000 * (5 + 3) + 50


def test_times_are_exact() -> None:
    times = [0.1 + 0.2, math.pi, 1e-300, 123456.78901234567]
    assert decode(encode([TextDelta("x")] * 4, times))[1] == times


def test_an_event_that_json_cannot_hold_does_not_cost_the_others() -> None:
    odd, endless = RunFinished(), RunFinished()
    # The constructor refuses both; a dict can be changed after it.
    odd.details["odd"] = object()
    endless.details["again"] = endless.details
    events = [TextDelta("before"), odd, endless, TextDelta("after")]
    back, times = decode(encode(events, [1.0, 2.0, 2.0, 3.0]))
    assert (back[0], back[3]) == (events[0], events[3])
    assert times == [1.0, 2.0, 2.0, 3.0]
    for event in back[1:3]:
        assert isinstance(event, RawEvent)
        assert event.name == "run_finished"
        assert "could not be stored" in (event.problem or "")


@pytest.mark.parametrize(
    "payload",
    [
        '{"v":2,"at":"","events":[]}',
        "[]",
        "",
        '{"v":1,"at":"AAAAAAAA8D8=","n":[2],"events":["one"]}',
        '{"v":1,"at":"AAAAAAAA8D8=","events":["one","two"]}',
        '{"v":1,"at":"AAAAAAAA8D8=","events":[["what",1]]}',
        '{"v":1,"at":"AAAAAAAA8D8=","events":[["r",1]]}',
        '{"v":1,"at":"AAAAAAAA8D8=","events":[{}]}',
        '{"v":1,"at":"AAAAAAAA8D8=","n":2,"events":["one","two"]}',
        '{"v":1,"at":"AAAAAAAA8D8=","n":["2"],"events":["one","two"]}',
        '{"v":1}',
        '{"v":1,"at":5,"events":[]}',
    ],
)
def test_what_no_version_wrote_is_refused(payload: str) -> None:
    with pytest.raises(ValueError, match=r"version|damaged|Expecting"):
        decode(payload)


def test_a_count_takes_no_room_before_it_is_told_to_be_wrong() -> None:
    many = '{"v":1,"at":"AAAAAAAA8D8AAAAAAADwPw==","n":[%d,%d],"events":["one"]}'
    tracemalloc.start()
    try:
        for counts in ((10**7, 0), (10**7, 1 - 10**7)):
            with pytest.raises(ValueError, match="damaged"):
                decode(many % counts)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()
