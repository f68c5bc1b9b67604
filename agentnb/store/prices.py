"""What a model's tokens cost, where the platform does not say what a run did."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agentnb._support.fork import after_fork_in_child
from agentnb.config import config
from agentnb.config.names import suggestion
from agentnb.errors import RequestError

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

__all__ = ["Price", "computed_cost", "cost_columns", "prices", "set_prices"]

_NAMES: Final = ("input", "output", "cached")
_PER: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """What a model's tokens cost, in US dollars for a million of them.

    ``cached`` is the price of those input tokens that came from the platform's cache; without one
    they cost what the others do.
    """

    input: float
    output: float
    cached: float | None = None


_lock = threading.Lock()
_set: Final[dict[str, Price]] = {}


def set_prices(prices: Mapping[str, Mapping[str, float] | None]) -> None:
    """Set what models' tokens cost, for this process; it wins over ``[prices]`` of the files.

    ``prices`` maps a model, as runs name it, to ``{"input": 2.5, "output": 10, "cached": 1.25}``
    in US dollars for a million tokens; ``cached`` may be left out.  Models that it does not name
    keep the price they have; None takes back what was set.

    Raises:
        RequestError: a price is missing, unknown, or no number of 0 or more; nothing was set.
    """
    read = {
        model: None if given is None else _price(model, given) for model, given in prices.items()
    }
    with _lock:
        for model, price in read.items():
            if price is None:
                _set.pop(model, None)
            else:
                _set[model] = price


def prices() -> dict[str, Price]:
    """Return the prices that hold, by model.

    Raises:
        ConfigError: a configuration file cannot be read.
    """
    written = config().file.prices
    found = {model: Price(p.input, p.output, p.cached) for model, p in written.items()}
    with _lock:
        return {**found, **_set}


def computed_cost(record: Mapping[str, Any], known: Mapping[str, Price]) -> float | None:
    """Return what a run's tokens cost, in US dollars; None where model or tokens are not known.

    Cached tokens are a part of the input tokens and cost their own price instead.  ``record`` is a
    run as `records` has it.
    """
    price = known.get(record["model"] or "")
    count, output = record["input_tokens"], record["output_tokens"]
    if price is None or count is None or output is None:
        return None
    cached = min(record["cached_tokens"] or 0, count)
    of_cached = price.input if price.cached is None else price.cached
    return (
        (count - cached) * price.input / _PER
        + cached * of_cached / _PER
        + output * price.output / _PER
    )


def cost_columns(
    known: Mapping[str, Price],
) -> tuple[ColumnElement[float | None], ColumnElement[str | None]]:
    """Return what a run of the store cost, and who says so, as expressions of the database.

    That is what its platform reported, else what `computed_cost` says.
    """
    from sqlalchemy import Double, Text, case, cast, func, literal

    from agentnb.store.schema import run

    reported = (run.c.cost_usd.is_not(None), literal("platform", Text))
    if not known:
        return run.c.cost_usd.expression, case(reported)
    count, output = cast(run.c.input_tokens, Double), cast(run.c.output_tokens, Double)
    cached = cast(func.coalesce(run.c.cached_tokens, 0), Double)
    cached = case((cached > count, count), else_=cached)

    def times(price: float) -> ColumnElement[float]:
        return literal(price / _PER, Double)

    computed = case(
        {
            model: (count - cached) * times(price.input)
            + cached * times(price.input if price.cached is None else price.cached)
            + output * times(price.output)
            for model, price in sorted(known.items())
        },
        value=run.c.model,
    )
    return (
        func.coalesce(run.c.cost_usd, computed),
        case(reported, (computed.is_not(None), literal("prices", Text))),
    )


def _price(model: str, given: Mapping[str, float]) -> Price:
    for name in given:
        if name not in _NAMES:
            hint = suggestion(name, _NAMES) or f"There are {', '.join(_NAMES)}."
            raise RequestError(f"The price of '{model}' has no '{name}'.", hint=hint)
    for name in ("input", "output"):
        if name not in given:
            raise RequestError(
                f"The price of '{model}' lacks '{name}'.",
                hint="Give it in US dollars for a million tokens.",
            )
    for name, value in given.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)  # pyright: ignore[reportUnnecessaryIsInstance]
        if not is_number or not math.isfinite(value) or value < 0:
            raise RequestError(
                f"The price of '{model}' for {name} is {value!r}, which is no number of 0 or more."
            )
    return Price(**{name: float(value) for name, value in given.items()})


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


after_fork_in_child(_after_fork)
