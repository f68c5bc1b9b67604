from __future__ import annotations

import json
from collections.abc import Sized
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb.event.transcript import fold
from agentnb.event.types import (
    Event,
    RawEvent,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    Usage,
    UsageReported,
    event_to_dict,
)
from agentnb.platforms.runagent.decoder import Decoder, invoked_events
from agentnb.sse import ServerSentEvent
from tests.platforms.anything import JSON
from tests.platforms.recorded import by_name, decoded


def frame(event: str, payload: Any) -> ServerSentEvent:
    return ServerSentEvent(event, json.dumps(payload), "", None)


def chunks(*pairs: tuple[str, int | None]) -> str:
    decoder = Decoder()
    events: list[Event] = []
    for content, index in pairs:
        payload = {"content": content} if index is None else {"content": content, "index": index}
        events += decoder.decode(frame("chunk", payload))
    return fold([*events, *decoder.finish()]).text


def test_the_page_example() -> None:
    found = fold(decoded(Decoder(), by_name("runagent")["stream"]))
    assert found.text == "Hello, The weather in San Francisco is **mild** 🌤."
    assert found.session_id == "abc123"
    assert found.usage == Usage(total_tokens=150)
    assert found.finished is not None
    assert found.finished.duration == 2.5


def test_chunks_that_came_already_are_not_doubled() -> None:
    assert chunks(("a", 0), ("b", 1), ("a", 0), ("b", 1), ("c", 2)) == "abc"


def test_chunks_out_of_order_are_put_in_order() -> None:
    assert chunks(("a", 0), ("c", 2), ("d", 3), ("b", 1), ("e", 4)) == "abcde"


def test_a_gap_holds_back_only_so_much() -> None:
    pairs = [("a", 0), *(("x", 2 + i) for i in range(20))]
    decoder = Decoder()
    shown = [
        sum(
            len(e.text)
            for e in decoder.decode(frame("chunk", {"content": c, "index": i}))
            if isinstance(e, TextDelta)
        )
        for c, i in pairs
    ]
    assert sum(shown) == 21
    assert max(i for i, n in enumerate(shown) if n == 0) <= 8


def test_platforms_that_count_characters_are_not_held_back() -> None:
    decoder = Decoder()
    for content, index in (("Hello, ", 0), ("world", 7), ("!", 12)):
        assert decoder.decode(frame("chunk", {"content": content, "index": index})) == [
            TextDelta(content)
        ]
    assert decoder.next_index == 13


@pytest.mark.parametrize("missing", range(1, 8))
@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_a_chunk_that_never_comes_does_not_disturb_the_order(missing: int, length: int) -> None:
    """Neither where the chunks that follow have numbers that characters could have, too."""
    pairs = [(f"{n:0{length}d}"[-length:], n) for n in range(40) if n != missing]
    assert chunks(*pairs) == "".join(content for content, _ in pairs)


def test_a_chunk_that_comes_much_too_late_is_reported() -> None:
    decoder = Decoder()
    events: list[Event] = []
    for index in (*range(3), *range(4, 20), 3, 20):
        events += decoder.decode(frame("chunk", {"content": f"{index} ", "index": index}))
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert text == "".join(f"{n} " for n in range(21) if n != 3)
    (late,) = (event for event in events if isinstance(event, RawEvent))
    assert late.problem == "chunk 3 came after chunk 19"


def test_what_is_remembered_of_chunks_is_bounded() -> None:
    decoder = Decoder()
    told = [frame("chunk", {"content": f"{n} ", "index": n}) for n in range(5000)]
    size = len(fold([e for each in told for e in decoder.decode(each)]).text)
    marks = max(len(value) for value in vars(decoder).values() if isinstance(value, Sized))
    assert size == sum(len(f"{n} ") for n in range(5000))
    assert marks <= 300
    assert [decoder.decode(each) for each in told[:10] + told[-10:]] == [[]] * 20


def test_next_index_is_where_to_resume() -> None:
    decoder = Decoder()
    assert decoder.next_index == 0
    for index in (150, 151, 153):
        decoder.decode(frame("chunk", {"content": "some", "index": index}))
    # 153 waits for 152, which a resumed stream would have to begin with.
    assert decoder.next_index == 152


def test_numbering_that_starts_again_with_other_words_is_reported() -> None:
    decoder = Decoder()
    decoder.decode(frame("chunk", {"content": "a", "index": 0}))
    (event,) = decoder.decode(frame("chunk", {"content": "b", "index": 0}))
    assert isinstance(event, RawEvent)
    assert event.problem == "chunk 0 came again with other content"


def test_chunks_without_an_index_come_as_they_are() -> None:
    assert chunks(("a", None), ("a", None), ("b", 0), ("a", None)) == "aaba"


