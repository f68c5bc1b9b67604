"""Rows 2, 4 and 5: from a server on this machine to events in hand."""

from __future__ import annotations

import json
import statistics
import time

import httpx
import httpx_sse

from agentnb._http import HttpClient
from agentnb.platforms.seekr.decode import Decoder
from agentnb.transcript import Transcript
from tests.bench import server
from tests.bench.measure import Row, cost, growth, speed

BURST = 5_000
PACED = 200
RUNS = 50


async def throughput() -> list[Row]:
    """Row 2: typed events and the folded transcript, over a pipeline that only parses JSON."""
    async with server.running() as url, httpx.AsyncClient() as peer:
        client = HttpClient(url, name="bench")

        async def ours(events: int) -> float:
            start = time.perf_counter()
            decoder, transcript = Decoder(), Transcript()
            async with client.stream("GET", f"/burst/{events}") as stream:
                async for batch in stream.batches():
                    for frame in batch:
                        for event in decoder.decode(frame):
                            transcript.apply(event)
            took = time.perf_counter() - start
            assert len(transcript.text) == 5 * events
            return took

        async def theirs() -> float:
            start = time.perf_counter()
            length = 0
            async with httpx_sse.aconnect_sse(peer, "GET", f"{url}/burst/{BURST}") as source:
                async for event in source.aiter_sse():
                    length += len(json.loads(event.data)["text"])
            took = time.perf_counter() - start
            assert length == 5 * BURST
            return took

        try:
            return [
                await speed(
                    "events to transcript, over httpx-sse + json",
                    lambda: ours(BURST),
                    theirs,
                    goal=1.2,
                ),
                await growth(
                    "events to transcript, exponent of its cost",
                    lambda: ours(BURST),
                    lambda: ours(4 * BURST),
                ),
            ]
        finally:
            await client.aclose()


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
