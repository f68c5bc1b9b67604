"""Joined chunks with network reads that no server produces."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import httpcore
import pytest

from agentnb._http.chunk_joining import JoinedChunks, JoiningStream

pytestmark = pytest.mark.anyio


class Network(JoiningStream):
    """Every chunk is the only one of its read."""

    def __init__(self) -> None:
        super().__init__(httpcore.AsyncMockStream([]))

    def has_read_only(self, size: int) -> bool:
        return True


@pytest.mark.parametrize("taken", [0, 1, 2])
async def test_closing_after_chunks_that_did_not_wait(
    taken: int,
) -> None:
    left: list[str] = []

    async def chunks(network: Network) -> AsyncGenerator[bytes, None]:
        try:
            yield b"1"
            yield b"2"
            yield b"3"
            while True:
                await network.read(1)
        finally:
            left.append("left")

    network = Network()
    joined = JoinedChunks(chunks(network), network)
    assert [await anext(joined) for _ in range(taken)] == [b"1", b"2"][:taken]
    await joined.aclose()
    assert left == ["left"][: 1 if taken else 0]


async def test_an_error_follows_the_chunks_before_it() -> None:
    async def chunks() -> AsyncGenerator[bytes, None]:
        yield b"1"
        raise httpcore.ReadError

    joined: Any = JoinedChunks(chunks(), Network())
    assert await anext(joined) == b"1"
    with pytest.raises(httpcore.ReadError):
        await anext(joined)
    await joined.aclose()
