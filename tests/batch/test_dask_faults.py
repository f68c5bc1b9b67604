"""A map on a cluster of Dask whose workers die, whose platform refuses, and whose user stops it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import agentnb
from agentnb._loop import wait
from agentnb.batch.cluster_executor import cluster_executor
from agentnb.batch.executor import Executor
from agentnb.batch.rows import Row
from agentnb.errors import BatchError
from tests.batch.dask_cluster import WORKERS, Surroundings, aside, numbered, surroundings
from tests.children import spawn
from tests.played import LONG, eventually, until


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    with surroundings(tmp_path_factory.mktemp("dask")) as found:
        yield found


@pytest.fixture
def around(found: Surroundings) -> Iterator[Surroundings]:
    """The surroundings with all of their workers."""
    found.client.wait_for_workers(WORKERS, timeout=LONG)
    yield found
    found.parrot.reset()


def parrot() -> agentnb.Agent:
    return agentnb.agent("seekr:parrot")


def test_the_rows_of_a_worker_that_dies_run_again(around: Surroundings, tmp_path: Path) -> None:
    log, goes_on = tmp_path / "log", tmp_path / "goes_on"
    log.mkdir()

    async def works(prompt: str) -> str:
        name = f"{prompt} {os.getpid()}"
        (log / name).touch()
        if int(prompt) >= 4:
            while not goes_on.exists():  # noqa: ASYNC110 - another process ends it
                await asyncio.sleep(0.01)
        return name

    def begun(row: int) -> list[int]:
        return [int(path.name.partition(" ")[2]) for path in log.glob(f"{row} *")]

    done = aside(lambda: around.map(agentnb.agent(works), numbered(16), concurrency=8))
    # Eight wait; what came before them is done, and is known here.
    until(lambda: all(begun(row) for row in range(4, 12)))
    of_worker = {
        pid: [r for r in range(4, 12) if begun(r) == [pid]] for pid in around.pids().values()
    }
    victim, its_rows = max(of_worker.items(), key=lambda each: len(each[1]))
    assert its_rows
    os.kill(victim, signal.SIGKILL)
    until(lambda: all(len(begun(row)) == 2 for row in its_rows))
    goes_on.touch()
    table = done.result(LONG)
    assert list(table["status"]) == ["completed"] * 16
    assert [answer.partition(" ")[0] for answer in table["answer"]] == numbered(16)
    assert [row for row in range(16) if len(begun(row)) > 1] == its_rows
    for row in its_rows:
        assert not table["answer"][row].endswith(str(victim))


def test_a_row_that_takes_its_worker_down_fails_alone(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(around.cluster.scheduler, "allowed_failures", 0)

    def ends(prompt: str) -> str:
        if prompt == "poison":
            os._exit(1)
        return prompt

    table = around.map(agentnb.agent(ends), ["a", "poison", "c"], concurrency=1)
    assert list(table["status"]) == ["completed", "failed", "completed"]
    assert table["error_code"][1] == "worker_lost"


def test_the_first_failure_stops_what_runs_at_the_platform(around: Surroundings) -> None:
    around.parrot.fails = {"4"}
    # It fails once the others run.
    around.parrot.holds = lambda prompt: prompt != "4" or len(around.parrot.asked) < 5
    with pytest.raises(BatchError, match="Row 4 failed") as caught:
        around.map(parrot(), numbered(8), concurrency=5, on_error="raise")
    until(lambda: sorted(around.parrot.left) == ["0", "1", "2", "3"])
    assert caught.value.table["status"].value_counts().to_dict() == {"cancelled": 4, "failed": 1}
    run = caught.value.run
    assert run is not None
    assert (run.prompt, run.status) == ("4", "failed")


def test_ctrl_c_stops_what_runs_at_the_platform(around: Surroundings) -> None:
    around.parrot.holds = lambda prompt: prompt != "0"

    def interrupt() -> None:
        until(lambda: len(around.parrot.asked) == 5)
        os.kill(os.getpid(), signal.SIGINT)

    interrupting = aside(interrupt)
    with pytest.raises(KeyboardInterrupt):
        around.map(parrot(), numbered(8), concurrency=4)
    interrupting.result(LONG)
    until(lambda: sorted(around.parrot.left) == ["1", "2", "3", "4"])
    table = agentnb.last_map()
    assert table is not None
    assert table["status"].value_counts().to_dict() == {"completed": 1, "cancelled": 4}
    # The workers have nothing left of it.
    until(lambda: not any(around.client.processing().values()))


@pytest.mark.anyio
async def test_a_cancelled_amap_stops_what_runs_at_the_platform(around: Surroundings) -> None:
    around.parrot.holds = lambda prompt: True
    task = asyncio.create_task(parrot().amap(["a", "b"], progress=False, client=around.client))
    await eventually(lambda: len(around.parrot.asked) == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: sorted(around.parrot.left) == ["a", "b"])


def test_rows_of_a_client_that_dies_are_stopped_at_the_platform(around: Surroundings) -> None:
    around.parrot.holds = lambda prompt: True
    child = spawn(
        f"""
        import agentnb
        from distributed import Client
        client = Client({around.cluster.scheduler_address!r})
        agentnb.agent("seekr:parrot").map(["a", "b"], progress=False, client=client)
        """
    )
    try:
        until(lambda: len(around.parrot.asked) == 2 or child.poll() is not None)
    finally:
        child.kill()
        child.communicate()
    until(lambda: sorted(around.parrot.left) == ["a", "b"])


class RecordedBackoff:
    """Records refusals and pauses; `resume` ends all pauses."""

    def __init__(self) -> None:
        self.refusals: list[float] = []
        self.pauses: list[float] = []
        self.resume = threading.Event()

    def report_refusal(self, seconds: float) -> None:
        self.refusals.append(seconds)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.to_thread(self.resume.wait, LONG)


def test_the_client_handles_the_refusals_of_workers(around: Surroundings) -> None:
    backoff = RecordedBackoff()
    executor = workers(around)

    async def ask() -> list[str | None]:
        try:
            rows = [Row(position=n, prompt=str(n)) for n in range(4)]
            results = await asyncio.gather(*(executor.attempt(row, backoff) for row in rows))
            return [result.answer for result in results]
        finally:
            executor.stop()
            await executor.aclose()

    with around.sandbox.faults("status 429 retry_after=1 times=1"):
        done = aside(lambda: wait(ask()))
        until(lambda: len(backoff.pauses) == 4)
        assert backoff.refusals == backoff.pauses == [1.0] * 4
        # No row resumes before the client lets it.
        assert around.parrot.asked == []
        backoff.resume.set()
        assert done.result(LONG) == [f"You said: {n}" for n in range(4)]


def test_a_refusal_on_one_worker_holds_up_all(around: Surroundings) -> None:
    with around.sandbox.faults("status 429 retry_after=1 times=1"):
        table = around.map(parrot(), numbered(6), concurrency=3)
    assert list(table["status"]) == ["completed"] * 6
    # A refusal is no failure, and no further run.
    assert list(table["attempts"]) == [1] * 6


def workers(around: Surroundings) -> Executor:
    recipe, rebuild = parrot().again()
    return cluster_executor(around.client, recipe, {}, rebuild)


def test_the_history_has_each_row_once_where_workers_are_killed(around: Surroundings) -> None:
    async def works_on_each_row(prompt: str) -> str:
        await asyncio.sleep(0.05)
        return f"answer to {prompt}"

    agent = agentnb.agent(works_on_each_row)
    done = aside(lambda: around.map(agent, numbered(120), concurrency=4))
    name = f"local:{agent.id}"
    for count in (20, 60):
        until(lambda count=count: len(agentnb.runs(agent=name, status="completed")) >= count)
        os.kill(next(iter(around.pids().values())), signal.SIGKILL)
    table = done.result(3 * LONG)
    assert list(table["answer"]) == [f"answer to {n}" for n in range(120)]
    kept = agentnb.runs(agent=name)
    assert sorted(kept["run_id"]) == sorted(table["run_id"])
    assert set(kept["status"]) == {"completed"}
    assert sorted(kept["prompt"], key=int) == numbered(120)
