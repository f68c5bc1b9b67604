from __future__ import annotations

from typing import Annotated, Any

import pytest
from annotated_types import Gt, Lt
from pydantic import Field

from agentnb.errors import ConfigError, RequestError
from agentnb.platforms._params import (
    check_choice,
    check_count,
    check_options,
    check_params,
    did_you_mean,
)
from agentnb.platforms._wire import Number, Outbound


class Inner(Outbound):
    ratio: Annotated[float | None, Number, Gt(0), Lt(1)] = None
    count: Annotated[int, Number, Field(ge=1, le=5)] = 1


class Outer(Outbound):
    session_id: Annotated[str | None, Field(alias="sessionId")] = None
    inner: Inner | None = None
    needed: str = "x"
    most: Annotated[int, Number, Field(le=9)] = 0


def check(**params: Any) -> Outer:
    return check_params(Outer, params, platform="p")


def test_both_spellings() -> None:
    assert check(session_id="a") == check(sessionId="a")
    with pytest.raises(RequestError, match="session_id and sessionId are one parameter"):
        check(session_id="a", sessionId="a")


def test_numbers_as_text_are_numbers() -> None:
    assert check(inner={"count": "3"}).inner == Inner(count=3)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"inner": {"ratio": 1}}, "inner.ratio must be a number from above 0 to below 1, not 1"),
        ({"inner": {"count": 6}}, "inner.count must be an integer from 1 to 5, not 6"),
        ({"most": 10}, "most must be an integer of 9 or less, not 10"),
        ({"inner": 3}, "inner must be a valid dictionary or instance of Inner, not 3"),
        ({"needed": None}, "needed must be a valid string, not None"),
        ({"session_id": "x" * 5, "sesion": 1}, "no parameter 'sesion'."),
        ({"most": "x" * 100}, "…"),
        ({"most": 10, "needed": 5}, "; "),
    ],
)
def test_refusals_name_field_and_range(params: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError) as caught:
        check(**params)
    assert caught.value.message.startswith("p: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(caught.value.message) <= 300


def test_hints() -> None:
    with pytest.raises(RequestError) as caught:
        check(sesion_id=1)
    assert caught.value.hint == "Did you mean 'session_id'?"
    assert did_you_mean("maxTokens", ["max_tokens", "other"]) == "Did you mean 'max_tokens'?"
    assert did_you_mean("zzz", ["b", "a"]) == "Known: a, b."
    assert did_you_mean("zzz", []) is None


def test_deep_parameters_are_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"inner": deep}
    with pytest.raises(RequestError):
        check(**deep)


def test_options_are_configuration() -> None:
    assert check_options(Inner, {"count": 2}, platform="p") == Inner(count=2)
    with pytest.raises(ConfigError, match="Settings of p: count must be"):
        check_options(Inner, {"count": 0}, platform="p")


def test_choices_and_counts() -> None:
    assert check_choice("a", ("a", "b"), name="order", platform="p") == "a"
    assert check_count(0, name="limit", platform="p") == 0
    with pytest.raises(RequestError, match="order must be one of a, b, not 'c'"):
        check_choice("c", ("a", "b"), name="order", platform="p")
    for wrong in (-1, True, 1.0, "1", None):
        with pytest.raises(RequestError, match="limit must be an integer of 0 or more"):
            check_count(wrong, name="limit", platform="p")
