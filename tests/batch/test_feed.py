"""Rows from a thread to the loop: all of them, in order, a bounded number ahead."""

from __future__ import annotations

import asyncio
import threading

import pytest

from agentnb.batch.feed import Feed

pytestmark = pytest.mark.anyio

LONG = 60.0


async def taken(feed: Feed[int], takers: int) -> list[int]:
    """Whatever comes to ``takers`` that take all they can."""
    found: list[int] = []

    async def take() -> None:
        while (item := await feed.take()) is not None:
            found.append(item)
            await asyncio.sleep(0)

    async with asyncio.timeout(LONG):
        await asyncio.gather(*(take() for _ in range(takers)))
    return found


@pytest.mark.parametrize(("capacity", "takers"), [(1, 1), (1, 8), (16, 3), (5_000, 2)])
async def test_nothing_is_lost(capacity: int, takers: int) -> None:
    feed = Feed[int](asyncio.get_running_loop(), capacity)

    def put() -> None:
        for number in range(2_000):
            while not feed.offer(number):
                pass
        feed.close()

    thread = threading.Thread(target=put)
    thread.start()
    assert await taken(feed, takers) == list(range(2_000))
    thread.join(LONG)


async def test_no_further_ahead_than_it_may() -> None:
    feed = Feed[int](asyncio.get_running_loop(), 4)
    assert [await asyncio.to_thread(feed.offer, number) for number in range(6)] == [
        *[True] * 4,
        *[False] * 2,
    ]
    assert await feed.take() == 0
    assert await asyncio.to_thread(feed.offer, 4)


async def test_a_cancelled_taker_takes_nothing() -> None:
    feed = Feed[int](asyncio.get_running_loop(), 4)
    first, second = (asyncio.create_task(feed.take()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert feed.offer(1)
    assert await asyncio.wait_for(second, LONG) == 1


async def test_clear_removes_items_and_close_ends() -> None:
    feed = Feed[int](asyncio.get_running_loop(), 4)
    feed.offer(1)
    feed.clear()
    waiting = asyncio.create_task(feed.take())
    await asyncio.sleep(0)
    feed.close()
    assert await asyncio.wait_for(waiting, LONG) is None
    assert await feed.take() is None
