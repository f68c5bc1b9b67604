"""Numbers in a text, in the notations that people use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

DecimalMark = Literal[".", ","]

_MINUS: Final = "-\u2010\u2011\u2012\u2013\u2212"
_SPACES: Final = "\u00a0\u2009\u202f"
_CURRENCY: Final = "$¢£¤¥֏؋৲৳฿\u20a0-\u20cf"

# Dates and times of day, to be skipped, or numbers.
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
_INTEGER: Final = re.compile(
    rf"\d*|[1-9]\d{{0,2}}(?P<mark>[.,'’{_SPACES}])\d{{3}}(?:(?P=mark)\d{{3}})*"
    r"|[1-9]\d?(?:,\d\d)+,\d{3}"
)
_ARABIC: Final = str.maketrans("٫٬", ".,")


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number in a text; ``percent``: a percent sign follows."""

    value: Decimal
    percent: bool = False


def numerals(text: str, *, decimal: DecimalMark = ".") -> Iterator[Numeral]:
    """Yield the numbers in a text, in order.

    ``decimal`` is the decimal mark of ambiguous numbers such as 1,234; unambiguous ones, such as
    1.234.567,89 and 3,5, do not depend on it.  Groups are separated by a comma, a point, an
    apostrophe or a no-break space.  Currencies are ignored; dates, times of day, ordinals, versions
    and numbers within words, such as Q3, are skipped.  Units and words such as "million" are not
    interpreted.
    """
    for match in _NUMERAL.finditer(text):
        if (digits := match["digits"]) is None:
            continue
        digits = digits.translate(_ARABIC)
        # Without a valid grouping, a space separates two numbers.
        parts = [digits] if _read(digits, decimal) is not None else re.split(f"[{_SPACES}]", digits)
        is_negative = match["sign"] in tuple(_MINUS) or match["inner"] is not None
        for index, part in enumerate(parts):
            if (value := _read(part, decimal)) is None:
                continue
            is_last = index == len(parts) - 1
            if is_last and (exponent := match["exponent"]) is not None:
                sign = -1 if exponent[0] in _MINUS else 1
                value = value.scaleb(sign * int(exponent.lstrip(f"{_MINUS}+")))
            if index == 0 and is_negative:
                value = -value
            yield Numeral(value, percent=is_last and match["percent"] is not None)


def _read(digits: str, decimal: DecimalMark) -> Decimal | None:
    mark = _decimal_mark(digits, decimal)
    whole, _, fraction = digits.partition(mark) if mark else (digits, "", "")
    if not _INTEGER.fullmatch(whole) or (fraction and not fraction.isdecimal()):
        return None
    plain = "".join(filter(str.isdecimal, whole))
    return Decimal(f"{plain or 0}.{fraction or 0}")


def _decimal_mark(digits: str, decimal: DecimalMark) -> str:
    points, commas = digits.count("."), digits.count(",")
    if points and commas:
        return max(".,", key=digits.rfind)
    if points + commas != 1:
        return ""
    mark = "." if points else ","
    return "" if mark != decimal and _INTEGER.fullmatch(digits) else mark
