"""Intervals and tests: what is published, what must hold for all, and how often they are right."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb.evaluation.intervals import (
    Difference,
    mean_difference,
    mean_estimate,
    paired_mean_difference,
    paired_proportion_difference,
    proportion_difference,
    proportion_estimate,
)

PUBLISHED: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "evaluation" / "intervals.json").read_text("utf-8")
)
CONFIDENCE = 0.95
# Published figures are rounded to four places.
ROUNDED = 0.5e-4 + 1e-12

counts = st.integers(0, 200)
scores = st.floats(-1e300, 1e300, allow_subnormal=False) | st.floats(-10, 10, width=16)


def cases(name: str) -> list[list[float]]:
    return PUBLISHED[name]["cases"]


@pytest.mark.parametrize("case", cases("proportion"), ids=str)
def test_a_proportion_as_published(case: list[Any]) -> None:
    passed, n, low, high = case
    found = proportion_estimate(passed, n, CONFIDENCE)
    assert found.mean == passed / n
    assert (found.low, found.high) == pytest.approx((low, high), abs=ROUNDED)


@pytest.mark.parametrize("case", cases("independent_proportions"), ids=str)
def test_two_proportions_as_published(case: list[Any]) -> None:
    *counted, low, high = case
    found = proportion_difference(*counted, confidence=CONFIDENCE)
    assert (found.low, found.high) == pytest.approx((low, high), abs=ROUNDED)


@pytest.mark.parametrize("case", cases("paired_proportions"), ids=str)
def test_paired_proportions_as_published(case: list[Any]) -> None:
    *counted, low, high = case
    found = paired_proportion_difference(*counted, confidence=CONFIDENCE)
    assert (found.low, found.high) == pytest.approx((low, high), abs=ROUNDED)


def test_exact_tests_as_published() -> None:
    for *counted, p_value in cases("mcnemar"):
        found = paired_proportion_difference(*map(int, counted), confidence=CONFIDENCE)
        assert found.p_value == pytest.approx(p_value, abs=0.5e-6)
    for *counted, p_value in cases("fisher"):
        found = proportion_difference(*map(int, counted), confidence=CONFIDENCE)
        assert found.p_value == pytest.approx(p_value, abs=ROUNDED)


def test_means_as_published() -> None:
    student = PUBLISHED["student"]
    here, other = student["here"], student["other"]
    single = mean_estimate(here, CONFIDENCE)
    assert (single.mean, single.low, single.high) == pytest.approx(
        tuple(student["single"].values()), abs=1e-7
    )
    for kind, found in (
        ("paired", paired_mean_difference(here, other, CONFIDENCE)),
        ("welch", mean_difference(here, other, CONFIDENCE)),
    ):
        told = student[kind]
        assert found.value == pytest.approx(told["difference"])
        assert (found.low, found.high) == pytest.approx((told["low"], told["high"]), abs=1e-7)
        assert found.p_value == pytest.approx(told["p_value"], rel=1e-3)


# -- what must hold -------------------------------------------------------------------------------


def check_turned(found: Difference, turned: Difference) -> None:
    """The other way round everything has the other sign, and the p value stays."""

    def negative(value: float | None) -> float | None:
        return None if value is None else -value

    expected = (negative(found.value), negative(found.high), negative(found.low), found.p_value)
    got = (turned.value, turned.low, turned.high, turned.p_value)
    for a, b in zip(got, expected, strict=True):
        assert (a is None) == (b is None)
        assert a is None or a == pytest.approx(b, rel=1e-9, abs=1e-9)


def check_order(found: Difference) -> None:
    if found.low is not None and found.high is not None and found.value is not None:
        assert found.low <= found.value + 1e-9
        assert found.value <= found.high + 1e-9
        assert found.p_value is not None
        assert 0 <= found.p_value <= 1 + 1e-12


@given(st.tuples(counts, counts, counts, counts))
def test_paired_proportions_turned_round(table: tuple[int, int, int, int]) -> None:
    both, here, other, neither = table
    found = paired_proportion_difference(both, here, other, neither, CONFIDENCE)
    check_turned(found, paired_proportion_difference(both, other, here, neither, CONFIDENCE))
    check_order(found)
    if found.low is not None and found.high is not None:
        assert -1 <= found.low <= found.high <= 1


@given(counts, counts, counts, counts)
def test_proportions_turned_round(passed: int, missed: int, others: int, rest: int) -> None:
    n, other_n = passed + missed, others + rest
    found = proportion_difference(passed, n, others, other_n, CONFIDENCE)
    check_turned(found, proportion_difference(others, other_n, passed, n, CONFIDENCE))
    check_turned(found, proportion_difference(missed, n, rest, other_n, CONFIDENCE))
    check_order(found)


@given(st.lists(st.tuples(scores, scores), max_size=20))
def test_means_turned_round(pairs: list[tuple[float, float]]) -> None:
    here, other = [a for a, _ in pairs], [b for _, b in pairs]
    for differ in (paired_mean_difference, mean_difference):
        found = differ(here, other, CONFIDENCE)
        turned = differ(other, here, CONFIDENCE)
        size = max((abs(value) for pair in pairs for value in pair), default=0.0)
        assert (found.low is None) == (turned.low is None)
        if found.value is not None and turned.value is not None:
            assert found.value == pytest.approx(-turned.value, abs=1e-9 * size)
        if found.low is not None and turned.high is not None:
            assert found.low == pytest.approx(-turned.high, rel=1e-6, abs=1e-6 * size)
        check_order(found)


@given(counts, counts, st.floats(0.5, 0.9), st.floats(0.91, 0.999))
def test_more_confidence_is_wider(passed: int, missed: int, less: float, more: float) -> None:
    narrow = proportion_estimate(passed, passed + missed, less)
    wide = proportion_estimate(passed, passed + missed, more)
    if narrow.low is None or narrow.high is None or wide.low is None or wide.high is None:
        assert passed + missed == 0
        return
    assert 0 <= wide.low <= narrow.low <= narrow.high <= wide.high <= 1


def test_no_interval_without_spread() -> None:
    alone, equal = mean_estimate([0.5], CONFIDENCE), mean_estimate([0.5] * 9, CONFIDENCE)
    assert (alone.mean, alone.std_error, alone.low) == (0.5, None, None)
    assert (equal.mean, equal.std_error, equal.low) == (0.5, 0.0, None)
    assert mean_estimate([], CONFIDENCE).mean is None
    # Equal but for how numbers are kept in binary.
    rounded = paired_mean_difference([0.3, 1.1], [0.1 + 0.2, 1.1], CONFIDENCE)
    assert (rounded.low, rounded.p_value) == (None, None)
    assert mean_difference([1.0], [2.0, 3.0], CONFIDENCE).low is None
    assert mean_difference([1.0, 1.0], [2.0, 2.0], CONFIDENCE).low is None
    one_flat = mean_difference([1.0, 1.0], [2.0, 3.0], CONFIDENCE)
    assert one_flat.low is not None
    assert proportion_estimate(0, 0, CONFIDENCE).mean is None
    assert proportion_difference(0, 0, 1, 2, CONFIDENCE).value is None
    assert paired_proportion_difference(0, 0, 0, 0, CONFIDENCE).value is None
    assert paired_mean_difference([], [], CONFIDENCE).value is None


# -- how often they are right ---------------------------------------------------------------------

TRIALS = 400
#: Of 400 intervals that are right in 95 of 100 cases, fewer than 91 in 100 are right once in some
#: thousands of sets of trials.
RIGHT = 0.91


def share_right(
    draw: Callable[[random.Random], Any], interval: Callable[[Any], Difference], truth: float
) -> float:
    randomly = random.Random(7)
    drawn = Counter(draw(randomly) for _ in range(TRIALS))
    known = cache(interval)
    right = 0
    for sample, count in drawn.items():
        found = known(sample)
        assert found.low is not None
        assert found.high is not None
        right += count * (found.low <= truth <= found.high)
    return right / TRIALS


@pytest.mark.parametrize(
    "cells", [(0.5, 0.2, 0.1, 0.2), (0.7, 0.15, 0.05, 0.1), (0.3, 0.1, 0.1, 0.5)], ids=str
)
@pytest.mark.parametrize("n", [25, 100])
def test_paired_proportions_are_right_as_often_as_they_say(
    cells: tuple[float, ...], n: int
) -> None:
    def draw(randomly: random.Random) -> tuple[int, ...]:
        found = Counter(randomly.choices(range(4), cells, k=n))
        return tuple(found[place] for place in range(4))

    share = share_right(
        draw, lambda t: paired_proportion_difference(*t, confidence=CONFIDENCE), cells[1] - cells[2]
    )
    assert share >= RIGHT


@pytest.mark.parametrize(("p", "q"), [(0.8, 0.6), (0.5, 0.5), (0.95, 0.85)])
def test_proportions_are_right_as_often_as_they_say(p: float, q: float) -> None:
    def draw(randomly: random.Random) -> tuple[int, int, int, int]:
        passed = sum(randomly.random() < p for _ in range(40))
        return passed, 40, sum(randomly.random() < q for _ in range(30)), 30

    assert (
        share_right(draw, lambda t: proportion_difference(*t, confidence=CONFIDENCE), p - q)
        >= RIGHT
    )


def test_means_are_right_as_often_as_they_say() -> None:
    def draw(randomly: random.Random) -> tuple[tuple[float, ...], tuple[float, ...]]:
        levels = [randomly.gauss(0, 2) for _ in range(20)]
        here = tuple(level + randomly.gauss(0.5, 1) for level in levels)
        return here, tuple(level + randomly.gauss(0, 1) for level in levels)

    paired = share_right(draw, lambda t: paired_mean_difference(*t, confidence=CONFIDENCE), 0.5)
    assert paired >= RIGHT

    def apart(randomly: random.Random) -> tuple[tuple[float, ...], tuple[float, ...]]:
        here = tuple(randomly.gauss(0.5, 3) for _ in range(12))
        return here, tuple(randomly.gauss(0, 1) for _ in range(30))

    assert share_right(apart, lambda t: mean_difference(*t, confidence=CONFIDENCE), 0.5) >= RIGHT


def test_a_pair_tells_more_than_two_rows_do() -> None:
    """What pairing is for: rows that are hard for both say nothing about which is better."""
    paired = paired_proportion_difference(50, 12, 2, 36, CONFIDENCE)
    apart = proportion_difference(62, 100, 52, 100, CONFIDENCE)
    assert paired.value == pytest.approx(apart.value)
    assert paired.low is not None
    assert apart.low is not None
    assert paired.low > 0 > apart.low
    assert math.isclose(paired.p_value or 0, 0.012939453125)
