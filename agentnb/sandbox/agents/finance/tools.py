"""The agent's tools; reasoning and tool calls as events."""

from __future__ import annotations

import itertools
import json
import math
import statistics
from collections.abc import Generator, Sequence
from datetime import date
from typing import Any, Final

from agentnb.event.types import Event, ReasoningDelta, ToolCallFinished, ToolCallStarted
from agentnb.sandbox.agents.echo import pieces
from agentnb.sandbox.agents.finance.prices import (
    NAMES,
    Closes,
    PriceTable,
    daily_returns,
    percent_change,
)

ToolCall = Generator[Event, None, dict[str, Any]]

_MAX_POINTS: Final = 24
_TRADING_DAYS: Final = 252


class Toolbox:
    """Tools on the prices; counts the characters of reasoning and results for the usage."""

    def __init__(self, prices: PriceTable) -> None:
        self.prices = prices
        self.characters_read = 0
        self.characters_thought = 0
        self._calls = 0

    def think(self, text: str) -> Generator[Event, None, None]:
        """Yield ``text`` as reasoning, word by word."""
        text += "\n"
        self.characters_thought += len(text)
        for piece in pieces(text):
            yield ReasoningDelta(piece)

    def get_stock_price(self, ticker: str, day: date | None = None) -> ToolCall:
        """Call the tool for one close and the one before it."""
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
        arguments = {"ticker": ticker} | ({} if day is None else {"date": day.isoformat()})
        return self._call("get_stock_price", arguments, result)

    def get_price_history(self, ticker: str, start: date, end: date) -> ToolCall:
        """Call the tool for the closes of a period, at most 24 of them, evenly spread."""
        closes = self.prices.closes(ticker, start, end)
        last = len(closes) - 1
        count = min(last, _MAX_POINTS - 1)
        days = list(closes)
        points = [days[round(i * last / count)] for i in range(count + 1)]
        high, low = max(closes, key=closes.__getitem__), min(closes, key=closes.__getitem__)
        result = {
            **_change(ticker, closes),
            "high": {"close": closes[high], "date": high.isoformat()},
            "low": {"close": closes[low], "date": low.isoformat()},
            "closes": {day.isoformat(): closes[day] for day in points},
        }
        return self._call("get_price_history", _span(start, end, ticker=ticker), result)

    def get_volatility(self, ticker: str, start: date, end: date) -> ToolCall:
        """Call the tool for the volatility over a period."""
        closes = self.prices.closes(ticker, start, end)
        returns = daily_returns(closes)
        peaks = itertools.accumulate(closes.values(), max)
        falls = [100 * (c / peak - 1) for c, peak in zip(closes.values(), peaks, strict=True)]
        daily = _volatility(closes)
        result = {
            "ticker": ticker,
            "name": NAMES[ticker],
            "trading_days": len(returns),
            "daily_percent": _rounded(daily),
            "yearly_percent": _rounded(_yearly(daily)),
            "largest_fall_percent": _rounded(min(falls)),
            "best_day_percent": _rounded(max(returns)),
            "worst_day_percent": _rounded(min(returns)),
        }
        return self._call("get_volatility", _span(start, end, ticker=ticker), result)

    def compare(self, tickers: Sequence[str], start: date, end: date) -> ToolCall:
        """Call the tool for several shares side by side, the best one first."""
        shares: list[dict[str, Any]] = []
        for ticker in tickers:
            closes = self.prices.closes(ticker, start, end)
            yearly = _rounded(_yearly(_volatility(closes)))
            shares.append({**_change(ticker, closes), "yearly_volatility_percent": yearly})
        shares.sort(key=lambda share: -share["change_percent"])
        average = statistics.fmean(self.prices.change(t, start, end) for t in tickers)
        result = {"shares": shares, "average_change_percent": _rounded(average)}
        return self._call("compare", _span(start, end, tickers=list(tickers)), result)

    def _call(self, name: str, arguments: dict[str, Any], result: dict[str, Any]) -> ToolCall:
        self._calls += 1
        call_id = f"call_{self._calls}"
        result["sample_data"] = True
        request, response = json.dumps(arguments), json.dumps(result)
        yield ToolCallStarted(call_id=call_id, name=name, arguments=request)
        self.characters_thought += len(request)
        self.characters_read += len(response)
        yield ToolCallFinished(call_id=call_id, name=name, result=response)
        return result


def _change(ticker: str, closes: Closes) -> dict[str, Any]:
    values = list(closes.values())
    return {
        "ticker": ticker,
        "name": NAMES[ticker],
        "start": min(closes).isoformat(),
        "end": max(closes).isoformat(),
        "first_close": values[0],
        "last_close": values[-1],
        "change": round(values[-1] - values[0], 2),
        "change_percent": round(percent_change(closes), 4),
    }


def _volatility(closes: Closes) -> float | None:
    """Return the standard deviation of daily returns; None for fewer than five of them."""
    return statistics.stdev(daily_returns(closes)) if len(closes) > 5 else None


def _yearly(daily: float | None) -> float | None:
    return None if daily is None else daily * math.sqrt(_TRADING_DAYS)


def _span(start: date, end: date, **which: Any) -> dict[str, Any]:
    return {**which, "start": start.isoformat(), "end": end.isoformat()}


def _rounded(percent: float | None) -> float | None:
    # Finer than displayed, because rounding twice may give another figure.
    return None if percent is None else round(percent, 4)
