"""A map that does not come to its end: cancelled, interrupted, or killed with its process."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import agentnb
from agentnb import history
from agentnb.run.run import Run
from tests.children import spawn
from tests.played import until as wait_until
from tests.simulated import until

pytestmark = pytest.mark.anyio

LONG = 60.0


class Slow:
    """Answers at once, but for what is to wait for ever; tells how many wait."""

    def __init__(self) -> None:
        self.waiting = 0
        self.asked: list[str] = []

    async def answer(self, prompt: str) -> AsyncIterator[str]:
        self.asked.append(prompt)
        yield f"so far {prompt}"
        if prompt.startswith("slow"):
            self.waiting += 1
            try:
                await asyncio.sleep(3_600)
            finally:
                self.waiting -= 1


class TestCancelling:
    async def test_done_rows_are_kept_and_running_ones_cancelled(self) -> None:
        slow = Slow()
        agent = agentnb.agent(slow.answer)
        data = ["a", "slow 1", "b", "slow 2", "never", "never"]
        task = asyncio.create_task(agent.amap(data, concurrency=2, progress=False))
        await until(lambda: slow.waiting == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as raised:
            await task
        assert slow.waiting == 0
        table = agentnb.last_map()
        assert table is not None
        assert table["status"][:4].tolist() == ["completed", "cancelled", "completed", "cancelled"]
        assert table["status"][4:].isna().all()
        assert table["answer"][1] == "so far slow 1"
        (line,) = raised.value.__notes__
        found = re.search(r"^2 of 6 rows are done.*checkpoint='(.*)'\.$", line)
        assert found is not None
        # As it was: only what is missing is asked.
        slow.asked.clear()
        rest = ["a", "slow 1", "b"]
        again = asyncio.create_task(agent.amap(rest, checkpoint=found[1], progress=False))
        await until(lambda: slow.waiting == 1)
        assert slow.asked == ["slow 1"]
        again.cancel()
        with pytest.raises(asyncio.CancelledError):
            await again

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (["slow"], "No row is done."),
            (["slow", "never"], "No row is done."),
            (["a", "slow", "never"], "1 of 3 rows is done, see agentnb.last_map()."),
            (iter(["a", "slow"]), "1 row is done, see agentnb.last_map()."),
            (iter(["a", "b", "slow"]), "2 rows are done, see agentnb.last_map()."),
        ],
    )
    async def test_the_message_counts_done_rows(self, data: Any, said: str) -> None:
        slow = Slow()
        agent = agentnb.agent(slow.answer)
        task = asyncio.create_task(agent.amap(data, concurrency=1, progress=False))
        await until(lambda: slow.waiting == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as raised:
            await task
        assert raised.value.__notes__[0].startswith(said)

    async def test_with_the_history_off_nothing_is_written(self, tmp_path: Path) -> None:
        history.use("off")
        try:
            slow = Slow()
            task = asyncio.create_task(
                agentnb.agent(slow.answer).amap(["a", "slow"], concurrency=1, progress=False)
            )
            await until(lambda: slow.waiting == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as raised:
                await task
        finally:
            history.use(None)
        assert "To go on in this process, map the same with" in raised.value.__notes__[0]
        assert not any("sqlite" in name for *_, names in os.walk(tmp_path) for name in names)

    async def test_the_platform_is_notified(self, sandbox: Any) -> None:
        agent = agentnb.agent(
            "operativus:echo", base_url=sandbox.base_url("operativus"), api_key=sandbox.api_key
        )
        slow = '{"deltas": 100000, "delay_ms": 20}'
        task = asyncio.create_task(agent.amap([slow, slow], progress=False))

        def going() -> list[Run]:
            found = [run for run in history.recent_runs() if isinstance(run, Run)]
            return [run for run in found[-2:] if run.prompt == slow and run.text]

        await until(lambda: len(going()) == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        ids = [run.id for run in going()]

        def stopped() -> bool:
            return all(run.status == "cancelled" for run in agent.remote_status(ids).values())

        # The platform is told in the background.
        await asyncio.to_thread(wait_until, stopped)


class TestAsync:
    async def test_its_loop_is_not_held_up(self) -> None:
        turning = threading.Event()

        def source() -> Iterator[str]:
            # Would wait for ever on the loop that sets it.
            assert turning.wait(LONG)
            yield "a"

        async def shout(prompt: str) -> str:
            return prompt.upper()

        task = asyncio.create_task(agentnb.agent(shout).amap(source(), progress=False))
        await asyncio.sleep(0)
        turning.set()
        table = await task
        assert list(table["answer"]) == ["A"]

    async def test_two_at_once_and_one_within_another(self) -> None:
        async def shout(prompt: str) -> str:
            return prompt.upper()

        async def many(prompt: str) -> str:
            # On agentnb's own loop.
            inner = await agentnb.agent(shout).amap(list(prompt), progress=False)
            return "-".join(inner["answer"])

        agent = agentnb.agent(many)
        first, second = await asyncio.gather(
            agent.amap(["ab", "cd"], progress=False), agent.amap(["ef"], progress=False)
        )
        assert list(first["answer"]) == ["A-B", "C-D"]
        assert list(second["answer"]) == ["E-F"]

    async def test_where_waiting_would_be_for_ever_it_is_refused(self) -> None:
        async def blocking(prompt: str) -> str:
            agentnb.agent(blocking).map(["x"], progress=False)
            return "never"

        table = await agentnb.agent(blocking).amap(["a"], progress=False)
        assert "await agent.amap" in table["error"][0]

    async def test_errors_come_through(self) -> None:
        with pytest.raises(agentnb.RequestError):
            await agentnb.agent(Slow().answer).amap(["a"], concurrency=0)
        with pytest.raises(agentnb.RequestError):
            await agentnb.agent(Slow().answer).amap(["a"], "{{b}}", progress=False)


INTERRUPTED = """
import asyncio, os, sys, threading
import agentnb

