"""Which sessions and which open runs a pull asks a platform for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from agentnb import _loop
from agentnb.agents import Agent
from agentnb.config import PlatformSettings
from agentnb.platforms.base import Platform
from agentnb.platforms.seekr import SeekrPlatform
from agentnb.store.recorder import use
from agentnb.store.schema import cursor, run
from agentnb.store.store import Store, store
from agentnb.store.values import now, to_micros
from agentnb.synchronization.merge import Synced
from agentnb.synchronization.sync import sync_async
from tests.history.rows import a_run, add
from tests.platforms.scripted import Reply, ScriptedServer, scripted_server

pytestmark = pytest.mark.anyio

# Of this connection nobody else in this process has runs; their sessions would be asked for, too.
NAME = "seekr_of_sessions"
DAY = 24 * 3600 * 1_000_000
EMPTY: list[Any] = []


@pytest.fixture
async def server() -> AsyncGenerator[ScriptedServer, None]:
    async with scripted_server() as found:
        yield found


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Store]:
    use(tmp_path / "history.sqlite")
    yield store(required=True)
    use(None)


@pytest.fixture
async def seekr(server: ScriptedServer) -> AsyncGenerator[Platform, None]:
    settings = PlatformSettings(
        platform=NAME, base_url=server.url, api_key=SecretStr("key-12345678"), trust_env=False
    )
    client = SeekrPlatform(settings)
    yield client
    await asyncio.wrap_future(_loop.submit(client.aclose()))


async def pull(client: Platform, **options: Any) -> Synced:
    async with asyncio.timeout(30):
        return await sync_async(Agent(client, "a"), progress=False, **options)


def in_sessions(kept: Store, server: ScriptedServer, **ages: int) -> None:
    """Have runs that ended so many days ago, each in the session of its name."""
    moment = now()
    for session, days in ages.items():
        server.routes[f"GET /v1/threads/{session}/runs"] = Reply(EMPTY)
        values = {"platform": NAME, "agent": "a", "session_id": session, "process": None}
        began = moment - days * DAY
        add(kept, run, a_run(session.ljust(32, "0"), run_id=session, started_at=began, **values))


def asked(server: ScriptedServer) -> list[str]:
    """The sessions whose lists were asked for since the last time."""
    found = [seen.path.split("/")[3] for seen in server.requests if seen.path.endswith("/runs")]
    server.requests.clear()
    return sorted(found)


class TestSessions:
    async def test_old_ones_only_once(
        self, server: ScriptedServer, seekr: Platform, kept: Store
    ) -> None:
        in_sessions(kept, server, old=31, new=29)
        await pull(seekr)
        assert asked(server) == ["new", "old"]
        await pull(seekr)
        assert asked(server) == ["new"]
        # One that became known since.
        in_sessions(kept, server, older=300)
        await pull(seekr)
        assert asked(server) == ["new", "older"]
        await pull(seekr, sessions=["old"])
        assert asked(server) == ["old"]

    async def test_since_then(self, server: ScriptedServer, seekr: Platform, kept: Store) -> None:
        in_sessions(kept, server, old=40, middle=20, new=1)
        await pull(seekr, since="7d")
        assert asked(server) == ["new"]
        await pull(seekr, since="30d")
        assert asked(server) == ["middle", "new"]
        await pull(seekr, since=datetime.now(UTC) - timedelta(days=365))
        assert asked(server) == ["middle", "new", "old"]

    async def test_one_that_is_gone_there_is_not_asked_for_for_ever(
        self, server: ScriptedServer, seekr: Platform, kept: Store
    ) -> None:
        in_sessions(kept, server, gone=100)
        server.routes["GET /v1/threads/gone/runs"] = Reply({"detail": "No thread."}, status=404)
        await pull(seekr)
        assert asked(server) == ["gone"]
        await pull(seekr)
        assert asked(server) == []

    async def test_one_that_was_not_pulled_to_its_end(
        self, server: ScriptedServer, seekr: Platform, kept: Store
    ) -> None:
        in_sessions(kept, server, old=100)
        rows = [
            {"id": f"r{n}", "agent_id": "a", "thread_id": "old", "status": "completed"}
            for n in range(3)
        ]
        server.routes["GET /v1/threads/old/runs"] = Reply(rows)
        await pull(seekr, limit=2)
        assert asked(server) == ["old"]
        await pull(seekr)
        # To its end: a page after the last one brings nothing new.
        assert asked(server) == ["old", "old"]


class TestOpen:
    @pytest.fixture(autouse=True)
    def unfinished(self, kept: Store, server: ScriptedServer) -> None:
        in_sessions(kept, server, s=100)
        with kept.begin() as connection:
            connection.execute(update(run).values(status="truncated", run_id="lost"))
        server.routes["GET /v1/threads/s/runs/lost"] = Reply({"detail": "No run."}, status=404)

    async def test_one_that_is_not_known_there_is_left_alone_for_a_day(
        self, server: ScriptedServer, seekr: Platform, kept: Store
    ) -> None:
        def times() -> int:
            paths = [seen.path for seen in server.requests]
            server.requests.clear()
            return paths.count("/v1/threads/s/runs/lost")

        await pull(seekr)
        assert times() == 1
        await pull(seekr)
        assert times() == 0
        with kept.begin() as connection:
            connection.execute(update(cursor).values(pulled_at=now() - 2 * DAY))
            add_one = {"platform": NAME, "scope": "#unknown:another"}
            connection.execute(cursor.insert().values(**add_one, newest=1, pulled_at=1))
        await pull(seekr)
        assert times() == 1
        # What is long past is not kept.
        with kept.connect() as connection:
            scopes = set(connection.execute(select(cursor.c.scope)).scalars())
        assert {scope for scope in scopes if scope.startswith("#unknown")} == {"#unknown:lost"}

    async def test_one_that_is_known_is_asked_for_each_time(
        self, server: ScriptedServer, seekr: Platform, kept: Store
    ) -> None:
        told = {"id": "lost", "agent_id": "a", "thread_id": "s", "status": "in_progress"}
        server.routes["GET /v1/threads/s/runs/lost"] = Reply(told)
        for _ in range(2):
            await pull(seekr)
            assert "/v1/threads/s/runs/lost" in {seen.path for seen in server.requests}
            server.requests.clear()

    async def test_the_newest_ones(
        self, server: ScriptedServer, seekr: Platform, kept: Store
    ) -> None:
        moment = to_micros(datetime(2026, 1, 1, tzinfo=UTC))
        values = {"platform": NAME, "agent": "a", "session_id": "s", "process": None}
        many = [
            a_run(f"{n:032}", run_id=f"r{n}", status="truncated", started_at=moment + n, **values)
            for n in range(250)
        ]
        with kept.begin() as connection:
            connection.execute(run.delete())
            connection.execute(run.insert(), many)
        await pull(seekr)
        with kept.connect() as connection:
            scopes = set(connection.execute(select(cursor.c.scope)).scalars())
        noted = {scope for scope in scopes if scope.startswith("#unknown")}
        assert noted == {f"#unknown:r{n}" for n in range(50, 250)}
