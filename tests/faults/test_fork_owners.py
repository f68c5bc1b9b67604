"""What else a parent process owns, used in its forked children: servers, recordings, watches."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.children import python
from tests.faults.test_fork_requests import AGENT, FORK, QUIET

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")

SANDBOX = (
    """
import os
import agentnb
from agentnb.sandbox import Sandbox

sandbox = Sandbox(pace=0).start()
os.environ |= {"WHERE": sandbox.base_url("operativus"), "AGENTNB_HISTORY": "off"}
os.environ["KEY"] = sandbox.api_key.get_secret_value()
"""
    + AGENT
    + FORK
)


def test_a_sandbox_is_called_and_not_stopped_by_a_child() -> None:
    python(
        SANDBOX
        + """
url = sandbox.url

def call():
    assert not sandbox.is_running
    assert (sandbox.url, sandbox.base_url("runtools")) == (url, f"{url}/runtools")
    ask("child", 5)
    other = agentnb.agent(
        "runtools:echo", base_url=sandbox.base_url("runtools"), api_key=sandbox.api_key
    )
    assert other.run("other").text == "other"
    sandbox.stop()
    ask("child, after", 2)
    with sandbox:
        assert sandbox.url != url
        own = agentnb.agent(
            "runtools:echo", base_url=sandbox.base_url("runtools"), api_key=sandbox.api_key
        )
        assert own.run("own").text == "own"

ask("before", 2)
children = [forked(call), os.fork()]
if not children[1]:
    with sandbox:
        ask("child", 2)
    sys.exit(0)
assert [exit_code(child) for child in children] == [0, 0]
assert sandbox.is_running and sandbox.url == url
ask("parent", 5)
""",
        *QUIET,
    )


def test_the_default_sandbox_and_functions_answer_in_a_child() -> None:
    python(
        AGENT.replace(
            'agent = agentnb.agent("operativus:echo", base_url=os.environ["WHERE"], '
            'api_key=os.environ["KEY"])',
            'agent = agentnb.agent("echo")',
        )
        + FORK
        + """
import asyncio

def upper(prompt):
    yield prompt.upper()

async def lower(prompt):
    await asyncio.sleep(0)
    return prompt.lower()

functions = [agentnb.agent(upper), agentnb.agent(lower)]

def work():
    ask("child", 3)
    assert agentnb.agent("echo").run("own").text == "own"
    assert [each.run("Ab").text for each in functions] == ["AB", "ab"]
    assert list(functions[0].map(["a", "b"], progress=False)["answer"]) == ["A", "B"]

work()
children = [forked(work) for _ in range(2)]
ask("parent", 10)
assert [exit_code(child) for child in children] == [0, 0]
work()
""",
        *QUIET,
        environment={"AGENTNB_HISTORY": "off"},
    )


def test_a_recording_takes_in_the_runs_of_children_and_each_run_once(tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    python(
        SANDBOX
        + """
import json, pathlib, time

@sandbox.agent
def slow(prompt):
    for _ in range(20):
        time.sleep(0.05)
        yield "."

tape = agentnb.record(os.environ["TAPE"])
ask("parent", 2)
going = agentnb.agent("operativus:slow", base_url=os.environ["WHERE"], api_key=os.environ["KEY"])
run = going.start("slow")
while not run.text:
    time.sleep(0.002)
def taped(prompt):
    # A child that is forked ends at once, and a run is written a moment after it has ended.
    while prompt not in pathlib.Path(os.environ["TAPE"]).read_text():
        time.sleep(0.01)

def child():
    ask(f"child {os.getpid()}", 10)
    taped(f"child {os.getpid()} 9")

children = [forked(child), os.fork()]
if not children[1]:
    ask(f"child {os.getpid()}", 10)
    sys.exit(0)
ask("parent, too", 10)
assert [exit_code(child) for child in children] == [0, 0]
run.wait()
tape.stop()
entries = [json.loads(line) for line in open(os.environ["TAPE"])]
asked = [entry["asked"]["prompt"] for entry in entries if entry.get("entry") == "run"]
assert len(asked) == len(set(asked)) == 2 + 20 + 10 + 1, sorted(asked)
failures = [entry for entry in entries if entry.get("failure")]
assert not failures, failures
with agentnb.playback(os.environ["TAPE"]):
    assert agent.run("parent 1").text == "parent 1"
    child = forked(lambda: ask("parent, too", 3))
    assert exit_code(child) == 0
""",
        *QUIET,
        environment={"TAPE": str(path)},
    )


def test_a_watch_and_a_chat_go_on_in_a_child() -> None:
    python(
        SANDBOX
        + """
import asyncio, time
from agentnb.conversation import Conversation
from agentnb.monitoring import Watch

@sandbox.agent
def slow(prompt):
    for _ in range(15):
        time.sleep(0.05)
        yield "."

going = agentnb.agent("operativus:slow", base_url=os.environ["WHERE"], api_key=os.environ["KEY"])
run = going.start("slow")
while not run.transcript.run_id:
    time.sleep(0.002)
watch = Watch(run, interval=0.05).start()
chat = Conversation(agent)
chat.send("one").run.wait()

def work():
    rows = asyncio.run(asyncio.wait_for(watch.wait(), 10))
    assert [row.status for row in rows] == ["interrupted"], rows
    turn = chat.send("two")
    assert turn.run.wait().text == "two"

child = forked(work)
assert exit_code(child) == 0
assert chat.send("three").run.wait().text == "three"
assert [row.status for row in asyncio.run(asyncio.wait_for(watch.wait(), 10))] == ["completed"]
""",
        *QUIET,
    )
