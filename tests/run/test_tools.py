"""Functions of this process as tools: their description, and their calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, Literal

import pandas as pd
import pytest

import agentnb
from agentnb.run.tools import MAX_RESULT, as_tools

pytestmark = pytest.mark.anyio


def price(ticker: str, days: int = 5, kind: Literal["open", "close"] = "close") -> dict[str, Any]:
    """Return the price of a share."""
    return {"ticker": ticker, "days": days, "kind": kind}


async def later(number: float) -> float:
    await asyncio.sleep(0)
    return number * 2


def test_it_is_described_by_its_hints_and_its_docstring() -> None:
    spec = agentnb.tool(price).spec
    assert (spec.name, spec.description) == ("price", "Return the price of a share.")
    assert spec.parameters["type"] == "object"
    assert spec.parameters["required"] == ["ticker"]
    properties = spec.parameters["properties"]
    assert properties["ticker"]["type"] == "string"
    assert properties["days"] == {"default": 5, "title": "Days", "type": "integer"}
    assert properties["kind"]["enum"] == ["open", "close"]


def test_it_is_still_the_function() -> None:
    assert agentnb.tool(price)("A", days=1) == price("A", 1)


@pytest.mark.parametrize(
    ("function", "arguments", "result"),
    [
        (price, '{"ticker": "A"}', '{"ticker": "A", "days": 5, "kind": "close"}'),
        (price, '{"ticker": "A", "days": "3"}', '{"ticker": "A", "days": 3, "kind": "close"}'),
        (later, '{"number": 2}', "4.0"),
        (lambda: "plain text", "", "plain text"),
        (lambda: None, "{}", "null"),
        (lambda: pd.DataFrame({"a": [1]}), "{}", "   a\n0  1"),
        (lambda: iter("ab"), "{}", None),
    ],
    ids=["default", "converted", "async", "text", "none", "table", "iterator"],
)
async def test_a_call(function: Callable[..., Any], arguments: str, result: str | None) -> None:
    end = await agentnb.tool(function, name="f").call("c", arguments)
    assert end.error is None
    assert result is None or end.result == result


def waiting() -> None:
    raise TimeoutError("the database did not answer")


def broken() -> None:
    raise ValueError("no such day")


@pytest.mark.parametrize(
    ("function", "arguments", "error"),
    [
        (price, "{}", "ticker: Missing required argument"),
        (price, '{"ticker": "A", "days": "x"}', "days: Input should be a valid integer"),
        (price, '{"ticker": "A", "other": 1}', "other: Unexpected keyword argument"),
        (price, "[1]", "the arguments are no JSON object"),
        (price, '{"ticker": ', "JSONDecodeError: "),
        (broken, "{}", "ValueError: no such day"),
        (waiting, "{}", "TimeoutError: the database did not answer"),
    ],
)
async def test_a_call_that_fails(function: Callable[..., Any], arguments: str, error: str) -> None:
    end = await agentnb.tool(function).call("c", arguments)
    assert end.result is None
    assert end.error is not None
    assert error in end.error


@pytest.mark.parametrize("function", [lambda: time.sleep(5), lambda: None], ids=["slow", "fast"])
async def test_a_call_has_a_time_limit(function: Callable[..., Any]) -> None:
    end = await agentnb.tool(function, name="f", timeout=0.2).call("c", "")
    assert end.error in (None, "The tool took longer than 0.2 s.")
    assert (end.error is None) == (end.result == "null")


async def test_a_long_result_is_cut_with_a_note() -> None:
    end = await agentnb.tool(lambda: "x" * (MAX_RESULT + 5), name="f").call("c", "")
    assert end.result is not None
    assert end.result.endswith("x… (5 more characters)")


def by_position(*rest: int) -> Iterator[int]:
    yield from rest


def locking(lock: Connection) -> None:
    del lock


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: agentnb.tool(lambda: 1), "A tool needs a name"),
        (lambda: agentnb.tool(price, timeout=0), "above 0"),
        (lambda: as_tools([price, agentnb.tool(price)]), "Two tools have the name price"),
        (lambda: as_tools([by_position]), "by_position takes arguments by position only"),
        (lambda: as_tools([locking]), "The arguments of the tool locking: "),
    ],
    ids=["nameless", "timeless", "twice", "positional", "undescribable"],
)
def test_what_cannot_be_a_tool_is_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(agentnb.RequestError, match=words):
        make()


def test_tools_of_the_server_are_left_to_the_platform() -> None:
    search = {"type": "web_search"}
    tools, others = as_tools([price, search])
    assert ([each.name for each in tools], others) == (["price"], [search])
    alone: Any = price
    assert [each.name for each in as_tools(alone)[0]] == ["price"]
