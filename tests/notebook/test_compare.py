"""`agentnb.compare` in a real kernel."""

from __future__ import annotations

from tests.children import python
from tests.notebook.conftest import Kernel

VIEW = "application/vnd.jupyter.widget-view+json"


def test_an_attended_cell_shows_a_live_widget_that_becomes_a_static_output(kernel: Kernel) -> None:
    cell = kernel.run('compared = agentnb.compare([greeter, broken, "echo"], "you")\ncompared')
    (shown,) = cell.of("display_data")
    assert VIEW in shown["data"]
    # The cell returned at once; the output is replaced when the last agent has ended.
    waiting = kernel.run("compared.wait(check=False)\nawait asyncio.sleep(0.5)")
    assert waiting.ok
    (replaced,) = [*cell.of("update_display_data"), *waiting.of("update_display_data")]
    assert shown["transient"]["display_id"] == replaced["transient"]["display_id"]
    assert set(replaced["data"]) == {"text/plain", "text/html"}
    assert "Hello <strong>you</strong>" in replaced["data"]["text/html"]
    assert "ValueError: the tool broke" in replaced["data"]["text/html"]
    assert replaced["data"]["text/plain"].startswith("── greeter ──")


def test_the_answers_stream_together(kernel: Kernel) -> None:
    cell = kernel.run(
        'both = agentnb.compare([slow, slow], "x")\n'
        "display(both)\n"
        "while not all(len(run.text) > 8 for run in both.runs):\n"
        "    await asyncio.sleep(0.05)\n"
        "both.cancel()\n"
        "print(both.wait(check=False), both.labels)\n"
        "await asyncio.sleep(0.3)"
    )
    assert cell.stdout == "<Comparison of 2 agents: 2 cancelled> ['slow', 'slow (2)']\n"
    told = [
        content["data"]["content"]
        for content in cell.of("comm_msg")
        if content["data"].get("content", {}).get("type") == "run"
    ]
    assert {message["turn"] for message in told} == {"r0", "r1"}
    # Neither waited for the other.
    turns = [message["turn"] for message in told]
    assert turns.index("r1") < len(turns) - 1 - turns[::-1].index("r0")


def test_an_unattended_cell_waits_and_leaves_one_output(kernel: Kernel) -> None:
    cell = kernel.run('agentnb.compare([greeter, broken], "you")', attended=False)
    assert cell.ok
    (shown,) = cell.of("display_data")
    assert set(shown["data"]) == {"text/plain", "text/html"}
    assert "Hello <strong>you</strong>" in shown["data"]["text/html"]
    assert not cell.of("comm_open")
    assert not cell.of("update_display_data")


def test_one_that_has_ended_is_shown_without_a_widget(kernel: Kernel) -> None:
    cell = kernel.run('agentnb.compare([greeter, greeter], "you").wait()')
    (shown,) = cell.of("display_data")
    assert set(shown["data"]) == {"text/plain", "text/html"}


def test_an_interrupt_of_a_cell_that_waits_stops_all(kernel: Kernel) -> None:
    # Said while the cell waits already, not just before it does.
    cell = kernel.run(
        "import threading\n"
        'both = agentnb.compare([slow, slow], "x")\n'
        'threading.Timer(0.5, print, ["asked"], {"flush": True}).start()\n'
        "both",
        attended=False,
        interrupt_at=lambda kind, content: kind == "stream",
    )
    assert cell.reply["ename"] == "KeyboardInterrupt"
    after = kernel.run("print(both.wait(check=False))")
    assert after.stdout == "<Comparison of 2 agents: 2 cancelled>\n"


def test_one_that_cannot_be_asked_is_one_readable_error(kernel: Kernel) -> None:
    cell = kernel.run('agentnb.compare([greeter, "nowhere:agent"], "you")')
    assert cell.reply["ename"] == "ConfigError"
    assert "nowhere" in cell.reply["evalue"]


def test_in_a_terminal_it_is_text() -> None:
    done = python(
        """
        from IPython.core.interactiveshell import InteractiveShell
        shell = InteractiveShell.instance()
        shell.run_cell('import agentnb; agentnb.compare([str.upper, str.lower], "You")')
        """
    )
    assert "── upper ──\nYOU\n" in done.stdout
    assert "── lower ──\nyou\n" in done.stdout
    assert "Agent " in done.stdout


def test_without_ipython_it_is_not_imported() -> None:
    done = python(
        """
        import sys
        import agentnb
        made = agentnb.compare([str.upper, str.lower], "You").wait()
        print(made, [run.text for run in made.runs], "IPython" in sys.modules)
        """
    )
    assert done.stdout == "<Comparison of 2 agents: 2 completed> ['YOU', 'you'] False\n"
