"""The agent's tools; reasoning and tool calls as events."""

from __future__ import annotations

import itertools
import json
import math
import statistics
from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from agentnb.event.types import Event, ReasoningDelta, ToolCallFinished, ToolCallStarted
from agentnb.sandbox.echo import pieces
from agentnb.sandbox.finance.prices import (
    NAMES,
    Closes,
    PriceTable,
    daily_returns,
    percent_change,
)

_MAX_POINTS: Final = 24
_TRADING_DAYS: Final = 252


class Toolbox:
    """Tools on the prices, whose calls are recorded in ``events``, together with the reasoning.

    Counts the characters of reasoning and results for the usage.
    """

    def __init__(self, prices: PriceTable) -> None:
        self.prices = prices
        self.events: list[Event] = []
        self.characters_read = 0
        self.characters_thought = 0
        self._calls = 0

    def think(self, text: str) -> None:
        """Record ``text`` as reasoning, word by word."""
        self.characters_thought += len(text) + 1
        self.events += map(ReasoningDelta, pieces(text + "\n"))

    def get_stock_price(self, ticker: str, day: date | None = None) -> dict[str, Any]:
        """Return one close and the one before it."""
        closes = self.prices.last_two(ticker, day or self.prices.last_day)
        *before, close = closes.values()
        previous = before[0] if before else None
        result = {
            "ticker": ticker,
            "name": NAMES[ticker],
            "date": max(closes).isoformat(),
            "close": close,
            "previous_close": previous,
            "change": None if previous is None else round(close - previous, 2),
            "change_percent": None if previous is None else round(percent_change(closes), 4),
            "currency": "USD",
        }
        which = {} if day is None else {"date": day.isoformat()}
        return self._call("get_stock_price", result, ticker=ticker, **which)

    def get_price_history(self, ticker: str, start: date, end: date) -> dict[str, Any]:
        """Return the closes of a period, at most 24 of them, evenly spread."""
        closes = self.prices.closes(ticker, start, end)
        days = list(closes)
        last = len(days) - 1
        count = min(last, _MAX_POINTS - 1)
        high, low = max(days, key=closes.__getitem__), min(days, key=closes.__getitem__)
        result = {
            **_change(ticker, closes),
            "high": {"close": closes[high], "date": high.isoformat()},
            "low": {"close": closes[low], "date": low.isoformat()},
            "closes": {
                day.isoformat(): closes[day]
                for day in (days[round(i * last / count)] for i in range(count + 1))
            },
        }
        return self._call("get_price_history", result, ticker=ticker, **_span(start, end))

    def get_volatility(self, ticker: str, start: date, end: date) -> dict[str, Any]:
        """Return the volatility over a period."""
        closes = self.prices.closes(ticker, start, end)
        returns = daily_returns(closes)
        peaks = itertools.accumulate(closes.values(), max)
        falls = [100 * (c / peak - 1) for c, peak in zip(closes.values(), peaks, strict=True)]
        daily, yearly = _volatility(closes)
        result = {
            "ticker": ticker,
            "name": NAMES[ticker],
            "trading_days": len(returns),
            "daily_percent": daily,
            "yearly_percent": yearly,
            "largest_fall_percent": round(min(falls), 4),
            "best_day_percent": round(max(returns), 4),
            "worst_day_percent": round(min(returns), 4),
        }
        return self._call("get_volatility", result, ticker=ticker, **_span(start, end))

    def compare(self, tickers: Sequence[str], start: date, end: date) -> dict[str, Any]:
        """Return several shares side by side, the best one first."""
        shares: list[dict[str, Any]] = []
        for ticker in tickers:
            closes = self.prices.closes(ticker, start, end)
            swing = {"yearly_volatility_percent": _volatility(closes)[1]}
            shares.append(_change(ticker, closes) | swing)
        shares.sort(key=lambda share: -share["change_percent"])
        average = statistics.fmean(self.prices.change(t, start, end) for t in tickers)
        result = {"shares": shares, "average_change_percent": round(average, 4)}
        return self._call("compare", result, tickers=list(tickers), **_span(start, end))

    def _call(self, name: str, result: dict[str, Any], **arguments: Any) -> dict[str, Any]:
        self._calls += 1
        call_id = f"call_{self._calls}"
        result["sample_data"] = True
        request, response = json.dumps(arguments), json.dumps(result)
        self.characters_thought += len(request)
        self.characters_read += len(response)
        self.events += [
            ToolCallStarted(call_id=call_id, name=name, arguments=request),
            ToolCallFinished(call_id=call_id, name=name, result=response),
        ]
        return result


def _change(ticker: str, closes: Closes) -> dict[str, Any]:
    first, *_, last = closes.values()
    return {
        "ticker": ticker,
        "name": NAMES[ticker],
        "start": min(closes).isoformat(),
        "end": max(closes).isoformat(),
        "first_close": first,
        "last_close": last,
        "change": round(last - first, 2),
        # Finer than displayed, because rounding twice may give another figure.
        "change_percent": round(percent_change(closes), 4),
    }


def _volatility(closes: Closes) -> tuple[float, float] | tuple[None, None]:
    """Return the standard deviation of daily returns, and that of a year; None for too few."""
    if len(closes) <= 5:
        return None, None
    daily = statistics.stdev(daily_returns(closes))
    return round(daily, 4), round(daily * math.sqrt(_TRADING_DAYS), 4)


def _span(start: date, end: date) -> dict[str, str]:
    return {"start": start.isoformat(), "end": end.isoformat()}
