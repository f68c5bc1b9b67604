"""The finance agent: its data, its answers, and what it cannot do."""

from __future__ import annotations

import csv
import itertools
import json
import math
import statistics
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import agentnb.sandbox.finance
from agentnb.event.transcript import Transcript
from agentnb.sandbox.finance.answers import suggest
from agentnb.sandbox.finance.generate import make_prices
from agentnb.sandbox.finance.prices import NAMES, load_prices
from agentnb.sandbox.finance.question import parse_question
from tests.sandbox.finance_talk import talk

pytestmark = pytest.mark.anyio


TODAY = date(2026, 6, 30)


DATA = Path(agentnb.sandbox.finance.__file__).parent


def calls(transcript: Transcript) -> list[tuple[str, Any]]:
    return [(c.name, json.loads(c.arguments)) for c in transcript.tool_calls]


def closes(ticker: str) -> dict[date, float]:
    """Read the file again, by other means than the agent's."""
    lines = (DATA / "prices.csv").read_text("utf-8").splitlines()[1:]
    return {date.fromisoformat(row["date"]): float(row[ticker]) for row in csv.DictReader(lines)}


def test_the_prices_are_marked_as_samples_and_can_be_made_again() -> None:
    text = (DATA / "prices.csv").read_text("utf-8")
    assert text.startswith("# SAMPLE DATA")
    assert "sample data" in (DATA / "README.md").read_text("utf-8")
    days, made = make_prices()
    for ticker, prices in made.items():
        found = closes(ticker)
        assert list(found) == days
        # The last digit of a cent is the mathematics library's affair.
        assert all(abs(a - b) <= 0.011 for a, b in zip(found.values(), prices, strict=True))


def test_the_prices_cover_two_years_of_ten_shares() -> None:
    prices = load_prices()
    assert len(NAMES) == 10
    assert (prices.first_day, prices.last_day) == (date(2024, 7, 1), TODAY)
    assert all(price > 0 for ticker in NAMES for price in closes(ticker).values())


async def test_the_price_now_and_why() -> None:
    run = await talk("What is the current NVDA stock price, and why?")
    nvda = closes("NVDA")
    assert f"**NVIDIA (NVDA)** closed at **${nvda[TODAY]:.2f}** on 30 June 2026" in run.text
    before = nvda[date(2026, 6, 29)]
    assert f"down {100 * (1 - nvda[TODAY] / before):.1f}%" in run.text
    assert "I have prices and no news" in run.text
    assert "| Past year |" in run.text
    assert run.text.endswith("*Sample data, not real market prices; the last day is 30 June 2026.*")
    assert [name for name, _ in calls(run)] == ["get_stock_price", "get_price_history", "compare"]
    assert "get_stock_price(NVDA)" in run.reasoning
    assert run.model == "sandbox-finance-1"


async def test_the_tools_results_are_computed_from_the_data() -> None:
    run = await talk("NVDA price?")
    (call,) = run.tool_calls
    nvda = closes("NVDA")
    now, before = nvda[TODAY], nvda[date(2026, 6, 29)]
    assert json.loads(call.arguments) == {"ticker": "NVDA"}
    assert json.loads(call.result) == {
        "ticker": "NVDA",
        "name": "NVIDIA",
        "date": "2026-06-30",
        "close": now,
        "previous_close": before,
        "change": round(now - before, 2),
        "change_percent": round(100 * (now / before - 1), 4),
        "currency": "USD",
        "sample_data": True,
    }


async def test_a_change_over_a_period() -> None:
    run = await talk("How has Apple changed since 3 March 2025?")
    apple = closes("AAPL")
    percent = 100 * (apple[TODAY] / apple[date(2025, 3, 3)] - 1)
    assert f"**up {percent:.1f}% (" in run.text
    assert f"| First close | 3 March 2025 | ${apple[date(2025, 3, 3)]:.2f} |" in run.text
    span = {d: p for d, p in apple.items() if d >= date(2025, 3, 3)}
    assert f"${max(span.values()):.2f}" in run.text
    assert f"${min(span.values()):.2f}" in run.text


