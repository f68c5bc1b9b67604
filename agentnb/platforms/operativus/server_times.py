"""Times of one Operativus server, which may lack their zone.

The server writes Java's ``LocalDateTime`` in its own zone.  The offset from UTC is learned, in
quarters of an hour, from runs whose start is known otherwise.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final, cast

from agentnb.platforms._bodies import LEAST_OFFSET, MOST_OFFSET, parse_time

Window = tuple[datetime, datetime]
"""The earliest and the latest time, both aware, at which something happened."""

_QUARTER: Final = timedelta(minutes=15)
# Daylight saving time moves clocks by two hours at most.
_MAX_CHANGE: Final = timedelta(hours=2)
# How far clocks of one platform may differ before a time in the future shows its zone.
_MAX_CLOCK_SKEW: Final = timedelta(minutes=5)
# Each is a change of the server's clock.
_MAX_OFFSETS: Final = 64
_ZONE_NAME: Final = re.compile(r"\[[^\]]*\]\s*\Z")


def _parse(value: Any) -> datetime | None:
    """Return a time of the wire, naive if it has no zone; None if it is no time.

    Takes ISO 8601 text, with or without a zone and a zone's name in brackets, epoch seconds or
    milliseconds, and Jackson's array ``[year, month, day, hour, minute, second, nanosecond]``, of
    which the last four are optional.
    """
    try:
        if isinstance(value, str):
            return datetime.fromisoformat(_ZONE_NAME.sub("", value.strip()))
        if isinstance(value, list):
            parts = cast("list[Any]", value)
            if not 3 <= len(parts) <= 7 or any(type(part) is not int for part in parts):
                return None
            year, month, day, hour, minute, second, nano = [*parts, *[0] * (7 - len(parts))]
            moment = datetime(year, month, day, hour, minute, second, nano // 1000, UTC)
            return moment.replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    return parse_time(value)


class ServerTimes:
    """Reader of one server's times, which learns the zone of those without one.

    With ``zone`` they are in that zone.  Otherwise they have the offset from UTC that was learned
    nearest to the time in question, which follows daylight saving time.  Until one is learned they
    are read as UTC or, if that would put them into the future, with the smallest offset that does
    not.
    """

    def __init__(self, zone: tzinfo | None = None) -> None:
        self._zone = zone
        self._learned: list[tuple[datetime, timedelta]] = []
        self._min_offset = timedelta()
        self._skew = timedelta()

    def read(self, value: Any) -> datetime | None:
        """Return a time as an aware datetime in UTC; None if it is no time."""
        time = _parse(value)
        try:
            if time is None:
                return None
            if time.tzinfo is not None:
                return time.astimezone(UTC)
            if self._zone is not None:
                return time.replace(tzinfo=self._zone).astimezone(UTC)
            return (time - self._offset(time)).replace(tzinfo=UTC)
        except OverflowError:
            return None

    def fits(self, value: Any, window: Window) -> bool:
        """Return whether a time may be within ``window``, which is by the ``Date`` header."""
        moment = self.read(value)
        return moment is not None and window[0] <= moment - self._skew <= window[1]

    def learn(self, value: Any, window: Window, *, is_server_time: bool = True) -> None:
        """Learn from ``value``, the time of something that happened within ``window``.

        ``is_server_time`` says that the window is by the ``Date`` header; then the skew between
        the clock of that header and the one that writes times is learned, too.
        """
        time = _parse(value)
        if time is None or window[1] - window[0] > _QUARTER:
            return
        if time.tzinfo is None and self._zone is None:
            offset = self._nearest(time, window)
            if offset is None:
                return
            self._note(time, offset)
        moment = self.read(value)
        if is_server_time and moment is not None:
            is_inside = window[0] <= moment <= window[1]
            middle = window[0] + (window[1] - window[0]) / 2
            self._skew = timedelta() if is_inside else moment - middle

    def learn_offset(self, value: Any, window: Window) -> None:
        """Learn the offset that puts ``value`` into ``window``, if there is one.

        For a time that may belong to something else: then it is off by no whole number of quarters
        of an hour.
        """
        time = _parse(value)
        if time is None or time.tzinfo is not None or self._zone is not None:
            return
        first, last = window[0] + self._skew, window[1] + self._skew
        if last - first > _QUARTER / 2:
            return
        local = time.replace(tzinfo=UTC)
        offset = _QUARTER * math.ceil((local - last) / _QUARTER)
        if offset > local - first or not LEAST_OFFSET <= offset <= MOST_OFFSET:
            return
        if not self._learned or abs(offset - self._offset(time)) <= _MAX_CHANGE:
            self._note(time, offset)

    def bound(self, values: Iterable[Any], now: datetime) -> None:
        """Learn the smallest possible offset: none of these times is after ``now``."""
        times = [time for value in values if (time := _parse(value)) is not None]
        local = [time for time in times if time.tzinfo is None]
        if not local:
            return
        least = max(local).replace(tzinfo=UTC) - now - _MAX_CLOCK_SKEW
        offset = _QUARTER * math.ceil(least / _QUARTER)
        if self._min_offset < offset <= MOST_OFFSET:
            self._min_offset = offset

    def _offset(self, local: datetime) -> timedelta:
        if not self._learned:
            return self._min_offset
        return min(self._learned, key=lambda known: abs(known[0] - local))[1]

    def _nearest(self, local: datetime, window: Window) -> timedelta | None:
        """Return the offset that puts a time nearest to ``window``; None if several put it in.

        The known offset is preferred if it puts the time in.
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
        # Times between two of one offset, and before or after two of one, add nothing.
        if before[-1:] and after[:1] and before[-1][1] == after[0][1] == offset:
            return
        if len(before) > 1 and not after and before[-1][1] == before[-2][1] == offset:
            before.pop()
        if len(after) > 1 and not before and after[0][1] == after[1][1] == offset:
            after = after[1:]
        self._learned = [*before, (local, offset), *after][-_MAX_OFFSETS:]
