"""Row 1: bytes to server-sent events."""

from __future__ import annotations

import time

import httpx
import httpx_sse

from agentnb.sse import Decoder
from tests.bench.measure import Cost, Row, growth, speed
from tests.bench.server import event

EVENTS = 20_000


def ours(chunks: list[bytes], events: int) -> Cost:
    async def run() -> float:
        start = time.perf_counter()
        decoder = Decoder()
        count = 0
        for chunk in chunks:
            count += len(decoder.feed(chunk))
        took = time.perf_counter() - start
        assert count == events
        return took

    return run


def httpx_sse_source(chunks: list[bytes], events: int) -> Cost:
    async def run() -> float:
        headers = {"content-type": "text/event-stream"}
        start = time.perf_counter()
        source = httpx_sse.EventSource(httpx.Response(200, headers=headers, content=iter(chunks)))
        count = sum(1 for _ in source.iter_sse())
        took = time.perf_counter() - start
        assert count == events
        return took

    return run


def chunked(events: int, size: int | None) -> list[bytes]:
    stream = b"".join(event(f"{number % 100_000:05}") for number in range(events))
    return [stream] if size is None else [stream[i : i + size] for i in range(0, len(stream), size)]


async def bytes_to_events() -> list[Row]:
    rows: list[Row] = []
    for name, size in (("whole", None), ("in 64-byte chunks", 64)):
        small, large = chunked(EVENTS, size), chunked(4 * EVENTS, size)
        rows += [
            await speed(
                f"Decoder, {name}, over httpx-sse",
                ours(small, EVENTS),
                httpx_sse_source(small, EVENTS),
                goal=2.2,
            ),
            await growth(
                f"Decoder, {name}, exponent of its cost",
                ours(small, EVENTS),
                ours(large, 4 * EVENTS),
            ),
        ]
    return rows
