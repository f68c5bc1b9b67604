"""The clients that agents share, and their keys."""

from __future__ import annotations

import asyncio
import pickle
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import agentnb
from agentnb import Deadlines, Retries, agents
from agentnb.agents import Agent
from agentnb.config import config
from agentnb.errors import (
    AuthenticationError,
    ConfigError,
    MissingKeyError,
    RunFailedError,
)
from agentnb.run.agent_catalog import known_agents, list_agents
from agentnb.run.clients import connect
from tests.platforms.scripted import Reply, scripted_server, stream

CANARY = "canary-4711"

pytestmark = pytest.mark.anyio


class TestSandbox:
    def test_it_is_used_without_configuration(self) -> None:
        run = agentnb.agent("echo").run("Hello **there**")
        assert (run.platform, run.text, run.status) == ("sandbox", "Hello **there**", "completed")

    @pytest.mark.parametrize("platform", ["operativus", "runagent", "runtools", "seekr"])
    def test_it_serves_every_platform_s_api(self, platform: str) -> None:
        run = agentnb.agent(f"{platform}:echo", base_url="sandbox").run("hi")
        assert (run.platform, run.text) == (platform, "hi")

    def test_listed_agents_become_known(self) -> None:
        found = {a.id for a in list_agents("sandbox")}
        assert {"echo", "finance_agent"} <= found
        assert {"echo", "sandbox:echo", "operativus:"} <= set(known_agents())

    def test_known_agents_never_fail(self, monkeypatch: pytest.MonkeyPatch) -> None:
        config().aliases["mine"] = "seekr:a1"
        monkeypatch.setenv("SEEKR_API_KEY", "k")
        monkeypatch.setenv("RUNAGENT_API_KEY", "k")
        assert "mine" in known_agents()
        assert "seekr:" in known_agents()


class TestClients:
    def test_the_same_settings_share_a_client(self) -> None:
        same: dict[str, Any] = {"base_url": "http://127.0.0.1:1", "api_key": "k"}
        client = connect("operativus", **same)
        assert connect("operativus", **same) is client
        assert connect("operativus", **{**same, "api_key": SecretStr("k")}) is client
        assert agentnb.agent("operativus:a", **same).platform is client
        others = [
            connect("operativus", **{**same, "api_key": "other"}),
            connect("operativus", **{**same, "base_url": "http://127.0.0.1:2"}),
            connect("operativus", **same, deadlines=Deadlines(idle=1)),
            connect("operativus", **same, options={"user_id": "u"}),
            connect("runagent", **same),
        ]
        assert len({id(c) for c in [client, *others]}) == 6

    def test_no_key_prompt_for_an_unknown_platform(self) -> None:
        with pytest.raises(ConfigError, match="no platform 'seeker'") as caught:
            connect("seeker")
        assert not isinstance(caught.value, MissingKeyError)
        assert caught.value.hint == "Did you mean 'seekr'?"

    def test_a_custom_name_needs_a_type(self, tmp_path: Path) -> None:
        (tmp_path / "agentnb.toml").write_text("[platforms.mine]\nidle_timeout = 5")
        config(reload=True)
        with pytest.raises(ConfigError, match="does not say what kind") as caught:
            agentnb.agent("mine:a", api_key="k")
        assert "operativus" in (caught.value.hint or "")

    def test_a_custom_name(self, tmp_path: Path) -> None:
        (tmp_path / "agentnb.toml").write_text(
            '[platforms.mine]\ntype = "runtools"\nbase_url = "sandbox"\n'
        )
        config(reload=True)
        agent = agentnb.agent("mine:echo")
        assert agent.name == "mine:echo"
        assert agent.run("hi").text == "hi"

    async def test_a_refused_key_is_resolved_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        typed = iter(["mistyped", "right"])

        def prompt(_: str) -> str:
            return next(typed)

        monkeypatch.setattr("getpass.getpass", prompt)
        async with scripted_server() as server:

            def answer(seen: Any) -> Reply:
                if seen.headers["authorization"] != "Bearer right":
                    return Reply({"detail": "bad token"}, status=401)
                return stream(
                    {"event": "START", "data": '{"runId":"r","sessionId":"s"}'},
                    {"event": "STOP", "data": ""},
                )

            server.routes["POST /api/agents/a/runs/stream"] = answer

            def ask() -> Agent:
                return agentnb.agent("operativus:a", base_url=server.url)

            refused = await ask().arun("hi", check=False)
            assert isinstance(refused.exception, AuthenticationError)
            assert (await ask().arun("hi")).status == "completed"
            # There is no third prompt.
            assert (await ask().arun("hi")).status == "completed"

    async def test_also_after_listing_agents(self, monkeypatch: pytest.MonkeyPatch) -> None:
        typed = iter(["mistyped", "right"])

        def prompt(_: str) -> str:
            return next(typed)

        monkeypatch.setattr("getpass.getpass", prompt)
        async with scripted_server() as server:

            def answer(seen: Any) -> Reply:
                right = seen.headers["authorization"] == "Bearer right"
                return Reply([{"agentId": "a"}]) if right else Reply({}, status=401)

            server.routes["GET /api/agents"] = answer
            monkeypatch.setenv("OPERATIVUS_BASE_URL", server.url)
            with pytest.raises(AuthenticationError):
                await asyncio.to_thread(list_agents, "operativus", ask=True)
            found = await asyncio.to_thread(list_agents, "operativus", ask=True)
            assert [a.id for a in found] == ["a"]


