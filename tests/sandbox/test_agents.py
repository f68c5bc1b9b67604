"""Agents that users register, and clients that come, stay and go."""

from __future__ import annotations

import asyncio
import functools
import json
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest

import agentnb.sandbox
from agentnb.sandbox import Sandbox
from agentnb.sandbox.registry import AgentRegistry

Clients = Callable[[str], httpx.Client]


def bearer(sandbox: Sandbox) -> dict[str, str]:
    return {"Authorization": f"Bearer {sandbox.api_key.get_secret_value()}"}


def wait_until(happened: threading.Event) -> None:
    assert happened.wait(10), "it never happened"


# --- agents ---


def run(sandbox: Sandbox, agent: str, prompt: str = "hello") -> str:
    answer = httpx.post(
        f"{sandbox.base_url('runtools')}/v1/run",
        json={"agent": agent, "prompt": prompt, "stream": False},
        headers=bearer(sandbox),
        trust_env=False,
        timeout=20,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["result"]


def test_agents_of_every_kind_can_be_registered(sandbox: Sandbox) -> None:
    @sandbox.agent("sync_function")
    def sync_function(prompt: str) -> str:
        return f"1 {prompt}"

    @sandbox.agent("async_function")
    async def async_function(prompt: str) -> str:
        await asyncio.sleep(0)
        return f"2 {prompt}"

    @sandbox.agent("sync_generator")
    def sync_generator(prompt: str) -> Iterator[str]:
        yield "3 "
        yield prompt

    @sandbox.agent("async_generator")
    async def async_generator(prompt: str) -> AsyncIterator[str]:
        yield "4 "
        await asyncio.sleep(0)
        yield prompt

    kinds = ("sync_function", "async_function", "sync_generator", "async_generator")
    assert [run(sandbox, kind) for kind in kinds] == ["1 hello", "2 hello", "3 hello", "4 hello"]


def test_a_blocked_agent_blocks_nobody_else(sandbox: Sandbox) -> None:
    release, blocked = threading.Event(), threading.Event()

    @sandbox.agent("blocked")
    def blocked_agent(prompt: str) -> str:
        blocked.set()
        release.wait(20)
        return "released"

    answers: list[str] = []
    waiting = threading.Thread(target=lambda: answers.append(run(sandbox, "blocked")))
    waiting.start()
    wait_until(blocked)
    assert run(sandbox, "echo", "meanwhile") == "meanwhile"
    assert answers == []
    release.set()
    waiting.join(10)
    assert answers == ["released"]


def test_an_agent_of_the_module_is_in_every_sandbox_and_ones_own_hides_it(sandbox: Sandbox) -> None:
    @agentnb.sandbox.agent("shared_one")
    def shared_one(prompt: str) -> str:
        return "shared"

    assert run(sandbox, "shared_one") == "shared"

    @sandbox.agent("shared_one")
    def own_one(prompt: str) -> str:
        return "own"

    assert run(sandbox, "shared_one") == "own"
    with Sandbox(pace=0) as other:
        assert run(other, "shared_one") == "shared"


def test_a_sandbox_can_have_nothing_but_its_own_agents() -> None:
    registry = AgentRegistry()

    @registry.agent
    def only(prompt: str) -> str:
        """Be alone.

        Quite.
        """
        return prompt

    with Sandbox(agents=registry) as sandbox:
        agents = httpx.get(
            f"{sandbox.base_url('operativus')}/api/agents", headers=bearer(sandbox), trust_env=False
        ).json()
    assert agents == [
        {"agentId": "only", "name": "only", "description": "Be alone.", "model": "python"}
    ]


def test_a_name_must_be_one_that_an_address_can_carry(sandbox: Sandbox) -> None:
    def function(prompt: str) -> str:
        return prompt

    for name in ("", "a/b", "a b", ".hidden", "ä"):
        with pytest.raises(ValueError, match="cannot name an agent"):
            sandbox.agent(name)(function)
    with pytest.raises(ValueError, match="cannot name an agent"):
        sandbox.agent(functools.partial(function))


# --- clients that come, stay and go ---


@pytest.mark.parametrize("platform", ["seekr", "runagent", "operativus", "runtools"])
def test_an_agent_stops_when_its_client_goes_away(
    sandbox: Sandbox, platform: str, client: Clients
) -> None:
    stopped = threading.Event()

    @sandbox.agent("watched")
    async def watched(prompt: str) -> AsyncIterator[str]:
        try:
            yield "on "
            # Silent from here on: only the closed connection can tell.
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.set()
            raise

    with client(platform) as http_client:
        path, body = "/v1/run", {"agent": "watched", "prompt": "x"}
        if platform == "seekr":
            thread = http_client.post("/v1/threads", json={}).json()["id"]
            message = {"role": "user", "content": "x"}
            http_client.post(f"/v1/threads/{thread}/messages", json=message)
            path, body = f"/v1/threads/{thread}/runs/stream", {"agent_id": "watched"}
        elif platform == "runagent":
            path, body = "/v1/agents/watched/stream", {"query": "x"}
        elif platform == "operativus":
            path, body = "/api/agents/watched/runs/stream", {"message": "x"}
        with http_client.stream("POST", path, json=body) as answer:
            for line in answer.iter_lines():
                if "on " in line:
                    break
        wait_until(stopped)


def test_a_synchronous_generator_is_closed_at_its_next_yield(
    sandbox: Sandbox, client: Clients
) -> None:
    closed = threading.Event()

    @sandbox.agent("sync_watched")
    def sync_watched(prompt: str) -> Iterator[str]:
        try:
            while True:
                yield "on "
                time.sleep(0.005)
        finally:
            closed.set()

    with client("operativus") as http_client:
        path = "/api/agents/sync_watched/runs/stream"
        with http_client.stream("POST", path, json={"message": "x"}) as answer:
            next(answer.iter_lines())
        wait_until(closed)
        run_id = http_client.get("/api/v1/runs?agentId=sync_watched").json()["content"][0]["id"]
        assert http_client.get(f"/api/v1/runs/{run_id}").json()["status"] == "CANCELLED"


@pytest.mark.parametrize(
    ("platform", "path", "body"),
    [
        ("operativus", "/api/agents/waits/runs", {"message": "x"}),
        ("runagent", "/v1/agents/waits/invoke", {"query": "x"}),
        ("runtools", "/v1/run", {"agent": "waits", "prompt": "x", "stream": False}),
    ],
    ids=["operativus", "runagent", "runtools"],
)
def test_a_client_that_waits_for_one_answer_can_go_away_too(
    sandbox: Sandbox, platform: str, path: str, body: dict[str, object]
) -> None:
    begun, stopped = threading.Event(), threading.Event()

    @sandbox.agent("waits")
    async def waits(prompt: str) -> str:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()
        return "never"

    text = json.dumps(body)
    key = sandbox.api_key.get_secret_value()
    head = (
        f"POST /{platform}{path} HTTP/1.1\r\nHost: 127.0.0.1:{sandbox.port}\r\n"
        f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(text)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=10) as connection:
        connection.sendall((head + text).encode())
        wait_until(begun)
    wait_until(stopped)


def test_a_client_that_reads_slowly_slows_the_agent_down(sandbox: Sandbox, client: Clients) -> None:
    produced = 0

    @sandbox.agent("fast")
    async def fast(prompt: str) -> AsyncIterator[str]:
        nonlocal produced
        for _ in range(20_000):
            produced += 1
            yield "x" * 1000

    with client("operativus") as http_client:
        path = "/api/agents/fast/runs/stream"
        with http_client.stream("POST", path, json={"message": "x"}) as answer:
            before = -1
            while produced != before:
                before = produced
                time.sleep(0.2)
            # What the sockets' own buffers hold, and no more: a few megabytes of twenty.
            assert produced < 15_000
            answer.read()
    assert produced == 20_000


def test_many_streams_at_once_do_not_mix(sandbox: Sandbox, client: Clients) -> None:
    async def ask(http_client: httpx.AsyncClient, number: int) -> str:
        told = f'{{"text": "{" ".join([f"n{number}"] * 50)}", "delay_ms": 1}}'
        answer = await http_client.post(
            f"{sandbox.base_url('operativus')}/api/agents/echo/runs/stream",
            json={"message": told, "sessionId": f"many-{number}"},
        )
        said = re.findall(r'"CONTENT_DELTA","data":"([^"]*)"', answer.text)
        assert answer.text.count('"STOP"') == 1
        return "".join(said)

    async def ask_all() -> list[str]:
        limits = httpx.Limits(max_connections=50)
        async with httpx.AsyncClient(
            headers=bearer(sandbox), limits=limits, timeout=30, trust_env=False
        ) as http_client:
            return await asyncio.gather(*(ask(http_client, n) for n in range(50)))

    answers = asyncio.run(ask_all())
    assert answers == [" ".join([f"n{n}"] * 50) for n in range(50)]


def test_silence_is_filled_with_comments(
    sandbox: Sandbox, client: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentnb.sandbox.responses._KEEP_ALIVE_AFTER", 0.02)
    with client("operativus") as http_client:
        told = '{"text": "late", "delay_ms": 150}'
        answer = http_client.post("/api/agents/echo/runs/stream", json={"message": told})
    assert answer.text.count(": keep-alive\n\n") >= 2
    assert '"late"' in answer.text


def test_an_answer_that_is_empty_is_an_answer(sandbox: Sandbox) -> None:
    assert run(sandbox, "echo", '{"empty": true}') == ""


def test_a_long_answer_arrives_whole(sandbox: Sandbox, client: Clients) -> None:
    with client("runagent") as http_client:
        answer = http_client.post("/v1/agents/echo/stream", json={"query": '{"deltas": 10000}'})
    contents = re.findall(r'"content":"([^"]*)"', answer.text)
    assert contents == [f"{n:04d} " for n in range(10_000)]


@pytest.mark.parametrize("platform", ["seekr", "runagent", "operativus", "runtools"])
def test_unicode_passes_unharmed(sandbox: Sandbox, client: Clients, platform: str) -> None:
    text = 'ä 漢字 🎉 \u2028 "quoted" \\ \n\n data: no \x00 \x7f end'

    @sandbox.agent("says_unicode")
    def says_unicode(prompt: str) -> Iterator[str]:
        yield text
        # Half a character, which no encoding has.
        yield "\ud83d"

    with client(platform) as http_client:
        path, body = "/v1/run", {"agent": "says_unicode", "prompt": "x"}
        if platform == "seekr":
            thread = http_client.post("/v1/threads", json={}).json()["id"]
            message = {"role": "user", "content": "x"}
            http_client.post(f"/v1/threads/{thread}/messages", json=message)
            path, body = f"/v1/threads/{thread}/runs/stream", {"agent_id": "says_unicode"}
        elif platform == "runagent":
            path, body = "/v1/agents/says_unicode/stream", {"query": "x"}
        elif platform == "operativus":
            path, body = "/api/agents/says_unicode/runs/stream", {"message": "x"}
        answer = http_client.post(path, json=body)
    escaped = json.dumps(text, ensure_ascii=False)[1:-1]
    assert escaped in answer.content.decode()
    assert "\\ud83d" in answer.text


def test_pacing_waits_as_told(client: Clients, sandbox: Sandbox) -> None:
    with client("operativus") as http_client:
        path = "/api/agents/finance_agent/runs/stream"
        sandbox.pace = 0.2
        try:
            begin = time.monotonic()
            http_client.post(path, json={"message": "NVDA?"})
            paced = time.monotonic() - begin
        finally:
            sandbox.pace = 0
    # About 60 pieces of 3 ms and one tool at a fifth of a model's pace.
    assert paced > 0.2
