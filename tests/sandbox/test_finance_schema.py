"""The finance agent fills schemas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.sandbox.finance_talk import talk

pytestmark = pytest.mark.anyio


async def fill(prompt: str, schema: Mapping[str, Any]) -> Any:
    return json.loads((await talk(prompt, schema=schema)).text)


def properties(**kinds: str) -> dict[str, Any]:
    return {"type": "object", "properties": {k: {"type": v} for k, v in kinds.items()}}


async def test_a_schemas_properties_are_filled_by_their_names() -> None:
    schema = properties(
        ticker="string",
        companyName="string",
        current_price="number",
        change_pct="number",
        absolute_change="number",
        previousClose="number",
        as_of_date="string",
        currency="string",
        direction="string",
        is_up="boolean",
        is_sample_data="boolean",
        summary="string",
    )
    answer = await fill("NVDA price?", schema)
    assert answer.pop("summary").startswith("NVIDIA (NVDA) closed at $142.50 on 30 June 2026")
    assert answer == {
        "ticker": "NVDA",
        "companyName": "NVIDIA",
        "current_price": 142.5,
        "change_pct": -1.22,
        "absolute_change": -1.76,
        "previousClose": 144.26,
        "as_of_date": "2026-06-30",
        "currency": "USD",
        "direction": "down",
        "is_up": False,
        "is_sample_data": True,
    }


async def test_a_list_of_objects_is_one_for_each_share() -> None:
    row = properties(symbol="string", change_percent="number")
    schema = {"type": "object", "properties": {"stocks": {"type": "array", "items": row}}}
    answer = await fill("Compare NVDA and AMD this year", schema)
    assert [r["symbol"] for r in answer["stocks"]] == ["NVDA", "AMD"]
    assert all(isinstance(r["change_percent"], float) for r in answer["stocks"])


async def test_what_pydantic_makes_of_models_is_filled() -> None:
    from typing import Literal

    from pydantic import BaseModel, Field

    class Quote(BaseModel):
        ticker: str
        price: float = Field(description="Close in dollars")
        trend: Literal["up", "down", "unchanged"]
        note: str | None = None
        target_by_astrology: float | None = None

    class Report(BaseModel):
        quotes: list[Quote]
        best: Quote | None
        tickers: list[str]
        share_count: int
        conclusion: str
        moon_phase: str

    text = (await talk("Compare NVDA and AMD this year", schema=Report.model_json_schema())).text
    report = Report.model_validate_json(text)
    assert [q.ticker for q in report.quotes] == report.tickers == ["NVDA", "AMD"]
    assert report.quotes[0].target_by_astrology is None
    assert report.moon_phase == "not available"
    assert "did better this year" in report.conclusion


async def test_a_number_that_is_not_known_is_left_out_rather_than_made_up() -> None:
    schema = properties(ticker="string", moonshine="number")
    schema["required"] = ["ticker", "moonshine"]
    assert await fill("NVDA", schema) == {"ticker": "NVDA"}


async def test_a_schema_may_come_wrapped() -> None:
    schema = {"name": "quote", "schema": properties(ticker="string"), "strict": True}
    assert await fill("NVDA", schema) == {"ticker": "NVDA"}


async def test_a_schema_that_leads_to_itself_ends() -> None:
    schema = {
        "$defs": {"Node": {"type": "object", "properties": {"child": {"$ref": "#/$defs/Node"}}}},
        "$ref": "#/$defs/Node",
    }
    assert isinstance(await fill("NVDA", schema), dict)
    assert await fill("NVDA", {"$ref": "#/$defs/None"}) is not None
    assert await fill("NVDA", {}) is not None


async def test_a_schema_gets_json_also_where_there_is_no_answer() -> None:
    schema = properties(ticker="string", price="number", answer="string")
    answer = await fill("sing a song", schema)
    assert set(answer) == {"answer"}
    assert answer["answer"].startswith("I did not understand")
