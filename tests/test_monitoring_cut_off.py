"""Runs of this process whose connection is gone, as they are watched."""

from __future__ import annotations

import pytest

from agentnb.monitoring import Watch
from tests.flaky import Flaky
from tests.played import eventually, player

pytestmark = pytest.mark.anyio


async def test_a_row_tells_the_attempt_and_why() -> None:
    run = player(Flaky(60.0)).start("?")
    watch = Watch(run)
    await eventually(lambda: run.waiting is not None)
    (row,) = watch.rows()
    assert row.status == "running"
    assert row.detail == "Reconnecting, 1 of 5: The connection broke off."
    assert row.can_cancel
    run.cancel()
    await run.wait_async(check=False)
    (row,) = watch.rows()
    assert (row.status, row.detail) == ("cancelled", "5 characters")
    watch.stop()