async def test_a_comparison_is_a_table_in_order() -> None:
    run = await talk("Compare NVDA, AMD and Intel this year")
    base = date(2025, 12, 31)
    changes = {t: closes(t)[TODAY] / closes(t)[base] - 1 for t in ("NVDA", "AMD", "INTC")}
    ordered = sorted(changes, key=lambda t: -changes[t])
    rows = [line for line in run.text.splitlines() if line.startswith("|")][2:]
    assert [row.split("|")[2].strip() for row in rows] == ordered
    for ticker, row in zip(ordered, rows, strict=True):
        assert f"{abs(100 * changes[ticker]):.1f}%" in row


async def test_volatility_is_the_deviation_of_daily_returns() -> None:
    run = await talk("How volatile is Tesla?")
    span = [p for d, p in closes("TSLA").items() if d >= date(2025, 6, 30)]
    returns = [100 * (b / a - 1) for a, b in itertools.pairwise(span)]
    daily = statistics.stdev(returns)
    (call,) = run.tool_calls
    result = json.loads(call.result)
    assert result["daily_percent"] == round(daily, 4)
    assert result["yearly_percent"] == round(daily * math.sqrt(252), 4)
    assert f"**{daily:.1f}% a day**" in run.text


async def test_the_best_and_the_worst() -> None:
    run = await talk("Which were the best and the worst over the past six months?")
    base = date(2025, 12, 30)
    changes = {t: closes(t)[TODAY] / closes(t)[base] - 1 for t in NAMES}
    best, worst = max(changes, key=changes.__getitem__), min(changes, key=changes.__getitem__)
    assert f"Best of the 10 over the past 6 months: **{NAMES[best]}" in run.text
    assert f"Worst: **{NAMES[worst]}" in run.text
    assert run.text.count("\n| ") >= 11


async def test_the_closes_of_some_days() -> None:
    run = await talk("Show me the closes of Microsoft over the last 10 days")
    found = closes("MSFT")
    for day in (date(2026, 6, 19), date(2026, 6, 24), TODAY):
        assert f"| {day.isoformat()} | ${found[day]:.2f} |" in run.text


async def test_it_is_the_same_each_time() -> None:
    first = await talk("Compare NVDA and AMD", "and Apple?")
    second = await talk("Compare NVDA and AMD", "and Apple?")
    assert first.to_dict() | {"run_id": None} == second.to_dict() | {"run_id": None}


