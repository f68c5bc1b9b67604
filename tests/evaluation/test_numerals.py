"""Numbers as people write them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb.evaluation.numerals import DecimalMark, numerals

NBSP, THIN, NARROW = "\u00a0", "\u2009", "\u202f"


def found(text: str, decimal: DecimalMark = ".") -> list[float]:
    return [float(numeral.value) for numeral in numerals(text, decimal=decimal)]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("42", [42]),
        ("It is 42.", [42]),
        ("3.14, or so", [3.14]),
        (".5", [0.5]),
        ("**177.82**", [177.82]),
        # groups
        ("1,234", [1234]),
        ("1,234,567.89", [1234567.89]),
        ("1'234'567.89 and 1’234", [1234567.89, 1234]),
        (f"1{NBSP}234{NBSP}567,5 or 1{NARROW}234 or 1{THIN}234", [1234567.5, 1234, 1234]),
        ("12,34,567", [1234567]),
        # one way to read them only
        ("1.234.567,89", [1234567.89]),
        ("1.234.567", [1234567]),
        ("3,5", [3.5]),
        ("0,123", [0.123]),
        ("1234,5", [1234.5]),
        # signs
        ("-5 and \u22125 and +5", [-5, -5, 5]),
        ("(-5)", [-5]),
        ("10-20", [10, 20]),
        ("10%-20%", [10, 20]),
        ("5 - 3", [5, 3]),
        # currencies
        ("$1,234.50", [1234.5]),
        ("-$5, $-5, \u2212€5", [-5, -5, -5]),
        ("US$5 or 5 USD or 5€", [5, 5, 5]),
        (f"€{NBSP}3,50", [3.5]),
        # exponents
        ("1.5e6 1E-3 2e+2", [1.5e6, 1e-3, 200]),
        # what follows is not looked at
        ("3.5 million, 3.5M, 5km", [3.5, 3.5, 5]),
        # numbers that stand apart, though their space does not break
        (f"2024{NBSP}130", [2024, 130]),
        ("1, 2, 3", [1, 2, 3]),
        ("٣٫٥ and ١٢", [3.5, 12]),
        # none
        ("", []),
        ("none at all", []),
        ("Q3 FY2025 v1.2 GPT-4 H100 a1b2 3f2a 1_000", []),
        ("1st 2nd 3rd 24th", []),
        ("2026-11-22 and 2026-11-22T16:35:10Z and 11/22/2026 at 16:35", []),
        ("1.2.3 and 22.11.2026", []),
        ("1,2,3", []),
    ],
)
def test_numbers_in_a_text(text: str, numbers: list[float]) -> None:
    assert found(text) == numbers


@pytest.mark.parametrize(
    ("text", "with_point", "with_comma"),
    [
        ("1,234", 1234, 1.234),
        ("1.234", 1.234, 1234),
        ("12.5", 12.5, 12.5),
        ("12,5", 12.5, 12.5),
        ("1,234.5", 1234.5, 1234.5),
        ("1.234,5", 1234.5, 1234.5),
    ],
)
def test_the_decimal_mark_decides_what_is_ambiguous(
    text: str, with_point: float, with_comma: float
) -> None:
    assert found(text) == [with_point]
    assert found(text, ",") == [with_comma]


@pytest.mark.parametrize(
    ("text", "is_percent"),
    [
        ("12.5%", True),
        ("12.5 %", True),
        (f"12.5{NBSP}%", True),
        ("12.5 percent", True),
        ("12.5 per cent", True),
        ("12.5 pct", True),
        ("12.5", False),
        ("12.5 percentage points", False),
        ("12.5 points, that is %", False),
    ],
)
def test_a_percent_sign(text: str, is_percent: bool) -> None:
    assert [(float(n.value), n.percent) for n in numerals(text)] == [(12.5, is_percent)]


numbers = st.decimals(-(10**12), 10**12, places=2)
around = st.sampled_from(["", "It is ", "**", "(", "≈ ", "costs: "])


@given(numbers, around, st.sampled_from([("", ""), ("$", ""), ("", " EUR"), ("", " million")]))
def test_formatted_numbers_are_parsed(value: Decimal, before: str, unit: tuple[str, str]) -> None:
    """With groups of either kind, whatever stands around."""
    sign = "-" if value < 0 else ""
    plain = f"{abs(value):,.2f}"
    german = plain.translate(str.maketrans(",.", ".,"))
    for shown, mark in ((plain, "."), (german, ",")):
        text = f"{before}{sign}{unit[0]}{shown}{unit[1]}."
        assert [n.value for n in numerals(text, decimal=mark)] == [value]  # pyright: ignore[reportArgumentType]


@given(st.text() | st.text("0123456789.,-+$%e' \u00a0/:a", max_size=60))
def test_any_text_can_be_read(text: str) -> None:
    for numeral in numerals(text):
        assert numeral.value.is_finite()
