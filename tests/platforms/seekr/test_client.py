"""Cancelling and joining a run, and the client itself."""

from __future__ import annotations

import asyncio
import warnings
from contextlib import aclosing
from typing import Any

import pytest

from agentnb.config import PlatformSettings
from agentnb.errors import ConfigError, NotFoundError, PlatformError, RequestError
from agentnb.event.transcript import fold
from agentnb.event.types import RunStarted
from agentnb.platforms.seekr import DEFAULT_BASE_URL, PlatformDeprecationWarning, SeekrPlatform
from tests.platforms.recorded import FIXTURES
from tests.platforms.scripted import Reply, ScriptedServer, recorded, stream
from tests.platforms.seekr.conftest import Connect
from tests.platforms.seekr.records import (
    ATTACH,
    CANCEL,
    MESSAGE,
    ONE,
    RUN,
    RUNS,
    THREAD,
    now,
    run,
)
from tests.platforms.seekr.streamed import STREAM, ask

pytestmark = pytest.mark.anyio


async def test_cancel_by_id(server: ScriptedServer, platform: SeekrPlatform) -> None:
    server.routes[CANCEL] = Reply({"status": "canceled", "run_id": "run_1"})
    await platform.cancel("run_1", agent="finance_agent", session_id="thread_1")
    assert server.calls == [CANCEL]
    assert server.only(CANCEL).json == {"agent_id": "finance_agent"}


async def test_cancel_finds_what_it_is_not_told(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes |= {
        "POST /v1/threads": Reply(THREAD),
        "POST /v1/threads/thread_1/messages": Reply(MESSAGE),
        STREAM: stream(hang=True),
        "GET /v1/threads/thread_1": Reply({**THREAD, "active_run_id": "run_1"}),
        ONE: Reply(RUN),
        CANCEL: Reply({"status": "canceled", "run_id": "run_1"}),
    }
    async with aclosing(platform.stream(ask())) as batches:
        assert await anext(batches)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(batches), 0.2)
    await platform.cancel(None, session_id="thread_1")
    assert server.only(CANCEL).json == {"agent_id": "finance_agent"}


