"""Confidence intervals and tests of means and proportions, and of differences between two.

A number that cannot be computed is None.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Final

from agentnb.evaluation.check import stats

# Relative difference of values that rounding alone can cause.
_ROUNDING: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its standard error and confidence interval."""

    mean: float | None
    std_error: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of two means, its confidence interval, and the p value for no difference."""

    value: float | None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None


def proportion_estimate(passed: int, n: int, confidence: float) -> Estimate:
    """Return a proportion with Wilson's score interval (Wilson 1927)."""
    if n == 0:
        return Estimate(None)
    share = passed / n
    low, high = _wilson(passed, n, confidence)
    return Estimate(share, math.sqrt(share * (1 - share) / n), low, high)


def mean_estimate(values: Sequence[float], confidence: float) -> Estimate:
    """Return a mean with Student's t interval.

    There is no interval for equal values or a single one.
    """
    if not values:
        return Estimate(None)
    middle = fmean(values)
    if len(values) < 2:
        return Estimate(middle)
    if _is_constant(values, max(map(abs, values))):
        return Estimate(middle, 0.0)
    error = _std_error(values)
    found = _student(middle, error, len(values) - 1, confidence)
    return Estimate(middle, error, found.low, found.high)


def proportion_difference(
    passed: int, n: int, other_passed: int, other_n: int, confidence: float
) -> Difference:
    """Return the difference of two independent proportions.

    The interval is the hybrid of two score intervals, method 10 in R. G. Newcombe, "Interval
    estimation for the difference between independent proportions: comparison of eleven methods",
    Statistics in Medicine 17 (1998), 873-890; the p value is that of Fisher's exact test.
    """
    if n == 0 or other_n == 0:
        return Difference(None)
    counts = [[passed, n - passed], [other_passed, other_n - other_passed]]
    p_value = stats().fisher_exact(counts).pvalue
    low, high = _square_and_add(passed, n, other_passed, other_n, 0.0, confidence)
    return Difference(passed / n - other_passed / other_n, low, high, float(p_value))


def paired_proportion_difference(
    both: int, here: int, other: int, neither: int, confidence: float
) -> Difference:
    """Return the difference of two proportions of the same units, (here - other) / n.

    The interval is the hybrid of two score intervals with their correlation, method 10 in
    R. G. Newcombe, "Improved confidence intervals for the difference between binomial proportions
    based on paired data", Statistics in Medicine 17 (1998), 2635-2650; the p value is that of
    McNemar's exact test.
    """
    n = both + here + other + neither
    if n == 0:
        return Difference(None)
    margins = (both + here) * (other + neither) * (both + other) * (here + neither)
    excess = both * neither - here * other
    # Continuity correction of a positive correlation.
    excess = excess if excess < 0 else max(excess - n / 2, 0.0)
    correlation = excess / math.sqrt(margins) if margins else 0.0
    low, high = _square_and_add(both + here, n, both + other, n, correlation, confidence)
    discordant = here + other
    p_value = stats().binomtest(here, discordant).pvalue if discordant else 1.0
    return Difference((here - other) / n, low, high, float(p_value))


def mean_difference(
    values: Sequence[float], others: Sequence[float], confidence: float
) -> Difference:
    """Return the difference of two means of different units, by Welch's t test.

    There is no interval and no p value if each side has equal values only, or a side a single one.
    """
    if not values or not others:
        return Difference(None)
    difference = fmean(values) - fmean(others)
    size = max(map(abs, [*values, *others]))
    flat = _is_constant(values, size) and _is_constant(others, size)
    if flat or min(len(values), len(others)) < 2:
        return Difference(difference)
    mine, theirs = _std_error(values), _std_error(others)
    error = math.hypot(mine, theirs)
    # Welch-Satterthwaite, with ratios, whose powers do not overflow or underflow.
    freedom = 1 / (
        (mine / error) ** 4 / (len(values) - 1) + (theirs / error) ** 4 / (len(others) - 1)
    )
    return _student(difference, error, freedom, confidence)


def paired_mean_difference(
    values: Sequence[float], others: Sequence[float], confidence: float
) -> Difference:
    """Return the mean of the differences between pairs, by Student's t test.

    There is no interval and no p value if all differences are equal, or there is only one.
    """
    if not values:
        return Difference(None)
    differences = [a - b for a, b in zip(values, others, strict=True)]
    middle = fmean(differences)
    size = max(map(abs, [*values, *others]))
    if len(differences) < 2 or _is_constant(differences, size):
        return Difference(middle)
    return _student(middle, _std_error(differences), len(differences) - 1, confidence)


def _student(value: float, error: float, freedom: float, confidence: float) -> Difference:
    t = stats().t
    reach = float(t.ppf((1 + confidence) / 2, freedom)) * error
    p_value = 2 * float(t.sf(abs(value) / error, freedom))
    return Difference(value, value - reach, value + reach, p_value)


def _std_error(values: Sequence[float]) -> float:
    """Return the standard error of the mean of two values or more."""
    # Computed with exact fractions, since squares of floats could overflow or underflow.
    return stdev(values) / math.sqrt(len(values))


def _wilson(passed: int, n: int, confidence: float) -> tuple[float, float]:
    interval = stats().binomtest(passed, n).proportion_ci(confidence, method="wilson")
    # Rounding can exclude a share of 0 or 1 from its interval.
    share = passed / n
    return min(float(interval.low), share), max(float(interval.high), share)


def _square_and_add(
    passed: int, n: int, other_passed: int, other_n: int, correlation: float, confidence: float
) -> tuple[float, float]:
    share, other = passed / n, other_passed / other_n
    low, high = _wilson(passed, n, confidence)
    other_low, other_high = _wilson(other_passed, other_n, confidence)
    below, above = share - low, high - share
    other_below, other_above = other - other_low, other_high - other
    down = below**2 - 2 * correlation * below * other_above + other_above**2
    up = other_below**2 - 2 * correlation * other_below * above + above**2
    difference = share - other
    return (
        max(-1.0, difference - math.sqrt(max(0.0, down))),
        min(1.0, difference + math.sqrt(max(0.0, up))),
    )


def _is_constant(values: Sequence[float], size: float) -> bool:
    return max(values) - min(values) <= _ROUNDING * size
