"""What errors tell to do next: by what a platform can do, and never by another one's name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import agentnb
from agentnb.config import config
from agentnb.errors import ConfigError, NotFoundError
from agentnb.platforms.registry import BUILTIN
from agentnb.sandbox import Sandbox
from tests.platforms.scripted import Reply, problem, scripted_server

KEY = "canary-key-1234567890"
LISTS = ("seekr", "operativus", "runtools")
BODIES = [
    ("There is no agent 'a'.", "agent"),
    ("AGENT_NOT_FOUND", "agent"),
    ("Thread t1 not found", "session"),
    ("No such session", "session"),
    ("run r1 of this thread is unknown", "run's id"),
]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(pace=0) as running:
        yield running


def of(sandbox: Sandbox, platform: str, agent: str) -> agentnb.Agent:
    return agentnb.agent(
        f"{platform}:{agent}", base_url=sandbox.base_url(platform), api_key=sandbox.api_key
    )


def check_no_other_platform(text: str, platform: str) -> None:
    # The address of the sandbox begins with the name of the platform that it speaks for.
    others = {*BUILTIN} - {platform}
    assert not [name for name in others if name in text.lower()]


@pytest.mark.parametrize("platform", [*LISTS, "runagent"])
def test_a_misspelt_agent(sandbox: Sandbox, platform: str) -> None:
    run = of(sandbox, platform, "finance_agnt").run("q", check=False)
    assert isinstance(run.exception, NotFoundError)
    assert run.exception.missing == "agent"
    error = str(run.error)
    check_no_other_platform(error, platform)
    assert ("Did you mean 'finance_agent'?" in error) == (platform in LISTS)
    assert f" answered 404 to POST {sandbox.base_url(platform)}/" in error
    assert KEY not in error


@pytest.mark.parametrize("platform", [*LISTS, "runagent"])
def test_an_agent_like_no_other(sandbox: Sandbox, platform: str) -> None:
    error = str(of(sandbox, platform, "zzzzzzzz").run("q", check=False).error)
    assert (f"'%agent list {platform}' lists its agents." in error) == (platform in LISTS)
    assert ("%agent list" in error) == (platform in LISTS)


@pytest.mark.anyio
async def test_runs_that_fail_together_have_the_same_hint() -> None:
    """Though the platform lists its agents only once in a while."""
    async with scripted_server() as server:
        server.routes["POST /api/agents/finance/runs/stream"] = problem(404, detail="No such agent")
        server.routes["GET /api/agents"] = [
            Reply([{"id": "finance_agent", "name": "Finance"}]),
            problem(500, detail="broken"),
        ]
        agent = agentnb.agent("operativus:finance", base_url=server.url, api_key=KEY)
        runs = await asyncio.gather(*(agent.arun("q", check=False) for _ in range(20)))
    (error,) = {str(run.error) for run in runs}
    assert "Did you mean 'finance_agent'?" in error
    assert server.calls.count("GET /api/agents") == 1


def test_a_thread_that_is_missing_is_no_agent(sandbox: Sandbox) -> None:
    run = of(sandbox, "seekr", "echo").run("q", check=False, session="nowhere")
    assert isinstance(run.exception, NotFoundError)
    assert run.exception.missing == "thread"
    assert "%agent list" not in str(run.error)
    assert "Check the thread's id, or leave session out" in str(run.error)


@pytest.mark.anyio
@pytest.mark.parametrize(("words", "said"), BODIES)
async def test_what_is_missing_is_what_the_platform_names(words: str, said: str) -> None:
    async with scripted_server() as server:
        server.routes["POST /v1/agents/a/stream"] = Reply({"error": words}, status=404)
        agent = agentnb.agent(
            "runagent:a", base_url=server.url, api_key=KEY, options={"protocol": "sse"}
        )
        run = await agent.arun("q", check=False)
        assert f"POST {server.url}/v1/agents/a/stream" in str(run.error)
    assert said in str(run.exception and getattr(run.exception, "hint", ""))


@pytest.mark.anyio
async def test_a_list_that_fails_spoils_no_error() -> None:
    async with scripted_server() as server:
        server.routes["POST /api/agents/a/runs/stream"] = problem(404, detail="No such agent")
        server.routes["GET /api/agents"] = problem(500, detail="broken")
        agent = agentnb.agent("operativus:a", base_url=server.url, api_key=KEY)
        run = await agent.arun("q", check=False)
    assert isinstance(run.exception, NotFoundError)


def test_the_sandbox_is_called_what_the_user_called_it() -> None:
    agent = agentnb.agent("sandbox:echo")
    for params in ({"nonsense": 1}, {"session_id": "a", "session": "b"}, {"max_tokens": -1}):
        error = str(agent.run("q", check=False, **params).error)
        assert error.startswith("sandbox: ")
        check_no_other_platform(error, "sandbox")
    error = str(agentnb.agent("sandbox:ecoh").run("q", check=False).error)
    assert "Did you mean 'echo'?" in error
    check_no_other_platform(error, "sandbox")


@pytest.mark.parametrize("platform", [*BUILTIN, "sandbox"])
def test_a_platform_alone_asks_which_agent(platform: str) -> None:
    with pytest.raises(ConfigError) as caught:
        agentnb.agent(platform)
    error = str(caught.value)
    assert error.startswith(f"'{platform}' is a platform; name one of its agents")
    assert f"'{platform}:<agent>'" in error
    # Only the sandbox is known to have that agent.
    assert ("finance_agent" in error) == (platform == "sandbox")
    assert (f"'%agent list {platform}' lists them." in error) == (platform != "runagent")


@pytest.mark.parametrize("platform", [*BUILTIN, "sandbox", None])
def test_no_agent_at_all_names_none_of_another_platform(
    platform: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config(), "default_platform", platform)
    with pytest.raises(ConfigError) as caught:
        config().resolve(None, BUILTIN)
    is_sandbox = platform in (None, "sandbox")
    example = "finance_agent" if is_sandbox else "<agent>"
    assert f"Write '%%agent {example}'" in str(caught.value)


@pytest.mark.parametrize("name", ["Operativus", "SEEKR", "Sandbox"])
def test_a_platform_alone_in_other_case(name: str) -> None:
    with pytest.raises(ConfigError, match=f"'{name.lower()}' is a platform"):
        agentnb.agent(name)


def test_an_alias_may_be_called_like_a_platform() -> None:
    config().aliases["seekr"] = "sandbox:echo"
    try:
        assert agentnb.agent("seekr").name == "sandbox:echo"
    finally:
        del config().aliases["seekr"]


@pytest.mark.parametrize("wrong", ["operativs", "seeker", "run_tools"])
def test_a_misspelt_platform_alone(wrong: str) -> None:
    error = str(agentnb.agent(wrong).run("q", check=False).error)
    assert "Did you mean '" in error
    assert "'platform:agent'" in error


def test_structured_output_names_no_other_platform(sandbox: Sandbox) -> None:
    with pytest.raises(agentnb.UnsupportedError) as caught:
        of(sandbox, "runagent", "echo").run("q", output_type={"type": "object"})
    check_no_other_platform(str(caught.value), "runagent")


@pytest.mark.parametrize(
    ("platform", "variable"),
    [
        ("operativus", "OPERATIVUS_BASE_URL"),
        ("seekr", "SEEKR_BASE_URL"),
        ("runagent", "RUNAGENT_BASE_URL"),
        ("runtools", "RUNTOOLS_API_URL"),
        ("runtools", "RUNTOOLS_BASE_URL"),
    ],
)
def test_an_address_in_env_is_named_where_the_connection_fails(
    platform: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f"{variable}=https://user:secret@there.example\n")
    agent = agentnb.agent(
        f"{platform}:a",
        base_url="http://127.0.0.1:9",
        api_key=KEY,
        retries=agentnb.Retries(requests=0),
    )
    error = str(agent.run("q", check=False).error)
    assert f"{variable} in {tmp_path / '.env'} is not used" in error
    assert "secret" not in error
    if platform != "runagent":
        with pytest.raises(agentnb.TransportError, match=variable):
            agent.agents()
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    assert "is not used" not in str(agent.run("q", check=False).error)
