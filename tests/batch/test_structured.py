"""Answers as columns: which there are does not depend on what is in them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, Field

from agentnb.batch.result_table import StructuredOutput
from agentnb.errors import OutputError, RequestError


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"


class Inner(BaseModel):
    depth: int


class View(BaseModel):
    ticker: str
    price: float
    shares: int | None = None
    sound: bool = True
    mood: Mood = Mood.GOOD
    inner: Inner | None = None
    tags: list[str] = []
    short: str = Field("", alias="shortName")


def test_the_columns_of_a_model() -> None:
    assert StructuredOutput(View).columns == {
        "parsed_ticker": "string",
        "parsed_price": "Float64",
        "parsed_shares": "Int64",
        "parsed_sound": "boolean",
        "parsed_mood": "string",
        "parsed_inner": "object",
        "parsed_tags": "object",
        "parsed_shortName": "string",
    }


def test_the_values_of_a_model() -> None:
    view = StructuredOutput(View)
    parsed = view.parse('{"ticker": "NVDA", "price": 1, "inner": {"depth": 2}, "shortName": "N"}')
    assert view.values(parsed) == ["NVDA", 1.0, None, True, "good", {"depth": 2}, [], "N"]


def test_nonconforming_answers() -> None:
    with pytest.raises(OutputError, match="price"):
        StructuredOutput(View).parse('{"ticker": "NVDA", "price": "dear"}')


class TestSchemas:
    SCHEMA: ClassVar[Any] = {
        "type": "object",
        "properties": {"price": {"type": "number"}, "count": {"type": ["integer", "null"]}},
        "required": ["price"],
    }

    def test_its_fields(self) -> None:
        made = StructuredOutput(self.SCHEMA)
        assert made.columns == {"parsed_price": "Float64", "parsed_count": "Int64"}
        assert made.values(made.parse('{"price": 2, "count": null, "more": 1}')) == [2, None]
        assert made.values(made.parse('```json\n{"price": 2, "count": 3.0}\n```')) == [2, 3.0]

    @pytest.mark.parametrize(
        ("answer", "says"),
        [
            ('{"price": "dear"}', "'price' is no number"),
            ('{"price": true}', "'price' is no number"),
            ('{"price": 1, "count": 1.5}', "'count' is no integer"),
            ('{"count": 1}', "it has no 'price'"),
            ("[1]", "it is no object"),
            ("It costs 2 dollars.", "invalid JSON"),
        ],
    )
    def test_values_that_no_column_can_hold(self, answer: str, says: str) -> None:
        with pytest.raises(OutputError, match=says):
            StructuredOutput(self.SCHEMA).parse(answer)

    def test_the_given_schema_is_requested(self) -> None:
        assert StructuredOutput(self.SCHEMA).schema == self.SCHEMA


def test_anything_else_is_one_column() -> None:
    made = StructuredOutput(list[int])
    assert made.columns == {"parsed": "object"}
    assert made.values(made.parse("[1, 2]")) == [[1, 2]]
    free = StructuredOutput({"type": "object"})
    assert free.values(free.parse('{"a": 1}')) == [{"a": 1}]


def test_a_dataclass() -> None:
    @dataclass
    class Point:
        x: int
        y: int

    made = StructuredOutput(Point)
    assert made.values(made.parse('{"x": 1, "y": 2}')) == [1, 2]


def test_types_without_a_schema() -> None:
    nothing: Any = object()
    with pytest.raises(RequestError):
        StructuredOutput(nothing)
