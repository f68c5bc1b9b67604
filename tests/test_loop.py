"""The background loop: one thread, every caller's own context, and no way to end it by accident."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from agentnb import _loop
from tests.children import python

where: contextvars.ContextVar[str] = contextvars.ContextVar("where", default="nowhere")


async def thread_name() -> str:
    return threading.current_thread().name


def test_work_runs_on_one_thread_of_its_own() -> None:
    assert _loop.wait(thread_name()) == "agentnb-loop"
    loops = {_loop.background_loop() for _ in range(3)}
    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(_loop.background_loop) for _ in range(32)]
        loops |= {future.result() for future in found}
    assert len(loops) == 1
    assert not _loop.is_background_thread()


def test_work_sees_the_context_of_who_submitted_it() -> None:
    async def look() -> str:
        await asyncio.sleep(0)
        return where.get()

    def submit_from(name: str) -> str:
        where.set(name)
        return _loop.wait(look())

    names = [f"cell {n}" for n in range(20)]
    with ThreadPoolExecutor(20) as pool:
        found = [pool.submit(contextvars.Context().run, submit_from, name) for name in names]
        assert [future.result() for future in found] == names
    assert _loop.wait(look()) == "nowhere"


def test_the_errors_of_the_work_are_its_own() -> None:
    async def late() -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        _loop.wait(late())


def test_it_refuses_to_wait_for_itself() -> None:
    async def nested() -> bool:
        assert _loop.is_background_thread()
        with pytest.raises(RuntimeError, match="event loop"):
            _loop.wait(thread_name())
        return True

    assert _loop.wait(nested())


def test_ctrl_c_cancels_the_work_that_is_waited_for() -> None:
    cancelled = threading.Event()

    async def interrupt_and_hang() -> None:
        await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(KeyboardInterrupt):
        _loop.wait(interrupt_and_hang())
    assert cancelled.wait(10)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_task_cannot_end_the_loop(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    loop = _loop.background_loop()

    async def leave() -> None:
        raise error

    with caplog.at_level(logging.ERROR, logger="agentnb._loop"), pytest.raises(error):
        _loop.wait(leave())
    assert _loop.wait(thread_name()) == "agentnb-loop"
    assert _loop.background_loop() is loop
    assert "tried to end the event loop" in caplog.text


def test_stop_ends_the_work_and_leaves_nothing_open() -> None:
    done = python("""
        import asyncio, threading
        from agentnb import _loop

        assert not _loop.is_running()
        _loop.stop(1)
        ended = []

        async def hang():
            try:
                await asyncio.sleep(60)
            finally:
                ended.append("task")

        async def numbers():
            try:
                yield 1
                yield 2
            finally:
                ended.append("generator")

        async def begin(kept):
            kept.append(numbers())
            await anext(kept[0])

        kept = []
        _loop.wait(begin(kept))
        work = _loop.submit(hang())
        _loop.wait(asyncio.sleep(0.01))
        loop = _loop.background_loop()
        assert _loop.is_running()
        _loop.stop(5)
        assert not _loop.is_running()
        assert loop.is_closed()
        assert work.cancelled()
        assert sorted(ended) == ["generator", "task"], ended
        assert "agentnb-loop" not in [t.name for t in threading.enumerate()]
        _loop.stop(5)
        # And a new one where it is needed again.
        assert _loop.wait(asyncio.sleep(0, "again")) == "again"
        assert _loop.background_loop() is not loop
        _loop.stop(5)
    """)
    assert done.stderr == ""


def test_a_forked_child_has_a_loop_of_its_own() -> None:
    done = python(
        """
        import asyncio, os, threading
        from agentnb import _loop

        _loop.wait(asyncio.sleep(0))
        # As if another thread were just starting the loop.
        _loop._lock.acquire()
        child = os.fork()
        if child == 0:
            assert not _loop.is_running()
            assert not _loop.is_background_thread()
            assert _loop.wait(asyncio.sleep(0, os.getpid())) == os.getpid()
            _loop.stop(5)
            os._exit(0)
        _loop._lock.release()
        assert os.waitpid(child, 0)[1] == 0
        assert _loop.wait(asyncio.sleep(0, "parent")) == "parent"
        _loop.stop(5)
        """,
        "-W",
        "ignore::DeprecationWarning",  # of forking a process that has threads, from 3.12 on
    )
    assert done.stderr == ""
