"""A store that is open while processes are forked: each writes its own rows, and none is lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.children import python
from tests.played import until

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")

# From Python 3.12 on, of forking a process that has threads.
QUIET = ("-W", "ignore::DeprecationWarning")

START = """
import os, sys, threading
import agentnb
from agentnb.store.processes import process_id
from agentnb.store.recorder import flush
from agentnb.store.schema import run
from agentnb.store.store import store

def brief(prompt):
    yield "all"

agent = agentnb.agent(brief)

def work(name, count):
    for number in range(count):
        agent.run(f"{name} {number}")
    assert flush(30)

def forked(work):
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    return child

def exit_code(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""

COUNT = """
from sqlalchemy import func, select

from agentnb.store.schema import run
from agentnb.store.store import store

with store(required=True).connect() as connection:
    print(connection.execute(select(func.count()).select_from(run)).scalar())
    if connection.dialect.name == "sqlite":
        print(connection.exec_driver_sql("PRAGMA integrity_check").scalar())
"""


def test_both_sides_write_at_once(history_url: str) -> None:
    environment = {"AGENTNB_HISTORY": history_url}
    python(
        START
        + """
work("before", 3)
children = []
for name in "abc":
    # The recorder is writing while the process forks.
    agent.run("between")
    children.append(forked(lambda: work(name, 20)))
work("parent", 20)
assert [exit_code(child) for child in children] == [0, 0, 0]
work("after", 1)
""",
        *QUIET,
        environment=environment,
    )
    assert python(COUNT, environment=environment).stdout.split()[0] == str(3 + 3 + 60 + 20 + 1)


def test_a_child_that_outlives_its_parent_loses_no_row(tmp_path: Path) -> None:
    """The parent closes the file as its last user, as far as the system knows."""
    environment = {"AGENTNB_HISTORY": str(tmp_path / "runs.sqlite")}
    python(
        START
        + """
work("parent", 2)
read, write = os.pipe()
told, tell = os.pipe()

def outlive():
    work("child", 1)
    os.write(write, b"!")
    os.close(tell)
    os.read(told, 1)  # until the parent is gone
    work("child", 5)
    open(os.environ["DONE"], "w").close()

forked(outlive)
assert os.read(read, 1) == b"!"
""",
        *QUIET,
        environment={**environment, "DONE": str(tmp_path / "done")},
    )
    until(lambda: (tmp_path / "done").exists())
    assert python(COUNT, environment=environment).stdout.split() == ["8", "ok"]


def test_a_thread_reads_while_another_forks(history_url: str) -> None:
    environment = {"AGENTNB_HISTORY": history_url}
    python(
        START
        + """
work("before", 5)
over = threading.Event()
problems = []

def read():
    try:
        while not over.is_set():
            assert len(agentnb.runs()) >= 5
            with store(required=True).connect() as connection:
                connection.execute(run.select()).all()
    except BaseException as error:
        problems.append(error)
        raise

threads = [threading.Thread(target=read) for _ in range(2)]
for thread in threads:
    thread.start()
children = [forked(lambda: work("child", 2)) for _ in range(8)]
codes = [exit_code(child) for child in children]
over.set()
for thread in threads:
    thread.join()
assert codes == [0] * 8, codes
assert not problems
""",
        *QUIET,
        environment=environment,
    )
    assert python(COUNT, environment=environment).stdout.split()[0] == "21"


def test_a_new_store_is_not_locked_while_alembic_is_imported(tmp_path: Path) -> None:
    """Workers that end at once would wait for it, and leave without their runs."""
    done = python(
        """
import os, sqlite3, sys
from importlib.abc import MetaPathFinder
from agentnb.store import store

class Finder(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "alembic":
            other = sqlite3.connect(PATH, timeout=0, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            other.close()
            print("free")
        return None

PATH = os.environ["AGENTNB_HISTORY"]
sys.meta_path.insert(0, Finder())
assert store.store(required=True).url
""",
        environment={"AGENTNB_HISTORY": str(tmp_path / "new.sqlite")},
    )
    assert set(done.stdout.split()) == {"free"}


@pytest.mark.slow
def test_a_worker_that_ends_waits_for_a_store_that_is_busy(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    done = python(
        START
        + """
import multiprocessing, sqlite3, time

def ask(number):
    return agent.run(f"child {number}").local_id

other = sqlite3.connect(os.environ["AGENTNB_HISTORY"], isolation_level=None)
pool = multiprocessing.get_context("fork").Pool(2)
work("parent", 1)
other.execute("BEGIN IMMEDIATE")
keys = pool.map(ask, range(4))
pool.close()
time.sleep(6)
other.execute("ROLLBACK")
pool.join()
assert set(keys) <= set(agentnb.runs().local_id), keys
""",
        *QUIET,
        environment={"AGENTNB_HISTORY": str(path)},
    )
    assert done.returncode == 0
