"""Moments and spans as whole microseconds."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb.store.values import from_micros, now, span, to_micros


@given(st.datetimes(timezones=st.just(UTC)))
def test_there_and_back(moment: datetime) -> None:
    assert from_micros(to_micros(moment)) == moment


def test_zones() -> None:
    moment = datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert to_micros(moment) == 0
    assert from_micros(1) == datetime(1970, 1, 1, microsecond=1, tzinfo=UTC)
    with pytest.raises(ValueError, match="no time zone"):
        to_micros(datetime(2026, 1, 1))  # noqa: DTZ001


def test_now() -> None:
    assert to_micros(datetime.now(UTC)) <= now() <= to_micros(datetime.now(UTC))


@pytest.mark.parametrize(
    ("seconds", "micros"),
    [
        (None, None),
        (0, 0),
        (0.1 + 0.2, 300_000),
        (1.5, 1_500_000),
        (-1.0, -1_000_000),
        (math.nan, None),
        (math.inf, None),
        (1e300, None),
    ],
)
def test_spans(seconds: float | None, micros: int | None) -> None:
    assert span(seconds) == micros
