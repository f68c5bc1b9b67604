"""Forked processes that use their parent's agents: each gets its own answers, and no others."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from agentnb.sandbox import Sandbox
from tests.children import python
from tests.http.conftest import BOTH

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")

# From Python 3.12 on, of forking a process that has threads.
QUIET = ("-W", "ignore::DeprecationWarning")

KEY = SecretStr("the-sandboxes-key")

AGENT = """
import os, sys, threading
import agentnb

agent = agentnb.agent("operativus:echo", base_url=os.environ["WHERE"], api_key=os.environ["KEY"])

def ask(name, count):
    for number in range(count):
        prompt = f"{name} {number}"
        text = agent.run(prompt).text
        assert text == prompt, (prompt, text)
"""

FORK = """
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


@pytest.fixture(scope="module")
def sandbox() -> Generator[Sandbox]:
    with Sandbox(pace=0, api_key=KEY) as started:

        @started.agent
        def held(prompt: str) -> Iterator[str]:
            """Answer in two pieces, the second once the file named by the prompt exists."""
            yield "first "
            while not Path(prompt).exists():
                time.sleep(0.01)
            yield "second"

        yield started


@pytest.fixture(params=BOTH)
def surroundings(sandbox: Sandbox, request: pytest.FixtureRequest) -> dict[str, str]:
    return {
        "WHERE": sandbox.base_url("operativus"),
        "KEY": KEY.get_secret_value(),
        "AGENTNB_TRANSPORT": request.param,
        "AGENTNB_HISTORY": "off",
    }


def test_both_sides_ask_at_once(surroundings: dict[str, str]) -> None:
    python(
        AGENT
        + FORK
        + """
ask("first", 3)
children = [forked(lambda: ask(f"child {os.getpid()}", 60)) for _ in range(3)]
ask("parent", 60)
assert [exit_code(child) for child in children] == [0, 0, 0]
ask("last", 3)
""",
        *QUIET,
        environment=surroundings,
    )


