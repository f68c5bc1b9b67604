"""Rows 2, 4 and 5: from a server on this machine to events in hand."""

from __future__ import annotations

import json
import statistics
import time
from contextlib import AsyncExitStack
from typing import Final

import httpx
import httpx_sse

from agentnb._http import HttpClient
from agentnb.config import PlatformSettings
from agentnb.platforms.base import RunRequest
from agentnb.platforms.registry import load
from agentnb.transcript import Transcript
from tests.bench import server
from tests.bench.measure import Cost, Row, cost, growth, speed

BURST = 20_000
PACED = 200
RUNS = 50


# What a platform is asked for a stream with, and where its fragments hold their text.
ASKED: Final = {
    "seekr": ("/v1/threads/r/runs/stream", "text"),
    "runagent": ("/v1/agents/a/stream", "content"),
    "operativus": ("/api/agents/a/runs/stream", "data"),
    "runtools": ("/v1/run", "content"),
}


async def throughput() -> list[Row]:
    """Row 2: a platform's typed events and the folded transcript, over a pipeline that parses JSON.

    Counted in the seconds that this process computes: they bound what it can take in, whatever
    else the machine does, and however slow the server is.
    """
    rows: list[Row] = []
    async with server.running() as url, httpx.AsyncClient() as peer, AsyncExitStack() as clients:
        for name, (path, field) in ASKED.items():
            ours, few = (
                _transcript_of(clients, name, f"{url}/{name}", count)
                for count in (BURST, BURST // 4)
            )
            theirs = _text_of(peer, f"{url}/{name}/{BURST}{path}", field)
            rows.append(
                await speed(f"{name} to transcript, over httpx-sse + json", ours, theirs, goal=1.2)
            )
            rows.append(await growth(f"{name} to transcript, exponent of its cost", few, ours))
    return rows


def _transcript_of(clients: AsyncExitStack, name: str, url: str, events: int) -> Cost:
    platform = load(name)(PlatformSettings(platform=name, base_url=f"{url}/{events}"))
    clients.push_async_callback(platform.aclose)

    async def run() -> float:
        start = time.process_time()
        transcript = Transcript()
        async for batch in platform.stream(RunRequest(agent="a", prompt="p")):
            for event in batch:
                transcript.apply(event)
        took = time.process_time() - start
        assert len(transcript.text) == 5 * events
        assert transcript.status == "completed"
        return took

    return run


def _text_of(client: httpx.AsyncClient, url: str, field: str) -> Cost:
    async def run() -> float:
        start = time.process_time()
        length = 0
        async with httpx_sse.aconnect_sse(client, "POST", url, json={}) as source:
            async for event in source.aiter_sse():
                length += len(json.loads(event.data).get(field, ""))
        took = time.process_time() - start
        assert length == 5 * BURST
        return took

    return run


async def latency() -> list[Row]:
    """Row 4: from the server's flush to the event in hand, one at a time, against bytes alone."""
    async with server.running() as url, httpx.AsyncClient() as peer:
        client = HttpClient(url, name="bench")

        async def ours() -> float:
            waits: list[int] = []
            async with client.stream("GET", f"/paced/{PACED}") as stream:
                async for batch in stream.batches():
                    now = time.monotonic_ns()
                    waits += [now - int(json.loads(event.data)["text"]) for event in batch]
            assert len(waits) == PACED
            return statistics.median(waits)

        async def theirs() -> float:
            waits: list[int] = []
            async with peer.stream("GET", f"{url}/paced/{PACED}") as response:
                async for data in response.aiter_bytes():
                    now = time.monotonic_ns()
                    waits.append(now - int(json.loads(data[6:])["text"]))
            assert len(waits) == PACED
            return statistics.median(waits)

        try:
            return [await cost("flush to event, p50, of httpx bytes", ours, theirs, goal=1.25)]
        finally:
            await client.aclose()


async def second_run() -> list[Row]:
    """Row 5: from sending to the first event, when it is not the first run."""
    async with server.running() as url, httpx.AsyncClient() as peer:
        client = HttpClient(url, name="bench")

        async def ours() -> float:
            waits: list[float] = []
            for _ in range(RUNS):
                start = time.perf_counter()
                async with client.stream("POST", "/burst/1", json={"prompt": "x"}) as stream:
                    waits += [time.perf_counter() - start async for _ in stream.batches()]
            assert len(waits) == RUNS
            return statistics.median(waits)

        async def theirs() -> float:
            waits: list[float] = []
            for _ in range(RUNS):
                start = time.perf_counter()
                body = {"prompt": "x"}
                async with peer.stream("POST", f"{url}/burst/1", json=body) as response:
                    waits += [time.perf_counter() - start async for _ in response.aiter_bytes()]
            assert len(waits) == RUNS
            return statistics.median(waits)

        try:
            return [
                await cost("second run to its first event, of httpx pooled", ours, theirs, goal=1.3)
            ]
        finally:
            await client.aclose()
