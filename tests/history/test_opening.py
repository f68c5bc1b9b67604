"""When the store is opened: in a process of its own, whose modules tell it."""

from __future__ import annotations

from pathlib import Path

from tests.children import python

ASKED = """
import asyncio, sys, threading, time
from agentnb.event import RunFinished, TextDelta
from agentnb.history import flush
from agentnb.store import recorder
from tests.played import PlayedPlatform, player

recorder._DELAY_BEFORE_OPENING = {patience}
answers, ends = threading.Event(), threading.Event()

async def slow(request):
    for gate, batch in ((answers, [TextDelta("here")]), (ends, [RunFinished()])):
        while not gate.is_set():
            await asyncio.sleep(0.01)
        yield batch

def is_loaded(seconds):
    end = time.monotonic() + seconds
    while "sqlalchemy" not in sys.modules and time.monotonic() < end:
        time.sleep(0.01)
    return "sqlalchemy" in sys.modules

run = player(PlayedPlatform(slow)).start("p")
"""


def test_the_first_run_goes_before_the_database(tmp_path: Path) -> None:
    python(
        ASKED.format(patience=60)
        + """
answers.set()
ends.set()
run.wait()
assert not is_loaded(0.6)
assert flush(20)
assert is_loaded(0)
""",
        environment={"AGENTNB_HISTORY": str(tmp_path / "runs.sqlite")},
    )


def test_the_end_of_a_long_run_is_not_waited_for(tmp_path: Path) -> None:
    python(
        ASKED.format(patience=0.05)
        + """
assert is_loaded(20)
assert not run.events
answers.set()
ends.set()
run.wait()
""",
        environment={"AGENTNB_HISTORY": str(tmp_path / "runs.sqlite")},
    )


def test_who_waits_for_the_store_waits_for_no_answer(tmp_path: Path) -> None:
    python(
        ASKED.format(patience=60)
        + """
assert flush(20)
assert not run.events
answers.set()
ends.set()
run.wait()
""",
        environment={"AGENTNB_HISTORY": str(tmp_path / "runs.sqlite")},
    )
