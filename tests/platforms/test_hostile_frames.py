"""Frames that were spoilt on their way, on every platform: reported, kept, and the stream goes on.

They are made of recorded ones: repeated, put in another order, cut short, nested without end, with
numbers and half characters that nothing can hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentnb import sse
from agentnb.event.transcript import fold
from agentnb.event.types import Event, RawEvent, TextDelta, event_from_dict, event_to_dict
from agentnb.platforms.generic.decoder import GenericDecoder
from agentnb.platforms.operativus.decoder import Decoder as Operativus
from agentnb.platforms.runagent.decoder import Decoder as RunAgent
from agentnb.platforms.runtools.decoder import Decoder as RunTools
from agentnb.platforms.seekr.decoder import Decoder as Seekr
from agentnb.sse import ServerSentEvent
from tests.platforms.anything import JSON, TEXT
from tests.platforms.recorded import EventDecoder, by_name, frames

DECODERS: Final[dict[str, Callable[[], EventDecoder]]] = {
    "seekr": Seekr,
    "runagent": RunAgent,
    "operativus": Operativus,
    "runtools": RunTools,
    "generic": GenericDecoder,
}
WORD: Final = "Still here."
# A fragment of text, as the platform's page has it.
FRAGMENT: Final[dict[str, ServerSentEvent]] = {
    "seekr": ServerSentEvent("message", f'{{"type":"text_delta","text":"{WORD}"}}', "", None),
    "runagent": ServerSentEvent("chunk", f'{{"content":"{WORD}"}}', "", None),
    "operativus": ServerSentEvent(
        "message", f'{{"event":"CONTENT_DELTA","data":"{WORD}","timestamp":0}}', "", None
    ),
    "generic": ServerSentEvent("text_delta", f'{{"content":"{WORD}"}}', "", None),
    "runtools": ServerSentEvent("text_delta", f'{{"content":"{WORD}"}}', "", None),
}
RECORDED: Final[dict[str, list[ServerSentEvent]]] = {
    name: [frame for data in by_name(name).values() for frame in frames(data)] for name in DECODERS
}
DEEP: Final = "[" * 5000 + "]" * 5000
HUGE: Final = "9" * 5000


def _with(frame: ServerSentEvent, value: str, place: int) -> ServerSentEvent:
    """The frame with ``value``, which is JSON, in the place of one of its fields."""
    try:
        read: Any = json.loads(frame.data)
    except ValueError:
        return frame._replace(data=value)
    if not isinstance(read, dict) or not read:
        return frame._replace(data=value)
    fields = cast("dict[str, Any]", read)
    key = list(fields)[place % len(fields)]
    told = ",".join(
        f"{json.dumps(name)}:{value if name == key else json.dumps(old)}"
        for name, old in fields.items()
    )
    return frame._replace(data=f"{{{told}}}")


SPOILT: Final = st.sampled_from(
    [
        *(DEEP, '{"a":' * 3000 + "1" + "}" * 3000, HUGE, f"-{HUGE}", "1e999", "-0", "NaN"),
        *('"\\ud83d"', '"\\udc00\\ud800"', '"\\u0000\\u001b"', "null", "[]", "{}", "true"),
    ]
)


def _cut(frame: ServerSentEvent, at: int) -> ServerSentEvent:
    return frame._replace(data=frame.data[:at])


def streams(name: str) -> st.SearchStrategy[list[ServerSentEvent]]:
    recorded = st.sampled_from(RECORDED[name])
    spoilt = st.one_of(
        recorded,
        st.tuples(recorded, st.integers(0, 400)).map(lambda p: _cut(*p)),
        st.tuples(recorded, SPOILT, st.integers(0, 9)).map(lambda p: _with(*p)),
        st.tuples(recorded, JSON).map(lambda p: p[0]._replace(data=json.dumps(p[1]))),
        st.tuples(recorded, TEXT).map(lambda p: p[0]._replace(data=p[1])),
        st.tuples(recorded, TEXT).map(lambda p: p[0]._replace(event=p[1])),
    )
    # Each may come several times, at once or later.
    return st.lists(st.tuples(spoilt, st.integers(1, 3)), max_size=8).flatmap(
        lambda pairs: st.permutations([frame for frame, count in pairs for _ in range(count)])
    )


@pytest.mark.parametrize("name", list(DECODERS))
@settings(max_examples=60)
@given(data=st.data())
def test_no_stream_breaks_a_decoder(name: str, data: st.DataObject) -> None:
    decoder = DECODERS[name]()
    events: list[Event] = []
    for frame in data.draw(streams(name)):
        events += decoder.decode(frame)
    after = decoder.decode(FRAGMENT[name])
    assert "".join(event.text for event in after if isinstance(event, TextDelta)).endswith(WORD)
    events += [*after, *decoder.finish()]
    fold(events)
    for event in events:
        told = event_to_dict(event)
        # A JSON file, a socket and the page can hold it.
        written = json.dumps(told, allow_nan=False, ensure_ascii=False).encode()
        assert event_to_dict(event_from_dict(json.loads(written))) == json.loads(written)


@pytest.mark.parametrize("name", list(DECODERS))
@settings(max_examples=60)
@given(data=st.data())
def test_what_cannot_be_read_is_kept_as_it_came(name: str, data: st.DataObject) -> None:
    # The last brace is what a cut takes first; a plain word may be an error's message.
    told = [
        frame for frame in RECORDED[name] if frame.data.startswith("{") and frame.event != "error"
    ]
    frame = data.draw(st.sampled_from(told))
    cut = frame._replace(data=frame.data[: data.draw(st.integers(1, len(frame.data) - 1))])
    try:
        json.loads(cut.data)
    except ValueError:
        events = DECODERS[name]().decode(cut)
        raw = [event for event in events if isinstance(event, RawEvent)]
        assert [event.data.strip() for event in raw] == [cut.data.strip()]
        assert raw[0].problem


@pytest.mark.parametrize("name", list(DECODERS))
@pytest.mark.parametrize("value", [DEEP, HUGE, '"\\ud83d"'], ids=["deep", "huge", "half"])
def test_each_field_of_each_frame_may_hold_anything(name: str, value: str) -> None:
    for frame in RECORDED[name]:
        for place in range(8):
            decoder = DECODERS[name]()
            spoilt = _with(frame, value, place)
            for event in [*decoder.decode(spoilt), *decoder.decode(spoilt), *decoder.finish()]:
                json.dumps(event_to_dict(event), allow_nan=False).encode()


def _halved(value: Any) -> Iterator[Any]:
    """The value with half a character for each of its texts and names, one at a time."""
    half = "a\ud800b"
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        for key, old in fields.items():
            yield {(half if name == key else name): other for name, other in fields.items()}
            yield from ({**fields, key: new} for new in _halved(old))
    elif isinstance(value, list):
        items = cast("list[Any]", value)
        for place, old in enumerate(items):
            yield from ([*items[:place], new, *items[place + 1 :]] for new in _halved(old))
    elif isinstance(value, str):
        yield half


@pytest.mark.parametrize("name", list(DECODERS))
def test_half_a_character_anywhere_in_a_frame_can_be_written(name: str) -> None:
    for frame in RECORDED[name]:
        try:
            value = json.loads(frame.data)
        except ValueError:
            continue
        for spoilt in _halved(value):
            decoder = DECODERS[name]()
            told = decoder.decode(frame._replace(data=json.dumps(spoilt)))
            for event in [*told, *decoder.finish()]:
                json.dumps(event_to_dict(event), ensure_ascii=False).encode()


@pytest.mark.parametrize("name", list(DECODERS))
@given(st.binary(max_size=300))
def test_no_bytes_break_a_decoder(name: str, data: bytes) -> None:
    decoder = DECODERS[name]()
    for frame in sse.Decoder().feed(b"data: " + data + b"\n\nevent: chunk\ndata:" + data + b"\n\n"):
        decoder.decode(frame)
    decoder.finish()
