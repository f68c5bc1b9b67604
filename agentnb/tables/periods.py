"""Hours, days, weeks and months of a time zone's calendar."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from agentnb.config.names import suggestion
from agentnb.errors import RequestError
from agentnb.store.values import from_micros, to_micros

#: In microseconds.
HOUR: Final = 3_600_000_000
DAY: Final = 24 * HOUR
_SECOND: Final = 1_000_000
_EPOCH: Final = date(1970, 1, 1)
# Weekday of the epoch, a Thursday.
_EPOCH_WEEKDAY: Final = 3
# Time zone rules are not known for ever, and a search takes time for each year.
_MAX_TIME: Final = to_micros(datetime(2100, 1, 1, tzinfo=UTC))


def read_zone(tz: str) -> ZoneInfo:
    """Return the time zone called ``tz``.

    Raises:
        RequestError: there is no such time zone.
    """
    try:
        return ZoneInfo(tz)
    except (KeyError, ValueError, TypeError, OSError):
        hint = suggestion(str(tz), available_timezones()) or "Write Europe/Berlin, or UTC."
        raise RequestError(f"There is no time zone '{tz}'.", hint=hint) from None


def utc_offsets(zone: ZoneInfo, low: int, high: int) -> list[tuple[int, int]]:
    """Return the zone's UTC offsets from ``low`` to ``high``, each with the time it begins at.

    All in microseconds.
    """
    low, high = max(0, low), min(high, _MAX_TIME)
    changes = [(low, _offset(zone, low))]
    at = low
    while at < high:
        next_day = min(at + DAY, high)
        if _offset(zone, next_day) != changes[-1][1]:
            before, after = at, next_day
            while after - before > _SECOND:
                middle = (before + after) // 2
                if _offset(zone, middle) == changes[-1][1]:
                    before = middle
                else:
                    after = middle
            # Clocks change at whole seconds.
            change = after - after % _SECOND
            changes.append((change, _offset(zone, change)))
        at = next_day
    return changes


def day_rounder(period: str, zone: ZoneInfo) -> Callable[[int], int]:
    """Return a function from a day, counted since 1970-01-01, to the start of its period."""

    @cache
    def start(day: int) -> int:
        if period == "week":
            day -= (day + _EPOCH_WEEKDAY) % 7
        first = _EPOCH + timedelta(days=day)
        if period == "month":
            first = first.replace(day=1)
        # Where clocks skip midnight, this is the moment at which they do.
        return to_micros(datetime(first.year, first.month, first.day, tzinfo=zone))

    return start


def _offset(zone: ZoneInfo, time: int) -> int:
    offset = from_micros(time).astimezone(zone).utcoffset()
    return 0 if offset is None else offset // timedelta(microseconds=1)
