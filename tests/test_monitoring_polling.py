"""How a platform is asked again and again, also one that is unwell."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from typing import Any, Protocol, TypeVar

import pytest
from pydantic import SecretStr

from agentnb import _loop
from agentnb.config import PlatformSettings
from agentnb.monitoring import Watch
from agentnb.monitoring.polling import PollingInterval
from agentnb.platforms.base import Platform
from agentnb.platforms.operativus import OperativusPlatform
from agentnb.platforms.runagent import RunAgentPlatform
from agentnb.platforms.runtools import RunToolsPlatform
from agentnb.platforms.seekr import SeekrPlatform
from tests.platforms.scripted import Reply, ScriptedServer, scripted_server
from tests.simulated import SimulatedTime, until

pytestmark = pytest.mark.anyio

C = TypeVar("C", bound=Platform)


class Connected(Protocol):
    def __call__(self, client: C, /) -> C: ...


STATUS = "GET /api/agents/a/runs/r1/status"


@pytest.fixture
async def server() -> AsyncGenerator[ScriptedServer, None]:
    async with scripted_server() as found:
        yield found


def settings(platform: str, url: str) -> PlatformSettings:
    return PlatformSettings(
        platform=platform, base_url=url, api_key=SecretStr("key-12345678"), trust_env=False
    )


@pytest.fixture
async def connected() -> AsyncGenerator[Connected, None]:
    """Sees to it that a client is closed."""
    clients: list[Platform] = []

    def keep(client: C) -> C:
        clients.append(client)
        return client

    yield keep
    for client in clients:
        # Where its connections are.
        await asyncio.wrap_future(_loop.submit(client.aclose()))


@pytest.fixture
def client(server: ScriptedServer, connected: Connected) -> Platform:
    return connected(OperativusPlatform(settings("operativus", server.url)))


def run(status: str, run_id: str = "r1", **fields: Any) -> dict[str, Any]:
    return {"id": run_id, "agentId": "a", "sessionId": "s", "status": status, **fields}


async def watched(watch: Watch) -> Watch:
    async with asyncio.timeout(20):
        await watch.wait()
    return watch


class TestFollowing:
    async def test_until_the_run_has_ended(self, server: ScriptedServer, client: Platform) -> None:
        begin, end = "2026-05-06T10:00:00Z", "2026-05-06T10:00:42Z"
        server.on(
            STATUS,
            Reply(run("QUEUED")),
            Reply(run("RUNNING", startedAt=begin)),
            Reply(run("COMPLETED", startedAt=begin, completedAt=end)),
        )
        time = SimulatedTime(1000)
        watch = Watch((client, "r1", "a"), interval=3, clock=time)
        seen: list[str] = []
        watch.subscribe(lambda: seen.append(watch.rows()[0].status))
        await watched(watch)
        (row,) = watch.rows()
        assert (row.key, row.run_id, row.platform) == ("operativus:r1", "r1", "operativus")
        assert (row.agent, row.session_id, row.title) == ("a", "s", "a")
        assert (row.status, row.elapsed, row.final) == ("completed", 42.0, True)
        assert (row.error, row.can_cancel) == (None, False)
        assert list(dict.fromkeys(seen)) == ["queued", "running", "completed"]
        # Each poll brought something new.
        assert time.pauses == [3, 3]
        assert watch.requests == 3
        assert repr(watch) == "<Watch 1 of 1 runs are over>"

    async def test_a_failed_run_says_why(self, server: ScriptedServer, client: Platform) -> None:
        server.on(STATUS, Reply(run("FAILED", errorMessage="No more money.")))
        (row,) = (await watched(Watch((client, "r1", "a")))).rows()
        assert (row.status, row.error, row.final) == ("failed", "No more money.", True)

    async def test_of_several_runs_those_that_failed_say_why(
        self, server: ScriptedServer, client: Platform
    ) -> None:
        server.on("GET /api/agents/a/runs/status", Reply([run("FAILED"), run("COMPLETED", "r2")]))
        server.on(STATUS, Reply(run("FAILED", errorMessage="No more money.")))
        watch = Watch([(client, ["r1", "r2"], "a")])
        failed, fine = (await watched(watch)).rows()
        assert (failed.error, fine.error) == ("No more money.", None)
        assert watch.requests == len(server.requests) == 2

    async def test_a_paused_run_is_not_over(self, server: ScriptedServer, client: Platform) -> None:
        server.on(STATUS, Reply(run("PAUSED")), Reply(run("PAUSED")), Reply(run("COMPLETED")))
        watch = Watch((client, "r1", "a"), clock=SimulatedTime(1000))
        details: list[tuple[str, bool, bool]] = []

        def told() -> None:
            row = watch.rows()[0]
            details.append((row.detail, row.final, row.settled))

        watch.subscribe(told)
        await watched(watch)
        assert details[0] == ("Waits for a decision", False, True)
        assert details[-1][1:] == (True, True)
        assert watch.requests == 3

    async def test_a_change_brings_the_pace_back(
        self, server: ScriptedServer, client: Platform
    ) -> None:
        same = [Reply(run("QUEUED"))] * 4
        server.on(STATUS, *same, *[Reply(run("RUNNING"))] * 2, Reply(run("COMPLETED")))
        time = SimulatedTime(1000)
        await watched(Watch((client, "r1", "a"), interval=2, max_interval=6, clock=time))
        assert time.pauses == [2, 3, 4.5, 6, 2, 3]

    async def test_stopping(self, server: ScriptedServer, client: Platform) -> None:
        server.on(STATUS, Reply(run("RUNNING")))
        watch = Watch((client, "r1", "a"), interval=60).start()
        await server.asked(1)
        watch.stop()
        rows = await watched(watch)
        assert watch.done
        assert rows.rows()[0].final is False
        assert len(server.requests) == 1


class TestTrouble:
    async def test_a_platform_that_asks_for_a_pause_gets_it(
        self, server: ScriptedServer, client: Platform
    ) -> None:
        busy = Reply({"detail": "Slow down."}, status=429, headers={"retry-after": "70"})
        server.on(STATUS, Reply(run("RUNNING")), busy, Reply(run("COMPLETED")))
        time = SimulatedTime(1000)
        watch = Watch((client, "r1", "a"), interval=3, clock=time)
        details: list[str] = []
        watch.subscribe(lambda: details.append(watch.rows()[0].detail))
        await watched(watch)
        assert time.pauses == [3, 70]
        assert any("Slow down. Next attempt in 70 s." in detail for detail in details)
        (row,) = watch.rows()
        assert (row.status, row.error, row.detail) == ("completed", None, "")

    async def test_no_pause_is_longer_than_two_minutes(
        self, server: ScriptedServer, client: Platform
    ) -> None:
        busy = Reply(None, status=503, headers={"retry-after": "86400"})
        server.on(STATUS, busy, Reply(run("COMPLETED")))
        time = SimulatedTime(1000)
        await watched(Watch((client, "r1", "a"), clock=time))
        assert time.pauses == [120]

    async def test_failures_are_asked_after_ever_less_often(
        self, server: ScriptedServer, client: Platform
    ) -> None:
        server.on(STATUS, *[Reply(None, status=500)] * 5, Reply(run("COMPLETED")))
        time = SimulatedTime(1000)
        await watched(Watch((client, "r1", "a"), interval=3, clock=time))
        assert time.pauses == [6, 12, 24, 30, 30]

    async def test_nobody_listens(self, connected: Connected) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        client = connected(OperativusPlatform(settings("operativus", url)))
        time = SimulatedTime(60)
        watch = Watch((client, "r1", "a"), interval=3, clock=time).start()
        await until(time.over.is_set)
        (row,) = watch.rows()
        assert not row.final
        assert "Next attempt in 30 s." in row.detail
        watch.stop()

    async def test_a_run_that_the_platform_does_not_know(
        self, server: ScriptedServer, client: Platform
    ) -> None:
        server.on("GET /api/agents/a/runs/status", Reply([run("COMPLETED", "r2")]))
        watch = Watch([(client, "r1", "a"), (client, "r2", "a")], clock=SimulatedTime(1000))
        lost, found = (await watched(watch)).rows()
        assert (lost.detail, lost.final) == ("Unknown to the platform", True)
        assert lost.error == "operativus does not know this run."
        assert (found.status, found.error) == ("completed", None)
        assert watch.requests == 3

    async def test_a_wrong_key_is_not_tried_again(
        self, server: ScriptedServer, client: Platform
    ) -> None:
        server.on(STATUS, Reply(None, status=401))
        (row,) = (await watched(Watch((client, "r1", "a")))).rows()
        assert row.final
        assert "401" in (row.error or "")
        assert len(server.requests) == 1

    async def test_a_refusal_is_tried_three_times(
        self, server: ScriptedServer, client: Platform
    ) -> None:
        server.on(STATUS, Reply({"detail": "No."}, status=400))
        watch = Watch((client, "r1", "a"), clock=SimulatedTime(1000))
        (row,) = (await watched(watch)).rows()
        assert (row.final, row.detail) == (True, "Not followed any more")
        assert "No." in (row.error or "")
        assert len(server.requests) == 3

    async def test_a_platform_that_cannot_tell(
        self, server: ScriptedServer, connected: Connected
    ) -> None:
        client = connected(RunAgentPlatform(settings("runagent", server.url)))
        (row,) = (await watched(Watch((client, "r1")))).rows()
        assert row.final
        assert row.error == "runagent has no way to ask for the state of a run."
        # Which of its protocols is spoken at the address is looked up, once.
        assert [seen.target for seen in server.requests] == ["/api/v1"]

    async def test_one_run_without_its_thread_spoils_nothing(
        self, server: ScriptedServer, connected: Connected
    ) -> None:
        server.on(
            "GET /v1/threads/t/runs/r1",
            Reply({"id": "r1", "status": "completed", "thread_id": "t"}),
        )
        client = connected(SeekrPlatform(settings("seekr", server.url)))
        lost, found = (await watched(Watch([(client, "r9"), (client, "r1", None, "t")]))).rows()
        assert "session_id is needed" in (lost.error or "")
        assert found.status == "completed"

    async def test_a_platform_of_somebody_elses_that_breaks(self) -> None:
        class Broken(RunToolsPlatform):
            asked = 0

            async def status(self, *_: Any, **__: Any) -> Any:
                self.asked += 1
                raise ZeroDivisionError("1/0")

        client = Broken(settings("broken", "http://127.0.0.1:9"))
        time = SimulatedTime(10)
        watch = Watch((client, "r1"), interval=3, clock=time).start()
        await until(time.over.is_set)
        assert "ZeroDivisionError: 1/0" in watch.rows()[0].detail
        assert client.asked > 1
        watch.stop()


class TestCancelling:
    async def test_a_run_of_the_platform(self, server: ScriptedServer, client: Platform) -> None:
        server.on(STATUS, Reply(run("RUNNING")))
        server.on("DELETE /api/agents/a/runs/r1", Reply(None, status=204))
        watch = Watch((client, "r1", "a"), interval=60).start()
        await server.asked(1)
        await until(lambda: watch.rows()[0].status == "running")
        assert watch.rows()[0].can_cancel
        server.on(STATUS, Reply(run("CANCELLED")))
        watch.cancel("operativus:r1")
        # It is asked for at once.
        (row,) = (await watched(watch)).rows()
        assert (row.status, row.error) == ("cancelled", None)
        assert server.calls == [STATUS, "DELETE /api/agents/a/runs/r1", STATUS]

    async def test_where_there_is_no_such_call(
        self, server: ScriptedServer, connected: Connected
    ) -> None:
        server.on("GET /v1/run", Reply([{"runId": "r1", "status": "running"}]))
        client = connected(RunToolsPlatform(settings("runtools", server.url)))
        watch = Watch((client, "r1"), interval=60).start()
        await server.asked(1)
        assert not watch.rows()[0].can_cancel
        watch.cancel("runtools:r1")
        await until(lambda: watch.rows()[0].error is not None)
        assert "no call that cancels a run" in (watch.rows()[0].error or "")
        with pytest.raises(KeyError):
            watch.cancel("another")
        watch.stop()

    async def test_a_refusal(self, server: ScriptedServer, client: Platform) -> None:
        server.on(STATUS, Reply(run("RUNNING")))
        server.on("DELETE /api/agents/a/runs/r1", Reply({"detail": "Not yours."}, status=403))
        watch = Watch((client, "r1", "a"), interval=60).start()
        await server.asked(1)
        watch.cancel("operativus:r1")
        await until(lambda: watch.rows()[0].error is not None)
        assert "Not yours." in (watch.rows()[0].error or "")
        assert not watch.rows()[0].final
        watch.stop()


def test_the_pace() -> None:
    pace = PollingInterval(3, 30)
    assert [pace.after(changed=False, requests=1) for _ in range(7)] == [
        *(4.5, 6.75, 10.125, 15.1875, 22.78125, 30, 30)
    ]
    assert pace.after(changed=True, requests=1) == 3
    assert pace.after(changed=True, requests=10) == 30
    assert pace.after(changed=True, requests=1000) == 60
    assert pace.after_failure(None) == 6
    assert pace.after_failure(1) == 3
    assert pace.after_failure(None) == 24
