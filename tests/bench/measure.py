"""Measuring two things against each other on a machine that is never quiet."""

from __future__ import annotations

import gc
import math
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

# Seconds (or anything that grows with cost) of one measurement.
Cost = Callable[[], Awaitable[float]]

PAIRS = 9


@dataclass(frozen=True)
class Row:
    """A ratio, over all pairs, and what it should be: at least ``goal``, or at most."""

    what: str
    ratios: list[float]
    goal: float
    at_least: bool = True

    @property
    def median(self) -> float:
        return statistics.median(self.ratios)

    @property
    def met(self) -> bool:
        return self.median >= self.goal if self.at_least else self.median <= self.goal

    def __str__(self) -> str:
        spread = f"{min(self.ratios):.2f}-{max(self.ratios):.2f}"
        goal = f"{'>=' if self.at_least else '<='} {self.goal:.2f}"
        mark = "" if self.met else "  missed"
        return f"{self.what:<52} {self.median:>6.2f}  {spread:^13} {goal:>8}{mark}"


async def speed(what: str, ours: Cost, peer: Cost, *, goal: float) -> Row:
    """How many times as fast as the peer."""
    return Row(what, [theirs / own for own, theirs in await _pairs(ours, peer)], goal)


async def cost(what: str, ours: Cost, peer: Cost, *, goal: float) -> Row:
    """How many times the cost of the peer."""
    pairs = await _pairs(ours, peer)
    return Row(what, [own / theirs for own, theirs in pairs], goal, at_least=False)


async def growth(what: str, small: Cost, large: Cost, *, factor: float = 4) -> Row:
    """The exponent of cost over size, where ``large`` is ``factor`` times the size of ``small``."""
    exponents = [math.log(b / a, factor) for a, b in await _pairs(small, large)]
    return Row(what, exponents, 1.1, at_least=False)


async def _pairs(ours: Cost, peer: Cost) -> list[tuple[float, float]]:
    # Once each to warm up; then in turn, and each of them first as often as the other.
    await ours()
    await peer()
    pairs: list[tuple[float, float]] = []
    for number in range(PAIRS):
        if number % 2:
            theirs = await _alone(peer)
            pairs.append((await _alone(ours), theirs))
        else:
            own = await _alone(ours)
            pairs.append((own, await _alone(peer)))
    return pairs


async def _alone(measure: Cost) -> float:
    # The garbage of the one is not collected in the time of the other, as in `timeit`.
    gc.collect()
    gc.disable()
    try:
        return await measure()
    finally:
        gc.enable()
