"""What the first cell of a notebook leaves as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

from tests.notebook.conftest import Kernel

ASKED = '%%agent sandbox:echo -q\n{"text": "hi"}'


@pytest.fixture
def fresh() -> Iterator[Kernel]:
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        kernel = Kernel(client, manager.interrupt_kernel)
        assert kernel.run("%load_ext agentnb").ok
        yield kernel
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def told(kernel: Kernel, expression: str) -> Any:
    cell = kernel.run(f"import gc, json, sys, threading; print(json.dumps({expression}))")
    assert cell.ok, cell.reply
    return json.loads(cell.stdout)


def test_the_garbage_collector_is_on_afterwards(fresh: Kernel) -> None:
    assert fresh.run(ASKED).ok
    assert told(fresh, "[gc.isenabled(), gc.get_freeze_count()]") == [True, 0]


def test_a_first_cell_that_fails_leaves_it_on_too(fresh: Kernel) -> None:
    assert not fresh.run("%%agent nobody:nothing\nhi").ok
    assert told(fresh, "gc.isenabled()") is True
    assert fresh.run(ASKED).ok
