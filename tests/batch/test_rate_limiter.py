"""Rows start in order, never too many at once, and none while the platform refuses."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb.batch.rate_limiter import RateLimiter, RateLimiterClosedError, Slot

pytestmark = pytest.mark.anyio


async def settle() -> None:
    """Let all tasks that can proceed do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def entered(limiter: RateLimiter, count: int) -> list[Slot]:
    slots = [limiter.slot() for _ in range(count)]
    for slot in slots:
        await slot.acquire()
    return slots


class TestConcurrency:
    async def test_concurrency_and_order(self) -> None:
        limiter, order = RateLimiter(2), list[int]()

        async def row(number: int) -> None:
            slot = limiter.slot()
            await slot.acquire()
            order.append(number)
            assert limiter.running <= 2
            await asyncio.sleep(0)
            slot.release()

        await asyncio.gather(*(row(number) for number in range(50)))
        assert order == list(range(50))
        assert limiter.running == 0

    async def test_releasing_twice_starts_one(self) -> None:
        limiter = RateLimiter(1)
        (slot,) = await entered(limiter, 1)
        slot.release()
        slot.release()
        assert limiter.running == 0
        await limiter.slot().acquire()
        waiting = asyncio.create_task(limiter.slot().acquire())
        await settle()
        assert not waiting.done()
        waiting.cancel()

    async def test_a_cancelled_waiter_takes_no_slot(self) -> None:
        limiter = RateLimiter(1)
        (slot,) = await entered(limiter, 1)
        waiting = [asyncio.create_task(limiter.slot().acquire()) for _ in range(3)]
        await settle()
        waiting[0].cancel()
        await settle()
        slot.release()
        # Let in and cancelled in the same turn.
        waiting[1].cancel()
        await asyncio.wait(waiting)
        assert not waiting[2].cancelled()
        assert limiter.running == 1


class TestRefusals:
    async def test_none_starts_while_it_is_closed(self) -> None:
        now = [100.0]
        limiter = RateLimiter(4, clock=lambda: now[0])
        (slot,) = await entered(limiter, 1)
        slot.report_refusal(30.0)
        assert limiter.closed_for == 30.0
        waiting = asyncio.create_task(limiter.slot().acquire())
        await settle()
        assert not waiting.done()
        now[0] += 29.0
        slot.release()
        await settle()
        assert not waiting.done()
        now[0] += 1.0
        limiter.release()
        await asyncio.wait_for(waiting, 10)
        assert limiter.closed_for == 0.0

    async def test_it_opens_by_itself(self) -> None:
        limiter = RateLimiter(2)
        (slot,) = await entered(limiter, 1)
        slot.report_refusal(0.05)
        slot.release()
        await asyncio.wait_for(limiter.slot().acquire(), 10)

    async def test_the_longer_wish_counts(self) -> None:
        now = [0.0]
        limiter = RateLimiter(2, clock=lambda: now[0])
        (slot,) = await entered(limiter, 1)
        slot.report_refusal(30.0)
        slot.report_refusal(5.0)
        assert limiter.closed_for == 30.0

    async def test_those_of_one_round_halve_it_once(self) -> None:
        limiter = RateLimiter(16)
        slots = await entered(limiter, 16)
        for slot in slots:
            slot.report_refusal(0.0)
            slot.release()
        assert limiter.limit == 8
        (slot,) = await entered(limiter, 1)
        slot.report_refusal(0.0)
        assert limiter.limit == 4

    async def test_one_may_always_run(self) -> None:
        limiter = RateLimiter(2)
        for _ in range(5):
            (slot,) = await entered(limiter, 1)
            slot.report_refusal(0.0)
            slot.release()
        assert limiter.limit == 1
        await asyncio.wait_for(limiter.slot().acquire(), 10)

    async def test_it_grows_again_with_success_and_no_further(self) -> None:
        limiter = RateLimiter(8)
        (slot,) = await entered(limiter, 1)
        slot.report_refusal(0.0)
        before = limiter.limit
        slot.report_success()
        assert before < limiter.limit < 8
        for _ in range(1_000):
            slot.report_success()
        assert limiter.limit == 8

    async def test_who_pauses_is_in_nobodys_way(self) -> None:
        limiter = RateLimiter(1)
        (slot,) = await entered(limiter, 1)
        pausing = asyncio.create_task(slot.pause(0.01))
        await settle()
        assert limiter.running == 0
        (other,) = await entered(limiter, 1)
        done, _ = await asyncio.wait({pausing}, timeout=0.1)
        assert not done
        other.release()
        await asyncio.wait_for(pausing, 10)
        assert limiter.running == 1


class TestSpacing:
    async def test_starts_are_spaced_over_all_rows(self) -> None:
        limiter, loop = RateLimiter(100, rpm=6_000), asyncio.get_running_loop()
        began = loop.time()
        at: list[float] = []
        for _ in range(30):
            await limiter.slot().acquire()
            at.append(loop.time() - began)
        # Never sooner than its turn, but for what a late loop may make up for.
        assert all(moment >= turn * 0.01 - 0.06 for turn, moment in enumerate(at))

    async def test_an_idle_time_saves_up_no_starts(self) -> None:
        now = [1_000.0]
        limiter = RateLimiter(100, rpm=1.0, clock=lambda: now[0])
        await limiter.slot().acquire()
        now[0] += 3_600
        await limiter.slot().acquire()
        waiting = asyncio.create_task(limiter.slot().acquire())
        await settle()
        assert not waiting.done()
        waiting.cancel()


class TestTheEnd:
    async def test_who_waits_is_told(self) -> None:
        limiter = RateLimiter(1)
        await entered(limiter, 1)
        waiting = [asyncio.create_task(limiter.slot().acquire()) for _ in range(3)]
        asleep = asyncio.create_task(limiter.sleep(60))
        await settle()
        limiter.close()
        for task in (*waiting, asleep):
            with pytest.raises(RateLimiterClosedError):
                await task
        with pytest.raises(RateLimiterClosedError):
            await limiter.slot().acquire()
        with pytest.raises(RateLimiterClosedError):
            await limiter.sleep(60)


@given(
    st.integers(1, 6),
    st.lists(st.sampled_from(["enter", "leave", "refuse", "succeed", "cancel"]), max_size=60),
    st.randoms(use_true_random=False),
)
async def test_nobody_is_lost_whatever_happens(
    most: int, steps: list[str], chance: random.Random
) -> None:
    limiter = RateLimiter(most)
    inside: list[Slot] = []
    waiting: dict[asyncio.Task[None], Slot] = {}
    for step in steps:
        match step:
            case "enter":
                slot = limiter.slot()
                waiting[asyncio.create_task(slot.acquire())] = slot
            case "leave" if inside:
                inside.pop(chance.randrange(len(inside))).release()
            case "refuse" if inside:
                chance.choice(inside).report_refusal(0.0)
            case "succeed" if inside:
                chance.choice(inside).report_success()
            case "cancel" if waiting:
                chance.choice(list(waiting)).cancel()
            case _:
                pass
        if chance.random() < 0.7:
            await settle()
        for task in [task for task in waiting if task.done()]:
            slot = waiting.pop(task)
            if not task.cancelled():
                inside.append(slot)
        assert limiter.running <= most
    for slot in inside:
        slot.release()
    while waiting:
        done, _ = await asyncio.wait(waiting, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        assert done
        for task in done:
            slot = waiting.pop(task)
            if not task.cancelled():
                slot.release()
    assert limiter.running == 0
