"""The progress of a map in a kernel, by its messages."""

from __future__ import annotations

import time
from typing import Any

from agentnb.notebook.progress import progress_display
from tests.notebook.conftest import Cell, Kernel


def shown(cell: Cell) -> list[dict[str, Any]]:
    kinds = ("display_data", "update_display_data")
    return [content["data"] for kind, content in cell.messages if kind in kinds]


def test_it_is_updated_four_times_a_second_at_most(kernel: Kernel) -> None:
    kernel.run("async def pausing(p):\n    await asyncio.sleep(0.05)\n    return p")
    began = time.monotonic()
    cell = kernel.run("table = agentnb.agent(pausing).map(range(40), '{{item}}', concurrency=2)")
    took = time.monotonic() - began
    said = shown(cell)
    # The first one, and what is said at the end, come beside the others.
    assert 2 < len(said) <= 4 * took + 3
    assert said[-1]["text/plain"].startswith("local:pausing · ✓ 40 rows · ")
    assert "<progress" in said[0]["text/html"]
    assert "<progress" not in said[-1]["text/html"]


def test_a_name_is_text_on_one_line_and_bounded(kernel: Kernel) -> None:
    kernel.run(
        "def odd(p):\n    return p\n"
        "odd.__name__ = odd.__qualname__ = '<img src=x>\\u202e' + 'long' * 1000"
    )
    for data in shown(kernel.run("table = agentnb.agent(odd).map(['a'])")):
        assert "<img" not in data["text/html"]
        assert "&lt;img src=x&gt;" in data["text/html"]
        assert "\u202e" not in data["text/html"] + data["text/plain"]
        assert len(data["text/html"]) < 1_000
        assert "\n" not in data["text/plain"]


def test_it_can_be_left_out(kernel: Kernel) -> None:
    cell = kernel.run("table = greeter.map(['a'], progress=False)")
    assert cell.ok
    assert shown(cell) == []


def test_plain_python_has_no_notebook() -> None:
    assert progress_display("finance_agent") is None
