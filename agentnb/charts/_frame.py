"""From the user's table to the few rows that are drawn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import pandas as pd

from agentnb.charts._tooltips import safe_title
from agentnb.errors import RequestError
from agentnb.render.visible import one_line

__all__ = [
    "BY",
    "MISSING",
    "as_frame",
    "biggest",
    "by_column",
    "grouped_names",
    "need",
    "seconds",
    "short",
]

#: What ``by`` may say -> the column it means and its name in a title.
BY: Final[dict[str, tuple[str, str]]] = {
    "agent": ("agent", "Agent"),
    "platform": ("platform", "Platform"),
    "model": ("model", "Model"),
    "user": ("user_name", "User"),
    "user_name": ("user_name", "User"),
    "session": ("session_id", "Session"),
    "session_id": ("session_id", "Session"),
    "status": ("status", "Status"),
    "source": ("source", "Source"),
    "error_class": ("error_class", "Error class"),
    "error_code": ("error_code", "Error code"),
}
#: The name of a group that has none.
MISSING: Final = "unknown"
_LONG: Final = 28
_HEAD: Final = 17
# Of a name's beginning, and of its end: more than is shown, were all of it unseen.
_READ: Final = 200


def as_frame(table: Any, caller: str) -> pd.DataFrame:
    """Return ``table`` as a DataFrame: as it is, or by its own ``to_pandas``.

    Raises:
        RequestError: it is no table.
    """
    if isinstance(table, pd.DataFrame):
        return table
    convert = getattr(table, "to_pandas", None)
    made = convert() if callable(convert) else None
    if not isinstance(made, pd.DataFrame):
        raise RequestError(
            f"charts.{caller} takes a DataFrame, not {type(table).__name__}.",
            hint="Such as the one that agentnb.runs() returns.",
        )
    return made


def need(frame: pd.DataFrame, caller: str, *columns: str, of: str) -> None:
    """Check that the table has these columns; ``of`` is the function whose tables have them.

    Raises:
        RequestError: one is missing.
    """
    for column in columns:
        if column not in frame.columns:
            raise RequestError(
                f"charts.{caller} needs the column '{column}', which this table does not have.",
                hint=f"Give it a table of agentnb.{of}().",
            )


def by_column(frame: pd.DataFrame, caller: str, by: str, *, of: str) -> tuple[str, str]:
    """Return the column that ``by`` means and its name in a title.

    Raises:
        RequestError: there is no such column.
    """
    column, title = BY.get(by, (by, by))
    need(frame, caller, column, of=of)
    # A chart that is made part of another has no specification of its own.
    return column, safe_title(title)


def grouped_names(column: pd.Series[Any]) -> pd.Series[str]:
    """Return the names of groups as they are shown; one that is missing, or empty, is `MISSING`.

    Those that are shown alike, since they are long or hold what is not seen, are numbered.
    """
    names = column.astype("object")
    named = names.where(names.notna() & (names.astype(str) != ""), MISSING).astype(str)
    return named.map(_told_apart(named.unique()))


def short(name: str) -> str:
    """Return a name that fits beside a bar, with the unseen in it spelled out.

    A long id is cut in the middle, so that two of the same beginning stay apart.
    """
    if len(name) > 2 * _READ:
        name = f"{name[:_READ]} {name[-_READ:]}"
    name = one_line(name, 100 * _READ) or MISSING
    return name if len(name) <= _LONG else f"{name[:_HEAD]}…{name[_HEAD + 1 - _LONG :]}"


def _told_apart(names: Iterable[str]) -> dict[str, str]:
    """Return name -> how it is shown, which no other is."""
    found: dict[str, str] = {}
    used: dict[str, int] = {}
    for name in names:
        made = seen = short(name)
        while made in used:
            used[seen] += 1
            made = f"{seen} ({used[seen]})"
        used[made] = 1
        found[name] = made
    return found


def biggest(names: pd.Series[str], sizes: pd.Series[Any], *, most: int) -> dict[str, str]:
    """Return name -> the name to show, the biggest first; all beyond ``most`` are one: "other".

    Names are told apart before sizes are compared, so that equal sizes always give one order.
    """
    order = list(_totals(names, sizes).index)
    shown = {name: name for name in order[:most]}
    rest = order[most:]
    if len(rest) == 1:
        return {**shown, rest[0]: rest[0]}
    return {**shown, **dict.fromkeys(rest, f"other ({len(rest)})")}


def _totals(names: pd.Series[str], sizes: pd.Series[Any]) -> pd.Series[Any]:
    frame = pd.DataFrame({"name": names.to_numpy(), "size": sizes.astype("float64").to_numpy()})
    totals: Any = frame.groupby("name", sort=True)["size"].sum()
    return totals.sort_values(ascending=False, kind="stable")


def seconds(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column of timedeltas, or of seconds, as seconds; NaN where it is missing."""
    if pd.api.types.is_timedelta64_dtype(column):
        return column.dt.total_seconds()
    return pd.to_numeric(column, errors="coerce").astype("float64")
