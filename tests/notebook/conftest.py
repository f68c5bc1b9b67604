"""A real kernel to run cells in, with or without somebody at the frontend."""

from __future__ import annotations

import os
import queue
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

# Where the threads of a kernel are is written to a file when it gets this signal.
STACKS = """
import faulthandler, signal
faulthandler.register(signal.SIGUSR1, file=open({path!r}, "w"), all_threads=True)
"""
SETUP = """
%load_ext agentnb
import agentnb, asyncio

async def greeter(prompt):
    yield "Hello "
    await asyncio.sleep(0.05)
    yield "**" + prompt + "**"

async def slow(prompt):
    for number in range(300):
        yield f"{number} "
        await asyncio.sleep(0.1)

def broken(prompt):
    yield "so far so "
    raise ValueError("the tool broke")

greeter, slow, broken = map(agentnb.agent, (greeter, slow, broken))
"""


@dataclass
class Cell:
    """What running a cell brought."""

    reply: dict[str, Any]
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list[Any])

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [content for name, content in self.messages if name == kind]

    @property
    def stdout(self) -> str:
        return "".join(c["text"] for c in self.of("stream") if c["name"] == "stdout")

    @property
    def result(self) -> dict[str, Any]:
        (found,) = self.of("execute_result")
        return found["data"]

    @property
    def ok(self) -> bool:
        return self.reply["status"] == "ok"


class Kernel:
    """A kernel that runs; ``stacks`` returns what each of its threads does."""

    def __init__(
        self,
        client: BlockingKernelClient,
        interrupt: Callable[[], None],
        stacks: Callable[[], str] = str,
    ) -> None:
        self.client = client
        self.interrupt = interrupt
        self._stacks = stacks
        self._earlier: set[str] = set()

    def run(
        self,
        code: str,
        *,
        attended: bool = True,
        interrupt_at: Callable[[str, dict[str, Any]], bool] | None = None,
        timeout: float = 120,
    ) -> Cell:
        """Run a cell, and interrupt it once ``interrupt_at`` returns true for one of its messages.

        Late messages of earlier cells, such as the last updates of a widget, are not passed to it.
        """
        sent = self.client.execute(code, allow_stdin=attended, stop_on_error=True)
        messages: list[tuple[str, dict[str, Any]]] = []
        end = time.monotonic() + timeout
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=1)
            except queue.Empty:
                if time.monotonic() > end:
                    # Not in the message, which the summary of all failures repeats.
                    sys.stdout.write(f"{messages[-5:]}\n{self._stacks()}\n")
                    # For the tests that use this kernel next.
                    self.interrupt()
                    pytest.fail(f"the cell hangs: {code!r}")
                continue
            kind, content = message["header"]["msg_type"], message["content"]
            messages.append((kind, content))
            parent = message["parent_header"].get("msg_id")
            if interrupt_at and parent not in self._earlier and interrupt_at(kind, content):
                interrupt_at = None
                self.interrupt()
            if parent == sent and kind == "status" and content["execution_state"] == "idle":
                break
        self._earlier.add(sent)
        while True:
            reply = self.client.get_shell_msg(timeout=timeout)
            if reply["parent_header"].get("msg_id") == sent:
                break
        if reply["content"]["status"] == "aborted":
            # Nothing was run: after an error a kernel drops for a moment what comes, for it may
            # have been queued behind the cell that failed.
            assert time.monotonic() < end, f"the kernel takes no cell: {code}"
            return self.run(code, attended=attended, interrupt_at=interrupt_at, timeout=timeout)
        return Cell(reply["content"], messages)


@contextmanager
def running_kernel() -> Generator[Kernel]:
    """Start a kernel with the extension loaded, and end it after the block."""
    manager, client = start_new_kernel(kernel_name="python3")
    handle, path = tempfile.mkstemp(prefix="stacks-")
    os.close(handle)

    def stacks() -> str:
        manager.signal_kernel(signal.SIGUSR1)
        time.sleep(1)
        return Path(path).read_text("utf-8")

    try:
        running = Kernel(client, manager.interrupt_kernel, stacks)
        assert running.run(STACKS.format(path=path) + SETUP).ok
        yield running
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        Path(path).unlink()


@pytest.fixture(scope="package")
def kernel() -> Iterator[Kernel]:
    with running_kernel() as running:
        yield running