async def answer(prompt):
    if int(prompt) >= 20:
        sys.stdout.write("waiting\\n")
        await asyncio.sleep(600)
    return "answer " + prompt

try:
    agentnb.agent(answer).map(map(str, range(100)), concurrency=4, progress=False)
except KeyboardInterrupt as error:
    sys.stdout.write(error.__notes__[0] + "\\n")
    sys.stdout.write(str(agentnb.last_map().status.value_counts().to_dict()) + "\\n")
"""


def test_ctrl_c() -> None:
    with spawn(INTERRUPTED) as child:
        assert child.stdout is not None
        for _ in range(4):
            assert child.stdout.readline() == "waiting\n"
        os.killpg(child.pid, signal.SIGINT)
        line = child.stdout.readline()
        found = re.search(r"^20 rows are done, see agentnb\.last_map\(\)\. .*='(.*)'\.$", line)
        assert found is not None, line
        assert re.fullmatch("map:[0-9a-f]{12}", found[1])
        told = child.stdout.readline()
        assert "'completed': 20" in told
        assert "'cancelled': 4" in told
        assert child.wait(LONG) == 0


KILLED = """
import asyncio, random, sys
import agentnb

async def answer(prompt):
    await asyncio.sleep(random.uniform(0, 0.01))
    sys.stdout.write("done\\n")
    return "answer " + prompt

rows = [str(number % 50) for number in range(300)]
table = agentnb.agent(answer).map(
    rows, "row {{item}}", checkpoint=sys.stdin.readline().strip(), concurrency=16, progress=False
)
assert list(table["item"]) == rows
assert list(table["answer"]) == ["answer row " + row for row in rows]
assert table["run_id"].is_unique
assert set(table["status"]) == {"completed"}
sys.stdout.write("whole\\n")
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_resume_after_a_kill_runs_each_row_once(seed: int, tmp_path: Path) -> None:
    path, chance, kept = tmp_path / "done.sqlite", random.Random(seed), 0
    for kill_after in (chance.randrange(1, 150), chance.randrange(1, 150), None):
        with spawn(KILLED) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(f"{path}\n")
            child.stdin.flush()
            lines = 0
            while (line := child.stdout.readline()) == "done\n":
                lines += 1
                if lines == kill_after:
                    child.kill()
            if kill_after is None:
                assert line == "whole\n", child.stderr and child.stderr.read()
                assert child.wait(LONG) == 0
                # What the file had is not asked again.
                assert lines == 300 - kept
        with closing(sqlite3.connect(path)) as connection:
            before, (kept,) = kept, connection.execute("SELECT count(*) FROM row").fetchone()
        assert kept >= before
    assert kept == 300
