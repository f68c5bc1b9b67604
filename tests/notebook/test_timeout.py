"""A cell that says how long its run may take."""

from __future__ import annotations

import pytest

from tests.notebook.conftest import Kernel

AGENT = """
import asyncio

@agentnb.agent
async def endless(prompt):
    yield "What was said."
    await asyncio.Event().wait()
"""


def test_a_run_that_takes_longer_fails_and_keeps_what_came(kernel: Kernel) -> None:
    assert kernel.run(AGENT).ok
    cell = kernel.run("%%agent endless --timeout 0.5 -o kept\n?")
    (error,) = cell.of("error")
    assert error["ename"] == "RunFailedError"
    assert "did not finish within 0.5 s" in error["evalue"]
    (static,) = cell.of("update_display_data")
    assert "What was said." in static["data"]["text/html"]
    assert kernel.run("print(kept.status, kept.text)").stdout == "failed What was said.\n"


@pytest.mark.parametrize("seconds", ["0", "-3", "nan"])
def test_no_time_at_all_is_refused_before_anything_is_sent(kernel: Kernel, seconds: str) -> None:
    assert kernel.run(AGENT).ok
    cell = kernel.run(f"%%agent endless --timeout={seconds}\n?")
    (error,) = cell.of("error")
    assert error["ename"] == "RequestError"
    assert "above 0" in error["evalue"]
    assert not cell.of("display_data")
