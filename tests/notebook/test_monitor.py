"""`agentnb.monitor` in a real kernel: live where somebody looks, a look at once elsewhere."""

from __future__ import annotations

from agentnb.notebook.monitor import monitor
from tests.notebook.conftest import Kernel

WIDGET = "application/vnd.jupyter.widget-view+json"


def test_it_is_live_where_somebody_looks(kernel: Kernel) -> None:
    cell = kernel.run("watched = agentnb.monitor([slow.start('one'), slow.start('two')])\nwatched")
    (shown,) = cell.of("display_data")
    assert WIDGET in shown["data"]
    assert shown["data"]["text/html"].count("local:slow") == 2
    began = kernel.run(
        "import time\n"
        "while 'queued' in (states := [row.status for row in watched.rows()]): time.sleep(0.02)\n"
        "print(watched.done, states)"
    )
    assert began.stdout == "False ['running', 'running']\n"
    ended = kernel.run(
        "%agent stop\nimport time\n"
        "while not watched.done: time.sleep(0.02)\n"
        "print([row.status for row in watched.rows()], watched.requests)"
    )
    assert ended.stdout == "['cancelled', 'cancelled'] 0\n", ended.messages


def test_unattended_it_looks_once_and_asks_platforms_that_it_has_to(kernel: Kernel) -> None:
    cell = kernel.run(
        """
        here = agentnb.sandbox.start()
        def finance(**more):
            return agentnb.agent(
                "operativus:finance_agent",
                base_url=here.base_url("operativus"), api_key=here.api_key, **more,
            )
        known = finance().run("What is the current NVDA stock price?", check=False)
        elsewhere = finance(deadlines=agentnb.Deadlines(idle=98))
        going = slow.start("one")
        looked = agentnb.monitor([going, (elsewhere, known.id)])
        looked
        """,
        attended=False,
    )
    (shown,) = cell.of("display_data")
    going, known = shown["data"]["text/plain"].splitlines()[1:]
    assert "local:slow" in going
    assert "running" in going
    assert "operativus:finance_agent" in known
    assert "completed" in known
    told = kernel.run("print(looked.requests, looked.done); going.cancel()")
    assert told.stdout == "1 True\n"


def test_what_names_no_run_is_said(kernel: Kernel) -> None:
    cell = kernel.run("agentnb.monitor(['run_of_nobody'])")
    assert cell.reply["ename"] == "RequestError"
    assert "whose" in cell.reply["evalue"].lower()


def test_a_lone_id_is_a_run_and_a_lone_name_an_agent(kernel: Kernel) -> None:
    for unknown in ("'run_of_nobody'", "['run_of_nobody']"):
        cell = kernel.run(f"agentnb.monitor({unknown})")
        assert cell.reply["ename"] == "RequestError", unknown
        assert cell.reply["evalue"].count(" is") == 2
        assert 'agent="platform:agent"' in cell.reply["evalue"]
    told = kernel.run(
        "known = greeter.run('two')\n"
        "print([r.key == known.local_id for r in agentnb.monitor(known.id).rows()])\n"
        "print(agentnb.monitor('finance_agent').rows())"
    )
    assert told.stdout == "[True]\n[]\n", told.messages


def test_a_table_of_runs_is_watched(kernel: Kernel) -> None:
    told = kernel.run(
        "greeter.run('three')\n"
        "watched = agentnb.monitor(agentnb.runs(agent='greeter', limit=2))\n"
        "print([row.status for row in watched.rows()], watched.requests)"
    )
    assert told.stdout == "['completed', 'completed'] 0\n", told.messages


def test_by_default_it_is_what_goes_on(kernel: Kernel) -> None:
    told = kernel.run(
        "going = slow.start('one')\ndone = greeter.run('two')\n"
        "rows = agentnb.monitor().rows()\n"
        "print([row.key == going.local_id for row in rows])\ngoing.cancel()"
    )
    assert told.stdout == "[True]\n"


def test_in_a_terminal_it_is_text() -> None:
    empty = monitor([])
    assert repr(empty) == "No runs."
    assert "No runs." in empty._repr_html_()  # pyright: ignore[reportPrivateUsage]