class TestAttaching:
    @pytest.mark.parametrize(
        "terms", [{"timeout": 0.3}, {"deadlines": Deadlines(total=0.3)}], ids=str
    )
    async def test_timeouts_of_an_attached_run(self, terms: dict[str, Any]) -> None:
        async with scripted_server() as server:
            server.routes["GET /v1/threads/t1/runs/r1/attach"] = stream(hang=True)
            once = Retries(requests=0, reconnects=0)
            run = agentnb.attach(
                "seekr:a",
                "r1",
                session="t1",
                base_url=server.url,
                api_key="k",
                retries=once,
                **terms,
            )
            await run.wait_async(check=False)
        assert run.status == "failed"
        assert run.error is not None
        assert run.error.startswith("The run did not finish within 0.3 s. To wait longer")
        assert run.request_options is not None
        assert run.request_options.retries == once

    def test_unknown_options_are_rejected(self) -> None:
        unknown: dict[str, Any] = {"time_out": 0.3}
        with pytest.raises(TypeError, match="time_out"):
            agentnb.attach("sandbox:echo", "r1", **unknown)


def printed(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:
        return f"<{type(value).__name__}: {error}>"


def spilled(error: BaseException) -> str:
    """Everything that a verbose traceback shows of this package's own frames."""
    found: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        found += [str(seen), repr(seen), str(vars(seen))]
        for frame, _ in traceback.walk_tb(seen.__traceback__):
            if frame.f_globals["__name__"].partition(".")[0] == "agentnb":
                found += [printed(value) for value in frame.f_locals.values()]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(found)


class TestKeys:
    def test_the_repr_of_an_agent_has_no_key(self) -> None:
        agent = agentnb.agent(f"operativus:{'a'}", base_url="http://127.0.0.1:1", api_key=CANARY)
        run = agent.run("hi", check=False)
        assert run.status == "failed"
        for thing in (agent, agent.platform, run, run.request, run.exception):
            assert CANARY not in repr(thing)
            assert CANARY not in str(thing)
            assert CANARY not in str(getattr(thing, "__dict__", ""))
        assert CANARY not in str(run.to_dict())
        assert CANARY not in repr(agents.__dict__)
        assert CANARY not in repr(sys.modules["agentnb.run.clients"].__dict__)
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(agent)

    def test_the_traceback_of_a_failed_run_has_no_key(self) -> None:
        agent = agentnb.agent("operativus:a", base_url="http://127.0.0.1:1", api_key=CANARY)
        with pytest.raises(RunFailedError) as caught:
            agent.run("hi")
        assert CANARY not in spilled(caught.value)
        # It would be found where it was.
        given: object = CANARY
        assert CANARY in printed([given])

    @pytest.mark.parametrize(
        "wrong",
        [
            {"target": "operativus:a", "base_url": "nonsense"},
            {"target": "operativs:a"},
            {"target": "operativus:a", "options": {"no_such_option": 1}},
        ],
    )
    def test_the_traceback_of_a_wrong_setting_has_no_key(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(agentnb.AgentnbError) as caught:
            agentnb.agent(**wrong, api_key=CANARY)
        assert CANARY not in spilled(caught.value)
        with pytest.raises(agentnb.AgentnbError) as caught:
            agentnb.attach(**wrong, run_id="r", api_key=CANARY)
        assert CANARY not in spilled(caught.value)
