"""Usage as platforms spell it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, cast

from agentnb.event import Usage

__all__ = ["read_count", "read_usage"]

_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "input_tokens": ("inputTokens", "input_tokens", "promptTokens", "prompt_tokens"),
    "output_tokens": (
        "outputTokens",
        "output_tokens",
        "completionTokens",
        "completion_tokens",
    ),
    "total_tokens": ("totalTokens", "total_tokens"),
    "cached_tokens": (
        "cachedTokens",
        "cached_tokens",
        "cachedInputTokens",
        "cacheReadTokens",
        "cacheReadInputTokens",
        "cache_read_input_tokens",
    ),
    "reasoning_tokens": ("reasoningTokens", "reasoning_tokens"),
}
_COST: Final = ("costUsd", "cost_usd", "totalCostUsd", "total_cost_usd")
# Past this, a count is an accident, and a page could not hold it as a number.
_MOST: Final = 2**53


def read_usage(data: Any) -> Usage | None:
    """Return what ``data`` reports as usage, None where it reports nothing.

    A total that is not reported beside the tokens of input and output is their sum.

    Total: a figure that is no number, negative or beyond reason counts as not reported.
    """
    if not isinstance(data, Mapping):
        return None
    given = cast("Mapping[str, Any]", data)
    counts = {
        field: next((n for name in names if (n := read_count(given.get(name))) is not None), None)
        for field, names in _NAMES.items()
    }
    known = (counts["input_tokens"], counts["output_tokens"])
    if counts["total_tokens"] is None and None not in known:
        counts["total_tokens"] = sum(n for n in known if n is not None)
    cost = next((c for name in _COST if (c := _amount(given.get(name))) is not None), None)
    if cost is None and all(n is None for n in counts.values()):
        return None
    return Usage(**counts, cost_usd=cost)


def read_count(value: Any) -> int | None:
    """Return ``value`` where it is a whole number of things, else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        if not value.is_integer():
            return None
        value = int(value)
    return value if isinstance(value, int) and 0 <= value < _MOST else None


def _amount(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        amount = float(value)
    except OverflowError:
        return None
    return amount if math.isfinite(amount) and amount >= 0 else None
