"""A check of the number in an answer."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any, Final, Literal

from agentnb.errors import RequestError
from agentnb.evaluation.check import Check
from agentnb.evaluation.expected import Row, expected
from agentnb.evaluation.numerals import DecimalMark, Numeral, numerals

__all__ = ["tolerance"]

Which = Literal["only", "first", "last", "any"]

# Numbers are compared as they are written: 1.1 is 0.1 away from 1, and not a little more.
_EXACT: Final = Context(prec=60)


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
    """Return a check that the number in the answer is near this value, or the row's in ``column``.

    Near is at most ``abs`` away, or at most ``rel`` times the expected value (0.01 is one percent),
    whichever is more; by default it has to be equal.  A text in the column is read as the answer
    is.

    Read are numbers with a sign, groups of digits (1,234,567.89, 1.234.567,89, 1'234'567.89 and
    12,34,567), currencies before or after, an exponent (1.5e6) and a percent sign.  ``decimal`` is
    the mark that decides what can be read in two ways, such as 1,234.  12.5 % is 12.5, or 0.125
    where ``percent_as_fraction`` is true.  Dates, times of day, ordinals and numbers in words (Q3)
    are no numbers.  Not understood are numbers as words, ranges, powers such as 10^6, brackets for
    a negative amount, and what follows a number: "3.5 million" is 3.5.

    Where an answer has several numbers that differ, ``which`` says which one counts: the "first" or
    "last", or "any".  With "only" such an answer is an error in its row.  One without a number
    fails.

    Raises:
        RequestError: there is a value and a column, or neither, or one of the others is not
            what it may be.
    """
    wanted = expected("tolerance", value, column)
    try:
        bounds = [_decimal(each) for each in (abs, rel)]
        if value is not None:
            _decimal(value)
    except (TypeError, ValueError) as error:
        raise RequestError(f"tolerance takes numbers: {error}.") from error
    if min(bounds) < 0:
        raise RequestError("A tolerance is 0 or more.")
    if which not in ("only", "first", "last", "any"):
        raise RequestError(f'which="{which}": it is "only", "first", "last" or "any".')

    if decimal not in (".", ","):
        raise RequestError(f'decimal="{decimal}": it is "." or ",".')

    def number(found: Numeral) -> Decimal:
        return found.value.scaleb(-2) if found.percent and percent_as_fraction else found.value

    def aim(row: Row) -> Decimal:
        told = wanted.of(row)
        if not isinstance(told, str):
            return _decimal(told)
        values = {number(found) for found in numerals(told, decimal=decimal)}
        if len(values) != 1:
            raise ValueError(f"what is expected is not one number but {len(values)}")
        return values.pop()

    def judge(answer: str, row: Row) -> bool:
        aimed = aim(row)
        reach = max(bounds[0], _EXACT.abs(_EXACT.multiply(bounds[1], aimed)))
        values = [number(found) for found in numerals(answer, decimal=decimal)]
        return any(
            _EXACT.abs(_EXACT.subtract(found, aimed)) <= reach for found in _chosen(values, which)
        )

    return Check("tolerance", judge, wanted.columns, reads_row=column is not None)


def _chosen(values: list[Decimal], which: Which) -> list[Decimal]:
    match which:
        case "first":
            return values[:1]
        case "last":
            return values[-1:]
        case "any":
            return values
        case "only":
            if (count := len(set(values))) > 1:
                raise ValueError(
                    f'{count} different numbers; which="first", "last" or "any" chooses'
                )
            return values[:1]


def _decimal(value: Any) -> Decimal:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise TypeError(f"{value!r} is none")
    # As it is written, not as it is kept in binary.
    made = value if isinstance(value, Decimal) else Decimal(repr(value))
    if not made.is_finite():
        raise ValueError(f"{value!r} is none")
    return made
