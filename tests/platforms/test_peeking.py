"""Frames that one read brought: decoded together they tell what each of them tells by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentnb.event.types import Event
from agentnb.platforms._wire import json_payload, peek
from agentnb.platforms.generic.decoder import GenericDecoder
from agentnb.platforms.operativus.decoder import Decoder as Operativus
from agentnb.platforms.runagent.decoder import Decoder as RunAgent
from agentnb.platforms.runtools.decoder import Decoder as RunTools
from agentnb.platforms.seekr.decoder import Decoder as Seekr
from agentnb.sse import ServerSentEvent
from tests.platforms.anything import JSON, TEXT
from tests.platforms.recorded import by_name, frames

Decoder = Seekr | RunAgent | Operativus | GenericDecoder
DECODERS: Final[dict[str, type[Decoder]]] = {
    "seekr": Seekr,
    "runagent": RunAgent,
    "operativus": Operativus,
    "runtools": RunTools,
    "generic": GenericDecoder,
}
RECORDED: Final = {
    name: [frame for data in by_name(name).values() for frame in frames(data)] for name in DECODERS
}
# What means something else where other texts stand around it, and what no reader may take.
ODD: Final = [
    *("", " ", "1,2", "1,", ",1", "[1", "2]", '{"a":[1', "2]}", '{"a":1},{"b":2}', '"a', 'b"'),
    *("{}]", "[{}", "[DONE]", "nothing", " {} ", "\u00a0{}", "{}\n", "\ufeff{}", '{"a":"\t"}'),
    *("NaN", "-Infinity", "1e999", "-0", "-0.0", "9" * 5000, '"\\ud83d"', '{"a":1,"a":2}', "null"),
    *("[" * 150 + "]" * 150, "[" * 5000 + "]" * 5000, '{"a":' * 120 + "1" + "}" * 120),
    *("[" * 99 + "]" * 99, "[" * 100 + "]" * 100, "[" * 101 + "]" * 101, json.dumps([[]] * 300)),
]
TEXTS: Final = st.lists(
    st.one_of(st.sampled_from(ODD), JSON.map(json.dumps), TEXT, st.just('{"a": "b"}')), max_size=40
)


def _frame(text: str, event: str = "message") -> ServerSentEvent:
    return ServerSentEvent(event, text, "", None)


def _peeked(texts: list[str]) -> list[dict[str, Any] | None]:
    return list(peek([_frame(text) for text in texts]))


@settings(max_examples=300)
@given(TEXTS)
def test_a_value_is_what_its_text_says(texts: list[str]) -> None:
    values = _peeked(texts)
    assert len(values) == len(texts)
    for text, value in zip(texts, values, strict=True):
        if value is not None:
            # By what they are written as: 0 and -0.0 and False are equal.
            assert re.sub(r"-?inf|nan", "None", repr(value)) == repr(json_payload(text))


@given(st.lists(JSON, min_size=1, max_size=40))
def test_what_is_small_is_read(given_values: list[Any]) -> None:
    texts = [json.dumps(value) for value in given_values]
    for text, value in zip(texts, _peeked(texts), strict=True):
        if len(text) < 100 and "\\ud" not in text.lower() and not re.search("NaN|Inf", text):
            expected = json_payload(text)
            assert repr(value) == (repr(expected) if text.startswith("{") else "None")


@pytest.mark.parametrize(
    "odd", ["[DONE]", "[1", "1,2", "[]", "1", "[" * 150 + "]" * 150, '"\\ud83d"']
)
def test_a_text_that_cannot_be_read_leaves_the_others(odd: str) -> None:
    texts = ['{"a": 1}'] * 300
    texts[200] = odd
    expected: list[dict[str, Any] | None] = [{"a": 1}] * 300
    expected[200] = None
    assert _peeked(texts) == expected


def _fragments(name: str, texts: list[str], steps: Iterator[int]) -> list[ServerSentEvent]:
    """An answer in fragments; ``steps`` are by how much their numbers grow."""
    made: list[ServerSentEvent] = []
    number = 0
    for text in texts:
        match name:
            case "seekr":
                fields = {"type": "text_delta", "text": text}
            case "operativus":
                fields = {"event": "CONTENT_DELTA", "data": text, "timestamp": 1}
            case "runagent":
                fields = {"content": text, "index": number}
            case _:
                fields = {"content": text}
        kind = {"runagent": "chunk", "runtools": "text_delta"}.get(name, "message")
        made.append(_frame(json.dumps(fields), kind))
        step = next(steps, 1)
        # Who counts characters, and who counts chunks.
        number += len(text) if step == 0 else step
    return made


def _streams(name: str) -> st.SearchStrategy[list[ServerSentEvent]]:
    recorded = RECORDED[name]
    places = st.integers(0, len(recorded))
    piece = st.one_of(
        st.tuples(places, places).map(lambda p: recorded[min(p) : max(p)]),
        st.sampled_from(recorded).map(lambda frame: [frame]),
        st.tuples(st.sampled_from(recorded), st.sampled_from(ODD)).map(
            lambda p: [p[0]._replace(data=p[1])]
        ),
        st.tuples(
            st.lists(st.one_of(TEXT, st.text("ab c", max_size=5)), max_size=12),
            st.one_of(
                st.just([0] * 12), st.just([1] * 12), st.lists(st.integers(-2, 3), max_size=12)
            ),
        ).map(lambda p: _fragments(name, p[0], iter(p[1]))),
    )
    return st.lists(piece, max_size=5).map(lambda pieces: [f for some in pieces for f in some])


def _together(decoder: Decoder, read: list[ServerSentEvent]) -> list[Event]:
    if not isinstance(decoder, RunAgent):
        return decoder.decode_all(read)
    events: list[Event] = []
    left = zip(read, peek(read), strict=True)
    to_ask: int | None = 0
    while to_ask is not None:
        more, to_ask = decoder.decode_until_damaged(left)
        events += more
    return events


@pytest.mark.parametrize("name", list(DECODERS))
@settings(max_examples=150)
@given(data=st.data())
def test_a_read_tells_what_its_frames_tell(name: str, data: st.DataObject) -> None:
    stream = data.draw(_streams(name))
    alone, together = DECODERS[name](), DECODERS[name]()
    left = iter(stream)
    while read := list(islice(left, data.draw(st.integers(1, 30)))):
        expected = [event for frame in read for event in alone.decode(frame)]
        assert _together(together, read) == expected
        if isinstance(alone, RunAgent) and isinstance(together, RunAgent):
            assert together.next_index == alone.next_index
    assert together.finish() == alone.finish()


def test_a_read_stops_behind_a_chunk_that_is_to_be_asked_for_again() -> None:
    decoder = RunAgent()
    texts = [json.dumps({"content": "ab", "index": number}) for number in range(6)]
    texts[3] = texts[3][:-1]
    read = [_frame(text, "chunk") for text in texts]
    left = zip(read, peek(read), strict=True)
    events, to_ask = decoder.decode_until_damaged(left)
    assert (len(events), to_ask) == (4, 3)
    assert decoder.decode(_frame(texts[3] + "}", "chunk")) != []
    events, to_ask = decoder.decode_until_damaged(left)
    assert (len(events), to_ask) == (2, None)
