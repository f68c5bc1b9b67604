"""The times of one Operativus server, which may not name their zone.

The server writes Java's ``LocalDateTime`` in the zone it runs in.  How far that is from UTC is
learned from runs whose start is known from elsewhere, in quarters of an hour.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final, cast

from agentnb.platforms._bodies import LEAST_OFFSET, MOST_OFFSET, parse_time

__all__ = ["ServerTimes", "Window", "wire_time"]

Window = tuple[datetime, datetime]
"""The earliest and the latest moment, both aware, at which something happened."""

_QUARTER: Final = timedelta(minutes=15)
# A change to or from daylight saving time moves clocks by two hours at the most.
_LARGEST_CHANGE: Final = timedelta(hours=2)
# How far clocks of one platform may differ before a time in the future shows its zone.
_CLOCKS_DIFFER: Final = timedelta(minutes=5)
# How many changes of the offset are kept; each is a change of the server's clock.
_MOST_OFFSETS: Final = 64
_ZONE_NAME: Final = re.compile(r"\[[^\]]*\]\s*\Z")


def wire_time(value: Any) -> datetime | None:
    """Return a time of the wire, naive where it names no zone; None where it is no time.

    Takes ISO 8601 text, with or without a zone and a zone's name in brackets, epoch seconds or
    milliseconds, and an array as Jackson writes it: ``[year, month, day, hour, minute, second,
    nanosecond]``, the last four optional.
    """
    try:
        if isinstance(value, str):
            return datetime.fromisoformat(_ZONE_NAME.sub("", value.strip()))
        if isinstance(value, list):
            parts = cast("list[Any]", value)
            if not 3 <= len(parts) <= 7 or any(type(part) is not int for part in parts):
                return None
            year, month, day, hour, minute, second, nano = [*parts, *[0] * (7 - len(parts))]
            found = datetime(year, month, day, hour, minute, second, nano // 1000, UTC)
            return found.replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    return parse_time(value)


class ServerTimes:
    """Reads the times of one server, and learns what those without a zone mean.

    With ``zone`` they are in that zone.  Otherwise the offset from UTC counts that was learned
    nearest to the time in question, so that a change to daylight saving time is followed; as long
    as none was learned they are read as UTC, or, where that would put them into the future, as
    the least offset that does not.
    """

    def __init__(self, zone: tzinfo | None = None) -> None:
        self._zone = zone
        self._learned: list[tuple[datetime, timedelta]] = []
        self._least = timedelta()
        self._skew = timedelta()

    def read(self, value: Any) -> datetime | None:
        """Return a time of this server as an aware datetime in UTC; None where it is no time."""
        found = wire_time(value)
        try:
            if found is None or found.tzinfo is not None:
                return None if found is None else found.astimezone(UTC)
            if self._zone is not None:
                return found.replace(tzinfo=self._zone).astimezone(UTC)
            return (found - self._offset(found)).replace(tzinfo=UTC)
        except OverflowError:
            return None

    def fits(self, value: Any, window: Window) -> bool:
        """Tell whether a time of this server may be within ``window`` of the ``Date`` header."""
        moment = self.read(value)
        return moment is not None and window[0] <= moment - self._skew <= window[1]

    def learn(self, value: Any, window: Window, *, by_its_date: bool = True) -> None:
        """Take note that something that happened within ``window`` has the time ``value``.

        ``by_its_date`` says that the window is in the time of the ``Date`` header; then the time
        also tells how far the clock behind that header is from the one that writes times.
        """
        found = wire_time(value)
        if found is None or window[1] - window[0] > _QUARTER:
            return
        if found.tzinfo is None and self._zone is None:
            offset = self._nearest(found, window)
            if offset is None:
                return
            self._note(found, offset)
        moment = self.read(value)
        if by_its_date and moment is not None:
            is_inside = window[0] <= moment <= window[1]
            middle = window[0] + (window[1] - window[0]) / 2
            self._skew = timedelta() if is_inside else moment - middle

    def explain(self, value: Any, window: Window) -> bool:
        """Learn the offset by which ``value`` is within ``window``; tell whether there is one.

        For a time that may or may not be the one that is meant: one that is off by no whole number
        of quarters of an hour is not.
        """
        found = wire_time(value)
        if found is None or found.tzinfo is not None or self._zone is not None:
            return False
        first, last = window[0] + self._skew, window[1] + self._skew
        if last - first > _QUARTER / 2:
            return False
        local = found.replace(tzinfo=UTC)
        offset = _QUARTER * math.ceil((local - last) / _QUARTER)
        if offset > local - first or not LEAST_OFFSET <= offset <= MOST_OFFSET:
            return False
        if self._learned and abs(offset - self._offset(found)) > _LARGEST_CHANGE:
            return False
        self._note(found, offset)
        return True

    def bound(self, values: Iterable[Any], now: datetime) -> None:
        """Take note that none of these times is after ``now``."""
        found = [time for value in values if (time := wire_time(value)) is not None]
        local = [time for time in found if time.tzinfo is None]
        if not local:
            return
        least = max(local).replace(tzinfo=UTC) - now - _CLOCKS_DIFFER
        offset = _QUARTER * math.ceil(least / _QUARTER)
        if self._least < offset <= MOST_OFFSET:
            self._least = offset

    def _offset(self, local: datetime) -> timedelta:
        if not self._learned:
            return self._least
        return min(self._learned, key=lambda known: abs(known[0] - local))[1]

    def _nearest(self, local: datetime, window: Window) -> timedelta | None:
        """Return the offset that puts a time nearest to ``window``; None where several put it in.

        Where what is known does, it is that.
        """
        as_utc = local.replace(tzinfo=UTC)
        first, last = as_utc - window[1], as_utc - window[0]
        if self._learned and first <= (known := self._offset(local)) <= last:
            return known
        low, high = math.ceil(first / _QUARTER), math.floor(last / _QUARTER)
        if low < high:
            return None
        count = low if low == high else round((first + last) / 2 / _QUARTER)
        offset = _QUARTER * count
        return offset if LEAST_OFFSET <= offset <= MOST_OFFSET else None

    def _note(self, local: datetime, offset: timedelta) -> None:
        place = bisect_left(self._learned, local, key=lambda known: known[0])
        before, after = self._learned[:place], self._learned[place:]
        # Between two times of one offset, and beyond the second of one, nothing is to be told.
        if before[-1:] and after[:1] and before[-1][1] == after[0][1] == offset:
            return
        if len(before) > 1 and not after and before[-1][1] == before[-2][1] == offset:
            before.pop()
        if len(after) > 1 and not before and after[0][1] == after[1][1] == offset:
            after = after[1:]
        self._learned = [*before, (local, offset), *after][-_MOST_OFFSETS:]