def test_children_of_children_and_threads_that_ask(surroundings: dict[str, str]) -> None:
    python(
        AGENT
        + FORK
        + """
def parent_side():
    while not over.is_set():
        ask("thread", 1)

over = threading.Event()
thread = threading.Thread(target=parent_side)
thread.start()

def below():
    ask("child", 2)
    grandchild = forked(lambda: ask("grandchild", 20))
    ask("child again", 20)
    assert exit_code(grandchild) == 0

children = [forked(below) for _ in range(3)]
codes = [exit_code(child) for child in children]
over.set()
thread.join()
assert codes == [0, 0, 0]
ask("last", 3)
""",
        *QUIET,
        environment=surroundings,
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_pools_of_processes(surroundings: dict[str, str], method: str, tmp_path: Path) -> None:
    """Methods that pickle make the agent anew; with fork it is the parent's."""
    script = tmp_path / "script.py"
    script.write_text(
        AGENT
        + """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

def question(number):
    return agent.run(f"question {number}").text

def many(number):
    return list(agent.map([f"{number} {row}" for row in range(5)], progress=False)["answer"])

if __name__ == "__main__":
    ask("parent", 3)
    context = multiprocessing.get_context(sys.argv[1])
    wanted = [f"question {number}" for number in range(12)]
    with context.Pool(2) as pool:
        assert pool.map(question, range(12), chunksize=1) == wanted
        asked = pool.map_async(question, range(12), chunksize=1)
        ask("parent", 6)
        assert asked.get(30) == wanted
        assert pool.map(many, range(4)) == [[f"{n} {row}" for row in range(5)] for n in range(4)]
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        assert list(executor.map(question, range(6))) == wanted[:6]
    ask("parent", 3)
"""
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", *QUIET, str(script), method],
        env={**os.environ, **surroundings},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_run_that_streams_belongs_to_the_parent(
    surroundings: dict[str, str], tmp_path: Path
) -> None:
    """Neither its end nor anything else of it is touched by a child, however that ends."""
    python(
        AGENT
        + FORK
        + """
import asyncio, atexit, pathlib, time
held = agentnb.agent("operativus:held", base_url=os.environ["WHERE"], api_key=os.environ["KEY"])
run = held.start(os.environ["RELEASE"])
stream = held.stream(os.environ["RELEASE"])

async def first():
    return await anext(stream)

asyncio.run(first())
while not run.text:
    time.sleep(0.002)

def look(ends):
    assert run.done and run.status == "interrupted", run.status
    for wait in (run.wait, lambda: asyncio.run(run.wait_async()), lambda: asyncio.run(rest())):
        try:
            wait()
        except agentnb.errors.RunError as error:
            assert "forked" in str(error), error
        else:
            raise AssertionError("it ended well")
    run.cancel()
    ask("child", 2)
    ends()

async def rest():
    async for _ in stream:
        pass

children = [forked(lambda: look(lambda: None)), os.fork()]
if not children[1]:
    look(lambda: sys.exit(0))
assert [exit_code(child) for child in children] == [0, 0]
pathlib.Path(os.environ["RELEASE"]).touch()
assert run.wait(30).text == "first second", run.text
""",
        *QUIET,
        environment={**surroundings, "RELEASE": str(tmp_path / "release")},
    )


def test_the_parents_connections_end_with_the_parent(surroundings: dict[str, str]) -> None:
    """Not with a child that lives on: the platform sees at once that a run was left."""
    python(
        AGENT
        + FORK
        + """
import time
from agentnb.sandbox import Sandbox

def endless(prompt):
    while True:
        time.sleep(0.01)
        yield "."

with Sandbox(pace=0) as own:
    own.agent(endless)
    read, write = os.pipe()
    agent = agentnb.agent(
        "runtools:endless", base_url=own.base_url("runtools"), api_key=own.api_key
    )
    run = agent.start("q")
    while not run.text:
        time.sleep(0.002)

    def sleeps():
        os.close(write)
        os.read(read, 1)

    child = forked(sleeps)
    run.cancel()
    run.wait(check=False)
    end = time.monotonic() + 20
    while own.active_runs:
        assert time.monotonic() < end, "the server still sends"
        time.sleep(0.01)
    os.close(write)
    assert exit_code(child) == 0
""",
        *QUIET,
        environment=surroundings,
    )


def test_a_fork_within_a_lock_of_another_thread(surroundings: dict[str, str]) -> None:
    python(
        AGENT
        + FORK
        + """
from agentnb.run import clients

done = agent.run("done")
held, over = threading.Event(), threading.Event()

def hold():
    with done.lock, clients._lock:
        held.set()
        over.wait()

thread = threading.Thread(target=hold)
thread.start()
held.wait()

def work():
    ask("child", 3)
    assert done.lock.acquire(timeout=5)
    other = agentnb.agent("operativus:echo", base_url=os.environ["WHERE"], api_key="another")
    assert done.text == "done" and len(done.events) and other.name

child = forked(work)
code = exit_code(child)
over.set()
thread.join()
assert code == 0
""",
        *QUIET,
        environment=surroundings,
    )


@pytest.mark.parametrize(
    "module",
    [
        "agentnb.platforms.operativus.client",  # in the thread of the user
        "agentnb._http.transport",  # on the event loop
        "agentnb.store.store",  # in the thread that writes runs
        "agentnb.sandbox.dialects.base",  # in the thread of the sandbox
    ],
)
def test_a_fork_while_another_thread_imports(module: str, tmp_path: Path) -> None:
    """A child would wait for ever for the import of a thread that it does not have."""
    python(
        """
import os, signal, sys, threading, time
from importlib.abc import MetaPathFinder

importing, forking = threading.Event(), threading.Event()

class Finder(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == os.environ["MODULE"] and threading.current_thread() is not main:
            importing.set()
            forking.wait()
            time.sleep(0.2)
        return None

main = threading.current_thread()
sys.meta_path.insert(0, Finder())
"""
        + FORK
        + """
def ask(prompt):
    import agentnb

    with agentnb.sandbox.Sandbox(pace=0) as own:
        for platform in ("operativus", "runtools"):
            agent = agentnb.agent(
                f"{platform}:echo", base_url=own.base_url(platform), api_key=own.api_key
            )
            assert agent.run(prompt).text == prompt
    assert agentnb.history.flush(20)

def child():
    signal.alarm(60)
    ask("child")

def parent():
    try:
        ask("parent")
    except BaseException as error:
        problems.append(error)
        raise

problems = []
thread = threading.Thread(target=parent)
thread.start()
assert importing.wait(20)
forking.set()
code = exit_code(forked(child))
thread.join()
assert (code, problems) == (0, []), (code, problems)
""",
        *QUIET,
        environment={"MODULE": module, "AGENTNB_HISTORY": str(tmp_path / "runs.sqlite")},
    )