async def test_cancel_leaves_the_runs_of_others_alone(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    """Whatever is active in a thread that was there before, it need not be this client's."""
    mine: list[dict[str, Any]] = []
    others = [run(1, status="running", created_at=now(minutes=-1))]
    server.routes |= {
        "GET /v1/threads/thread_1": Reply({**THREAD, "active_run_id": "run_1"}),
        RUNS: lambda _: Reply([*mine, *others]),
        ONE: Reply(RUN),
        "POST /v1/threads/thread_1/messages": Reply(MESSAGE),
        STREAM: stream({"type": "text_delta", "text": "a"}, hang=True),
    }
    await platform.cancel(None, session_id="thread_1")
    async with aclosing(platform.stream(ask(session_id="thread_1"))) as batches:
        assert await anext(batches)
        await platform.cancel(None, session_id="thread_1")
        assert not [call for call in server.calls if call.endswith("/cancel")]
        mine.append(run(2, status="running", created_at=now()))
        server.routes[f"{RUNS}/run_2".replace("GET", "POST") + "/cancel"] = Reply({})
        server.routes[f"{RUNS}/run_2"] = Reply(mine[0])
        await platform.cancel(None, session_id="thread_1")
    cancels = [call for call in server.calls if call.endswith("/cancel")]
    assert cancels == ["POST /v1/threads/thread_1/runs/run_2/cancel"]


async def test_cancel_where_nothing_is_going_on(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes |= {"GET /v1/threads/thread_1": Reply(THREAD), RUNS: Reply([RUN])}
    await platform.cancel(None, session_id="thread_1")
    assert not [call for call in server.calls if call.startswith("POST")]


async def test_cancel_that_is_refused(platform: SeekrPlatform) -> None:
    with pytest.raises(NotFoundError):
        await platform.cancel("run_1", agent="a", session_id="thread_1")
    with pytest.raises(RequestError, match="session_id is needed"):
        await platform.cancel(None)


@pytest.mark.parametrize("name", ["stream", "vercel"])
async def test_attach_takes_both_dialects(
    name: str, server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes[ATTACH] = recorded(FIXTURES / "seekr" / f"{name}.sse")
    server.routes[ONE] = Reply(RUN)
    batches = [b async for b in platform.attach("run_1", agent="a", session_id="thread_1")]
    assert batches[0] == [RunStarted(run_id="run_1", session_id="thread_1", agent="a")]
    found = fold([event for batch in batches for event in batch])
    assert (found.status, found.usage is not None) == ("completed", True)
    assert "**$875.40**." in found.text
    assert server.requests[0].headers["accept"] == "text/event-stream"


async def test_attach_closes_its_connection(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes[ATTACH] = stream({"type": "text_delta", "text": "x"}, hang=True)
    batches = platform.attach("run_1", session_id="thread_1")
    await anext(batches)
    await anext(batches)
    await batches.aclose()
    async with asyncio.timeout(5):
        await server.left.wait()


async def test_deprecation_is_said_once(server: ScriptedServer, platform: SeekrPlatform) -> None:
    headers = {
        "Deprecation": "@1688169599",
        "Sunset": "Sun, 01 Aug 2027 10:00:00 GMT",
        "Link": '<https://example.com/moved>; rel="deprecation"',
    }
    server.routes[RUNS] = Reply([], headers=headers)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        await platform.api.list_runs("thread_1")
        await platform.api.list_runs("thread_1")
    assert {w.category for w in caught} == {PlatformDeprecationWarning}
    assert [str(w.message) for w in caught] == [
        "seekr says that /v1/threads/thread_1/runs is deprecated since 2023-06-30 and will stop "
        "working on 2027-08-01 (see https://example.com/moved)."
    ]


async def test_deprecation_of_a_stream_and_in_older_words(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    headers = {"deprecation": "true"}
    server.routes[ATTACH] = stream({"type": "end_node"}, headers=headers)
    server.routes[ONE] = Reply(RUN)
    with pytest.warns(PlatformDeprecationWarning, match="the stream of a run is deprecated"):
        async for _ in platform.attach("run_1", session_id="thread_1"):
            pass


async def test_without_such_headers_nothing_is_said(
    server: ScriptedServer, platform: SeekrPlatform
) -> None:
    server.routes[RUNS] = Reply([], headers={"Deprecation": "false"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert await platform.api.list_runs("thread_1") == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"team": "a"}, "no parameter 'team'. Did you mean 'team_id'?"),
        ({"page_size": 0}, "page_size must be an integer of 1 or more, not 0"),
        ({"dialect": "x"}, "dialect must be 'stream' or 'vercel'"),
        ({"auth_scheme": "a b"}, "auth_scheme must match"),
        ({"team_id": "a\nb"}, "team_id must match"),
    ],
)
def test_wrong_settings(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SeekrPlatform(PlatformSettings(platform="seekr", options=options))
    assert words in str(caught.value)


async def test_default_address_and_what_it_can_do(connect: Connect) -> None:
    assert DEFAULT_BASE_URL == "https://flow.seekr.com"
    platform = SeekrPlatform(PlatformSettings(platform="mine"))
    assert platform.name == "mine"
    can = platform.capabilities
    assert (can.cancel, can.attach, can.list_agents, can.list_runs) == (True,) * 4
    assert (can.run_status, can.output_schema) == (True,) * 2
    assert can.media is not None
    assert can.media.accept == ("image/*",)
    assert not can.history
    assert not can.approvals
    assert not can.followups
    await platform.aclose()
    await platform.aclose()


async def test_the_key_is_not_shown(server: ScriptedServer, platform: SeekrPlatform) -> None:
    assert "key-123456789" not in repr(platform) + repr(vars(platform)) + repr(vars(platform.api))
    server.routes[ONE] = Reply({"error": "bad key key-123456789"}, status=401)
    with pytest.raises(PlatformError) as caught:
        await platform.api.run("thread_1", "run_1")
    error = caught.value
    assert "key-123456789" not in str(error) + error.excerpt + repr(error)
