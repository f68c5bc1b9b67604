"""Processes that come, go and are forked, and what becomes of their runs."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Any

import pytest

from agentnb.store import interruption
from agentnb.store.interruption import GONE, end_process, mark_interrupted
from agentnb.store.processes import process_id, process_row, write_process
from agentnb.store.schema import process, run
from agentnb.store.store import Store
from agentnb.store.values import now
from tests.children import python, spawn
from tests.history.recorded import keys, processes, recorded, rows
from tests.played import until

SECOND = 1_000_000

# What is common to the children: an agent that says something and then waits for ever.
ENDLESS = """
import asyncio, os, sys, threading, time
import agentnb
from agentnb.store.recorder import flush
from agentnb.store.store import store

# Loading what it needs can take long where much else goes on, and the end waits for seconds only.
store()

async def endless(prompt):
    yield "so "
    yield "far"
    await asyncio.sleep(3600)

def brief(prompt):
    yield "all"

def going():
    run = agentnb.agent(endless).start("q")
    while run.text != "so far":
        time.sleep(0.005)
    return run
"""


def environment(store: Store, url: str) -> dict[str, str]:
    assert store.dialect in url
    return {"AGENTNB_HISTORY": url}


def child(store: Store, url: str, code: str) -> subprocess.Popen[str]:
    os.environ["AGENTNB_HISTORY"] = url
    try:
        return spawn(ENDLESS + code)
    finally:
        del os.environ["AGENTNB_HISTORY"]


def told(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        pytest.fail(process.communicate()[1])
    return line


def status_of(store: Store, key: str) -> str:
    return str(recorded(store, key).run["status"])


class TestTheEndOfAProcess:
    def test_what_arrived_is_written_at_its_end(
        self, history_store: Store, history_url: str
    ) -> None:
        done = python(
            ENDLESS
            + """
run = agentnb.agent(brief).run("q")
print(run.local_id)
""",
            environment={"AGENTNB_HISTORY": history_url},
        )
        found = recorded(history_store, done.stdout.strip())
        assert found.run["status"] == "completed"
        assert found.content["text"] == "all"
        assert done.stderr == ""
        (one,) = processes(history_store)
        assert one["ended_at"] is not None

    def test_runs_that_it_leaves_are_cancelled_first(
        self, history_store: Store, history_url: str
    ) -> None:
        done = python(
            ENDLESS + "print(going().local_id)", environment={"AGENTNB_HISTORY": history_url}
        )
        found = recorded(history_store, done.stdout.strip())
        assert found.run["status"] == "cancelled"
        assert found.content["text"] == "so far"
        assert found.events[-1].type == "run_cancelled"

    @pytest.mark.parametrize("history_url", ["sqlite"], indirect=True)
    def test_a_store_that_hangs_does_not_hold_it_up_for_ever(
        self, history_store: Store, history_url: str
    ) -> None:
        with history_store.begin():
            python(
                ENDLESS
                + """
agentnb.agent(brief).run("q")
""",
                "-W",
                "default",
                environment={"AGENTNB_HISTORY": history_url},
            )
        assert keys(history_store) == set()


class TestInterrupted:
    def test_a_killed_process(self, history_store: Store, history_url: str) -> None:
        one = child(
            history_store,
            history_url,
            """
