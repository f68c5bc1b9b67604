"""How much was used: runs, tokens, cost and times, added up in the database."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from agentnb.config.names import suggestion
from agentnb.errors import HistoryError, RequestError
from agentnb.store.filters import Filters, Moment, Some, read_filters
from agentnb.tables.columns import SPAN, USAGE_ALIASES, USAGE_COLUMNS, USAGE_NAMES, USAGE_PERIODS
from agentnb.tables.frame import frame
from agentnb.tables.periods import begins, zone_of
from agentnb.tables.records import kept_runs

if TYPE_CHECKING:
    import pandas as pd

    from agentnb.store.store import Store

__all__ = ["FAILED", "SUMMED", "usage"]

#: The statuses of runs that went wrong.
FAILED: Final = ("failed", "truncated", "interrupted")
#: What is added up.
SUMMED: Final = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost_usd",
)
_SPANS: Final = ("duration", "time_to_first_token")

# A group is what it is grouped by; its figures are runs, completed, failed, the sums of `SUMMED`,
# and of each span its sum and how many runs have one.
Group = tuple[Any, ...]
Figures = Sequence[Any]


def usage(
    by: str | Sequence[str] = ("agent",),
    *,
    agent: Some | None = None,
    platform: Some | None = None,
    status: Some | None = None,
    session: Some | None = None,
    user: Some | None = None,
    model: Some | None = None,
    source: Some | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
    text: str | None = None,
    this_kernel: bool = False,
    tz: str = "UTC",
    percentiles: Sequence[float] = (),
) -> pd.DataFrame:
    """Return what runs used, one row for each group, added up in the database.

    ``by`` is one or several of agent, platform, model, user_name (or user), session_id (or
    session), status, source, error_class, error_code, and hour, day, week (from Monday), month: the
    periods of the time zone ``tz`` in which runs began, given as their beginning.  The other
    filters are those of `agentnb.runs`.

    After these columns come those of `USAGE_COLUMNS`: ``runs``; ``completed``; ``failed``, which
    counts those that failed, were truncated or interrupted; ``error_rate``, the part of the runs
    that failed; sums of tokens, of which cached ones are a part of the input and reasoning a part
    of the output; ``cost_usd``, the sum over the runs whose cost is known (see `agentnb.runs`); and
    the means of ``duration`` and ``time_to_first_token``.  A sum or a mean of nothing is missing.
    ``percentiles``, from 0 to 100, add ``duration_p50``, ``time_to_first_token_p50`` and so on.

    Raises:
        RequestError: there is nothing of this name to group by, or a filter cannot be understood.
        HistoryError: the store fails.
    """
    filters = read_filters(
        agent=agent,
        platform=platform,
        status=status,
        session=session,
        user=user,
        model=model,
        source=source,
        since=since,
        until=until,
        text=text,
        this_kernel=this_kernel,
    )
    groups_by, zone, shares = _read_by(by), zone_of(tz), _read_percentiles(percentiles)
    from agentnb.store.statements import check_names, open_store

    store = open_store()
    if store is None:
        found = _own(groups_by, zone, filters)
        spans = _spans(_own_spans(groups_by, zone, filters)) if shares else {}
    else:
        found = _stored(store, groups_by, zone, filters)
        spans = _spans(_stored_spans(store, groups_by, zone, filters)) if shares else {}
    merged = _merged(found)
    # A group of nothing has a row, too.
    check_names(store, filters, empty=not any(figures[0] for figures in merged.values()))
    return _table(groups_by, zone, merged, spans, shares)


def _read_by(by: str | Sequence[str]) -> tuple[str, ...]:
    given = (by,) if isinstance(by, str) else tuple(by)
    names = tuple(dict.fromkeys(USAGE_ALIASES.get(name, name) for name in given))
    known = (*USAGE_NAMES, *USAGE_PERIODS)
    for name in names:
        if name not in known:
            hint = (
                suggestion(str(name), (*known, *USAGE_ALIASES)) or f"There are {', '.join(known)}."
            )
            raise RequestError(f"Usage cannot be grouped by '{name}'.", hint=hint)
    return names


def _read_percentiles(given: Sequence[float]) -> tuple[float, ...]:
    shares = tuple(given)
    for share in shares:
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 100:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise RequestError(f"{share!r} is no percentile.", hint="It is from 0 to 100.")
    return tuple(dict.fromkeys(shares))


def _shown(share: float) -> str:
    """Return a percentile as a column's name has it: shortly, but never like another one."""
    short = f"{share:g}"
    return short if float(short) == share else repr(float(share))


