"""Check of the number in an answer."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any, Final, Literal

from agentnb.errors import RequestError
from agentnb.evaluation.check import Check, Expected, Row
from agentnb.evaluation.numerals import DecimalMark, numerals

Which = Literal["only", "first", "last", "any"]

# Decimal arithmetic: 1.1 differs from 1 by 0.1, not by a little more.
_CONTEXT: Final = Context(prec=60)


def tolerance(
    value: float | None = None,
    *,
    column: Any = None,
    abs: float = 0.0,
    rel: float = 0.0,
    which: Which = "only",
    decimal: DecimalMark = ".",
    percent_as_fraction: bool = False,
) -> Check:
    """Return a check that the number in the answer is near ``value``, or the row's in ``column``.

    Near: it differs by at most ``abs``, or at most ``rel`` times the expected value (0.01 is one
    percent), whichever is more; by default it has to be equal.  A text in the column is parsed like
    the answer.

    Numbers may have a sign, groups of digits (1,234,567.89, 1.234.567,89, 1'234'567.89 and
    12,34,567), a currency before or after, an exponent (1.5e6) and a percent sign.  ``decimal`` is
    the decimal mark of ambiguous numbers, such as 1,234.  12.5 % is 12.5, or 0.125 with
    ``percent_as_fraction``.  Dates, times of day, ordinals and numbers within words (Q3) are
    ignored.  Not supported are spelled-out numbers, ranges, powers such as 10^6, brackets for a
    negative amount, and words after a number: "3.5 million" is 3.5.

    If an answer has several different numbers, ``which`` selects the "first" or "last", or
    "any"; with "only" such an answer is an error of its row.  An answer without a number fails.

    Raises:
        RequestError: both ``value`` and ``column`` are given, or neither, or an argument is
            invalid.
    """
    expected = Expected("tolerance", value, column)
    try:
        max_abs, max_rel = _decimal(abs), _decimal(rel)
        if value is not None:
            _decimal(value)
    except (TypeError, ValueError) as error:
        raise RequestError(f"tolerance takes numbers: {error}.") from error
    if min(max_abs, max_rel) < 0:
        raise RequestError("A tolerance is 0 or more.")
    if which not in ("only", "first", "last", "any"):
        raise RequestError(f'which="{which}": it is "only", "first", "last" or "any".')
    if decimal not in (".", ","):
        raise RequestError(f'decimal="{decimal}": it is "." or ",".')

    def parse(text: str) -> list[Decimal]:
        return [
            number.value.scaleb(-2) if number.percent and percent_as_fraction else number.value
            for number in numerals(text, decimal=decimal)
        ]

    def target(row: Row) -> Decimal:
        wanted = expected.value_in(row)
        if not isinstance(wanted, str):
            return _decimal(wanted)
        values = set(parse(wanted))
        if len(values) != 1:
            raise ValueError(f"the expected value is not one number but {len(values)}")
        return values.pop()

    def judge(answer: str, row: Row) -> bool:
        wanted = target(row)
        limit = max(max_abs, _CONTEXT.abs(_CONTEXT.multiply(max_rel, wanted)))
        return any(
            _CONTEXT.abs(_CONTEXT.subtract(number, wanted)) <= limit
            for number in _select(parse(answer), which)
        )

    return expected.check(judge)


def _select(values: list[Decimal], which: Which) -> list[Decimal]:
    if which == "any":
        return values
    if which == "last":
        return values[-1:]
    if which == "only" and (count := len(set(values))) > 1:
        raise ValueError(f'{count} different numbers; which="first", "last" or "any" chooses')
    return values[:1]


def _decimal(value: Any) -> Decimal:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise TypeError(f"{value!r} is none")
    # The decimal form of a float, not its binary value.
    number = value if isinstance(value, Decimal) else Decimal(repr(value))
    if not number.is_finite():
        raise ValueError(f"{value!r} is none")
    return number
