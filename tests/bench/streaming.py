"""Rows 2 to 5: from a server on this machine to typed events in hand."""

from __future__ import annotations

import json
import re
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from http.client import HTTPConnection
from typing import Final, Literal
from urllib.parse import urlsplit

import aiohttp
import httpx
from openai import AsyncOpenAI

import agentnb
from agentnb._http.options import TransportName
from agentnb.config import PlatformSettings
from agentnb.event.transcript import Transcript
from agentnb.event.types import Event, TextDelta
from agentnb.platforms.base import Platform, RunRequest
from agentnb.platforms.registry import load
from tests.bench import peers, server
from tests.bench.inputs import WIDTH
from tests.bench.measure import Cost, Row, cost, speed

EVENTS: Final = 20_000
# Enough of them for a peer that takes seven times as long.
FEW: Final = 4_000
PACED: Final = 200
RUNS: Final = 50
# Each is over in a second or two, and where a machine is shared, single ones differ by half.
ROUNDS: Final = 21

# Of the rows that look at single events and runs: asks once for each run, and for nothing else.
PLAIN: Final = "runtools"
PLAIN_PATH: Final = "/v1/run"

# What the server of the bench does at its gate.
Opened = Literal["fill", "open"]


async def throughput(seed: int) -> list[Row]:
    """Row 2: a platform's typed events and the folded transcript, over a pipeline that parses JSON.

    Counted in the seconds that this process computes while there is always something to read: they
    bound what it can take in, whatever else the machine does.  Who is faster than the server would
    get fewer events with each read, and so look as slow as that.
    """
    async with server.running(seed) as url, peers.client() as asking:
        limit = (partial(peers.httpx_bytes, asking), "httpx bytes")
        rows = await _beside_json(url, asking, "httpx", goal=1.2, limit=limit)
        async with (
            AsyncExitStack() as clients,
            AsyncOpenAI(base_url=f"{url}/openai/{FEW}.gated", api_key="key of the bench") as openai,
        ):
            rows.append(
                await speed(
                    "seekr: HTTP to events and transcript",
                    await _transcript_of(clients, "seekr", url, FEW),
                    _taken(url, partial(peers.openai_text, openai), WIDTH * FEW),
                    over="openai SDK",
                    goal=7.0,
                    rounds=ROUNDS,
                )
            )
    return rows


async def fast_throughput(seed: int) -> list[Row]:
    """Row 3: the same with the transport of the extra ``fast``."""
    async with (
        server.running(seed) as url,
        peers.client() as asking,
        aiohttp.ClientSession() as fast,
    ):
        limit = (partial(peers.aiohttp_bytes, fast), "aiohttp bytes")
        return await _beside_json(url, asking, "aiohttp", goal=5.0, limit=limit)


