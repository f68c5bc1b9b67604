"""Columns of the user's table, checked and converted for charts."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from agentnb.charts._tooltips import safe_title
from agentnb.errors import RequestError
from agentnb.render.visible import one_line
from agentnb.tables.columns import USAGE_ALIASES, USAGE_KEYS

#: Label of a group without a name.
MISSING: Final = "unknown"
_MAX_LABEL_CHARS: Final = 28
_HEAD_CHARS: Final = 17
_TAIL_CHARS: Final = 10
# Characters read at each end of a name; enough for a label even if most are invisible.
_READ_CHARS: Final = 200


def table(given: Any, caller: str, *columns: str, of: str = "runs") -> pd.DataFrame:
    """Return ``given`` as a DataFrame, converted by its ``to_pandas`` if it is none.

    ``of`` is the function whose tables have the required ``columns``.

    Raises:
        RequestError: it cannot be converted, or a column is missing.
    """
    frame = given
    if not isinstance(frame, pd.DataFrame):
        convert = getattr(given, "to_pandas", None)
        frame = convert() if callable(convert) else None
    if not isinstance(frame, pd.DataFrame):
        raise RequestError(
            f"charts.{caller} takes a DataFrame, not {type(given).__name__}.",
            hint="Such as the one that agentnb.runs() returns.",
        )
    for column in columns:
        if column not in frame.columns:
            raise RequestError(
                f"charts.{caller} needs the column '{column}', which this table does not have.",
                hint=f"Give it a table of agentnb.{of}().",
            )
    return frame


def grouped(frame: pd.DataFrame, caller: str, by: str) -> tuple[pd.Series[str], str]:
    """Return the labels of the groups ``by``, one for each row, and their name in a title.

    Raises:
        RequestError: there is no such column.
    """
    column = title = USAGE_ALIASES.get(by, by)
    if column in USAGE_KEYS:
        title = column.removesuffix("_name").removesuffix("_id").replace("_", " ").capitalize()
    labels = group_labels(table(frame, caller, column)[column])
    # Escaped here, too: `to_dict` is not called for a chart inside another.
    return labels, safe_title(title)


def group_labels(column: pd.Series[Any]) -> pd.Series[str]:
    """Return distinct labels for the names of groups, `MISSING` for missing and empty names.

    Names that look alike when shortened or without invisible characters are numbered.
    """
    names = column.astype("object")
    names = names.where(names.notna() & (names.astype(str) != ""), MISSING).astype(str)
    labels: dict[str, str] = {}
    used: dict[str, int] = {}
    for name in names.unique():
        label = base = short_label(name)
        while label in used:
            used[base] += 1
            label = f"{base} ({used[base]})"
        used[label] = 1
        labels[name] = label
    return names.map(labels)


def short_label(name: str) -> str:
    """Return a name that fits beside a bar, with invisible characters spelled out.

    A long id is shortened in the middle, so that ids with the same beginning stay distinct.
    """
    if len(name) > 2 * _READ_CHARS:
        name = f"{name[:_READ_CHARS]} {name[-_READ_CHARS:]}"
    name = one_line(name, 100 * _READ_CHARS) or MISSING
    return name if len(name) <= _MAX_LABEL_CHARS else f"{name[:_HEAD_CHARS]}…{name[-_TAIL_CHARS:]}"


def top_groups(names: pd.Series[str], sizes: pd.Series[Any], *, most: int) -> dict[str, str]:
    """Return name -> label, the biggest first; all beyond ``most`` have one label: "other".

    Names of equal size are in alphabetical order.
    """
    frame = pd.DataFrame({"name": names.to_numpy(), "size": sizes.astype("float64").to_numpy()})
    totals: Any = frame.groupby("name", sort=True)["size"].sum()
    order: list[str] = list(totals.sort_values(ascending=False, kind="stable").index)
    if len(order) == most + 1:
        most += 1
    rest = order[most:]
    return {name: name for name in order[:most]} | dict.fromkeys(rest, f"other ({len(rest)})")


def seconds(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column of timedeltas, or of seconds, as seconds; NaN where it is missing."""
    if pd.api.types.is_timedelta64_dtype(column):
        return column.dt.total_seconds()
    return pd.to_numeric(column, errors="coerce").astype("float64")
