"""Structured answers: what is asked for, and what is made of the answer."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from agentnb.errors import OutputError, RequestError
from agentnb.run.output import output_schema, parse_output


class Quote(BaseModel):
    ticker: str
    price: float = Field(gt=0)


@dataclass
class Point:
    x: int
    y: int


def test_schemas() -> None:
    assert output_schema(Quote) == Quote.model_json_schema()
    assert output_schema(Point)["required"] == ["x", "y"]
    assert output_schema(list[int]) == {"type": "array", "items": {"type": "integer"}}
    own = {"type": "object"}
    made = output_schema(own)
    assert made == own
    assert made is not own


@pytest.mark.parametrize("wrong", [5, "Quote", threading.Lock, print])
def test_what_gives_no_schema(wrong: Any) -> None:
    with pytest.raises(RequestError, match="no JSON schema"):
        output_schema(wrong)


JSON = '{"ticker": "NVDA", "price": 142.5}'


@pytest.mark.parametrize(
    "text",
    [
        JSON,
        f"\n  {JSON}\n",
        f"```json\n{JSON}\n```",
        f"```\n{JSON}\n```",
        f"``` JSON\r\n{JSON}\r\n```\n",
        f"````json\n{JSON}\n````",
        f"~~~json\n{JSON}\n~~~",
        f"```json\n{JSON}```",
    ],
)
def test_answers(text: str) -> None:
    assert parse_output(text, Quote) == Quote(ticker="NVDA", price=142.5)
    assert parse_output(text, {"type": "object"}) == {"ticker": "NVDA", "price": 142.5}


def test_other_types() -> None:
    assert parse_output('{"x": 1, "y": 2}', Point) == Point(1, 2)
    assert parse_output("[1, 2]", list[int]) == [1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The answer does not match `Quote`: it is empty."),
        ("The price is 5.", "The answer does not match `Quote`: invalid JSON."),
        ('{"ticker": "NVDA"}', "price: Field required"),
        ('{"ticker": "NVDA", "price": -1}', "price: Input should be greater than 0"),
        ('{"ticker": "NVDA", "price": 1', "The answer does not match `Quote`: invalid JSON."),
        (f"```python\n{JSON}\n```", "The answer does not match `Quote`: invalid JSON."),
        ("```", "The answer does not match `Quote`: invalid JSON."),
        ("``````", "The answer does not match `Quote`: invalid JSON."),
        ('{"ticker": "\ud800", "price": 1}', "The answer does not match `Quote`: Input should be"),
    ],
)
def test_answers_of_another_form(text: str, message: str) -> None:
    with pytest.raises(OutputError, match=message) as caught:
        parse_output(text, Quote)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("text", ["", "no", "```json\nno\n```", "[" * 100_000, "9" * 10_000])
def test_answers_that_are_no_json(text: str) -> None:
    with pytest.raises(OutputError):
        parse_output(text, {"type": "object"})


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for kind in (Quote, {"type": "object"}):
        with suppress(OutputError):
            parse_output(text, kind)


def test_a_long_answer_costs_what_it_is_long() -> None:
    """Cut off inside its fence, after text that would make a careless search start over."""
    for filler in (" ", "`", "\n", "```json\n"):
        with pytest.raises(OutputError):
            parse_output("```json\n" + filler * 200_000 + "x", {"type": "object"})
