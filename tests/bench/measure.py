"""Measuring things against each other on a machine that is never quiet."""

from __future__ import annotations

import gc
import math
import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

# Seconds (or anything that grows with cost) of one measurement.
Cost = Callable[[], Awaitable[float]]
# One row of the benchmarks, whose inputs are made by the seed it is given.
Bench = Callable[[int], Awaitable[list["Row"]]]

PAIRS: Final = 9
# What is large enough to measure takes seconds; fewer than so many tell nothing of the spread.
FEWEST: Final = 7
# Of cost over size: a little above 1, since caches and pages make large things dearer.
LINEAR: Final = 1.1


@dataclass(frozen=True)
class Row:
    """What was measured, over all rounds, and what its median should be.

    ``values`` are ratios to the peer that ``over`` names, or, without one, figures in ``unit``.
    ``goal`` is to be reached or, unless ``at_least``, not to be passed; None: it only tells.
    ``limit`` is what the machine could do at best, ``limit_of`` says by what: as ``values`` are,
    and measured in the same rounds.  ``exponents`` are those of cost over size, from n and 4n.
    """

    what: str
    values: Sequence[float]
    goal: float | None
    at_least: bool = True
    over: str = field(default="", kw_only=True)
    unit: str = field(default="", kw_only=True)
    limit: Sequence[float] = field(default=(), kw_only=True)
    limit_of: str = field(default="", kw_only=True)
    exponents: Sequence[float] = field(default=(), kw_only=True)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def exponent(self) -> float | None:
        return statistics.median(self.exponents) if self.exponents else None

    @property
    def reached(self) -> bool:
        """Whether the median is as good as the goal."""
        if self.goal is None:
            return True
        return self.median >= self.goal if self.at_least else self.median <= self.goal

    @property
    def is_linear(self) -> bool:
        return self.exponent is None or self.exponent <= LINEAR

    @property
    def met(self) -> bool:
        return self.reached and self.is_linear


async def speed(
    what: str,
    ours: Cost,
    peer: Cost,
    *,
    over: str,
    goal: float | None,
    limit: Cost | None = None,
    limit_of: str = "",
    quarter: Cost | None = None,
    fourfold: Cost | None = None,
    rounds: int = PAIRS,
) -> Row:
    """How many times as fast as the peer.

    ``quarter`` is ``ours`` with a quarter as much, or ``fourfold`` with four times as much: either
    tells how the cost grows with the size.
    """
    costs = await _in_turn(rounds, ours=ours, peer=peer, **_also(limit, quarter, fourfold))
    return Row(
        what,
        _ratios(costs["peer"], costs["ours"]),
        goal,
        over=over,
        limit=_ratios(costs["peer"], costs.get("limit", [])),
        limit_of=limit_of,
        exponents=_exponents(costs),
    )


async def cost(
    what: str,
    ours: Cost,
    peer: Cost,
    *,
    over: str,
    goal: float | None,
    limit: Cost | None = None,
    limit_of: str = "",
    quarter: Cost | None = None,
    fourfold: Cost | None = None,
    rounds: int = PAIRS,
) -> Row:
    """How many times the cost of the peer."""
    costs = await _in_turn(rounds, ours=ours, peer=peer, **_also(limit, quarter, fourfold))
    return Row(
        what,
        _ratios(costs["ours"], costs["peer"]),
        goal,
        at_least=False,
        over=over,
        limit=_ratios(costs.get("limit", []), costs["peer"]),
        limit_of=limit_of,
        exponents=_exponents(costs),
    )


async def figure(
    what: str,
    ours: Cost,
    *,
    unit: str,
    goal: float | None,
    limit: Cost | None = None,
    limit_of: str = "",
    quarter: Cost | None = None,
    fourfold: Cost | None = None,
    rounds: int = PAIRS,
) -> Row:
    """The cost itself, in ``unit``."""
    costs = await _in_turn(rounds, ours=ours, **_also(limit, quarter, fourfold))
    return Row(
        what,
        costs["ours"],
        goal,
        at_least=False,
        unit=unit,
        limit=costs.get("limit", []),
        limit_of=limit_of,
        exponents=_exponents(costs),
    )


def _also(limit: Cost | None, quarter: Cost | None, fourfold: Cost | None) -> dict[str, Cost]:
    given = {"limit": limit, "quarter": quarter, "fourfold": fourfold}
    return {name: measure for name, measure in given.items() if measure is not None}


async def _in_turn(rounds: int, **measures: Cost) -> dict[str, list[float]]:
    """Measure each of them once a round, and each of them first as often as any other."""
    given = list(measures.items())
    for _, measure in given:
        await measure()  # warms up what is loaded, compiled or connected once
    costs: dict[str, list[float]] = {name: [] for name, _ in given}
    for number in range(max(rounds, FEWEST)):
        first = number % len(given)
        for name, measure in given[first:] + given[:first]:
            costs[name].append(await _alone(measure))
    return costs


async def _alone(measure: Cost) -> float:
    # The garbage of the one is not collected in the time of the other, as in `timeit`.
    gc.collect()
    gc.disable()
    try:
        return await measure()
    finally:
        gc.enable()


def _ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    # One of them has nothing where there is no limit.
    return [a / b for a, b in zip(above, below, strict=False)]


def _exponents(costs: Mapping[str, Sequence[float]]) -> list[float]:
    ours = costs["ours"]
    grown = _ratios(ours, costs.get("quarter", ())) or _ratios(costs.get("fourfold", ()), ours)
    return [math.log(ratio, 4) for ratio in grown]
