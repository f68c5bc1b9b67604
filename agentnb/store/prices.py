"""Prices of models, to compute the cost of runs whose platform does not report it."""

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

_NAMES: Final = ("input", "output", "cached")
_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """Price of a model's tokens, in US dollars per million.

    ``cached`` is the price of input tokens from the platform's cache, by default ``input``.
    """

    input: float
    output: float
    cached: float | None = None


_lock = threading.Lock()
_overrides: Final[dict[str, Price]] = {}


def set_prices(prices: Mapping[str, Mapping[str, float] | None]) -> None:
    """Set the prices of models for this process; they override ``[prices]`` of the files.

    ``prices`` maps a model, as runs name it, to ``{"input": 2.5, "output": 10, "cached": 1.25}``
    in US dollars per million tokens; ``cached`` is optional.  Models that it does not name keep
    their price; None removes a price that was set.

    Raises:
        RequestError: a price is missing, unknown, or not a number of 0 or more; nothing was set.
    """
    read = {
        model: None if given is None else _price(model, given) for model, given in prices.items()
    }
    with _lock:
        for model, price in read.items():
            if price is None:
                _overrides.pop(model, None)
            else:
                _overrides[model] = price


def prices() -> dict[str, Price]:
    """Return the effective prices, by model.

    Raises:
        ConfigError: a configuration file cannot be read.
    """
    configured = {
        model: Price(p.input, p.output, p.cached) for model, p in config().file.prices.items()
    }
    with _lock:
        return {**configured, **_overrides}


def computed_cost(record: Mapping[str, Any], price_list: Mapping[str, Price]) -> float | None:
    """Return the cost of a run's tokens, in US dollars; None if model or tokens are unknown.

    Cached tokens are a part of the input tokens, with their own price.
    """
    price = price_list.get(record["model"] or "")
    count, output = record["input_tokens"], record["output_tokens"]
    if price is None or count is None or output is None:
        return None
    cached = min(record["cached_tokens"] or 0, count)
    cached_price = price.input if price.cached is None else price.cached
    return (
        (count - cached) * price.input / _MILLION
        + cached * cached_price / _MILLION
        + output * price.output / _MILLION
    )


def cost_columns(
    price_list: Mapping[str, Price],
) -> tuple[ColumnElement[float | None], ColumnElement[str | None]]:
    """Return the cost of a run and its source as SQL expressions.

    The cost is the one that the platform reported, else `computed_cost`.
    """
    from sqlalchemy import Double, Text, case, cast, func, literal

    from agentnb.store.schema import run

    reported = (run.c.cost_usd.is_not(None), literal("platform", Text))
    if not price_list:
        return run.c.cost_usd.expression, case(reported)
    count, output = cast(run.c.input_tokens, Double), cast(run.c.output_tokens, Double)
    cached = cast(func.coalesce(run.c.cached_tokens, 0), Double)
    cached = case((cached > count, count), else_=cached)

    def times(price: float) -> ColumnElement[float]:
        return literal(price / _MILLION, Double)

    computed = case(
        {
            model: (count - cached) * times(price.input)
            + cached * times(price.input if price.cached is None else price.cached)
            + output * times(price.output)
            for model, price in sorted(price_list.items())
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
