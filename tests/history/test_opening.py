"""When the store is opened: in a process of its own, whose modules tell it."""

from __future__ import annotations

from pathlib import Path

from tests.children import python

ASKED = """
import asyncio, sys, threading, time
from agentnb.event import RunFinished, TextDelta
from agentnb.history import flush, recorder
from tests.played import PlayedPlatform, player

recorder._BEFORE_OPENING = {patience}
answers = threading.Event()

async def slow(request):
    while not answers.is_set():
        await asyncio.sleep(0.01)
    yield [TextDelta("here")]
    await asyncio.sleep(0.5)
    yield [RunFinished()]

def is_loaded(seconds):
    end = time.monotonic() + seconds
    while "sqlalchemy" not in sys.modules and time.monotonic() < end:
        time.sleep(0.01)
    return "sqlalchemy" in sys.modules

run = player(PlayedPlatform(slow)).start("p")
"""


def test_nothing_of_the_database_is_loaded_before_an_answer_comes(tmp_path: Path) -> None:
    python(
        ASKED.format(patience=60)
        + """
assert not is_loaded(0.6)
answers.set()
assert is_loaded(20)
run.wait()
assert flush(20)
""",
        environment={"AGENTNB_HISTORY": str(tmp_path / "runs.sqlite")},
    )


def test_an_answer_is_not_waited_for_without_end(tmp_path: Path) -> None:
    python(
        ASKED.format(patience=0.05)
        + """
assert is_loaded(20)
assert not run.events
answers.set()
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
run.wait()
""",
        environment={"AGENTNB_HISTORY": str(tmp_path / "runs.sqlite")},
    )
