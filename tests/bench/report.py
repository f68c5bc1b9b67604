"""What a run of the benchmarks says: a line for each row, and a file of JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench.measure import LINEAR, Row

__all__ = ["HEAD", "Measured", "document", "line", "write"]

HEAD: Final = (
    f"{'row':>4}  {'what':<54} {'over':<18} {'median':>8} {'':<5} {'spread':^19} {'goal':>10}"
    f"  {'limit':<27} {'exponent':>8}"
)


@dataclass(frozen=True)
class Measured:
    """One row, its number, and how busy the machine was before it was measured."""

    number: str
    row: Row
    load: float


def line(one: Measured) -> str:
    """Return the row as a line of text."""
    row = one.row
    spread = f"{_short(min(row.values))} - {_short(max(row.values))}"
    limit = f"{_short(statistics.median(row.limit))} {row.limit_of}" if row.limit else ""
    exponent = "" if row.exponent is None else f"{row.exponent:.2f}"
    goal = "" if row.goal is None else f"{'>=' if row.at_least else '<='} {_short(row.goal)}"
    return (
        f"{one.number:>4}  {row.what:<54} {row.over:<18} {_short(row.median):>8} {row.unit:<5}"
        f" {spread:^19} {goal:>10}  {limit:<27} {exponent:>8}{_mark(row)}"
    ).rstrip()


def _mark(row: Row) -> str:
    if row.goal is None:
        return "" if row.is_linear else "  not linear"
    if row.met:
        return "  met"
    return "  missed" if not row.reached else "  not linear"


def _short(value: float) -> str:
    """Three digits that count, and all those before the point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def document(rows: Sequence[Measured], *, machine: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return the run as JSON has it; ``values`` are in the order in which they were measured."""
    return {
        "machine": machine,
        "seed": seed,
        "rows": [_entry(one) for one in rows],
    }


def _entry(one: Measured) -> dict[str, Any]:
    row = one.row
    return {
        "row": one.number,
        "what": row.what,
        "over": row.over or None,
        "unit": row.unit or None,
        **_told(row.values),
        "goal": row.goal,
        "at_least": row.at_least,
        "limit": {"of": row.limit_of, **_told(row.limit)} if row.limit else None,
        "exponent": {**_told(row.exponents), "goal": LINEAR} if row.exponents else None,
        "met": None if row.goal is None else row.met,
        "load": one.load,
    }


def _told(values: Sequence[float]) -> dict[str, Any]:
    return {
        "median": statistics.median(values),
        "low": min(values),
        "high": max(values),
        "values": list(values),
    }


def write(path: Path, told: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")