run = going()
assert flush(30)
print(run.local_id)
sys.stdin.read()
""",
        )
        with one:
            try:
                key = told(one)
                assert mark_interrupted(history_store, every=0) == 0
                assert status_of(history_store, key) == "running"
            finally:
                os.kill(one.pid, signal.SIGKILL)
        assert mark_interrupted(history_store, every=0) == 1
        found = recorded(history_store, key)
        assert (found.run["status"], found.run["error"]) == ("interrupted", GONE)
        # Though nobody wrote it when the process died.
        assert found.content["text"] == "so far"
        assert mark_interrupted(history_store, every=0) == 0

    def add(self, store: Store, status: str = "running", **values: Any) -> str:
        """A process of somewhere, and a run of it."""
        row = {**process_row(), "id": f"p{len(processes(store))}", "pid": 2**30, **values}
        with store.begin() as connection:
            connection.execute(process.insert().values(row))
            connection.execute(
                run.insert().values(
                    key=f"run of {row['id']}",
                    source="recorded",
                    process=row["id"],
                    platform="p",
                    status=status,
                    started_at=1,
                )
            )
        return f"run of {row['id']}"

    @pytest.mark.parametrize(
        ("status", "afterwards"),
        [
            ("queued", "interrupted"),
            ("running", "interrupted"),
            ("paused", "paused"),
            ("completed", "completed"),
            ("failed", "failed"),
        ],
    )
    def test_only_what_is_unfinished(
        self, history_store: Store, status: str, afterwards: str
    ) -> None:
        key = self.add(history_store, status)
        mark_interrupted(history_store, every=0)
        assert status_of(history_store, key) == afterwards

    def test_of_another_machine_by_what_it_said_last(self, history_store: Store) -> None:
        silent = self.add(history_store, host="elsewhere", seen_at=now() - 121 * SECOND)
        alive = self.add(history_store, host="elsewhere", seen_at=now() - 100 * SECOND)
        assert mark_interrupted(history_store, every=0) == 1
        assert status_of(history_store, silent) == "interrupted"
        assert status_of(history_store, alive) == "running"

    def test_a_process_that_has_the_number_of_one_that_is_gone(self, history_store: Store) -> None:
        mine = process_row()
        machine, _, ticks = mine["host"].partition(" @")
        at = {"started_at": mine["started_at"] - 3600 * SECOND}
        at |= {"host": f"{machine} @{int(ticks) - 1}"} if ticks else {"seen_at": 1}
        earlier = self.add(history_store, pid=os.getpid(), **at)
        alive = self.add(history_store, pid=os.getpid())
        assert mark_interrupted(history_store, every=0) == 1
        assert status_of(history_store, earlier) == "interrupted"
        assert status_of(history_store, alive) == "running"

    def test_a_number_that_no_system_has(self, history_store: Store) -> None:
        """What somebody imported keeps nobody from the others."""
        keys = [self.add(history_store, pid=2**40, seen_at=1), self.add(history_store, seen_at=1)]
        assert mark_interrupted(history_store, every=0) == 2
        assert [status_of(history_store, key) for key in keys] == ["interrupted"] * 2

    def test_one_that_says_meanwhile_that_it_lives(self, history_store: Store) -> None:
        key = self.add(history_store, host="elsewhere", seen_at=now() - 121 * SECOND)
        ((id_, seen_at),) = interruption._gone_processes(history_store)  # pyright: ignore[reportPrivateUsage]
        with history_store.begin() as connection:
            connection.execute(process.update().values(seen_at=now()))
            found = interruption._interrupt(connection, history_store, id_, seen_at)  # pyright: ignore[reportPrivateUsage]
        assert found == 0
        assert status_of(history_store, key) == "running"

    @pytest.mark.slow
    @pytest.mark.parametrize("history_url", ["postgresql"], indirect=True)
    def test_the_clock_is_the_database_s(
        self, history_store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """This machine's clock is an hour ahead; what others say, and it says, is of the other."""
        present = now()
        monkeypatch.setattr("agentnb.store.processes.now", lambda: now() + 3600 * SECOND)
        alive = self.add(history_store, host="elsewhere", seen_at=present)
        assert mark_interrupted(history_store, every=0) == 0
        assert status_of(history_store, alive) == "running"
        with history_store.begin() as connection:
            write_process(connection, history_store)
            end_process(connection)
        (mine,) = [row for row in processes(history_store) if row["id"] == process_id()]
        assert abs(mine["seen_at"] - present) < 600 * SECOND
        assert abs(mine["ended_at"] - present) < 600 * SECOND

    def test_it_does_not_look_all_the_time(self, history_store: Store) -> None:
        mark_interrupted(history_store, every=0)
        self.add(history_store)
        assert mark_interrupted(history_store) == 0
        assert mark_interrupted(history_store, every=0) == 1

    def test_a_store_that_is_being_written_is_not_waited_for(self, history_store: Store) -> None:
        key = self.add(history_store)
        with history_store.begin() as connection:
            connection.execute(run.update().values(agent="a"))
            assert mark_interrupted(history_store, every=0) == 0
        assert status_of(history_store, key) == "running"
        assert mark_interrupted(history_store, every=0) == 1
        # And it waits for writers again, as long as before.
        with history_store.autocommit() as connection:
            if history_store.dialect == "sqlite":
                patience = connection.exec_driver_sql("PRAGMA busy_timeout").scalar()
                assert patience == 30_000

    def test_one_that_was_taken_for_gone_and_lives(self, history_store: Store) -> None:
        with history_store.begin() as connection:
            write_process(connection, history_store)
            end_process(connection)
        mine = [row for row in processes(history_store) if row["id"] == process_id()]
        assert mine[0]["ended_at"] is not None
        with history_store.begin() as connection:
            write_process(connection, history_store)
        mine = [row for row in processes(history_store) if row["id"] == process_id()]
        assert mine[0]["ended_at"] is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")
