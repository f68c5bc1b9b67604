"""Columns of plain values as pandas tables, whose dtypes do not depend on what is in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from agentnb._support.imports import imported
from agentnb._support.text import printable, printable_or_none
from agentnb.store.timestamps import span, to_micros
from agentnb.tables.columns import MOMENT, SPAN
from agentnb.tables.display import mark

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["columns_of", "frame", "guessed", "table"]

_NONE: Final = type(None)
_MICROSECOND: Final = timedelta(microseconds=1)
_LARGEST: Final = 2**63 - 1
# What NumPy takes for "no moment" in whole numbers.
_NOTHING: Final = -(2**63)


def frame(columns: Mapping[str, Sequence[Any]], dtypes: Mapping[str, str]) -> pd.DataFrame:
    """Return ``columns`` as a table of ``dtypes``, name -> dtype, which hold without rows, too.

    Moments are given as microseconds since 1970-01-01 UTC, spans as microseconds; what is absent
    is None.  A number that no column can hold counts as absent.  A control in a text is a sign, as
    `control_signs` has it, and one that changes the direction of text is spelled out.
    """
    imported("pandas")
    import pandas as pd

    # One block for each column: putting those of one dtype together would copy all of them. Arrays,
    # not series, each of which would be aligned to the others.
    made = {name: _column(columns[name], dtype) for name, dtype in dtypes.items()}
    count = len(next(iter(made.values()))) if made else 0
    return mark(pd.DataFrame(made, index=pd.RangeIndex(count), copy=False))


def guessed(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Return ``rows`` as a table whose dtypes are guessed of the values, which may be missing.

    The same dtypes as in other tables: nullable numbers, ``string``, moments in UTC; what is of
    several kinds, or of none, is ``object``.  Controls are signs there, too.
    """
    import pandas as pd

    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    made = pd.DataFrame({place: _guessed(column) for place, column in enumerate(columns)})
    # SQL can give several columns one name.
    made.columns = list(names)
    return mark(made)


def table(rows: Sequence[Mapping[str, Any]], dtypes: Mapping[str, str]) -> pd.DataFrame:
    """Return ``rows`` as a table of ``dtypes``; moments are datetimes, spans seconds."""
    columns: dict[str, list[Any]] = {}
    for name, dtype in dtypes.items():
        values = [row[name] for row in rows]
        if dtype.startswith("datetime"):
            values = [None if v is None else _micros(v) for v in values]
        elif dtype.startswith("timedelta"):
            values = [span(v) for v in values]
        columns[name] = values
    return frame(columns, dtypes)


def columns_of(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> dict[str, Sequence[Any]]:
    """Return the columns of ``rows``, by name."""
    if not rows:
        return dict.fromkeys(names, ())
    return dict(zip(names, zip(*rows, strict=True), strict=True))


def _guessed(values: Sequence[Any]) -> Any:
    import pandas as pd

    kinds: set[type] = {type(value) for value in values if value is not None}
    if kinds == {datetime} and all(v is None or v.tzinfo is not None for v in values):
        return _column([None if v is None else _micros(v) for v in values], MOMENT)
    if kinds == {timedelta}:
        return _column([None if v is None else v // _MICROSECOND for v in values], SPAN)
    if kinds == {Decimal} and all(v is None or v == v.to_integral_value() for v in values):
        kinds = {int}
    dtype = "object"
    if kinds == {int} and all(v is None or abs(v) <= _LARGEST for v in values):
        dtype = "Int64"
    elif kinds and kinds <= {int, float, Decimal}:
        dtype = "Float64"
    elif kinds == {bool}:
        dtype = "boolean"
    elif kinds == {str}:
        dtype = "string"
    if dtype != "object":
        return _column(values, dtype)
    mixed = [_texts([v])[0] if isinstance(v, str) else v for v in values]
    return pd.Series(mixed, dtype="object")


def _micros(moment: datetime) -> int:
    return to_micros(moment)


def _column(values: Sequence[Any], dtype: str) -> Any:
    """Return ``values`` as an array of ``dtype``."""
    import numpy as np
    import pandas as pd

    # What kinds of values there are is told quickly; most columns need no look at each.
    kinds = set(map(type, values))
    if dtype.startswith(("datetime64", "timedelta64")):
        kind, _, zone = dtype.partition(", ")
        whole = np.array(_filled(values, kinds, _NOTHING), dtype="int64")
        if not zone:
            return whole.view(kind)
        moments: Any = pd.DatetimeIndex(whole.view("datetime64[us]"))
        return moments.tz_localize("UTC").tz_convert(zone.rstrip("]")).array
    match dtype:
        case "Int64":
            numbers = np.array(_filled(values, kinds, _NOTHING), dtype="int64")
            return pd.arrays.IntegerArray(numbers, numbers == _NOTHING)
        case "Float64":
            if not kinds <= {float, _NONE}:
                values = [_real(v) for v in values]
            reals = np.array(values, dtype="float64")
            return pd.arrays.FloatingArray(reals, np.isnan(reals))
        case "boolean":
            known = [v if isinstance(v, bool) else None for v in values]
            return pd.array(known, dtype="boolean")
        case "category":
            return _categories(values)
        case _:
            # Arrow, which pandas keeps text in where it is installed, takes well-formed text only.
            return pd.array(_texts(values), dtype="string")


def _filled(values: Sequence[Any], kinds: set[type], missing: int) -> list[int]:
    """Return whole numbers, with ``missing`` for what is none, or not kept in 64 bits."""
    if kinds == {int} and max(values) <= _LARGEST and min(values) >= -_LARGEST:
        return list(values)
    return [missing if (whole := _whole(v)) is None else whole for v in values]


def _whole(value: Any) -> int | None:
    if type(value) is int and -_LARGEST <= value <= _LARGEST:
        return value
    # A platform may send any number; one that is no count must not cost the whole table.
    if isinstance(value, float | Decimal) and abs(value) <= _LARGEST and value == int(value):
        return int(value)
    return None


def _real(value: Any) -> float | None:
    if type(value) is float:
        return None if value != value else value
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return None
    return None


def _texts(values: Sequence[Any]) -> list[str | None]:
    """Return texts that Arrow takes, and by which whoever prints them commands no terminal."""
    return [printable_or_none(v) for v in values]


def _categories(values: Sequence[Any]) -> Any:
    """Return a categorical whose categories are text, sorted, also where there are none."""
    import numpy as np
    import pandas as pd

    # Each name is looked at once, however many rows have it.
    names = {v: printable(v) for v in set(values) if v is not None}
    known = sorted(set(names.values()))
    places = {name: number for number, name in enumerate(known)}
    code: dict[Any, int] = {v: places[name] for v, name in names.items()}
    code[None] = -1
    codes = np.fromiter((code[v] for v in values), dtype="int32", count=len(values))
    categories: Any = pd.Index(pd.array(known, dtype="string"))
    return pd.Categorical.from_codes(codes, categories=categories)
