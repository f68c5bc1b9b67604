"""A hundred runs in a real kernel: it answers other cells, and when it goes they all end."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Final

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from tests.faults.numbered import answering, reply
from tests.faults.rawserver import Connection, RawServer, Received, running
from tests.notebook.conftest import Kernel
from tests.played import until

MANY: Final = 100
# Prints how many runs went on, once all have.
MOVED: Final = """
before, end = [len(run.text) for run in runs], time.monotonic() + 30
while not all(moved := [len(r.text) > b for r, b in zip(runs, before)]):
    if time.monotonic() > end:
        break
    time.sleep(0.05)
print(sum(moved))
"""


class Platform:
    """Speaks as Operativus does, and never comes to an end; ``open`` counts its streams."""

    def __init__(self) -> None:
        self.open = 0

    async def answer(self, c: Connection, request: Received) -> None:
        if request.method != "POST":
            await reply(c, {})
            return
        number = request.json()["message"]
        await c.stream_head()
        self.open += 1
        gone = asyncio.ensure_future(c.gone())
        try:
            await c.chunk(b'event: START\ndata: {"runId":"r%s"}\n\n' % number.encode())
            while not gone.done():
                await c.chunk(b"event: CONTENT_DELTA\ndata: %s;\n\n" % number.encode())
                await asyncio.wait({gone}, timeout=0.1)
        finally:
            self.open -= 1
            gone.cancel()


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.fixture
def server(platform: Platform) -> Generator[RawServer, None, None]:
    with running(answering(platform.answer)) as server:
        yield server


@pytest.fixture
def started() -> Generator[tuple[KernelManager, BlockingKernelClient], None, None]:
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        yield manager, client
    finally:
        client.stop_channels()
        if manager.is_alive():
            manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("now", [False, True], ids=["closed", "killed"])
def test_a_hundred_runs(
    now: bool,
    started: tuple[KernelManager, BlockingKernelClient],
    platform: Platform,
    server: RawServer,
) -> None:
    manager, client = started
    kernel = Kernel(client, manager.interrupt_kernel)
    # The moment that a process has when it ends is short: on a busy machine, too short for all.
    manager.shutdown_wait_time = 30
    setup = (
        "%load_ext agentnb\nimport agentnb, time\n"
        "import agentnb.run.executor\nagentnb.run.executor._CANCEL_TIMEOUT = 20\n"
        f"echo = agentnb.agent('operativus:echo', base_url={server.url!r}, api_key='k')\n"
        f"runs = [echo.start(str(n)) for n in range({MANY})]"
    )
    assert kernel.run(setup).ok
    until(lambda: platform.open == MANY)
    # Other cells are answered while all of them go on.
    for n in range(20):
        assert kernel.run(f"print({n} * 2)").stdout == f"{n * 2}\n"
    assert kernel.run(MOVED).stdout == f"{MANY}\n"
    # None has anything of another.
    mixed = "print({w for n, run in enumerate(runs) for w in run.text.split(';')} "
    mixed += "- {str(n) for n in range(100)} - {''}, all(set(run.text.split(';')) <= {str(n), ''}"
    mixed += " for n, run in enumerate(runs)))"
    assert kernel.run(mixed).stdout == "set() True\n"
    # A cell that runs again ends nothing of the others.
    again = f"runs[7].cancel()\nruns[7].wait(check=False)\nruns[7] = echo.start('7')\n{MOVED}"
    assert kernel.run(again).stdout == f"{MANY}\n"
    until(lambda: platform.open == MANY)
    client.stop_channels()
    manager.shutdown_kernel(now=now)
    until(lambda: platform.open == 0)
    server.until_all_gone()
    stopped = sum(request.method == "DELETE" for request in server.requests)
    # Who is killed says nothing; who is closed tells the platform.
    assert stopped == (1 if now else MANY + 1)
