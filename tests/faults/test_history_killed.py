"""Kernels killed in the middle of writing: what they were told is written stays."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import func, select

from agentnb.event.serialization import decode
from agentnb.event.types import Event, TextDelta
from agentnb.store.interruption import mark_interrupted
from agentnb.store.schema import event_chunk, run
from agentnb.store.store import Store
from tests.children import spawn
from tests.history.recorded import rows

pytestmark = pytest.mark.slow

KILLS = {"sqlite": 200, "postgresql": 60}
WRITERS = 4
# Seconds of killing.
ENOUGH = 80.0
LONG = 60.0

# Has everything loaded, and begins a writer for each line that it reads: so many, each with an
# interpreter of its own to load, would take minutes.
NURSERY = """
import os, signal, sys, time
import agentnb
import alembic.command, sqlalchemy.dialects.postgresql, sqlalchemy.dialects.sqlite
from agentnb.store import migrations, opening, store, transactions
from agentnb.store.recorder import flush

def counting(prompt):
    for number in range(150):
        yield f"{number} "
        time.sleep(0.0005)

def write_for_ever():
    agent = agentnb.agent(counting)
    while True:
        run = agent.start("count")
        over = False
        while not over:
            over, events = run.done, len(run.events)
            if flush(30):
                os.write(1, f"{os.getpid()} {run.local_id} {events} {int(over)}\\n".encode())
            # Writers that never rest would mostly wait for each other.
            time.sleep(0.005)

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in sys.stdin:
    if not os.fork():
        try:
            write_for_ever()
        finally:
            os._exit(1)
"""


@dataclass
class Writers:
    """Processes that write, and what they were told is written."""

    nursery: subprocess.Popen[str]
    # Of each run: how many of its events, and whether it was told to be over.
    acknowledged: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    over: set[str] = field(default_factory=set[str])
    # Of each process: how often it was told something.
    told: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))

    def begin(self) -> None:
        assert self.nursery.stdin is not None
        self.nursery.stdin.write("another\n")
        self.nursery.stdin.flush()

    def listen(self) -> None:
        assert self.nursery.stdout is not None
        for line in self.nursery.stdout:
            pid, key, events, over = line.split()
            self.acknowledged[key] = max(self.acknowledged[key], int(events))
            if int(over):
                self.over.add(key)
            self.told[int(pid)] += 1


@contextmanager
def writing(url: str) -> Generator[Writers]:
    os.environ["AGENTNB_HISTORY"] = url
    try:
        nursery = spawn(NURSERY)
    finally:
        del os.environ["AGENTNB_HISTORY"]
    writers = Writers(nursery)
    listening = threading.Thread(target=writers.listen)
    listening.start()
    try:
        yield writers
    finally:
        # It and all that it began are a group of their own.
        os.killpg(nursery.pid, signal.SIGKILL)
        nursery.wait(LONG)
        listening.join(LONG)
        for pipe in (nursery.stdin, nursery.stdout, nursery.stderr):
            assert pipe is not None
            pipe.close()


@contextmanager
def reading(store: Store) -> Generator[list[int]]:
    """Read all the time; what each read found is given back, and no read fails."""
    found: list[int] = []
    failed: list[BaseException] = []
    over = threading.Event()

    def read() -> None:
        try:
            while not over.wait(0.02):
                with store.connect() as connection:
                    count = connection.execute(select(func.count()).select_from(run)).scalar_one()
                    newest = select(event_chunk.c.payload).order_by(event_chunk.c.run).limit(20)
                    for payload in connection.execute(newest).scalars():
                        decode(payload)
                    found.append(count)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join(LONG)
    assert not failed, failed


def events_of(store: Store) -> dict[str, list[Event]]:
    """The events of every run, whose chunks follow each other."""
    events: defaultdict[str, list[Event]] = defaultdict(list)
    for chunk in sorted(rows(store, event_chunk), key=lambda row: (row["run"], row["first"])):
        assert chunk["first"] == len(events[chunk["run"]])
        events[chunk["run"]] += decode(chunk["payload"])[0]
    return events


def test_nothing_acknowledged_is_lost(history_store: Store, history_url: str) -> None:
    kills = KILLS[history_store.dialect]
    seed = random.SystemRandom().randrange(2**32)
    sys.stdout.write(f"the moments of the kills are those of the seed {seed}\n")
    chance = random.Random(seed)
    killed: set[int] = set()
    with writing(history_url) as writers, reading(history_store) as reads:
        for _ in range(WRITERS):
            writers.begin()
        until = time.monotonic() + ENOUGH
        # A machine that is busy with other things makes fewer of them.
        while len(killed) < (kills if time.monotonic() < until else kills // 5):
            assert writers.nursery.poll() is None
            for pid, told in list(writers.told.items()):
                # Some soon after they began, and some later.
                if pid not in killed and told > chance.choice((0, 0, 1, 4)):
                    time.sleep(chance.random() * 0.004)
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
                    writers.begin()
            time.sleep(0.001)
    sys.stdout.write(f"{len(killed)} kills, {len(reads)} reads\n")
    assert len(reads) > 10
    assert reads == sorted(reads)

    found = events_of(history_store)
    assert len(writers.acknowledged) >= WRITERS
    for key, count in writers.acknowledged.items():
        assert len(found[key]) >= count
    for events in found.values():
        told = [event.text for event in events if isinstance(event, TextDelta)]
        assert told == [f"{number} " for number in range(len(told))]
    mark_interrupted(history_store, every=0)
    for row in rows(history_store, run):
        assert row["events"] == len(found[row["key"]])
        assert row["status"] in ("completed", "interrupted")
        if row["key"] in writers.over:
            assert row["status"] == "completed"
    assert {row["status"] for row in rows(history_store, run)} >= {"interrupted"}
    check(history_store)


def check(store: Store) -> None:
    if store.dialect == "sqlite":
        with store.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").first() is None
        assert isinstance(store.path, Path)
        assert [p for p in store.path.parent.iterdir() if p.name.startswith("history")]
