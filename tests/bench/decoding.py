"""Row 1: bytes to server-sent events."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import httpx
import httpx_sse
from openai._streaming import SSEDecoder

from agentnb.sse import Decoder
from tests.bench.inputs import encoded_texts, event
from tests.bench.measure import Cost, Row, speed

EVENTS: Final = 40_000

Count = Callable[[list[bytes]], int]


async def bytes_to_events(seed: int) -> list[Row]:
    """Whole and in chunks of 64 bytes, which cut lines, events and characters anywhere."""
    rows: list[Row] = []
    for name, size in (("whole", None), ("in 64-byte chunks", 64)):
        many, few = (_chunks(seed, count, size) for count in (EVENTS, EVENTS // 4))
        for peer, decode, goal in (
            ("httpx-sse", _by_httpx_sse, 2.2),
            ("openai's decoder", _by_openai, 2.2),
        ):
            rows.append(
                await speed(
                    f"bytes to events, {name}",
                    _cost(_by_us, many, EVENTS),
                    _cost(decode, many, EVENTS),
                    over=peer,
                    goal=goal,
                    limit=_cost(_by_split, many, EVENTS),
                    limit_of="bytes.split",
                    quarter=_cost(_by_us, few, EVENTS // 4),
                )
            )
    return rows


def _chunks(seed: int, events: int, size: int | None) -> list[bytes]:
    made = [event(text) for text in encoded_texts(seed)]
    stream = b"".join(made[number % len(made)] for number in range(events))
    return [stream] if size is None else [stream[i : i + size] for i in range(0, len(stream), size)]


def _cost(decode: Count, chunks: list[bytes], events: int) -> Cost:
    async def run() -> float:
        start = time.process_time()
        count = decode(chunks)
        took = time.process_time() - start
        assert count == events
        return took

    return run


def _by_us(chunks: list[bytes]) -> int:
    feed = Decoder().feed
    return sum(len(feed(chunk)) for chunk in chunks)


def _by_httpx_sse(chunks: list[bytes]) -> int:
    headers = {"content-type": "text/event-stream"}
    response = httpx.Response(200, headers=headers, content=iter(chunks))
    return sum(1 for _ in httpx_sse.EventSource(response).iter_sse())


def _by_openai(chunks: list[bytes]) -> int:
    return sum(1 for _ in SSEDecoder().iter_bytes(iter(chunks)))


def _by_split(chunks: list[bytes]) -> int:
    count, rest = 0, b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n\n")
        count += len(whole)
    return count
