"""Row 11: what the first cells of a notebook wait for, in kernels that have run nothing yet."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager

from tests.bench import peers, server
from tests.bench.measure import PAIRS, Row

LOAD_MS: Final = 10.0
LEAVE_MS: Final = 250.0
WAIT: Final = 60.0
PLATFORM: Final = "operativus"

Hear = Callable[[dict[str, Any]], None]

LOAD: Final = """\
import time
start = time.perf_counter()
get_ipython().run_line_magic("load_ext", {name!r})
time.perf_counter() - start"""
ASK: Final = f"%%agent {PLATFORM}:a\nHow was the quarter?"
# What any client that comes as httpx does has to do.
ASK_BARE: Final = """\
import httpx
async with httpx.AsyncClient(verify=False) as client:
    await client.post({url!r}, json={{"message": "How was the quarter?"}})"""
HEAVY: Final = 'import sys; len([name for name in sys.modules if name.split(".")[0] == "pandas"])'


async def first_cell(seed: int) -> list[Row]:
    """Each round has a fresh kernel for agentnb, and another one for what it is measured by."""
    told: dict[str, list[float]] = {}

    def tell(name: str, value: float) -> None:
        told.setdefault(name, []).append(value)

    async with server.running(seed) as url, peers.client() as asking:

        async def leaving(kernel: AsyncKernelClient, cell: str) -> float:
            start = time.monotonic_ns()
            await _run(kernel, cell)
            seen = (await asking.get(f"{url}/last")).json()["at"]
            assert seen > start
            return (seen - start) / 1e6

        base = f"{url}/{PLATFORM}/1"
        keys = {"OPERATIVUS_BASE_URL": base, "OPERATIVUS_API_KEY": "key of the bench"}
        path = peers.ASKED[PLATFORM][0]
        # The first of them compile what the others only load.
        for _ in range(1 + PAIRS):
            async with _kernel(keys) as kernel:
                tell("load", 1e3 * await _value(kernel, LOAD.format(name="agentnb")))
                tell("leave", await leaving(kernel, ASK))
                tell("pandas", await _value(kernel, HEAVY))
            async with _kernel({"PYTHONPATH": str(Path(__file__).parent)}) as kernel:
                tell("bare load", 1e3 * await _value(kernel, LOAD.format(name="bare_extension")))
                tell("bare leave", await leaving(kernel, ASK_BARE.format(url=base + path)))
    loads, leaves, bare_loads, bare_leaves, pandas = (
        told[name][1:] for name in ("load", "leave", "bare load", "bare leave", "pandas")
    )
    return [
        Row(
            "%load_ext agentnb in a live kernel",
            loads,
            LOAD_MS,
            at_least=False,
            unit="ms",
            limit=bare_loads,
            limit_of="bare extension",
        ),
        Row(
            "then the first %%agent: until its request is there",
            leaves,
            LEAVE_MS,
            at_least=False,
            unit="ms",
            limit=bare_leaves,
            limit_of="httpx in a cell",
        ),
        Row(
            "modules of pandas that were imported by then",
            pandas,
            0,
            at_least=False,
        ),
    ]


@asynccontextmanager
async def _kernel(environment: dict[str, str]) -> AsyncGenerator[AsyncKernelClient, None]:
    manager: Any = AsyncKernelManager(kernel_name="python3", transport="ipc")
    await manager.start_kernel(env={**os.environ, **environment})
    kernel: AsyncKernelClient = manager.client()
    kernel.start_channels()
    try:
        await kernel.wait_for_ready(timeout=WAIT)
        # What the first cell of all brings about in any kernel is no matter of what is in it.
        await _run(kernel, "None")
        yield kernel
    finally:
        kernel.stop_channels()
        await manager.shutdown_kernel(now=True)


async def _value(kernel: AsyncKernelClient, code: str) -> float:
    told: list[float] = []

    def hear(message: dict[str, Any]) -> None:
        if message["header"]["msg_type"] == "execute_result":
            told.append(json.loads(message["content"]["data"]["text/plain"]))

    await _run(kernel, code, hear)
    [value] = told
    return value


async def _run(kernel: Any, code: str, hear: Hear = lambda _: None) -> None:
    """Run a cell as a notebook does that somebody looks at; raise where it fails."""
    reply = await kernel.execute_interactive(
        code,
        allow_stdin=True,
        stdin_hook=_refuse,
        output_hook=hear,
        timeout=WAIT,
    )
    if reply["content"]["status"] != "ok":
        raise RuntimeError(f"The cell failed: {reply['content'].get('evalue')}")


def _refuse(message: dict[str, Any]) -> None:
    raise RuntimeError("A cell asked for input.")
