"""A canary in place of a key, which a careless server repeats: nowhere in the store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from sqlalchemy import select

import agentnb
from agentnb.event.types import RunFailed, RunStarted, TextDelta
from agentnb.platforms.base import RunRequest
from agentnb.redaction.secrets import remember_secret
from agentnb.store.recorder import flush
from agentnb.store.schema import metadata
from agentnb.store.store import Store
from tests.history.recorded import LONG, recorded
from tests.platforms.scripted import Reply, scripted_server, stream
from tests.played import Batches, PlayedPlatform, player, until

pytestmark = pytest.mark.anyio

CANARY = "canary-5c0ffee5-of-the-store"
START = {"event": "START", "data": '{"runId":"r1","sessionId":"s1"}'}
STOP = {"event": "STOP", "data": ""}


def everything(store: Store) -> str:
    """All that the store holds: every byte of its files, every value of its rows."""
    found: list[str] = []
    if store.path is not None:
        found += [path.read_bytes().decode("latin-1") for path in store.path.parent.iterdir()]
        # What SQLite has not written there yet.
        assert any("wal" in path.name for path in store.path.parent.iterdir())
    with store.connect() as connection:
        for table in metadata.sorted_tables:
            found += [repr(tuple(row)) for row in connection.execute(select(table))]
    return "\n".join(found)


@pytest.fixture(autouse=True)
def nothing_left(history_store: Store) -> Iterator[None]:
    """The assertion of every test here."""
    yield
    assert flush(LONG)
    told = everything(history_store)
    assert "***" in told
    assert CANARY not in told


def delta(text: str) -> dict[str, str]:
    return {"event": "CONTENT_DELTA", "data": text}


async def test_a_server_that_repeats_the_key(history_store: Store) -> None:
    call = json.dumps({"name": "look", "toolCallId": "c", "arguments": {"key": CANARY}})
    result = json.dumps({"toolCallId": "c", "result": {"sent": f"Bearer {CANARY}"}})
    half = len(CANARY) // 2
    async with asyncio.timeout(LONG), scripted_server() as server:
        server.routes["POST /api/agents/a/runs/stream"] = stream(
            START,
            delta(f"Your key is {CANARY}, or "),
            delta(CANARY[:half]),
            delta(CANARY[half:]),
            {"event": "REASONING_DELTA", "data": f"They sent {CANARY}"},
            {"event": "TOOL_START", "data": call},
            {"event": "TOOL_END", "data": result},
            {"event": "UNHEARD_OF", "data": CANARY},
            *(delta(letter) for letter in f" {CANARY} again"),
            STOP,
        )
        agent = agentnb.agent("operativus:a", base_url=server.url, api_key=CANARY)
        asked = await agent.arun(f"What is {CANARY}?")
    assert CANARY not in asked.text
    found = await asyncio.to_thread(recorded, history_store, asked)
    # Three letters of a key that come alone are shown: any text could end with them.
    assert found.content["text"] == "Your key is ***, or *** can*** again"
    assert found.content["prompt"] == "What is ***?"
    assert len(found.events) == len(asked.events)
    assert found.times == list(asked.event_times)
    told = "".join(event.text for event in found.events if isinstance(event, TextDelta))
    assert told == found.content["text"]


@pytest.mark.parametrize("status", [401, 500])
async def test_an_error_that_repeats_it(history_store: Store, status: int) -> None:
    async with asyncio.timeout(LONG), scripted_server() as server:
        body = {"error": CANARY, "message": f"No such key: {CANARY}", "detail": CANARY}
        server.routes["POST /api/agents/a/runs/stream"] = Reply(body, status=status)
        agent = agentnb.agent("operativus:a", base_url=server.url, api_key=CANARY)
        asked = await agent.arun(CANARY, check=False)
    assert asked.status == "failed"
    found = await asyncio.to_thread(recorded, history_store, asked)
    assert found.run["status"] == "failed"


async def test_one_that_comes_while_it_is_written(history_store: Store) -> None:
    """What is shown of each letter is on the disk before the next one comes."""
    remember_secret(CANARY)
    letters = asyncio.Queue[str]()

    async def script(request: RunRequest) -> Batches:
        # Enough for what precedes not to be written again otherwise.
        yield [RunStarted(run_id="r"), *(TextDelta("word ") for _ in range(1000))]
        while letter := await asyncio.to_thread(take):
            yield [TextDelta(letter)]
        yield [RunFailed(message=f"The key {CANARY} is refused.", error_type=CANARY)]

    loop = asyncio.get_running_loop()
    takes: list[None] = []

    def take() -> str:
        # What was taken before has gone through by now.
        takes.append(None)
        return asyncio.run_coroutine_threadsafe(letters.get(), loop).result(LONG)

    asked = player(PlayedPlatform(script)).start("q")
    for number, letter in enumerate(CANARY, start=1):
        await letters.put(letter)
        await asyncio.to_thread(until, lambda n=number: len(takes) > n)
        # The first three are shown at once; the others wait for the rest of the key.
        assert len(asked.events) == 1001 + min(number, 3) + (number == len(CANARY))
        assert await asyncio.to_thread(flush, LONG)
    await letters.put("")
    await asked.wait_async(check=False)
    found = await asyncio.to_thread(recorded, history_store, asked)
    assert found.content["text"] == "word " * 1000 + "can***"
    assert found.run["error"] == "The key *** is refused."
    assert len(found.events) == len(asked.events)
    told = "".join(event.text for event in found.events if isinstance(event, TextDelta))
    assert told == found.content["text"]


async def test_what_it_was_asked_with(history_store: Store) -> None:
    async def script(request: RunRequest) -> Batches:
        yield [TextDelta("ok")]

    agent = player(PlayedPlatform(script))
    asked = await agent.arun(
        "q",
        check=False,
        api_key=CANARY,
        headers={"Authorization": f"Bearer {CANARY}", "X-Note": "kept"},
        connection=[{"password": CANARY}],
        max_tokens=5,
    )
    found = await asyncio.to_thread(recorded, history_store, asked)
    params = json.loads(found.content["request"])["params"]
    assert params == {
        "api_key": "***",
        "headers": {"Authorization": "***", "X-Note": "kept"},
        "connection": [{"password": "***"}],
        "max_tokens": 5,
    }


def test_a_key_that_was_not_used_yet(history_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATIVUS_API_KEY", f"unused-{CANARY}")

    def agent(prompt: str) -> str:
        raise ValueError(f"not with {prompt}")

    failed = agentnb.agent(agent).run(f"unused-{CANARY}", check=False)
    assert recorded(history_store, failed).content["prompt"] == "***"
