"""What was asked and answered in runs that are pulled, where it stands in a thread's messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import agentnb
from agentnb import _loop
from agentnb.agents import Agent
from agentnb.config import PlatformSettings
from agentnb.platforms.base import Platform
from agentnb.platforms.seekr import SeekrPlatform
from agentnb.store.recorder import use
from agentnb.store.store import Store, store
from agentnb.synchronization.merge import Synced
from agentnb.synchronization.sync import sync_async
from tests.platforms.scripted import Reply, ScriptedServer, Seen, scripted_server

pytestmark = pytest.mark.anyio

RUNS, MESSAGES = "GET /v1/threads/t/runs", "GET /v1/threads/t/messages"


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
    client = SeekrPlatform(
        PlatformSettings(
            platform="seekr",
            base_url=server.url,
            api_key=SecretStr("key-12345678"),
            trust_env=False,
        )
    )
    yield client
    await asyncio.wrap_future(_loop.submit(client.aclose()))


async def pull(client: Platform, **options: Any) -> Synced:
    async with asyncio.timeout(30):
        return await sync_async(Agent(client, "a"), progress=False, sessions="t", **options)


class Thread:
    """A thread of runs, one a minute, each with a question and an answer."""

    def __init__(self, server: ScriptedServer, count: int) -> None:
        self.runs: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []
        for n in range(count):
            self.add(n)
        server.routes[RUNS] = lambda seen: self.page(self.runs, seen)
        server.routes[MESSAGES] = lambda seen: self.page(self.messages, seen)

    def add(self, n: int, status: str = "completed") -> None:
        at = f"2026-05-06T{n // 60:02}:{n % 60:02}"
        run = {"id": f"r{n}", "agent_id": "a", "thread_id": "t", "status": status}
        times = {"created_at": f"{at}:01Z", "completed_at": f"{at}:30Z"}
        self.runs.append({**run, **times, "meta_data": {"number": str(n)}})
        asked = {"role": "user", "content": f"What is {n}?", "created_at": f"{at}:00Z"}
        parts: list[Any] = [{"type": "output_text", "text": f"It is {n}.", "annotations": []}]
        told: dict[str, Any] = {"role": "assistant", "content": parts, "created_at": f"{at}:29Z"}
        self.messages += [{"id": f"q{n}", **asked}, {"id": f"a{n}", **told, "run_id": f"r{n}"}]

    def page(self, rows: list[dict[str, Any]], seen: Seen) -> Reply:
        begin, limit = int(seen.query["offset"]), int(seen.query["limit"])
        return Reply(rows[::-1][begin : begin + limit])


def table() -> dict[str, tuple[Any, Any, Any]]:
    rows = agentnb.runs().sort_values("started_at")
    columns = zip(rows["prompt"], rows["text"], rows["metadata"], strict=True)
    return dict(zip(rows["run_id"], columns, strict=True))


async def test_prompts_texts_and_metadata(
    server: ScriptedServer, seekr: Platform, kept: Store
) -> None:
    thread = Thread(server, 30)
    assert await pull(seekr) == Synced(added=30, requests=2 + 1)
    expected = {
        f"r{n}": (f"What is {n}?", f"It is {n}.", f'{{"number": "{n}"}}') for n in range(30)
    }
    assert table() == expected
    # What was fetched is not fetched again.
    assert (await pull(seekr)).requests == 1
    # Of a run that goes on it is fetched when it has ended.
    thread.add(30, status="running")
    server.requests.clear()
    await pull(seekr)
    assert server.calls.count(MESSAGES) == 0
    thread.runs[-1]["status"] = "completed"
    await pull(seekr)
    assert server.calls.count(MESSAGES) == 1
    assert table()["r30"][:2] == ("What is 30?", "It is 30.")


async def test_many_runs_of_one_thread(
    server: ScriptedServer, seekr: Platform, kept: Store
) -> None:
    Thread(server, 1205)
    assert (await pull(seekr)).added == 1205
    assert server.calls.count(RUNS) == 7
    assert server.calls.count(MESSAGES) == 3
    found = table()
    assert len(found) == 1205
    for n in (0, 600, 1204):
        expected = (f"What is {n}?", f"It is {n}.", f'{{"number": "{n}"}}')
        assert found[f"r{n}"] == expected


async def test_no_messages_without_content(
    server: ScriptedServer, seekr: Platform, kept: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "store_content", False)
    Thread(server, 3)
    await pull(seekr)
    assert set(server.calls) == {RUNS}
    assert agentnb.runs()[["prompt", "text"]].isna().all(axis=None)


async def test_a_thread_without_messages(
    server: ScriptedServer, seekr: Platform, kept: Store
) -> None:
    Thread(server, 3)
    server.routes[MESSAGES] = Reply({"detail": "gone"}, status=404)
    assert (await pull(seekr)).added == 3
    # The list of runs, to its end; not the messages again.
    assert (await pull(seekr)).requests == 2


async def test_a_key_in_a_message(server: ScriptedServer, seekr: Platform, kept: Store) -> None:
    thread = Thread(server, 1)
    thread.messages[0]["content"] = "My key is key-12345678"
    thread.messages[1]["content"] = [
        {"type": "output_text", "text": "It is key-123"},
        {"type": "output_text", "text": "45678."},
    ]
    await pull(seekr)
    assert table()["r0"][:2] == ("My key is ***", "It is ***.")
