from __future__ import annotations

from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb._support.text import well_formed
from agentnb.errors import RequestError
from agentnb.event.surrogates import SurrogateJoiner
from agentnb.platforms._wire import (
    EventCodec,
    Inbound,
    Lenient,
    MalformedError,
    Outbound,
    as_text,
    json_payload,
    mend_deep,
    one_line,
    to_wire,
)

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()))


class Word(Inbound):
    text: str
    count: Annotated[int | None, Lenient] = None


class Sent(Outbound):
    name: str | None = None
    free: dict[str, Any] | None = None


CODEC = EventCodec({"word": Word})


def test_unknown_tags_and_malformed_events_differ() -> None:
    assert CODEC.parse("other", {"text": 1}) is None
    with pytest.raises(MalformedError, match=r"^text: Field required$"):
        CODEC.parse("word", {})
    with pytest.raises(MalformedError) as caught:
        CODEC.parse("word", {"text": {"secret": "value"}})
    assert "value" not in str(caught.value)


def test_inbound_keeps_what_it_does_not_know_and_forgives_where_it_may() -> None:
    found = CODEC.parse("word", {"text": "x", "count": "many", "future": [1]})
    assert found == Word.model_validate({"text": "x", "future": [1]})
    assert found is not None
    assert found.model_extra == {"future": [1]}


def test_outbound_leaves_nulls_out_but_for_the_callers_own() -> None:
    assert to_wire(Sent(free={"a": None})) == {"free": {"a": None}}
    assert to_wire(Sent()) == {}


def test_what_has_no_json_form_is_refused() -> None:
    circle: dict[str, Any] = {}
    circle["circle"] = circle
    for value in ({"a": object()}, circle):
        with pytest.raises(RequestError, match="no JSON form"):
            to_wire(Sent(free=value))


def test_half_characters_are_mended_before_they_are_sent() -> None:
    sent = to_wire(Sent(name="a\ud83d", free={"k\udc00": ["\ud83d\ude00"]}))
    assert sent == {"name": "a\ufffd", "free": {"k\ufffd": ["😀"]}}


@pytest.mark.parametrize("text", ["{", "[1,]", "[" * 5000 + "]" * 5000, "9" * 5000, ""])
def test_what_is_no_payload(text: str) -> None:
    with pytest.raises(MalformedError) as caught:
        json_payload(text)
    assert len(str(caught.value)) <= 300


def test_depth_is_bounded() -> None:
    assert json_payload("[" * 100 + "]" * 100) is not None
    with pytest.raises(MalformedError, match="nested too deeply"):
        json_payload("[" * 102 + "]" * 102)
    assert len(json_payload("[" + "{}," * 500 + "{}]")) == 501


def test_numbers_that_are_none() -> None:
    assert json_payload("[NaN, Infinity, -Infinity, 1e999, 1.5]") == [None, None, None, None, 1.5]


@pytest.mark.parametrize(
    ("value", "text"),
    [("a\ud83d", "a\ufffd"), (None, ""), ({"é": [1]}, '{"é": [1]}'), (True, "true"), (1.5, "1.5")],
)
def test_values_as_text(value: Any, text: str) -> None:
    assert as_text(value) == text


def test_one_line() -> None:
    assert one_line(" a\n\tb ") == "a b"
    assert len(one_line("x" * 1000)) == 300


@given(ANY_TEXT)
def test_mended_text_can_be_encoded(text: str) -> None:
    well_formed(text).encode()
    as_text(mend_deep([text, {text: text}])).encode()


@given(st.text(), st.data())
def test_characters_cut_in_half_are_put_together(text: str, data: st.DataObject) -> None:
    """Whatever way a server cuts its UTF-16 units, the text comes out whole."""
    units = text.encode("utf-16-le")
    halves = [
        units[i : i + 2].decode("utf-16-le", "surrogatepass") for i in range(0, len(units), 2)
    ]
    joiner, shown, start = SurrogateJoiner(), "", 0
    while start < len(halves):
        end = data.draw(st.integers(start + 1, len(halves)))
        shown += joiner.feed("".join(halves[start:end]), "key")
        start = end
    assert shown == text
    assert joiner.flush() == {}


@given(st.lists(ANY_TEXT))
def test_joined_text_can_be_encoded(pieces: list[str]) -> None:
    joiner = SurrogateJoiner()
    shown = "".join(joiner.feed(piece) for piece in pieces) + "".join(joiner.flush().values())
    shown.encode()
    assert shown == well_formed("".join(pieces))


def test_halves_of_different_parts_are_not_joined() -> None:
    joiner = SurrogateJoiner()
    assert joiner.feed("\ud83d", "a") == ""
    assert joiner.feed("\ude00", "b") == "\ufffd"
    assert joiner.flush() == {"a": "\ufffd"}
