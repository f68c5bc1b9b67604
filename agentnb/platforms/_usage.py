"""Parse usage in the spellings of platforms and vendors."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final, cast

from agentnb.event.types import Usage
from agentnb.event.usage import COST_KEYS, DETAIL_KEYS, TOKEN_KEYS

# The largest integer that JavaScript represents exactly.
_MAX_COUNT: Final = 2**53
# What is read of the details of a count.
_PARTS: Final = frozenset((*TOKEN_KEYS["cached_tokens"], *TOKEN_KEYS["reasoning_tokens"]))
# Some servers send numbers as strings.
_NUMERAL: Final = re.compile(r"\s*\d{1,30}(?:\.\d{1,30})?(?:[eE][-+]?\d{1,3})?\s*", re.ASCII)


def read_usage(data: Any) -> Usage | None:
    """Return the usage in ``data``, None where it reports none; never raises.

    A missing total is the sum of input and output.  A figure that is no number, negative or too
    large counts as not reported.
    """
    if not isinstance(data, Mapping):
        return None
    given = cast("Mapping[str, Any]", data)
    details = {
        name: value
        for key in DETAIL_KEYS
        if isinstance(part := given.get(key), Mapping)
        for name, value in cast("Mapping[str, Any]", part).items()
        if name in _PARTS
    }
    if details:
        given = {**details, **given}
    counts = {
        field: next((n for name in names if (n := read_count(given.get(name))) is not None), None)
        for field, names in TOKEN_KEYS.items()
    }
    known = (counts["input_tokens"], counts["output_tokens"])
    if counts["total_tokens"] is None and None not in known:
        counts["total_tokens"] = sum(n for n in known if n is not None)
    cost = next((c for name in COST_KEYS if (c := _amount(given.get(name))) is not None), None)
    if cost is None and all(n is None for n in counts.values()):
        return None
    return Usage(**counts, cost_usd=cost)


def read_count(value: Any) -> int | None:
    """Return ``value`` where it is a whole number of 0 or more, also as a string, else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = _number(value)
    if isinstance(value, float):
        if not value.is_integer():
            return None
        value = int(value)
    return value if isinstance(value, int) and 0 <= value < _MAX_COUNT else None


def _number(text: str) -> int | float | None:
    if _NUMERAL.fullmatch(text) is None:
        return None
    stripped = text.strip()
    return int(stripped) if stripped.isdigit() else float(stripped)


def _amount(value: Any) -> float | None:
    if isinstance(value, str):
        value = _number(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        amount = float(value)
    except OverflowError:
        return None
    return amount if math.isfinite(amount) and amount >= 0 else None
