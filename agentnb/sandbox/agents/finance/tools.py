"""The agent's tools, and the reasoning and the tool calls as events."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from datetime import date
from typing import Any, Final

from agentnb.event.types import Event, ReasoningDelta, ToolCallFinished, ToolCallStarted
from agentnb.sandbox.agents.finance.prices import NAMES, Prices, Stretch
from agentnb.sandbox.agents.tokens import pieces

__all__ = ["Desk", "Steps"]

Steps = Generator[Event, None, dict[str, Any]]

_MAX_POINTS: Final = 24


class Desk:
    """Tools on the prices; counts the characters of reasoning and results for the usage."""

    def __init__(self, prices: Prices) -> None:
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

    def get_stock_price(self, ticker: str, day: date | None = None) -> Steps:
        """Call the tool for one close and the one before it."""
        move = self.prices.last_move(ticker, day or self.prices.last_day)
        is_first = len(move.closes) == 1
        result = {
            "ticker": ticker,
            "name": NAMES[ticker],
            "date": move.days[-1].isoformat(),
            "close": move.end,
            "previous_close": None if is_first else move.start,
            "change": None if is_first else round(move.change, 2),
            "change_percent": None if is_first else _rounded(move.percent),
            "currency": "USD",
        }
        arguments = {"ticker": ticker} | ({} if day is None else {"date": day.isoformat()})
        return self._call("get_stock_price", arguments, result)

    def get_price_history(self, ticker: str, start: date, end: date) -> Steps:
        """Call the tool for the closes of a period, at most 24 of them, evenly spread."""
        stretch = self.prices.stretch(ticker, start, end)
        last = len(stretch.days) - 1
        count = min(last, _MAX_POINTS - 1)
        points = [round(i * last / count) for i in range(count + 1)]
        result = {
            **_change(stretch),
            "high": {"close": stretch.high[0], "date": stretch.high[1].isoformat()},
            "low": {"close": stretch.low[0], "date": stretch.low[1].isoformat()},
            "closes": {stretch.days[i].isoformat(): stretch.closes[i] for i in points},
        }
        return self._call("get_price_history", _span(start, end, ticker=ticker), result)

    def get_volatility(self, ticker: str, start: date, end: date) -> Steps:
        """Call the tool for the volatility over a period."""
        stretch = self.prices.stretch(ticker, start, end)
        result = {
            "ticker": ticker,
            "name": NAMES[ticker],
            "trading_days": len(stretch.closes) - 1,
            "daily_percent": _rounded(stretch.volatility),
            "yearly_percent": _rounded(stretch.yearly_volatility),
            "largest_fall_percent": _rounded(stretch.drawdown),
            "best_day_percent": _rounded(max(stretch.returns)),
            "worst_day_percent": _rounded(min(stretch.returns)),
        }
        return self._call("get_volatility", _span(start, end, ticker=ticker), result)

    def compare(self, tickers: Sequence[str], start: date, end: date) -> Steps:
        """Call the tool for several shares side by side, the best one first."""
        stretches = [self.prices.stretch(t, start, end) for t in tickers]
        stretches.sort(key=lambda s: -s.percent)
        result = {
            "shares": [
                {**_change(s), "yearly_volatility_percent": _rounded(s.yearly_volatility)}
                for s in stretches
            ],
            "average_change_percent": _rounded(sum(s.percent for s in stretches) / len(tickers)),
        }
        return self._call("compare", _span(start, end, tickers=list(tickers)), result)

    def _call(self, name: str, arguments: dict[str, Any], result: dict[str, Any]) -> Steps:
        self._calls += 1
        call_id = f"call_{self._calls}"
        result["sample_data"] = True
        request, response = json.dumps(arguments), json.dumps(result)
        yield ToolCallStarted(call_id=call_id, name=name, arguments=request)
        self.characters_thought += len(request)
        self.characters_read += len(response)
        yield ToolCallFinished(call_id=call_id, name=name, result=response)
        return result


def _change(stretch: Stretch) -> dict[str, Any]:
    return {
        "ticker": stretch.ticker,
        "name": NAMES[stretch.ticker],
        "start": stretch.days[0].isoformat(),
        "end": stretch.days[-1].isoformat(),
        "first_close": stretch.start,
        "last_close": stretch.end,
        "change": round(stretch.change, 2),
        "change_percent": _rounded(stretch.percent),
    }


def _span(start: date, end: date, **which: Any) -> dict[str, Any]:
    return {**which, "start": start.isoformat(), "end": end.isoformat()}


def _rounded(percent: float | None) -> float | None:
    # Finer than displayed, because rounding twice may give another figure.
    return None if percent is None else round(percent, 4)
