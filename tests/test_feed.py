"""Events that cross from one event loop to another, in order and in bounded number."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Sequence
from concurrent.futures import Future

import pytest

from agentnb import _loop
from agentnb.event.types import Event, TextDelta
from agentnb.recording.feed import EventFeed, EventIterator

pytestmark = pytest.mark.anyio


def deltas(count: int, start: int = 0) -> list[Event]:
    return [TextDelta(str(n)) for n in range(start, start + count)]


def texts(events: Sequence[Event]) -> list[str]:
    return [e.text for e in events if isinstance(e, TextDelta)]


class Producer:
    """Fills a feed from the background loop, as a driver does."""

    def __init__(self, feed: EventFeed, *, total: int, batch: int) -> None:
        self.most = 0
        self.sent = 0
        self.future: Future[None] = _loop.submit(self._run(feed, total, batch))

    async def _run(self, feed: EventFeed, total: int, batch: int) -> None:
        while self.sent < total:
            if not feed.put(deltas(min(batch, total - self.sent), self.sent)):
                return
            self.sent += min(batch, total - self.sent)
            self.most = max(self.most, feed.pending)
            await feed.room()
            await asyncio.sleep(0)
        feed.end()


async def drained(feed: EventFeed) -> list[str]:
    found: list[str] = []
    while (batch := await feed.get()) is not None:
        found += texts(batch)
    return found


async def settled(producer: Producer) -> int:
    """How much was sent once the producer has come to a halt."""
    sent = -1
    while producer.sent != sent:
        sent = producer.sent
        await asyncio.sleep(0.05)
    return sent


async def test_all_events_arrive_in_order() -> None:
    feed = EventFeed()
    producer = Producer(feed, total=100_000, batch=37)
    assert await drained(feed) == [str(n) for n in range(100_000)]
    await asyncio.wrap_future(producer.future)
    assert producer.most < 1024 + 37
    # The end stays the end.
    assert await feed.get() is None


@pytest.mark.parametrize("batch", [1, 7, 64])
async def test_a_slow_consumer_slows_the_producer(batch: int) -> None:
    feed = EventFeed(limit=50)
    producer = Producer(feed, total=500, batch=batch)
    assert 50 <= await settled(producer) < 50 + batch
    assert not producer.future.done()
    assert len(await drained(feed)) == 500
    assert producer.most < 50 + batch


async def test_batches_that_grow_do_not_outrun_the_consumer() -> None:
    """One small batch taken makes no room for another large one."""
    feed = EventFeed(limit=20)
    most = 0

    async def produce() -> None:
        nonlocal most
        for n in range(40):
            feed.put(deltas(1 if n < 20 else 20))
            most = max(most, feed.pending)
            await feed.room()
        feed.end()

    future = _loop.submit(produce())
    count = 0
    while (batch := await feed.get()) is not None:
        count += len(batch)
        await asyncio.sleep(0.001)
    await asyncio.wrap_future(future)
    assert count == 20 + 20 * 20
    assert most < 20 + 20


async def test_a_consumer_that_leaves_frees_the_producer() -> None:
    feed = EventFeed(limit=10)
    producer = Producer(feed, total=1000, batch=5)
    assert await settled(producer) == 10
    feed.detach()
    await asyncio.wait_for(asyncio.wrap_future(producer.future), 5)
    assert feed.pending == 0
    assert feed.put(deltas(1)) is False


def test_a_consumer_whose_loop_was_closed_frees_the_producer() -> None:
    async def make() -> EventFeed:
        return EventFeed(limit=10)

    loop = asyncio.new_event_loop()
    feed = loop.run_until_complete(make())
    producer = Producer(feed, total=1000, batch=5)
    while producer.sent < 10:
        _loop.wait(asyncio.sleep(0.01))
    loop.close()
    producer.future.result(10)
    assert feed.put(deltas(1)) is False
    feed.end()


async def test_an_iterator_yields_every_event_and_then_ends() -> None:
    feed = EventFeed()
    events = EventIterator(lambda: feed)
    producer = Producer(feed, total=3000, batch=10)
    found = [event async for event in events]
    assert texts(found) == [str(n) for n in range(3000)]
    producer.future.result(5)
    with pytest.raises(StopAsyncIteration):
        await anext(events)


async def test_an_iterator_that_is_dropped_frees_the_producer_at_once() -> None:
    """Without a turn of the consumer's loop, which may be blocked by a wait for the run."""
    feed = EventFeed(limit=10)
    producer = Producer(feed, total=1000, batch=5)
    async for _ in EventIterator(lambda: feed):
        break
    gc.collect()
    producer.future.result(5)
    assert producer.sent < 1000


async def test_an_iterator_that_is_closed_takes_nothing_more() -> None:
    feed = EventFeed()
    feed.put(deltas(3))
    events = EventIterator(lambda: feed)
    assert texts([await anext(events)]) == ["0"]
    await events.aclose()
    await events.aclose()
    assert [event async for event in events] == []
    assert feed.put(deltas(1)) is False


async def test_an_iterator_that_was_never_used_costs_nothing() -> None:
    def connect() -> EventFeed:
        raise AssertionError("nobody asked for an event")

    await EventIterator(connect).aclose()


async def test_collecting_garbage_inside_the_feed_does_not_block_it() -> None:
    """An iterator in a cycle may be freed by the very thread that holds the feed's lock."""
    feed = EventFeed(limit=1)
    feed.put(deltas(5))
    released = threading.Event()

    def collect() -> None:
        with feed._lock:  # pyright: ignore[reportPrivateUsage]
            feed.detach()
        released.set()

    threading.Thread(target=collect, daemon=True).start()
    assert await asyncio.to_thread(released.wait, 5)
