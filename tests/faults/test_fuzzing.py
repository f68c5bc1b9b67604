"""Damaged streams, as many as a test run has time for; `make fuzz` goes on for longer."""

from __future__ import annotations

import pytest

from tests.fuzz.checks import DECODERS, check
from tests.fuzz.mutations import Mutator
from tests.platforms.recorded import by_name

STREAMS = 400


@pytest.mark.parametrize("platform", DECODERS)
def test_a_damaged_stream_breaks_nothing(platform: str) -> None:
    mutator = Mutator(list(by_name(platform).values()), seed=20_260_101)
    events = 0
    for _ in range(STREAMS):
        data = mutator.stream()
        events += check(platform, mutator.chunks(data))
    # Else the damage would be such that nothing is decoded at all.
    assert events > STREAMS
