"""The number in an answer, and how near it is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from agentnb import RequestError
from agentnb.evaluation import tolerance


@pytest.mark.parametrize(
    ("expected", "bounds", "near", "far"),
    [
        (100, {}, ["100", "$100.00", "1e2"], ["100.01", "99"]),
        (100, {"abs": 1}, ["101", "99.0"], ["101.01", "98.9"]),
        (100, {"rel": 0.01}, ["101", "99"], ["101.01"]),
        (100, {"abs": 0.5, "rel": 0.02}, ["102"], ["102.5"]),
        (-100, {"rel": 0.01}, ["-101", "−99"], ["100", "-102"]),
        (0, {"rel": 0.5}, ["0"], ["0.001"]),
        # As written: in binary 1.1 is a little more than 0.1 away.
        (1, {"abs": 0.1}, ["1.1", "0.9"], ["1.1000000001"]),
        (0.3, {}, ["0.3"], ["0.30000000000000004"]),
        (1234567.89, {}, ["1,234,567.89", "1.234.567,89", "1'234'567.89"], ["1,234,567"]),
        (12.5, {}, ["12.5%", "12.5 %", "12.5 percent"], ["0.125"]),
        (np.float64(2.5), {"abs": np.float64(0.5)}, ["3"], ["3.1"]),
        (Decimal("2.50"), {}, ["2.5"], []),
    ],
)
def test_near_and_far(
    expected: float, bounds: dict[str, Any], near: list[str], far: list[str]
) -> None:
    check = tolerance(expected, **bounds)
    assert [text for text in near if not check.judge(text, {})] == []
    assert [text for text in far if check.judge(text, {})] == []
    assert not check.judge("There is none.", {})


def test_a_percentage_as_a_fraction() -> None:
    check = tolerance(0.07, percent_as_fraction=True)
    assert check.judge("It rose by 7 %.", {})
    assert check.judge("It rose by 0.07.", {})
    assert not check.judge("It rose by 7.", {})


def test_which_of_several() -> None:
    text = "Between 1 and 3, most likely 2."

    def judged(value: float, which: Any) -> bool:
        return tolerance(value, which=which).judge(text, {})

    assert judged(1, "first")
    assert judged(2, "last")
    assert [judged(value, "any") for value in (1, 2, 3, 4)] == [True, True, True, False]
    with pytest.raises(ValueError, match='3 different numbers; which="first"'):
        judged(1, "only")
    # The same one again is no other.
    assert tolerance(5).judge("5, that is 5.0", {})


def test_expected_of_a_column() -> None:
    check = tolerance(column="price", rel=0.01)
    assert check.columns == ("price",)
    assert check.judge("$178", {"price": 177.82})
    # Written as people do there, too.
    assert check.judge("$178", {"price": "USD 177.82"})
    german = tolerance(column="price", decimal=",")
    assert german.judge("1.234 €", {"price": "1.234,00"})
    for missing in (None, float("nan")):
        with pytest.raises(ValueError, match="no value is expected"):
            check.judge("1", {"price": missing})
    for strange in ("none", "1 or 2", True, [1], float("inf")):
        with pytest.raises((TypeError, ValueError)):
            check.judge("1", {"price": strange})


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"value": 1, "column": "price"},
        {"value": "1"},
        {"value": float("nan")},
        {"value": True},
        {"value": 1, "abs": -1},
        {"value": 1, "rel": float("inf")},
        {"value": 1, "which": "best"},
        {"value": 1, "decimal": "_"},
    ],
    ids=str,
)
def test_invalid_tolerances(arguments: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        tolerance(**arguments)
