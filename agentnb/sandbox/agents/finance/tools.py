"""The tools that the agent calls, and the desk at which it calls them."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from datetime import date
from typing import Any, Final

from agentnb.event import Event, ReasoningDelta, ToolCallFinished, ToolCallStarted
from agentnb.sandbox.agents.finance.prices import NAMES, Prices, Stretch
from agentnb.sandbox.agents.tokens import pieces

__all__ = ["Desk", "Steps"]

Steps = Generator[Event, None, dict[str, Any]]

_MOST_POINTS: Final = 24


class Desk:
    """Thinks aloud and calls tools, as events; keeps count of the characters for the usage."""

    def __init__(self, prices: Prices) -> None:
        self.prices = prices
        self.characters_read = 0
        self.characters_thought = 0
        self._calls = 0

    def think(self, text: str) -> Generator[Event, None, None]:
        """Yield ``text`` as reasoning, in words."""
        text += "\n"
        self.characters_thought += len(text)
        for piece in pieces(text):
            yield ReasoningDelta(piece)

    def get_stock_price(self, ticker: str, day: date | None = None) -> Steps:
        """Call the tool that gives one close, and the one before it."""
        move = self.prices.last_move(ticker, day or self.prices.last_day)
        is_first = len(move.closes) == 1
        arguments = {"ticker": ticker, **({} if day is None else {"date": day.isoformat()})}
        return self._call(
            "get_stock_price",
            arguments,
            lambda: {
                **_share(ticker),
                "date": move.days[-1].isoformat(),
                "close": move.end,
                "previous_close": None if is_first else move.start,
                "change": None if is_first else round(move.change, 2),
                "change_percent": None if is_first else _rounded(move.percent),
                "currency": "USD",
                "sample_data": True,
            },
        )

    def get_price_history(self, ticker: str, start: date, end: date) -> Steps:
        """Call the tool that gives the closes of a period, thinned out to 24 points."""
        stretch = self.prices.stretch(ticker, start, end)
        return self._call(
            "get_price_history",
            _span(ticker, start, end),
            lambda: {
                **_moved(stretch),
                "high": {"close": stretch.high[0], "date": stretch.high[1].isoformat()},
                "low": {"close": stretch.low[0], "date": stretch.low[1].isoformat()},
                "closes": {
                    stretch.days[i].isoformat(): stretch.closes[i]
                    for i in _thinned(len(stretch.days))
                },
                "sample_data": True,
            },
        )

    def get_volatility(self, ticker: str, start: date, end: date) -> Steps:
        """Call the tool that tells how much a price swings."""
        stretch = self.prices.stretch(ticker, start, end)
        return self._call(
            "get_volatility",
            _span(ticker, start, end),
            lambda: {
                **_share(ticker),
                "trading_days": len(stretch.closes) - 1,
                "daily_percent": _rounded(stretch.volatility),
                "yearly_percent": _rounded(stretch.yearly_volatility),
                "largest_fall_percent": _rounded(stretch.drawdown),
                "best_day_percent": _rounded(max(stretch.returns)),
                "worst_day_percent": _rounded(min(stretch.returns)),
                "sample_data": True,
            },
        )

    def compare(self, tickers: Sequence[str], start: date, end: date) -> Steps:
        """Call the tool that sets several shares side by side, the best first."""
        stretches = [self.prices.stretch(t, start, end) for t in tickers]
        ordered = sorted(stretches, key=lambda s: -s.percent)
        return self._call(
            "compare",
            {"tickers": list(tickers), "start": _iso(start), "end": _iso(end)},
            lambda: {
                "shares": [
                    {**_moved(s), "yearly_volatility_percent": _rounded(s.yearly_volatility)}
                    for s in ordered
                ],
                "average_change_percent": _rounded(sum(s.percent for s in ordered) / len(ordered)),
                "sample_data": True,
            },
        )

    def _call(
        self, name: str, arguments: dict[str, Any], compute: Callable[[], dict[str, Any]]
    ) -> Steps:
        self._calls += 1
        call_id = f"call_{self._calls}"
        told = json.dumps(arguments)
        yield ToolCallStarted(call_id=call_id, name=name, arguments=told)
        result = compute()
        text = json.dumps(result)
        self.characters_thought += len(told)
        self.characters_read += len(text)
        yield ToolCallFinished(call_id=call_id, name=name, result=text)
        return result


def _share(ticker: str) -> dict[str, Any]:
    return {"ticker": ticker, "name": NAMES[ticker]}


def _moved(stretch: Stretch) -> dict[str, Any]:
    return {
        **_share(stretch.ticker),
        "start": stretch.days[0].isoformat(),
        "end": stretch.days[-1].isoformat(),
        "first_close": stretch.start,
        "last_close": stretch.end,
        "change": round(stretch.change, 2),
        "change_percent": _rounded(stretch.percent),
    }


def _span(ticker: str, start: date, end: date) -> dict[str, Any]:
    return {"ticker": ticker, "start": _iso(start), "end": _iso(end)}


def _iso(day: date) -> str:
    return day.isoformat()


def _rounded(percent: float | None) -> float | None:
    # Finer than it is ever shown: what is rounded twice may come out wrong.
    return None if percent is None else round(percent, 4)


def _thinned(count: int) -> list[int]:
    """Return at most 24 of ``count`` positions, evenly spread, with the first and the last."""
    if count <= _MOST_POINTS:
        return list(range(count))
    return [round(i * (count - 1) / (_MOST_POINTS - 1)) for i in range(_MOST_POINTS)]