async def test_usage_is_counted_by_the_stated_estimate() -> None:
    run = await talk("NVDA price?")
    assert run.usage is not None
    (call,) = run.tool_calls
    read = len("NVDA price?") + len(call.result)
    assert run.usage.input_tokens == -(-read // 4)
    thought = -(-(len(run.reasoning) + len(call.arguments)) // 4)
    assert run.usage.reasoning_tokens is not None
    assert abs(run.usage.reasoning_tokens - thought) <= 1
    assert run.usage.output_tokens is not None
    assert run.usage.output_tokens == run.usage.reasoning_tokens + -(-len(run.text) // 4)
    assert run.usage.total_tokens == -(-read // 4) + run.usage.output_tokens


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        pytest.param(
            ("NVDA price?", "and AMD?"),
            [("get_stock_price", {"ticker": "AMD"})],
            id="the same of another",
        ),
        pytest.param(
            ("How is AMD doing this year?", "compare it with Apple"),
            [
                (
                    "compare",
                    {"tickers": ["AMD", "AAPL"], "start": "2025-12-31", "end": "2026-06-30"},
                )
            ],
            id="compare it",
        ),
        pytest.param(
            ("Compare NVDA and AMD", "and Intel?"),
            [
                (
                    "compare",
                    {
                        "tickers": ["NVDA", "AMD", "INTC"],
                        "start": "2026-05-30",
                        "end": "2026-06-30",
                    },
                )
            ],
            id="one more",
        ),
        pytest.param(
            ("Tesla over the past month", "and over the past year?"),
            [
                (
                    "get_price_history",
                    {"ticker": "TSLA", "start": "2025-06-30", "end": "2026-06-30"},
                )
            ],
            id="another period",
        ),
        pytest.param(
            ("What was the price of Apple on 2026-01-05?", "and on 6 January 2026?"),
            [("get_stock_price", {"ticker": "AAPL", "date": "2026-01-06"})],
            id="another day",
        ),
        pytest.param(
            ("Compare NVDA and TSLA", "which of them is more volatile?"),
            [
                (
                    "get_volatility",
                    {"ticker": ticker, "start": "2025-06-30", "end": "2026-06-30"},
                )
                for ticker in ("NVDA", "TSLA")
            ],
            id="which of them",
        ),
    ],
)
async def test_earlier_questions_complete_a_question(
    prompts: tuple[str, ...], expected: list[tuple[str, Any]]
) -> None:
    run = await talk(*prompts)
    assert calls(run) == expected
    assert "from the conversation" in run.reasoning


async def test_why_alone_repeats_the_question_before() -> None:
    run = await talk("How has Tesla changed over the past month?", "why?")
    assert "**Tesla (TSLA)**" in run.text
    assert "**Why?** I have prices and no news" in run.text


async def test_another_period_repeats_the_kind_of_question() -> None:
    run = await talk("Which is the most volatile?", "And over the past month?")
    assert "**Tesla (TSLA)** swings most over the past month" in run.text
    run = await talk("Which share was best this year?", "And over the past month?")
    assert "Best of the 10 over the past month" in run.text
    run = await talk("How did NVDA do in April?", "and in May?")
    assert "**up 2.0% (+$2.99)** in May 2026" in run.text


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ("IBM price?", "I have no prices for IBM."),
        ("NVDA and Netflix", "I have no prices for Netflix."),
        ("What is the price?", "Which company do you mean?"),
        ("sing a song", "I did not understand that."),
        ("Apple on 2020-01-01", "I have no prices before 1 July 2024"),
        ("Apple's price on 1 July 2024", "the first day of the sample"),
        ("Apple's price on 27 June 2026", "There was no trading on 27 June 2026"),
        ("Apple's price on 2030-01-01", "I have no prices after 30 June 2026"),
        ("Apple since 2020", "The sample begins on 1 July 2024; I start there."),
        ("How volatile was Apple this week?", "2 trading days are too few"),
        ("", "I did not understand that."),
    ],
)
async def test_missing_data_are_stated(prompt: str, sentence: str) -> None:
    assert sentence in (await talk(prompt)).text


async def test_every_answer_ends_with_the_mark() -> None:
    for prompt in ("hi", "thanks", "NVDA", "sing", "best?", "IBM?"):
        text = (await talk(prompt)).text
        assert text.splitlines()[-1].startswith("*Sample data, not real market prices")


@pytest.mark.parametrize(
    "conversation",
    [
        ("What is the current NVDA stock price, and why?",),
        ("NVDA price?",),
        ("Compare NVDA, AMD and Intel",),
        ("How volatile is Tesla?",),
        ("best and worst?",),
        ("hello",),
        ("Tesla over the past month",),
    ],
)
async def test_followups_can_be_answered(conversation: tuple[str, ...]) -> None:
    run = await talk(*conversation)
    assert len(run.followups) == 3
    for followup in run.followups:
        assert followup not in conversation
        question = parse_question(followup, conversation, TODAY)
        assert question.kind not in ("unknown", "help", "thanks")
        answer = await talk(*conversation, followup)
        assert answer.tool_calls
        assert answer.text != run.text


def test_every_question_has_three_followups() -> None:
    every = [f"Compare {', '.join(NAMES)}", *(f"{t} price" for t in NAMES), ""]
    for text in every:
        assert len(suggest(parse_question(text, [], TODAY))) == 3