# -- of the store ----------------------------------------------------------------------------------


def _stored(
    store: Store, by: Sequence[str], zone: ZoneInfo, filters: Filters
) -> list[tuple[Group, Figures]]:
    from agentnb.tables.grouping import grouped

    try:
        return list(grouped(store, by, zone, filters))
    except HistoryError as error:
        # SQLite adds whole numbers up to 64 bits, and what platforms report may be anything.
        if "integer overflow" not in str(error.__cause__):
            raise
        return list(grouped(store, by, zone, filters, as_floats=True))


def _stored_spans(
    store: Store, by: Sequence[str], zone: ZoneInfo, filters: Filters
) -> Iterator[tuple[Group, int | None, int | None]]:
    from agentnb.tables.grouping import ungrouped

    return ungrouped(store, by, zone, filters)


# -- of this process -------------------------------------------------------------------------------


def _own(by: Sequence[str], zone: ZoneInfo, filters: Filters) -> Iterator[tuple[Group, Figures]]:
    if not by:
        # Nothing is a group, too, as in a database.
        yield (), [0, 0, 0, *[None] * len(SUMMED), None, 0, None, 0]
    for _, record in kept_runs(filters):
        status = record["status"]
        figures = [1, int(status == "completed"), int(status in FAILED)]
        figures += [record[name] for name in SUMMED]
        for name in _SPANS:
            figures += [record[name], int(record[name] is not None)]
        yield _group(record, by, zone), figures


def _own_spans(
    by: Sequence[str], zone: ZoneInfo, filters: Filters
) -> Iterator[tuple[Group, int | None, int | None]]:
    for _, record in kept_runs(filters):
        yield _group(record, by, zone), record[_SPANS[0]], record[_SPANS[1]]


def _group(record: dict[str, Any], by: Sequence[str], zone: ZoneInfo) -> Group:
    return tuple(
        begins(name, record["started_at"], zone) if name in USAGE_PERIODS else record[name]
        for name in by
    )


# -- the table -------------------------------------------------------------------------------------


def _merged(found: Iterable[tuple[Group, Figures]]) -> dict[Group, Figures]:
    """Return each group once: a month's days come one by one."""
    merged: dict[Group, Figures] = {}
    for group, figures in found:
        known = merged.get(group)
        merged[group] = (
            figures
            if known is None
            else [_sum(one, other) for one, other in zip(known, figures, strict=True)]
        )
    return merged


def _sum(one: Any, other: Any) -> Any:
    if one is None:
        return other
    return one if other is None else one + other


def _spans(
    rows: Iterable[tuple[Group, int | None, int | None]],
) -> dict[Group, tuple[array[int], array[int]]]:
    """Return all spans of each group, eight bytes each."""
    found: defaultdict[Group, tuple[array[int], array[int]]] = defaultdict(
        lambda: (array("q"), array("q"))
    )
    for group, duration, first_token in rows:
        durations, first_tokens = found[group]
        if duration is not None:
            durations.append(duration)
        if first_token is not None:
            first_tokens.append(first_token)
    return found


def _table(
    by: Sequence[str],
    zone: ZoneInfo,
    groups: dict[Group, Figures],
    spans: dict[Group, tuple[array[int], array[int]]],
    shares: Sequence[float],
) -> pd.DataFrame:
    dtypes = {
        name: USAGE_NAMES.get(name, f"datetime64[us, {zone.key}]") for name in by
    } | USAGE_COLUMNS
    dtypes |= {f"{name}_p{_shown(share)}": SPAN for name in _SPANS for share in shares}
    # What is not known comes after what is.
    order = sorted(groups, key=lambda group: [(part is None, part or 0) for part in group])
    columns: dict[str, list[Any]] = {name: [] for name in dtypes}
    for group in order:
        # Sums of nothing, where there is no run at all.
        runs, completed, failed = (int(count or 0) for count in groups[group][:3])
        rest = groups[group][3:]
        sums, times = rest[: len(SUMMED)], rest[len(SUMMED) :]
        values = [*group, runs, completed, failed, failed / runs if runs else None, *sums]
        values += [_mean(*times[:2]), _mean(*times[2:])]
        for each in spans.get(group, ((), ())):
            values += [_percentile(each, share) for share in shares]
        for name, value in zip(dtypes, values, strict=True):
            columns[name].append(value)
    return frame(columns, dtypes)


def _mean(total: Any, count: int) -> int | None:
    return round(total / count) if count and total is not None else None


def _percentile(values: Sequence[int], share: float) -> int | None:
    import numpy as np

    return round(float(np.percentile(np.asarray(values), share))) if len(values) else None
