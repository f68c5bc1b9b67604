"""A replay as a cell's value: live where somebody looks on, whole where nobody does."""

from __future__ import annotations

from tests.notebook.conftest import Kernel

VIEW = "application/vnd.jupyter.widget-view+json"


def test_it_shows_live_and_the_cell_is_not_held_up(kernel: Kernel) -> None:
    assert kernel.run("%%agent greeter -o answer\nyou").ok
    cell = kernel.run("agentnb.replay(answer, speed=0.001)")
    (shown,) = cell.of("display_data")
    assert VIEW in shown["data"]
    # It goes on after the cell, and can be stopped.
    stopped = kernel.run("_.cancel(); _.wait(check=False).status")
    assert stopped.result["text/plain"] == "'cancelled'"
    assert kernel.run("answer.status").result["text/plain"] == "'completed'"


def test_it_shows_whole_where_nobody_looks_on(kernel: Kernel) -> None:
    assert kernel.run("%%agent greeter -o answer\nyou").ok
    cell = kernel.run("agentnb.replay(answer.local_id)", attended=False)
    (shown,) = cell.of("display_data")
    assert set(shown["data"]) == {"text/plain", "text/html"}
    assert "Hello <strong>you</strong>" in shown["data"]["text/html"]
    assert "completed" in shown["data"]["text/plain"]
    assert not cell.of("comm_open")


def test_a_run_of_another_kernel_is_shown_from_the_history(kernel: Kernel) -> None:
    assert kernel.run("%%agent greeter -o answer\nyou").ok
    kernel.run("key = answer.local_id; agentnb.history.flush()")
    # As a kernel finds it that has just begun.
    kernel.run("from agentnb.store import recent; recent._runs.clear()")
    cell = kernel.run("agentnb.replay(key, speed=0).wait().text")
    assert cell.result["text/plain"] == "'Hello **you**'"
    assert kernel.run("agentnb.history.load(key)").result["text/plain"].startswith("Hello **you**")