class TestForking:
    def test_a_child_records_its_own_runs_and_not_its_parents(
        self, history_store: Store, history_url: str
    ) -> None:
        done = python(
            ENDLESS
            + """
from agentnb.store.processes import process_id
parents = going()
assert flush(30)
mine = process_id()
read, write = os.pipe()
child = os.fork()
if not child:
    code = 1
    try:
        assert process_id() != mine
        assert parents.status == "interrupted"
        run = agentnb.agent(brief).run("child")
        assert flush(30)
        os.write(write, run.local_id.encode())
        code = 0
    finally:
        os._exit(code)
assert os.waitpid(child, 0)[1] == 0
assert parents.status == "running"
last = agentnb.agent(brief).run("parent")
assert flush(30)
print(parents.local_id, os.read(read, 100).decode(), last.local_id)
""",
            environment={"AGENTNB_HISTORY": history_url},
        )
        parents, childs, last = done.stdout.split()
        assert keys(history_store) == {parents, childs, last}
        assert recorded(history_store, childs).content["prompt"] == "child"
        # The child's copy of the run is not what became of it.
        assert status_of(history_store, parents) == "cancelled"
        row_of = {row["key"]: row["process"] for row in rows(history_store, run)}
        assert row_of[parents] == row_of[last] != row_of[childs]

    def test_a_child_of_multiprocessing_writes_at_its_end(
        self, history_store: Store, history_url: str
    ) -> None:
        done = python(
            ENDLESS
            + """
import multiprocessing

def work(queue):
    queue.put(agentnb.agent(brief).run("child").local_id)

context = multiprocessing.get_context("fork")
queue = context.SimpleQueue()
agentnb.agent(brief).run("parent")
assert flush(30)
child = context.Process(target=work, args=(queue,))
child.start()
key = queue.get()
child.join()
assert child.exitcode == 0
print(key)
""",
            environment={"AGENTNB_HISTORY": history_url},
        )
        assert status_of(history_store, done.stdout.strip()) == "completed"


def test_a_live_run_keeps_its_process_seen(history_store: Store, history_url: str) -> None:
    """As long as a run goes on, though nothing comes."""
    one = child(
        history_store,
        history_url,
        """
from agentnb.store import recorder
recorder.HEARTBEAT = 0.1
run = going()
assert flush(30)
print(run.local_id)
sys.stdin.read()
""",
    )
    with one:
        try:
            key = told(one)
            id_ = recorded(history_store, key).run["process"]

            def seen() -> int:
                return next(p["seen_at"] for p in processes(history_store) if p["id"] == id_)

            first = seen()
            until(lambda: seen() > first)
        finally:
            os.kill(one.pid, signal.SIGKILL)
