"""Times and durations of the store: whole microseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["from_micros", "now", "span", "to_micros"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MAX_INT: Final = 2**63 - 1


def to_micros(moment: datetime) -> int:
    """Return ``moment`` as microseconds since 1970-01-01 UTC, exactly.

    Raises:
        ValueError: ``moment`` has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone.")
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return ``micros`` since 1970-01-01 UTC as a datetime in UTC."""
    return _EPOCH + micros * _MICROSECOND


def now() -> int:
    """Return the current time in microseconds since 1970-01-01 UTC."""
    return to_micros(datetime.now(UTC))


def span(seconds: float | None) -> int | None:
    """Return ``seconds`` rounded to microseconds; None for None, NaN and infinity."""
    if seconds is None or not abs(seconds) * 1_000_000 <= _MAX_INT:
        return None
    return min(round(seconds * 1_000_000), _MAX_INT)
