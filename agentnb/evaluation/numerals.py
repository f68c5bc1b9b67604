"""Numbers as people write them, found in a text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

__all__ = ["DecimalMark", "Numeral", "numerals"]

DecimalMark = Literal[".", ","]

_MINUS: Final = "-\u2010\u2011\u2012\u2013\u2212"
_SPACES: Final = "\u00a0\u2009\u202f"
_CURRENCY: Final = "$¢£¤¥֏؋৲৳฿\u20a0-\u20cf"

# Dates and times of day, which are no numbers, and then whatever begins as a number does.
_NUMERAL: Final = re.compile(
    rf"""
    (?<![\w.])(?:
        \d{{4}}-\d\d?-\d\d?(?:T[\d:.]*+Z?)?
      | \d{{1,4}}/\d{{1,2}}/\d{{1,4}}
      | \d{{1,2}}:\d\d(?::\d\d(?:\.\d+)?)?
    )(?![\w:/])
  | (?P<sign>(?<![\w)\]%])[{_MINUS}+])?
    (?:[{_CURRENCY}][ {_SPACES}]?(?P<inner>[{_MINUS}])?)?
    (?<!\w)(?<!\w[.,'’])(?<![^\W\d_][-\u2010\u2011])
    (?P<digits>\.\d++|\d++(?:[.,'’٫٬]\d++|[{_SPACES}]\d{{3}}(?!\d))*+)
    (?:[eE](?P<exponent>[{_MINUS}+]?\d{{1,4}})(?!\w))?
    (?!(?:st|nd|rd|th)\b)(?!\w*\d)
    (?P<percent>[ {_SPACES}]?(?:[%％٪]|(?:percent|per[ ]cent|pct)\b))?
    """,
    re.VERBOSE,
)
# Digits with or without a mark between groups: of three, or as in 12,34,567.
_WHOLE: Final = re.compile(
    rf"\d*|[1-9]\d{{0,2}}(?P<mark>[.,'’{_SPACES}])\d{{3}}(?:(?P=mark)\d{{3}})*"
    r"|[1-9]\d?(?:,\d\d)+,\d{3}"
)
_ARABIC: Final = str.maketrans("٫٬", ".,")


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number as it stands in a text; ``percent`` says that a percent sign follows."""

    value: Decimal
    percent: bool = False


def numerals(text: str, *, decimal: DecimalMark = ".") -> Iterator[Numeral]:
    """Yield the numbers in a text, in order.

    ``decimal`` decides what can be read in two ways: whether 1,234 is a thousand or a little more
    than one.  What can be read in one way only is read so: 1.234.567,89 and 3,5 with either.
    Groups are told by a comma, a point, an apostrophe or a space that does not break.  Currencies
    before and after are left out; so are dates, times of day, ordinals, versions, and numbers that
    are part of a word, such as Q3.  A unit is not looked at, nor is a word such as "million".
    """
    for found in _NUMERAL.finditer(text):
        if (digits := found["digits"]) is None:
            continue
        digits = digits.translate(_ARABIC)
        whole = _read(digits, decimal)
        # Two numbers with a space between them that was not meant to group.
        parts = [digits] if whole is not None else re.split(f"[{_SPACES}]", digits)
        signed = found["sign"] in tuple(_MINUS) or found["inner"] is not None
        for place, part in enumerate(parts):
            if (value := _read(part, decimal)) is None:
                continue
            is_last = place == len(parts) - 1
            if is_last and found["exponent"] is not None:
                value = value.scaleb(_whole_number(found["exponent"]))
            if place == 0 and signed:
                value = -value
            yield Numeral(value, percent=is_last and found["percent"] is not None)


def _read(digits: str, decimal: DecimalMark) -> Decimal | None:
    mark = _decimal_mark(digits, decimal)
    whole, _, fraction = digits.partition(mark) if mark else (digits, "", "")
    if not _WHOLE.fullmatch(whole) or (fraction and not fraction.isdecimal()):
        return None
    plain = "".join(filter(str.isdecimal, whole))
    return Decimal(f"{plain or 0}.{fraction or 0}")


def _decimal_mark(digits: str, decimal: DecimalMark) -> str:
    points, commas = digits.count("."), digits.count(",")
    if points and commas:
        return max(".,", key=digits.rfind)
    if points + commas != 1:
        return ""
    found = "." if points else ","
    return "" if found != decimal and _WHOLE.fullmatch(digits) else found


def _whole_number(text: str) -> int:
    return -int(text[1:]) if text[0] in _MINUS else int(text)
