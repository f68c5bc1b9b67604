"""How far a pull goes: pages, what is known already, and platforms that are unwell."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select, text

from agentnb import _loop
from agentnb._http import RequestOptions
from agentnb.agents import Agent
from agentnb.config import PlatformSettings
from agentnb.errors import HistoryError, NotFoundError, RateLimitError, ServerError
from agentnb.platforms.base import Platform
from agentnb.platforms.operativus import OperativusPlatform
from agentnb.platforms.seekr import SeekrPlatform
from agentnb.store.recorder import use
from agentnb.store.schema import content, cursor, run
from agentnb.store.store import Store, store
from agentnb.synchronization.merge import Synced
from agentnb.synchronization.pull import Pull
from agentnb.synchronization.sync import sync_async
from tests.children import spawn
from tests.platforms.scripted import Reply, ScriptedServer, Seen, scripted_server, stream
from tests.simulated import until

pytestmark = pytest.mark.anyio

RUNS = "GET /api/v1/runs"


@pytest.fixture
async def server() -> AsyncGenerator[ScriptedServer, None]:
    async with scripted_server() as found:
        yield found


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Store]:
    use(tmp_path / "history.sqlite")
    yield store(required=True)
    use(None)


def settings(platform: str, server: ScriptedServer) -> PlatformSettings:
    return PlatformSettings(
        platform=platform, base_url=server.url, api_key=SecretStr("key-12345678"), trust_env=False
    )


@pytest.fixture
async def operativus(server: ScriptedServer) -> AsyncGenerator[Platform, None]:
    client = OperativusPlatform(settings("operativus", server))
    yield client
    await asyncio.wrap_future(_loop.submit(client.aclose()))


@pytest.fixture
async def seekr(server: ScriptedServer) -> AsyncGenerator[Platform, None]:
    client = SeekrPlatform(settings("seekr", server))
    yield client
    await asyncio.wrap_future(_loop.submit(client.aclose()))


class Runs:
    """A platform's runs, newest first, in pages of 100; run n was made in minute n of the day."""

    def __init__(self, count: int) -> None:
        self.rows = [row(n) for n in range(count)][::-1]

    def page(self, seen: Seen) -> Reply:
        number, size = int(seen.query["page"]), int(seen.query["size"])
        rows = self.rows[number * size : (number + 1) * size]
        total = -(-len(self.rows) // size)
        return Reply({"content": rows, "page": {"number": number, "totalPages": total}})


def row(number: int, status: str = "COMPLETED", **fields: Any) -> dict[str, Any]:
    at = f"2026-05-06T{number // 60:02}:{number % 60:02}"
    made = {"id": f"r{number}", "agentId": "a", "sessionId": "s", "status": status}
    return {**made, "createdAt": f"{at}:00Z", "completedAt": f"{at}:30Z", **fields}


async def pull(client: Platform, **options: Any) -> Synced:
    async with asyncio.timeout(30):
        return await sync_async(Agent(client, "a"), progress=False, **options)


async def pull_patiently(
    client: Platform, kept: Store
) -> tuple[Synced | BaseException, list[float]]:
    """Pull; return what came of it, and the pauses that were made, in seconds."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def work() -> Synced:
        with RequestOptions(sleep=sleep).applied():
            return await Pull(
                client,
                kept,
                agent="a",
                since=None,
                sessions=None,
                limit=None,
                progress=False,
            ).run()

    try:
        return await asyncio.wrap_future(_loop.submit(work())), pauses
    except Exception as error:
        return error, pauses


def count(kept: Store) -> int:
    with kept.connect() as connection:
        return connection.execute(select(func.count()).select_from(run)).scalar_one()


class TestPages:
    async def test_all_of_them_and_then_only_what_is_new(
        self, server: ScriptedServer, operativus: Platform, kept: Store
    ) -> None:
        there = Runs(450)
        server.routes[RUNS] = there.page
        assert await pull(operativus) == Synced(added=450, requests=5)
        assert count(kept) == 450
        there.rows[:0] = [row(n) for n in range(453, 449, -1)]
        again = await pull(operativus)
        assert (again.added, again.updated, again.requests) == (4, 0, 1)
        assert count(kept) == 454
        assert (await pull(operativus)).requests == 1

    async def test_many_new_ones_are_walked_through(
        self, server: ScriptedServer, operativus: Platform, kept: Store
    ) -> None:
        there = Runs(300)
        server.routes[RUNS] = there.page
        await pull(operativus)
        there.rows[:0] = [row(n) for n in range(550, 299, -1)]
        again = await pull(operativus)
        assert (again.added, again.requests) == (251, 3)

    async def test_no_further_back_than_asked(
        self, server: ScriptedServer, operativus: Platform, kept: Store
    ) -> None:
        server.routes[RUNS] = Runs(450).page
        since = "2026-05-06T06:00:00Z"  # the 360th
        assert await pull(operativus, since=since) == Synced(added=90, requests=1)
        assert (await pull(operativus, since=since)).unchanged == 90
        # What was left out then is not taken for known.
        assert (await pull(operativus)).added == 360
        with kept.connect() as connection:
            marks = connection.execute(select(cursor.c.scope, cursor.c.newest)).all()
        assert [scope for scope, _ in marks] == ["#agent:a"]

    async def test_no_more_than_asked(
        self, server: ScriptedServer, operativus: Platform, kept: Store
    ) -> None:
        server.routes[RUNS] = Runs(450).page
        assert (await pull(operativus, limit=30)).added == 30
        assert (await pull(operativus)).added == 420

    async def test_an_old_run_that_had_not_ended_is_asked_for_by_itself(
        self, server: ScriptedServer, operativus: Platform, kept: Store
    ) -> None:
        there = Runs(250)
        there.rows[240] = row(9, "RUNNING", completedAt=None)
        there.rows[241] = row(8, "QUEUED", completedAt=None)
        server.routes[RUNS] = there.page
        await pull(operativus)
        states = "GET /api/agents/a/runs/status"
        server.on(states, Reply([row(9), row(8, "RUNNING", completedAt=None)]))
        whole = "GET /api/agents/a/runs/r9/status"
        server.on(whole, Reply(row(9, output="Done.", metrics={"totalTokens": 7, "costUsd": 0.5})))
        again = await pull(operativus)
        assert again.updated == 2
        assert server.calls[-3:] == [RUNS, states, whole]
        with kept.connect() as connection:
            found = connection.execute(
                select(run.c.status, run.c.total_tokens, run.c.cost_usd, content.c.text)
                .join(content, content.c.run == run.c.key)
                .where(run.c.run_id == "r9")
            ).one()
        assert tuple(found) == ("completed", 7, 0.5, "Done.")

    async def test_a_thread_of_many_pages(
        self, server: ScriptedServer, seekr: Platform, kept: Store
    ) -> None:
        rows = [
            {
                "id": f"r{n}",
                "agent_id": "a",
                "thread_id": "t",
                "status": "completed",
                "created_at": f"2026-05-06T10:{n:02}:00Z",
                "usage": {"prompt_tokens": n, "completion_tokens": 1, "total_tokens": n + 1},
            }
            for n in range(59, -1, -1)
        ]

        def page(seen: Seen) -> Reply:
            begin, size = int(seen.query["offset"]), int(seen.query["limit"])
            return Reply(rows[begin : begin + size])

        server.routes["GET /v1/threads/t/runs"] = page
        assert (await pull(seekr, sessions="t")).added == 60
        again = await pull(seekr, sessions=["t"])
        assert (again.unchanged, again.requests) == (20, 1)
        with kept.connect() as connection:
            total = connection.execute(select(func.sum(run.c.total_tokens))).scalar_one()
        assert total == sum(n + 1 for n in range(60))


class TestPoliteness:
    async def test_a_few_requests_at_a_time(
        self, server: ScriptedServer, seekr: Platform, kept: Store
    ) -> None:
        gate = asyncio.Event()
        for n in range(12):
            server.routes[f"GET /v1/threads/t{n}/runs"] = stream(
                gate, b"[]", headers={"content-type": "application/json"}
            )
        pulling = asyncio.ensure_future(pull(seekr, sessions=[f"t{n}" for n in range(12)]))
        await server.asked(4)
        # Long enough for a fifth to come, were it sent.
        await asyncio.sleep(0.1)
        assert len(server.requests) == 4
        gate.set()
        assert await pulling == Synced(requests=12)

    async def test_the_pause_that_was_asked_for(
        self, server: ScriptedServer, operativus: Platform, kept: Store
    ) -> None:
        there = Runs(150)
        busy = Reply({"detail": "Slow down."}, status=429, headers={"retry-after": "90"})
        server.routes[RUNS] = lambda seen: busy if len(server.requests) == 2 else there.page(seen)
        brought, pauses = await pull_patiently(operativus, kept)
        assert brought == Synced(added=150, requests=3)
        assert pauses == [90]

    async def test_what_fails_is_tried_again_twice(
        self, server: ScriptedServer, operativus: Platform, kept: Store
    ) -> None:
        there = Runs(350)
        server.routes[RUNS] = lambda seen: (
            Reply(None, status=503) if seen.query["page"] == "2" else there.page(seen)
        )
        error, pauses = await pull_patiently(operativus, kept)
        assert isinstance(error, ServerError)
        assert len(pauses) == 2
        assert len(server.requests) == 2 + 3
        # What came before is kept, and is not taken for all that there is.
        assert count(kept) == 200
        server.routes[RUNS] = there.page
        assert (await pull(operativus)).added == 150

    async def test_too_long_a_pause_is_not_made(
        self, server: ScriptedServer, operativus: Platform, kept: Store
    ) -> None:
        server.on(RUNS, Reply(None, status=429, headers={"retry-after": "121"}))
        error, pauses = await pull_patiently(operativus, kept)
        assert isinstance(error, RateLimitError)
        assert (pauses, len(server.requests)) == ([], 1)

    async def test_what_is_refused_is_not_tried_again(
        self, server: ScriptedServer, operativus: Platform, kept: Store
    ) -> None:
        server.on(RUNS, Reply(None, status=404))
        error, pauses = await pull_patiently(operativus, kept)
        assert isinstance(error, NotFoundError)
        assert (pauses, len(server.requests)) == ([], 1)


class TestStore:
    async def test_one_that_breaks_is_said_in_a_line(
        self, server: ScriptedServer, operativus: Platform, kept: Store
    ) -> None:
        server.routes[RUNS] = Runs(5).page
        with kept.begin() as connection:
            connection.execute(text("DROP TABLE content"))
        with pytest.raises(HistoryError, match=r"The store of runs .* cannot be used"):
            await pull(operativus)


class TestInterruption:
    async def test_what_was_pulled_is_kept(
        self, server: ScriptedServer, operativus: Platform, kept: Store
    ) -> None:
        there = Runs(250)
        hang = stream(hang=True, headers={"content-type": "application/json"})
        server.routes[RUNS] = lambda seen: hang if seen.query["page"] == "1" else there.page(seen)
        pulling = asyncio.ensure_future(pull(operativus))
        await server.asked(2)
        pulling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pulling
        await until(lambda: count(kept) == 100)
        server.routes[RUNS] = there.page
        assert (await pull(operativus)).added == 150

    async def test_by_ctrl_c(self, server: ScriptedServer, tmp_path: Path) -> None:
        there = Runs(250)
        hang = stream(hang=True, headers={"content-type": "application/json"})
        server.routes[RUNS] = lambda seen: hang if seen.query["page"] == "1" else there.page(seen)
        path = tmp_path / "child.sqlite"
        child = spawn(
            f"""
            import agentnb
            from agentnb.store.recorder import use
            from agentnb.synchronization.sync import sync
            use({str(path)!r})
            try:
                sync("operativus", base_url={server.url!r}, api_key="key-12345678", progress=False)
            except KeyboardInterrupt:
                print(len(agentnb.runs()))
            """,
            "-W",
            "ignore",
        )
        try:
            await server.asked(2)
            child.send_signal(signal.SIGINT)
            out, err = await asyncio.to_thread(child.communicate, timeout=30)
        finally:
            child.kill()
            child.wait()
        assert out == "100\n", err
