"""``finance_agent`` states which prices and abilities it does not have."""

from __future__ import annotations

import json
from datetime import date

import pytest

from agentnb.sandbox.finance.prices import NAMES
from agentnb.sandbox.finance.question import parse_question
from tests.sandbox.finance_talk import talk

pytestmark = pytest.mark.anyio

TODAY = date(2026, 6, 30)


# --- times without prices ---


@pytest.mark.parametrize(
    ("prompt", "when"),
    [
        ("How did TSLA do in 2019?", "in 2019"),
        ("TSLA 2019 performance", "in 2019"),
        ("Tesla in March 2019", "in March 2019"),
        ("Compare TSLA and AMD from 2019 to 2020", "from 1 January 2019 to 31 December 2020"),
        ("How volatile was Apple in June 2024?", "in June 2024"),
        ("TSLA 3 March 2019", "on 3 March 2019"),
        ("Apple ten years ago", "on 30 June 2016"),
    ],
)
async def test_a_time_before_the_first_price_has_no_figures(prompt: str, when: str) -> None:
    run = await talk(prompt)
    assert run.text.startswith("I have no prices before 1 July 2024, so I cannot answer")
    assert f"for that time ({when})." in run.text
    assert not run.tool_calls
    assert "$" not in run.text


@pytest.mark.parametrize(
    ("prompt", "when"),
    [
        ("How did TSLA do in 2030?", "in 2030"),
        ("How did TSLA do since 2030?", "since 1 January 2030"),
        ("TSLA in July 2026", "in July 2026"),
        ("Apple's price on 1 July 2026", "on 1 July 2026"),
    ],
)
async def test_a_time_after_the_last_price_has_no_figures(prompt: str, when: str) -> None:
    run = await talk(prompt)
    assert run.text.startswith("I have no prices after 30 June 2026, so I cannot answer")
    assert f"for that time ({when})." in run.text
    assert not run.tool_calls
    assert "$" not in run.text


@pytest.mark.parametrize(
    ("prompt", "note", "label"),
    [
        (
            "How did TSLA do in 2024?",
            "The sample begins on 1 July 2024; I start there.",
            "from 1 July 2024 to 31 December 2024",
        ),
        (
            "Tesla over the past 5 years",
            "The sample begins on 1 July 2024; I start there.",
            "from 1 July 2024 to 30 June 2026",
        ),
        (
            "How did TSLA do in 2026?",
            "The sample ends on 30 June 2026; I stop there.",
            "from 31 December 2025 to 30 June 2026",
        ),
    ],
)
async def test_a_period_partly_outside_is_cut_and_named_as_cut(
    prompt: str, note: str, label: str
) -> None:
    run = await talk(prompt)
    assert note in run.text
    assert f"** {label}: from $" in run.text


@pytest.mark.parametrize("label", ["in July 2024", "in June 2026", "in 2025"])
async def test_a_period_inside_keeps_its_name(label: str) -> None:
    run = await talk(f"How did TSLA do {label}?")
    assert f"** {label}: from $" in run.text
    assert "The sample" not in run.text


async def test_a_day_with_its_year_needs_no_preposition() -> None:
    (call,) = (await talk("TSLA 3 March 2025")).tool_calls
    assert json.loads(call.arguments) == {"ticker": "TSLA", "date": "2025-03-03"}


# --- companies without prices ---


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("TSLA vs F", ["F"]),
        ("F vs TSLA", ["F"]),
        ("Compare TSLA, F and XYZ", ["F", "XYZ"]),
        ("Compare Tesla with Rivian this year", ["Rivian"]),
        ("AT&T and BRK.B", ["AT&T", "BRK.B"]),
    ],
)
async def test_companies_without_prices_are_named(text: str, unknown: list[str]) -> None:
    assert parse_question(text, [], TODAY).unknown == tuple(unknown)
    assert f"I have no prices for {' or '.join(unknown)}." in (await talk(text)).text


@pytest.mark.parametrize(
    "text",
    [
        "Can I see a price of TSLA?",
        "A comparison of TSLA vs AMD over the past month, and I mean May",
        "Compare NVDA with AMD over the past year and Explain",
        "How did Tesla do from March 2025 to May 2025?",
        "Compare it with last month",
    ],
)
def test_other_words_are_no_companies(text: str) -> None:
    assert parse_question(text, [], TODAY).unknown == ()


# --- limits ---


@pytest.mark.parametrize(
    "prompt",
    [
        "What will NVDA cost tomorrow?",
        "Should I buy Apple?",
        "What is in the news about Tesla?",
        "What are Microsoft's earnings?",
        "What is the bitcoin price?",
        "What is the correlation of TSLA and AMD?",
        "What was the average price of Apple this year?",
        "What would $1000 in NVDA be worth now?",
        "If I had bought Apple a year ago?",
        "Write a haiku about the Tesla share",
        "Tesla Q3 2025",
        "Tesla in the 1990s",
        "Tesla over half a year",
        "Tesla's all-time high",
        "Tesla on 3/14/2026",
        "Who founded Apple?",
    ],
)
async def test_it_refuses_rather_than_give_an_unrelated_price(prompt: str) -> None:
    run = await talk(prompt)
    assert "I cannot do that: " in run.text
    assert "You can ask, for example:" in run.text
    assert "closed at" not in run.text
    assert not run.tool_calls


async def test_after_a_refusal_the_companies_are_still_known() -> None:
    run = await talk("Correlation of TSLA and AMD?", "How volatile are they?")
    tickers = [json.loads(call.arguments)["ticker"] for call in run.tool_calls]
    assert tickers == ["TSLA", "AMD"]


# --- everything ---


@pytest.mark.parametrize(
    "prompt", ["volatility of everything", "How volatile are all shares?", "Risk of each stock"]
)
async def test_everything_is_every_share(prompt: str) -> None:
    run = await talk(prompt)
    assert [json.loads(call.arguments)["ticker"] for call in run.tool_calls] == list(NAMES)


async def test_all_of_them_are_those_of_the_conversation() -> None:
    run = await talk("Compare NVDA and AMD", "How volatile are they all?")
    assert [json.loads(c.arguments)["ticker"] for c in run.tool_calls] == ["NVDA", "AMD"]
