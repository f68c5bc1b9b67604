"""Ctrl-C, and what a fork makes of a run that goes on."""

from __future__ import annotations

import signal
import time

import pytest

from tests.children import python, spawn
from tests.played import LONG

pytestmark = pytest.mark.anyio


# -- Ctrl-C --------------------------------------------------------------------------------------

INTERRUPTED = """
    import asyncio, time
    import agentnb

    def slow(prompt):
        yield "partial "
        print("streaming", flush=True)
        time.sleep(1)
        while True:
            time.sleep(0.01)
            yield "."

    agent = agentnb.agent(slow)
"""


def interrupt(code: str) -> str:
    """What ``code`` prints when it gets Ctrl-C in the middle of an answer."""
    child = spawn(INTERRUPTED + code)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "streaming\n"
        time.sleep(0.2)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=LONG)
    finally:
        child.kill()
        child.wait()
    assert err == ""
    return out


def test_ctrl_c_cancels_what_run_waits_for() -> None:
    out = interrupt("""
    try:
        agent.run("hi")
    except KeyboardInterrupt:
        run = agentnb.last_run()
        run.wait(10, check=False)
        print(run.status, run.text.startswith("partial"))
    """)
    assert out == "cancelled True\n"


def test_ctrl_c_only_ends_a_wait() -> None:
    out = interrupt("""
    run = agent.start("hi")
    try:
        run.wait()
    except KeyboardInterrupt:
        time.sleep(0.3)
        print(run.status, run.done)
    """)
    assert out == "running False\n"


def test_ctrl_c_cancels_what_arun_waits_for() -> None:
    out = interrupt("""
    try:
        asyncio.run(agent.arun("hi"))
    except KeyboardInterrupt:
        run = agentnb.last_run()
        run.wait(10, check=False)
        print(run.status, run.text.startswith("partial"))
    """)
    assert out == "cancelled True\n"


def test_ctrl_c_cancels_what_stream_yields() -> None:
    out = interrupt("""
    async def follow():
        async for event in agent.stream("hi"):
            pass

    try:
        asyncio.run(follow())
    except KeyboardInterrupt:
        run = agentnb.last_run()
        run.wait(10, check=False)
        print(run.status, run.text.startswith("partial"))
    """)
    assert out == "cancelled True\n"


def test_a_forked_child_sees_the_run_interrupted_and_runs_its_own() -> None:
    done = python(
        """
        import os, sys, time
        import agentnb
        from agentnb.errors import RunTruncatedError

        def slow(prompt):
            yield "partial "
            time.sleep(1.5)
            yield "rest"

        run = agentnb.agent(slow).start("hi")
        while not run.text:
            time.sleep(0.01)
        heard = []
        run.subscribe(lambda: heard.append(os.getpid()))
        child = os.fork()
        if child == 0:
            assert run.status == "interrupted", run.status
            assert run.text == "partial "
            try:
                run.wait(10)
            except RunTruncatedError as error:
                assert "forked" in str(error)
            else:
                sys.exit("it should have said so")
            run.cancel()
            run.start()
            assert agentnb.agent(lambda prompt: prompt.upper()).run("own").text == "OWN"
            assert run.status == "interrupted"
            assert os.getpid() not in heard
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert run.wait(10).text == "partial rest"
        """,
        "-W",
        "ignore::DeprecationWarning",  # of forking a process that has threads, from 3.12 on
    )
    assert done.stderr == ""
