"""Row 6: a thousand streams at once, in one process."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import aiohttp
import httpx

import agentnb
from agentnb import Agent
from agentnb._http.options import TransportName
from agentnb.platforms.base import Platform
from tests.bench import peers, server
from tests.bench.alone import KIB, resident, tell, told_by
from tests.bench.inputs import WIDTH
from tests.bench.measure import FEWEST, Cost, Row, speed
from tests.bench.streaming import PLAIN, PLAIN_PATH, Gate, Opened, connected, transcribed

STREAMS: Final = 1_000
# Of each stream.
EVENTS: Final = 40
# What they are asked for by, at the server of the bench.
GATED: Final = f"/{PLAIN}/{EVENTS}.gated"
FIELD: Final = "content"
MOST_KIB: Final = 64.0
# Before memory is looked at: so many streams have everything loaded and connected.
WARM: Final = 20

# Reads one stream to its end; calls what it is given as soon as its first text is there.
Reader = Callable[[Callable[[], None]], Awaitable[None]]


class Crowd:
    """Streams that have all begun, and whose other events wait for the gate."""

    def __init__(self, read: Reader, count: int) -> None:
        self._missing = count
        self._all_there = asyncio.Event()
        self._tasks = [asyncio.ensure_future(read(self._begun)) for _ in range(count)]

    def _begun(self) -> None:
        self._missing -= 1
        if not self._missing:
            self._all_there.set()

    async def begun(self) -> None:
        """Wait until each has its first event."""
        # A stream that fails would be waited for without end.
        waiting = asyncio.ensure_future(self._all_there.wait())
        done, _ = await asyncio.wait([waiting, *self._tasks], return_when="FIRST_COMPLETED")
        for task in done:
            task.result()
        assert self._all_there.is_set()

    async def ended(self) -> None:
        await asyncio.gather(*self._tasks)


async def streams(seed: int) -> list[Row]:
    """Events by the seconds that this process computes, from when all streams have begun.

    With all that comes waiting to be read, as in rows 2 and 3; and as it comes, by turns, where
    many a read brings a single event.
    """
    server.allow_files()
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        server.running(seed) as url,
        peers.client() as asking,
        aiohttp.ClientSession(connector=connector) as fast,
    ):
        by_httpx = _reader(partial(peers.httpx_bytes, asking, url + GATED + PLAIN_PATH))
        by_aiohttp = _reader(partial(peers.aiohttp_bytes, fast, url + GATED + PLAIN_PATH))
        return [
            await _events(url, asking, "httpx", 1.1, by_httpx, "httpx bytes"),
            await _events(url, asking, "aiohttp", 7.0, by_aiohttp, "aiohttp bytes"),
            await _events(url, asking, "httpx", None, by_httpx, "httpx bytes", "open"),
            await _events(url, asking, "aiohttp", None, by_aiohttp, "aiohttp bytes", "open"),
            *await _memories(url, asking),
        ]


async def _events(
    url: str,
    asking: httpx.AsyncClient,
    transport: TransportName,
    goal: float | None,
    limit: Reader,
    limit_of: str,
    opened: Opened = "fill",
) -> Row:
    how = ("" if transport == "httpx" else f", by {transport}") + (
        "" if opened == "fill" else ", as they come"
    )
    async with AsyncExitStack() as clients:
        ours = _transcript_of(await connected(clients, PLAIN, url + GATED, transport))
        return await speed(
            f"{STREAMS:,} streams at once: events{how}",
            _cost(url, opened, ours, STREAMS),
            _cost(url, opened, _text_of(asking, url), STREAMS),
            over="httpx-sse + json",
            goal=goal,
            limit=_cost(url, opened, limit, STREAMS),
            limit_of=limit_of,
            quarter=_cost(url, opened, ours, STREAMS // 4) if opened == "fill" else None,
            rounds=FEWEST,
        )


async def _memories(url: str, asking: httpx.AsyncClient) -> list[Row]:
    kib: dict[str, list[float]] = {"httpx": [], "aiohttp": [], "runs": [], "peer": []}
    for _ in range(FEWEST):
        for name, told in kib.items():
            told.append(await told_by("tests.bench.many", name, url))
            # Nobody reads them any more, and the server would keep their connections for good.
            await asking.get(f"{url}/open")
    named = (
        ("streams at once: memory of each", "httpx", MOST_KIB),
        ("streams at once: memory of each, by aiohttp", "aiohttp", MOST_KIB),
        ("runs at once: memory of each", "runs", None),
    )
    return [
        Row(
            f"{STREAMS:,} {what}",
            kib[name],
            goal,
            at_least=False,
            unit="KiB",
            limit=kib["peer"],
            limit_of="httpx-sse + json",
        )
        for what, name, goal in named
    ]


def _cost(url: str, opened: Opened, read: Reader, count: int) -> Cost:
    async def run() -> float:
        gate = Gate(url, opened)
        crowd = Crowd(read, count)
        await crowd.begun()
        gate()
        await crowd.ended()
        return gate.computed

    return run


def _transcript_of(platform: Platform) -> Reader:
    async def read(begun: Callable[[], None]) -> None:
        assert await transcribed(platform, begun=begun) == WIDTH * EVENTS

    return read


def _text_of(asking: httpx.AsyncClient, url: str) -> Reader:
    async def read(begun: Callable[[], None]) -> None:
        length = await peers.sse_json_text(asking, url + GATED + PLAIN_PATH, FIELD, begun=begun)
        assert length == WIDTH * EVENTS

    return read


def _reader(take: Callable[..., Awaitable[int]]) -> Reader:
    async def read(begun: Callable[[], None]) -> None:
        assert await take(begun=begun)

    return read


def _run_of(agent: Agent) -> Reader:
    async def read(begun: Callable[[], None]) -> None:
        run = agent.start("p")
        loop = asyncio.get_running_loop()
        came = asyncio.Event()

        def heard() -> None:
            if run.text:
                loop.call_soon_threadsafe(came.set)

        run.subscribe(heard)
        heard()  # it may have come before
        await came.wait()
        begun()
        await run

    return read


async def _memory(name: str, url: str) -> None:
    """Tell the KiB that each of a thousand streams takes while all of them go on."""
    server.allow_files()
    async with peers.client() as asking, AsyncExitStack() as clients:
        if name in ("httpx", "aiohttp"):
            transport: TransportName = "httpx" if name == "httpx" else "aiohttp"
            read = _transcript_of(await connected(clients, PLAIN, url + GATED, transport))
        elif name == "runs":
            read = _run_of(
                agentnb.agent(f"{PLAIN}:a", base_url=url + GATED, api_key="of the bench")
            )
        else:
            read = _text_of(asking, url)
        before = Crowd(read, WARM)
        await before.begun()
        gc.collect()
        held = resident()
        crowd = Crowd(read, STREAMS)
        await crowd.begun()
        gc.collect()
        tell((resident() - held) / STREAMS / KIB)
        # The streams would go on to wait for the gate.
        os._exit(0)


if __name__ == "__main__":
    asyncio.run(_memory(*sys.argv[1:]))
