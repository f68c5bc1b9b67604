"""Events that cross from one event loop to another, in order and with back-pressure."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from concurrent.futures import Future

import pytest

from agentnb import _loop
from agentnb.event.transcript import Transcript
from agentnb.event.types import Event, TextDelta
from agentnb.recording.recording import EventIterator, Recording
from tests.played import LONG

pytestmark = pytest.mark.anyio

MAX_LAG = 1024


def deltas(count: int, start: int = 0) -> list[Event]:
    return [TextDelta(str(n)) for n in range(start, start + count)]


def texts(events: Sequence[Event]) -> list[str]:
    return [e.text for e in events if isinstance(e, TextDelta)]


class Producer:
    """Fills a recording from the background loop, as an executor does."""

    def __init__(self, *, total: int, batch: int) -> None:
        self.recording = Recording(Transcript())
        self.sent = 0
        self._total, self._batch = total, batch

    def start(self) -> Future[None]:
        self.future = _loop.submit(self._run())
        return self.future

    async def consumers(self, count: int = 1) -> list[EventIterator]:
        """Return consumers that took a first event, and start."""
        self.recording.add(deltas(1))
        self.sent = 1
        consumers = [self.recording.iterate() for _ in range(count)]
        for events in consumers:
            assert texts([await anext(events)]) == ["0"]
        self.start()
        return consumers

    async def _run(self) -> None:
        while self.sent < self._total:
            count = min(self._batch, self._total - self.sent)
            self.recording.add(deltas(count, self.sent))
            self.sent += count
            await self.recording.room()
            await asyncio.sleep(0)
        self.recording.end()


async def settled(producer: Producer) -> int:
    """Return how much was sent once the producer has come to a halt."""
    sent = -1
    while producer.sent != sent:
        sent = producer.sent
        await asyncio.sleep(0.1)
    return sent


async def test_all_events_arrive_in_order() -> None:
    producer = Producer(total=50_000, batch=37)
    (events,) = await producer.consumers()
    most, received = 0, deltas(1)
    async for event in events:
        received.append(event)
        most = max(most, events.lag)
    assert texts(received) == [str(n) for n in range(50_000)]
    assert most < MAX_LAG + 37
    # The end stays the end.
    with pytest.raises(StopAsyncIteration):
        await anext(events)


async def test_earlier_events_are_yielded_first() -> None:
    producer = Producer(total=3000, batch=1000)
    producer.start().result(LONG)
    events = [event async for event in producer.recording.iterate()]
    assert texts(events) == [str(n) for n in range(3000)]


@pytest.mark.parametrize("batch", [1, 7, 64])
async def test_a_slow_consumer_slows_the_producer(batch: int) -> None:
    producer = Producer(total=5000, batch=batch)
    (events,) = await producer.consumers()
    # What was taken in one piece no longer counts.
    assert await settled(producer) < 256 + MAX_LAG + batch
    assert not producer.future.done()
    assert len([event async for event in events]) == 4999
    producer.future.result(LONG)


async def test_two_consumers_are_independent() -> None:
    producer = Producer(total=4000, batch=100)
    slow, fast = await producer.consumers(2)
    for _ in range(1000):
        await anext(fast)
    assert not producer.future.done()
    await slow.aclose()
    assert len([event async for event in fast]) == 2999


async def test_a_consumer_that_leaves_frees_the_producer() -> None:
    producer = Producer(total=5000, batch=5)
    (events,) = await producer.consumers()
    assert await settled(producer) < 5000
    await events.aclose()
    await events.aclose()
    assert [event async for event in events] == []
    await asyncio.wait_for(asyncio.wrap_future(producer.future), LONG)


def test_a_consumer_whose_loop_was_closed_frees_the_producer() -> None:
    producer = Producer(total=5000, batch=5)
    loop = asyncio.new_event_loop()
    events = loop.run_until_complete(producer.consumers())
    while producer.sent < MAX_LAG:
        _loop.wait(asyncio.sleep(0.01))
    assert not producer.future.done()
    loop.close()
    producer.future.result(LONG)
    del events


async def test_an_iterator_that_is_dropped_frees_the_producer_at_once() -> None:
    """Without a turn of the consumer's loop, which may be blocked by a wait for the run."""
    producer = Producer(total=5000, batch=5)
    (events,) = await producer.consumers()
    del events
    gc.collect()
    producer.future.result(LONG)


async def test_an_iterator_that_was_never_used_costs_nothing() -> None:
    producer = Producer(total=5000, batch=50)
    events = producer.recording.iterate()
    producer.start().result(LONG)
    await events.aclose()


async def test_one_that_waits_is_woken_by_the_end() -> None:
    recording = Recording(Transcript())
    events = recording.iterate()
    waiting = asyncio.create_task(anext(events, None))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await asyncio.to_thread(recording.end)
    assert await asyncio.wait_for(waiting, LONG) is None
