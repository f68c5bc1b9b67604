"""`%agent attach`, and where the history is, in a real kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.notebook.conftest import Kernel, running_kernel

# An agent of the sandbox that waits; its run is begun past this package's own list of runs.
SETUP = """
import asyncio, threading
from agentnb import _loop
from agentnb.platforms.base import RunRequest

gate = threading.Event()

@agentnb.sandbox.agent("halfway")
async def halfway_function(prompt):
    yield "Before. "
    while not gate.is_set():
        await asyncio.sleep(0.01)
    yield "After."

del halfway_function
remote = agentnb.agent("operativus:halfway", base_url="sandbox")

def begin():
    gate.clear()
    client = remote.platform
    return _loop.wait(client.start_background(RunRequest(agent="halfway", prompt="Go")))

def open_soon():
    threading.Timer(0.5, gate.set).start()
"""


@pytest.fixture(scope="module")
def notebook() -> Iterator[Kernel]:
    with running_kernel() as kernel:
        assert kernel.run(SETUP).ok
        yield kernel


def test_a_run_on_a_platform_is_shown_live(notebook: Kernel) -> None:
    assert notebook.run("begun = begin()\nopen_soon()").ok
    cell = notebook.run(
        "get_ipython().run_line_magic('agent', "
        "f'attach {begun.id} remote --session {begun.session_id}')"
    )
    assert cell.ok, cell.reply
    assert cell.of("display_data")
    (replaced,) = cell.of("update_display_data")
    assert replaced["data"]["text/plain"].startswith("Before. After.")
    assert notebook.run("print(_.id == begun.id, _.via, _.status)").stdout == (
        "True attach completed\n"
    )


def test_it_goes_on_in_the_background(notebook: Kernel) -> None:
    assert notebook.run("begun = begin()").ok
    cell = notebook.run(
        "get_ipython().run_line_magic('agent', "
        "f'attach {begun.id} remote --session {begun.session_id} --bg')"
    )
    assert cell.ok, cell.reply
    assert notebook.run("joined = _\nprint(joined.done)").stdout == "False\n"
    assert notebook.run("gate.set()\nprint(joined.wait(20).text)").stdout == "Before. After.\n"


def test_agent_and_session_come_from_the_history(notebook: Kernel) -> None:
    code = (
        "from agentnb.store import recent\n"
        "gate.set()\n"
        "done = remote.run('Go')\n"
        "agentnb.history.flush()\n"
        "kept = [run for run in recent._runs if run is not done]\n"
        "recent._runs.clear(); recent._runs.extend(kept)\n"
        "from agentnb.notebook import attach as attaching\n"
        "class Named:\n"
        "    def agent(self, options):\n"
        "        print(options.agent)\n"
        "        return remote\n"
        "from agentnb.notebook.options import CellOptions\n"
        "agent, session = attaching._agent_and_session(Named(), done.id, CellOptions(), None)\n"
        "print(session == done.session_id)"
    )
    cell = notebook.run(code)
    assert cell.stdout == "operativus:halfway\nTrue\n", cell.reply


def test_a_run_of_this_kernel_is_shown_again(notebook: Kernel) -> None:
    assert notebook.run("%%agent greeter -q -o mine\nyou").ok
    cell = notebook.run("get_ipython().run_line_magic('agent', f'attach {mine.id}')")
    assert cell.ok, cell.reply
    shown = [*cell.of("display_data"), *cell.of("update_display_data")][-1]
    assert shown["data"]["text/plain"].startswith("Hello **you**")
    assert notebook.run("print(_ is mine)").stdout == "True\n"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("%agent attach", "needs the id of a run"),
        ("%agent attach run_of_nobody", "The history has no run 'run_of_nobody'"),
        ("%agent attach run_of_nobody greeter", "local does not take requests to attach to a run"),
        ("%agent attach run_elsewhere", "is one of a Python function in another process"),
        ("%agent attach run_of_nobody --sesion s", "Did you mean '--session'?"),
    ],
)
def test_what_cannot_be_joined_says_what_to_do(notebook: Kernel, line: str, says: str) -> None:
    if "elsewhere" in line:
        # As though it were of another process.
        kept = (
            "from agentnb.store import recent\n"
            "elsewhere = agentnb.agent(lambda prompt: 'x').run('q').id\n"
            "agentnb.history.flush()\n"
            "recent._runs.pop()\n"
            "print(elsewhere)"
        )
        line = line.replace("run_elsewhere", notebook.run(kept).stdout.strip())
    cell = notebook.run(line)
    assert cell.reply["status"] == "error"
    assert says in cell.reply["evalue"]


def test_it_is_completed_and_in_the_help(notebook: Kernel) -> None:
    notebook.run("%%agent slow --bg -o going\nx")
    code = (
        "from agentnb.notebook.completion_choices import complete\n"
        "print(going.id in complete('%agent attach '), 'attach' in complete('%agent '),\n"
        "      'remote' in complete(f'%agent attach {going.id} '),\n"
        "      '--session' in complete(f'%agent attach {going.id} remote --'))\n"
        "going.cancel()\n"
    )
    assert notebook.run(code).stdout == "True True True True\n"
    shown = notebook.run("%agent help").result["text/plain"]
    assert "%agent attach RUN" in shown


def test_the_configuration_says_where_the_history_is(notebook: Kernel) -> None:
    shown = notebook.run("%agent config").result["text/plain"]
    where = notebook.run("print(agentnb.history.path)").stdout.strip()
    assert f"History: {where} (by " in shown
    code = (
        "agentnb.history.use('off')\n"
        "print(agentnb.history.path)\n"
        "print(repr(get_ipython().run_line_magic('agent', 'config')))\n"
        "agentnb.history.use('postgresql://me:canary@db.example/team?password=canary')\n"
        "print(agentnb.history.path)\n"
        "print(repr(get_ipython().run_line_magic('agent', 'config')))\n"
        "agentnb.history.use(None)"
    )
    said = notebook.run(code).stdout
    assert said.startswith("None\n")
    assert "History: off: runs are not kept (by use())" in said
    assert "\npostgresql+psycopg://me@db.example/team\n" in said
    assert "History: postgresql+psycopg://me@db.example/team (by use())" in said
    assert "canary" not in said


def test_the_history_lists_its_public_names(notebook: Kernel) -> None:
    code = "print(dir(agentnb.history) == sorted(agentnb.history.__all__), dir(agentnb.history))"
    said = notebook.run(code).stdout
    assert said.startswith("True ")
    assert "'path'" in said
    assert "recorder" not in said
