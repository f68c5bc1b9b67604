"""Runs when the process exits."""

from __future__ import annotations

import asyncio

import pytest

from tests.children import python
from tests.platforms.scripted import Reply, scripted_server, stream
from tests.played import LONG

pytestmark = pytest.mark.anyio


class TestTheEnd:
    async def test_unfinished_runs_are_cancelled_on_their_platform(self) -> None:
        """By name, since a name has to be looked up when there may be no threads any more."""
        frames = [
            {"event": "START", "data": '{"runId":"r9","sessionId":"s9"}'},
            {"event": "CONTENT_DELTA", "data": "partial"},
        ]
        async with asyncio.timeout(LONG * 2), scripted_server() as server:
            server.routes["POST /api/agents/a/runs/stream"] = stream(*frames, hang=True)
            server.routes["DELETE /api/agents/a/runs/r9"] = Reply(status=204)
            port = server.url.rpartition(":")[2]
            await asyncio.to_thread(
                python,
                f"""
                import time, agentnb
                agent = agentnb.agent(
                    "operativus:a", base_url="http://localhost:{port}", api_key="k"
                )
                run = agent.start("hi")
                while not run.text:
                    time.sleep(0.01)
                """,
            )
            assert "DELETE /api/agents/a/runs/r9" in server.calls
            await server.left.wait()

    async def test_an_unresponsive_platform_does_not_delay_exit(self) -> None:
        async with asyncio.timeout(LONG * 2), scripted_server() as server:
            started = {"event": "START", "data": '{"runId":"r9","sessionId":"s9"}'}
            server.routes["POST /api/agents/a/runs/stream"] = stream(started, hang=True)
            server.routes["DELETE /api/agents/a/runs/r9"] = stream("", hang=True)
            done = await asyncio.to_thread(
                python,
                f"""
                import time, agentnb
                agent = agentnb.agent("operativus:a", base_url="{server.url}", api_key="k")
                run = agent.start("hi")
                while run.id != "r9":
                    time.sleep(0.01)
                """,
            )
            assert done.stderr == ""

    @pytest.mark.parametrize(
        "ending",
        [
            "",
            "agentnb.agent('echo').run('hi')",
            "agentnb.agent('echo').start('hi', delay_ms=100)",
            "agentnb.agent('seekr:echo', base_url='sandbox').start('hi', delay_ms=100)",
            "list(map(agentnb.agent(lambda p: p).start, 'abc'))",
            "run = agentnb.agent(endless).start('hi')\nwhile not run.text: time.sleep(0.01)",
            "run = agentnb.agent(endless).start('hi'); raise SystemExit(0)",
        ],
    )
    def test_nothing_is_left_open(self, ending: str) -> None:
        code = (
            "import agentnb, time\n"
            "def endless(prompt):\n"
            "    while True:\n"
            "        yield 'x'\n"
            "        time.sleep(0.01)\n"
            f"{ending}\n"
        )
        done = python(code)
        assert done.stderr == ""
        assert done.stdout == ""

    @pytest.mark.parametrize(
        "agent",
        [
            "def agent(prompt): time.sleep(1000)",
            """
async def agent(prompt):
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass
""",
        ],
    )
    def test_a_hanging_agent_does_not_delay_exit(self, agent: str) -> None:
        python(
            f"import agentnb, asyncio, time\n{agent}\n"
            "agentnb.agent(agent).start('hi')\n"
            "time.sleep(0.1)\n"
        )

    def test_a_forked_child_has_its_own_clients(self) -> None:
        done = python(
            """
            import os, sys
            import agentnb
            from agentnb.run.clients import connect
            from agentnb.sandbox import Sandbox

            sandbox = Sandbox(pace=0).start()
            where = {"base_url": sandbox.base_url("operativus"), "api_key": sandbox.api_key}
            agent = agentnb.agent("operativus:echo", **where)
            assert agent.run("one").text == "one"
            mine = connect("operativus", **where)
            child = os.fork()
            if child == 0:
                assert connect("operativus", **where) is not mine
                assert connect("operativus", **where) is connect("operativus", **where)
                sys.exit(0)
            assert os.waitpid(child, 0)[1] == 0
            assert connect("operativus", **where) is mine
            assert agent.run("two").text == "two"
            """,
            "-W",
            "ignore::DeprecationWarning",  # of forking a process that has threads, from 3.12 on
        )
        assert done.stderr == ""
