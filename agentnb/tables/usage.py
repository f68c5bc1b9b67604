"""Usage as a DataFrame: runs, tokens, cost and times of groups of runs."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, Unpack
from zoneinfo import ZoneInfo

from agentnb.config.names import suggestion
from agentnb.errors import HistoryError, RequestError
from agentnb.store.filters import Filters, read_filters
from agentnb.tables.columns import (
    DURATION,
    USAGE_ALIASES,
    USAGE_COLUMNS,
    USAGE_KEYS,
    USAGE_PERIODS,
)
from agentnb.tables.filters import RunFilters, takes_filters
from agentnb.tables.frame import frame_from_columns
from agentnb.tables.periods import read_zone

if TYPE_CHECKING:
    import pandas as pd

    from agentnb.store.store import Store
    from agentnb.tables.grouping import Figures, Group

    Times = dict[Group, tuple[array[int], array[int]]]

_TIMES: Final = ("duration", "time_to_first_token")


@takes_filters
def usage(
    by: str | Sequence[str] = ("agent",),
    *,
    tz: str = "UTC",
    percentiles: Sequence[float] = (),
    **given: Unpack[RunFilters],
) -> pd.DataFrame:
    """Return the usage of runs, one row for each group, added up in the database.

    ``by`` is one or several of agent, platform, model, user_name (or user), session_id (or
    session), status, source, error_class, error_code, and hour, day, week (from Monday), month: the
    period of the time zone ``tz`` in which a run started, given as its beginning.  The filters are
    those of `agentnb.runs`.

    After these columns come those of `USAGE_COLUMNS`: ``runs``; ``completed``; ``failed``, which
    counts failed, truncated and interrupted runs; ``error_rate``, the fraction of runs that failed;
    sums of tokens, of which cached ones are a part of the input and reasoning a part of the output;
    ``cost_usd``, the sum over the runs whose cost is known (see `agentnb.runs`); and the means of
    ``duration`` and ``time_to_first_token``.  A sum or mean of no values is missing.
    ``percentiles``, from 0 to 100, add ``duration_p50``, ``time_to_first_token_p50`` and so on.

    Raises:
        RequestError: ``by``, a percentile or a filter is invalid.
        HistoryError: the store fails.
    """
    filters = read_filters(**given)
    keys, zone, percents = _read_by(by), read_zone(tz), _read_percentiles(percentiles)
    from agentnb.store.statements import check_names, open_store
    from agentnb.tables.grouping import run_times

    store = open_store()
    groups = _merge(_figures(store, keys, zone, filters))
    times = _collect_times(run_times(store, keys, zone, filters)) if percents else {}
    # Without keys there is a row even if there are no runs.
    check_names(store, filters, empty=not any(figures[0] for figures in groups.values()))
    return _table(keys, zone, groups, times, percents)


def _read_by(by: str | Sequence[str]) -> tuple[str, ...]:
    names = (by,) if isinstance(by, str) else tuple(by)
    keys = tuple(dict.fromkeys(USAGE_ALIASES.get(name, name) for name in names))
    known = (*USAGE_KEYS, *USAGE_PERIODS)
    for key in keys:
        if key not in known:
            hint = suggestion(str(key), (*known, *USAGE_ALIASES))
            hint = hint or f"There are {', '.join(known)}."
            raise RequestError(f"Usage cannot be grouped by '{key}'.", hint=hint)
    return keys


def _read_percentiles(percentiles: Sequence[float]) -> tuple[float, ...]:
    percents = tuple(percentiles)
    for percent in percents:
        is_number = isinstance(percent, int | float) and not isinstance(percent, bool)  # pyright: ignore[reportUnnecessaryIsInstance]
        if not is_number or not 0 <= percent <= 100:
            raise RequestError(f"{percent!r} is no percentile.", hint="It is from 0 to 100.")
    return tuple(dict.fromkeys(percents))


def _figures(
    store: Store, keys: Sequence[str], zone: ZoneInfo, filters: Filters
) -> list[tuple[Group, Figures]]:
    from agentnb.tables.grouping import aggregated

    try:
        return list(aggregated(store, keys, zone, filters))
    except HistoryError as error:
        # SQLite adds 64-bit integers, and a platform may report any number.
        if "integer overflow" not in str(error.__cause__):
            raise
        return list(aggregated(store, keys, zone, filters, as_floats=True))


def _merge(parts: Iterable[tuple[Group, Figures]]) -> dict[Group, Figures]:
    """Return each group once: a month comes day by day."""
    merged: dict[Group, Figures] = {}
    for group, figures in parts:
        if group in merged:
            figures = [_sum(*pair) for pair in zip(merged[group], figures, strict=True)]
        merged[group] = figures
    return merged


def _sum(one: Any, other: Any) -> Any:
    if one is None:
        return other
    return one if other is None else one + other


def _collect_times(rows: Iterable[tuple[Group, Sequence[int | None]]]) -> Times:
    """Return the times of each group, eight bytes each."""
    times: Times = {}
    for group, values in rows:
        for value, collected in zip(
            values, times.setdefault(group, (array("q"), array("q"))), strict=True
        ):
            if value is not None:
                collected.append(value)
    return times


def _table(
    keys: Sequence[str],
    zone: ZoneInfo,
    groups: dict[Group, Figures],
    times: Times,
    percents: Sequence[float],
) -> pd.DataFrame:
    dtypes = {key: USAGE_KEYS.get(key, f"datetime64[us, {zone.key}]") for key in keys}
    dtypes |= USAGE_COLUMNS
    dtypes |= {f"{name}_p{_label(percent)}": DURATION for name in _TIMES for percent in percents}
    # Missing keys come last.
    order = sorted(groups, key=lambda group: [(key is None, key or 0) for key in group])
    columns: dict[str, list[Any]] = {name: [] for name in dtypes}
    for group in order:
        # The database's counts of no runs at all are NULL.
        runs, completed, failed = (int(count or 0) for count in groups[group][:3])
        *sums, duration, durations, first_token, first_tokens = groups[group][3:]
        values = [*group, runs, completed, failed, failed / runs if runs else None, *sums]
        values += [_mean(duration, durations), _mean(first_token, first_tokens)]
        for collected in times.get(group, ((), ())):
            values += [_percentile(collected, percent) for percent in percents]
        for name, value in zip(dtypes, values, strict=True):
            columns[name].append(value)
    return frame_from_columns(columns, dtypes)


def _label(percent: float) -> str:
    """Return the percentile for a column's name, short but distinct."""
    short = f"{percent:g}"
    return short if float(short) == percent else repr(float(percent))


def _mean(total: Any, count: int) -> int | None:
    return round(total / count) if count and total is not None else None


def _percentile(values: Sequence[int], percent: float) -> int | None:
    import numpy as np

    return round(float(np.percentile(np.asarray(values), percent))) if len(values) else None
