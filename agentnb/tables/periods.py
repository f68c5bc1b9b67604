"""Periods of a time zone's calendar: when the hour, day, week or month of a moment began."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from agentnb.config.names import suggestion
from agentnb.errors import RequestError
from agentnb.store.timestamps import from_micros, to_micros

__all__ = ["DAY", "HOUR", "beginning", "begins", "offsets", "zone_of"]

#: In microseconds.
HOUR: Final = 3_600_000_000
DAY: Final = 24 * HOUR
_SECOND: Final = 1_000_000
_EPOCH: Final = date(1970, 1, 1)
# Days are counted from a Thursday.
_THURSDAY: Final = 3
# Rules of zones are not known for ever, and each year of them is looked through.
_LAST: Final = to_micros(datetime(2100, 1, 1, tzinfo=UTC))


def zone_of(tz: str) -> ZoneInfo:
    """Return the time zone called ``tz``.

    Raises:
        RequestError: there is none.
    """
    try:
        return ZoneInfo(tz)
    except (KeyError, ValueError, TypeError, OSError):
        hint = suggestion(str(tz), available_timezones()) or "Write Europe/Berlin, or UTC."
        raise RequestError(f"There is no time zone '{tz}'.", hint=hint) from None


def offsets(zone: ZoneInfo, low: int, high: int) -> list[tuple[int, int]]:
    """Return how far the zone's clocks are ahead of UTC from ``low`` to ``high``.

    A list of moments and of the offset that holds from there on; all in microseconds.
    """
    low, high = max(0, low), min(high, _LAST)
    found = [(low, _offset(zone, low))]
    at = low
    while at < high:
        later = min(at + DAY, high)
        if _offset(zone, later) != found[-1][1]:
            before, after = at, later
            while after - before > _SECOND:
                middle = (before + after) // 2
                if _offset(zone, middle) == found[-1][1]:
                    before = middle
                else:
                    after = middle
            # Clocks change at whole seconds.
            change = after - after % _SECOND
            found.append((change, _offset(zone, change)))
        at = later
    return found


def begins(period: str, moment: int, zone: ZoneInfo) -> int:
    """Return the beginning of the period that a moment is in; both in microseconds."""
    shifted = moment + _offset(zone, moment)
    if period == "hour":
        return moment - shifted % HOUR
    return beginning(period, zone)(shifted // DAY)


def beginning(period: str, zone: ZoneInfo) -> Callable[[int], int]:
    """Return what gives, for a day's number since 1970-01-01, the beginning of its period."""

    @cache
    def of(day: int) -> int:
        if period == "week":
            day -= (day + _THURSDAY) % 7
        first = _EPOCH + timedelta(days=day)
        if period == "month":
            first = first.replace(day=1)
        # Where clocks skip midnight, this is the moment at which they do.
        return to_micros(datetime(first.year, first.month, first.day, tzinfo=zone))

    return of


def _offset(zone: ZoneInfo, moment: int) -> int:
    ahead = from_micros(moment).astimezone(zone).utcoffset()
    return 0 if ahead is None else ahead // timedelta(microseconds=1)