async def _beside_json(
    url: str,
    asking: httpx.AsyncClient,
    transport: TransportName,
    *,
    goal: float,
    limit: tuple[Callable[..., Awaitable[int]], str],
) -> list[Row]:
    rows: list[Row] = []
    how = "" if transport == "httpx" else f", by {transport}"
    bytes_of, limit_of = limit
    async with AsyncExitStack() as clients:
        for name, (path, field) in peers.ASKED.items():
            full = f"{url}/{name}/{EVENTS}.gated{path}"
            rows.append(
                await speed(
                    f"{name}: HTTP to events and transcript{how}",
                    await _transcript_of(clients, name, url, EVENTS, transport),
                    _taken(url, partial(peers.sse_json_text, asking, full, field), WIDTH * EVENTS),
                    over="httpx-sse + json",
                    goal=goal,
                    limit=_taken(url, partial(bytes_of, full)),
                    limit_of=limit_of,
                    quarter=await _transcript_of(clients, name, url, EVENTS // 4, transport),
                    rounds=ROUNDS,
                )
            )
    return rows


async def connected(
    clients: AsyncExitStack, name: str, base_url: str, transport: TransportName = "httpx"
) -> Platform:
    """Return the client of the platform ``name``, closed with ``clients``."""
    settings = PlatformSettings(platform=name, base_url=base_url, transport=transport)
    platform = load(name)(settings)
    clients.push_async_callback(platform.aclose)
    return platform


class Gate:
    """Opened when the streams have begun; from then on the clock runs.

    With "fill" not before all that is still to come waits to be read.
    """

    def __init__(self, url: str, opened: Opened = "fill") -> None:
        self._url = urlsplit(url)
        self._opened = opened
        self._start = 0.0

    def __call__(self) -> None:
        # The whole process waits: what is read meanwhile would not be counted.
        connection = HTTPConnection(self._url.netloc)
        connection.request("POST", f"/{self._opened}")
        connection.getresponse().read()
        connection.close()
        self._start = time.process_time()

    @property
    def computed(self) -> float:
        """Seconds."""
        assert self._start
        return time.process_time() - self._start


async def _transcript_of(
    clients: AsyncExitStack,
    name: str,
    url: str,
    events: int,
    transport: TransportName = "httpx",
) -> Cost:
    platform = await connected(clients, name, f"{url}/{name}/{events}.gated", transport)

    async def run() -> float:
        gate = Gate(url)
        length = await transcribed(platform, begun=gate)
        took = gate.computed
        assert length == WIDTH * events
        return took

    return run


async def transcribed(platform: Platform, *, begun: Callable[[], None]) -> int:
    """Read a stream into a transcript; return how many characters its text has.

    ``begun`` is called when the first of them are there.
    """
    transcript = Transcript()
    is_first = True
    async for batch in platform.stream(RunRequest(agent="a", prompt="p")):
        transcript.apply_all(batch)
        if is_first and transcript.text:
            is_first = False
            begun()
    assert transcript.status == "completed"
    return len(transcript.text)


def _taken(url: str, take: Callable[..., Awaitable[int]], length: int | None = None) -> Cost:
    async def run() -> float:
        gate = Gate(url)
        taken = await take(begun=gate)
        took = gate.computed
        assert taken == length if length is not None else taken
        return took

    return run


async def latency(seed: int) -> list[Row]:
    """Row 4: from the server's flush to the event in hand, one at a time, against bytes alone."""
    paced = f"/{PLAIN}/{PACED}.paced"
    async with (
        server.running(seed) as url,
        peers.client() as asking,
        peers.plain_bytes(url) as plain,
        AsyncExitStack() as clients,
    ):
        platform = await connected(clients, PLAIN, url + paced)
        agent = agentnb.agent(f"{PLAIN}:a", base_url=url + paced, api_key="key of the bench")

        async def typed() -> float:
            waits: list[int] = []
            async for batch in platform.stream(RunRequest(agent="a", prompt="p")):
                waits += _waits(batch)
            return _median_of(waits)

        async def streamed() -> float:
            waits: list[int] = []
            async for event in agent.stream("p"):
                waits += _waits([event])
            return _median_of(waits)

        async def httpx_alone() -> float:
            waits: list[int] = []
            async with asking.stream("POST", url + paced + PLAIN_PATH, json={}) as response:
                async for chunk in response.aiter_bytes():
                    waits += _waits_in(chunk)
            return _median_of(waits)

        async def asyncio_alone() -> float:
            waits: list[int] = []
            async for chunk in plain.chunks(paced + PLAIN_PATH):
                waits += _waits_in(chunk)
            return _median_of(waits)

        return [
            await cost(
                "server's flush to typed event, p50",
                typed,
                httpx_alone,
                over="httpx bytes",
                goal=1.25,
                limit=asyncio_alone,
                limit_of="asyncio bytes",
                rounds=ROUNDS,
            ),
            await cost(
                "server's flush to `agent.stream`, p50",
                streamed,
                httpx_alone,
                over="httpx bytes",
                goal=None,
                limit=asyncio_alone,
                limit_of="asyncio bytes",
                rounds=ROUNDS,
            ),
        ]


def _waits(batch: list[Event]) -> list[int]:
    now = time.monotonic_ns()
    return [now - int(event.text) for event in batch if isinstance(event, TextDelta)]


def _waits_in(chunk: bytes) -> list[int]:
    now = time.monotonic_ns()
    return [
        now - int(json.loads(data)["content"]) for data in re.findall(rb"({\"content.*})", chunk)
    ]


def _median_of(waits: list[int]) -> float:
    assert len(waits) == PACED
    return statistics.median(waits)


async def second_run(seed: int) -> list[Row]:
    """Row 5: from sending to the first event, when it is not the first run."""
    one = f"/{PLAIN}/1"
    async with (
        server.running(seed) as url,
        peers.client() as asking,
        peers.plain_bytes(url) as plain,
        AsyncExitStack() as clients,
    ):
        platform = await connected(clients, PLAIN, url + one)

        async def ours() -> float:
            waits: list[float] = []
            for _ in range(RUNS):
                start, came = time.perf_counter(), None
                async for batch in platform.stream(RunRequest(agent="a", prompt="p")):
                    if came is None and any(isinstance(event, TextDelta) for event in batch):
                        came = time.perf_counter()
                assert came is not None
                waits.append(came - start)
            return statistics.median(waits)

        async def pooled() -> float:
            waits: list[float] = []
            body = {"prompt": "p"}
            for _ in range(RUNS):
                start, came = time.perf_counter(), None
                async with asking.stream("POST", url + one + PLAIN_PATH, json=body) as response:
                    async for _ in response.aiter_bytes():
                        came = came or time.perf_counter()
                assert came is not None
                waits.append(came - start)
            return statistics.median(waits)

        async def asyncio_alone() -> float:
            waits: list[float] = []
            for _ in range(RUNS):
                start, came = time.perf_counter(), None
                async for chunk in plain.chunks(one + PLAIN_PATH):
                    if came is None and b'content"' in chunk:
                        came = time.perf_counter()
                assert came is not None
                waits.append(came - start)
            return statistics.median(waits)

        return [
            await cost(
                "second run: sending to its first event",
                ours,
                pooled,
                over="httpx pooled",
                goal=1.3,
                limit=asyncio_alone,
                limit_of="asyncio bytes",
                rounds=ROUNDS,
            )
        ]