@pytest.mark.parametrize(
    ("payload", "failed"),
    [
        ({"error": "boom", "code": "E"}, RunFailed(message="boom", code="E")),
        ({"error": {"message": "boom", "code": "E"}}, RunFailed(message="boom", code="E")),
        ({"error": "boom", "retry_after": 2}, RunFailed(message="boom", retry_after=2.0)),
        ({"error": "boom", "retry_after": "soon"}, RunFailed(message="boom")),
    ],
)
def test_every_form_of_an_error(payload: dict[str, Any], failed: RunFailed) -> None:
    (event,) = Decoder().decode(frame("error", payload))
    assert isinstance(event, RunFailed)
    assert (event.message, event.code, event.retry_after) == (
        failed.message,
        failed.code,
        failed.retry_after,
    )
    assert event.details == payload


def test_error_of_plain_text_and_of_nothing() -> None:
    plain = ServerSentEvent("error", "upstream is gone", "", None)
    assert Decoder().decode(plain) == [RunFailed(message="upstream is gone")]
    (event,) = Decoder().decode(frame("error", {}))
    assert isinstance(event, RunFailed)
    assert event.message


def test_garbled_done_is_reported_and_still_the_end() -> None:
    events = Decoder().decode(ServerSentEvent("done", "{", "", None))
    assert [event.type for event in events] == ["raw_event", "run_finished"]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(2.5, 2.5), ("3.5", 3.5), (0, 0.0), (-1, None), ("NaN", None), (1e999, None), ("long", None)],
)
def test_the_execution_time_is_found_wherever_it_stands(value: Any, seconds: float | None) -> None:
    places: list[dict[str, Any]] = [
        {"execution_time": value},
        {"metadata": {"execution_time": value}},
        {"execution_time": "unknown", "metadata": {"execution_time": value}},
        {"execution_time": value, "metadata": {"execution_time": "unknown"}},
    ]
    for place in places:
        (finished,) = Decoder().decode(frame("done", place))
        assert isinstance(finished, RunFinished)
        assert finished.duration == seconds, place
        finished = invoked_events({"result": "42", **place})[-1]
        assert isinstance(finished, RunFinished)
        assert finished.duration == seconds, place


def test_the_kind_may_stand_in_the_data() -> None:
    decoder = Decoder()
    events = [
        *decoder.decode(frame("message", {"type": "start", "session_id": "s"})),
        *decoder.decode(frame("message", {"type": "chunk", "content": "a"})),
        *decoder.decode(frame("message", {"event": "done"})),
    ]
    assert [e.type for e in events] == ["run_started", "text_delta", "run_finished"]


def test_invoke_answers() -> None:
    assert invoked_events(
        {
            "result": "42",
            "usage": {"total_tokens": 7},
            "metadata": {"session_id": "s", "execution_time": 1.5, "model": "m"},
        }
    ) == [
        RunStarted(session_id="s"),
        TextDelta("42"),
        UsageReported(usage=Usage(total_tokens=7)),
        RunFinished(duration=1.5, details={"session_id": "s", "model": "m"}),
    ]
    assert invoked_events({"result": {"a": 1}}, session_id="mine") == [
        RunStarted(session_id="mine"),
        TextDelta('{"a": 1}'),
        RunFinished(),
    ]
    (failed,) = invoked_events({"error": {"code": "E", "message": "no"}})
    assert isinstance(failed, RunFailed)
    assert fold(invoked_events(["odd"])).text == '["odd"]'


FIELDS = [
    "content",
    "index",
    "error",
    "code",
    "retry_after",
    "usage",
    "execution_time",
    "session_id",
    "message",
]
PAYLOAD = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSON))
TAGS = st.sampled_from(["start", "chunk", "error", "done", "message", "other"])


@given(st.lists(st.tuples(TAGS, PAYLOAD | JSON), max_size=8))
def test_no_stream_raises_and_every_event_can_be_written(items: list[tuple[str, Any]]) -> None:
    decoder = Decoder()
    events = [event for tag, payload in items for event in decoder.decode(frame(tag, payload))]
    for event in [*events, *decoder.finish()]:
        json.dumps(event_to_dict(event), allow_nan=False).encode("utf-8")
        str(event_to_dict(event)).encode("utf-8")


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(0, 12)), max_size=20))
def test_no_content_is_shown_twice_or_lost_unreported(pairs: list[tuple[str, int]]) -> None:
    decoder = Decoder()
    events = [
        event
        for content, index in pairs
        for event in decoder.decode(frame("chunk", {"content": content, "index": index}))
    ]
    events += decoder.finish()
    shown = sum(isinstance(event, TextDelta) for event in events)
    kept = sum(isinstance(event, RawEvent) for event in events)
    distinct = {index for content, index in pairs if content}
    assert shown <= len(distinct)
    assert shown + kept >= len(distinct)


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_no_data_raises(data: str) -> None:
    decoder = Decoder()
    for event in ("message", "start", "chunk", "error", "done", data):
        decoder.decode(ServerSentEvent(event, data, "", None))
    decoder.finish()
