"""DataFrames with fixed dtypes, whatever the data, and their display in notebooks.

pandas lets a notebook typeset text between dollar signs, and neither it nor a browser displays
invisible characters; both matter for text that agents wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from agentnb._support.fork import imported
from agentnb._support.text import printable, printable_or_none
from agentnb.render.visible import visible
from agentnb.store.values import span, to_micros
from agentnb.tables.columns import DURATION, TIMESTAMP

if TYPE_CHECKING:
    import pandas as pd

_MICROSECOND: Final = timedelta(microseconds=1)
_MAX_INT: Final = 2**63 - 1
# NumPy's integer for "not a time"; marks missing integers, too.
_MISSING: Final = -(2**63)
# Key of `DataFrame.attrs`, which pandas copies to derived tables, as of `head` or of some columns.
_MARK: Final = "agentnb"


def frame_from_columns(
    columns: Mapping[str, Sequence[Any]], dtypes: Mapping[str, str]
) -> pd.DataFrame:
    """Return ``columns`` as a table of ``dtypes``, name -> dtype, also without rows.

    Timestamps are given as microseconds since 1970-01-01 UTC, durations as microseconds, missing
    values as None.  Numbers that do not fit the dtype are missing.  Control characters in text are
    replaced as by `control_signs`, and those that change the direction of text are spelled out.
    """
    imported("pandas")
    import pandas as pd

    # Arrays of one block each: consolidating dtypes would copy them, series would be aligned.
    arrays = {name: _array(columns[name], dtype) for name, dtype in dtypes.items()}
    count = len(next(iter(arrays.values()))) if arrays else 0
    return mark(pd.DataFrame(arrays, index=pd.RangeIndex(count), copy=False))


def infer_frame(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Return ``rows`` as a table whose dtypes are inferred from the values, of which None is any.

    Dtypes as in other tables: nullable numbers, ``string``, timestamps in UTC; columns of mixed
    types or without values are ``object``.  Control characters are replaced there, too.
    """
    import pandas as pd

    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    frame = pd.DataFrame({number: _infer_array(column) for number, column in enumerate(columns)})
    # SQL can give several columns one name.
    frame.columns = list(names)
    return mark(frame)


def table(rows: Sequence[Mapping[str, Any]], dtypes: Mapping[str, str]) -> pd.DataFrame:
    """Return ``rows`` as a table of ``dtypes``; timestamps are datetimes, durations seconds."""
    columns: dict[str, list[Any]] = {}
    for name, dtype in dtypes.items():
        values = [row[name] for row in rows]
        if dtype.startswith("datetime"):
            values = [None if v is None else to_micros(v) for v in values]
        elif dtype.startswith("timedelta"):
            values = [span(v) for v in values]
        columns[name] = values
    return frame_from_columns(columns, dtypes)


def columns_of(rows: Sequence[Sequence[Any]], names: Iterable[str]) -> dict[str, Sequence[Any]]:
    """Return the columns of ``rows``, by name."""
    if not rows:
        return dict.fromkeys(names, ())
    return dict(zip(names, zip(*rows, strict=True), strict=True))


def mark(table: pd.DataFrame) -> pd.DataFrame:
    """Mark a table as one that holds text of agents, and return it."""
    table.attrs[_MARK] = True
    return table


def frame_html(table: pd.DataFrame) -> str | None:
    """Return any table as HTML, None where pandas has none."""
    import pandas as pd

    if _MARK not in table.attrs:
        return _html(table)
    with pd.option_context("display.html.use_mathjax", False):
        html = _html(table)
    return None if html is None else visible(html)


def frame_text(table: pd.DataFrame) -> str:
    """Return any table as plain text."""
    return visible(repr(table)) if _MARK in table.attrs else repr(table)


def _html(table: pd.DataFrame) -> str | None:
    return table._repr_html_()  # pyright: ignore  # IPython's display protocol


def _infer_array(values: Sequence[Any]) -> Any:
    import pandas as pd

    kinds: set[type] = {type(value) for value in values if value is not None}
    if kinds == {datetime} and all(v is None or v.tzinfo is not None for v in values):
        return _array([None if v is None else to_micros(v) for v in values], TIMESTAMP)
    if kinds == {timedelta}:
        return _array([None if v is None else v // _MICROSECOND for v in values], DURATION)
    if kinds == {Decimal} and all(v is None or v == v.to_integral_value() for v in values):
        kinds = {int}
    if kinds == {int} and all(v is None or abs(v) <= _MAX_INT for v in values):
        return _array(values, "Int64")
    if kinds and kinds <= {int, float, Decimal}:
        return _array(values, "Float64")
    if kinds == {bool}:
        return _array(values, "boolean")
    if kinds == {str}:
        return _array(values, "string")
    mixed = [printable_or_none(v) if isinstance(v, str) else v for v in values]
    return pd.Series(mixed, dtype="object")


def _array(values: Sequence[Any], dtype: str) -> Any:
    import numpy as np
    import pandas as pd

    if dtype.startswith(("datetime64", "timedelta64")):
        unit, _, zone = dtype.partition(", ")
        micros = np.array(_integers(values), dtype="int64")
        if not zone:
            return micros.view(unit)
        index: Any = pd.DatetimeIndex(micros.view("datetime64[us]"))
        return index.tz_localize("UTC").tz_convert(zone.rstrip("]")).array
    match dtype:
        case "Int64":
            integers = np.array(_integers(values), dtype="int64")
            return pd.arrays.IntegerArray(integers, integers == _MISSING)
        case "Float64":
            if not set(map(type, values)) <= {float, type(None)}:
                values = [_float_or_none(v) for v in values]
            floats = np.array(values, dtype="float64")
            return pd.arrays.FloatingArray(floats, np.isnan(floats))
        case "boolean":
            booleans = [v if isinstance(v, bool) else None for v in values]
            return pd.array(booleans, dtype="boolean")
        case "category":
            return _categorical(values)
        case _:
            # Arrow, which pandas may keep text in, takes well-formed text only.
            return pd.array([printable_or_none(v) for v in values], dtype="string")


def _integers(values: Sequence[Any]) -> list[int]:
    # The types of a column are soon known; most columns need no look at each value.
    if set(map(type, values)) == {int} and max(values) <= _MAX_INT and min(values) >= -_MAX_INT:
        return list(values)
    return [_integer(v) for v in values]


def _integer(value: Any) -> int:
    if type(value) is int and -_MAX_INT <= value <= _MAX_INT:
        return value
    # A platform may send any number; one that does not fit must not cost the whole table.
    if isinstance(value, float | Decimal) and abs(value) <= _MAX_INT and value == int(value):
        return int(value)
    return _MISSING


def _float_or_none(value: Any) -> float | None:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return None
    return None


def _categorical(values: Sequence[Any]) -> Any:
    """Return a categorical of text with sorted categories, also without values."""
    import numpy as np
    import pandas as pd

    # Each distinct name is made printable once, however many rows have it.
    names = {v: printable(v) for v in set(values) if v is not None}
    categories = sorted(set(names.values()))
    numbers = {name: number for number, name in enumerate(categories)}
    code: dict[Any, int] = {v: numbers[name] for v, name in names.items()} | {None: -1}
    codes = np.fromiter((code[v] for v in values), dtype="int32", count=len(values))
    index: Any = pd.Index(pd.array(categories, dtype="string"))
    return pd.Categorical.from_codes(codes, categories=index)
