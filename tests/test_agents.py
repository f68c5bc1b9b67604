"""`Agent`: starting runs, the clients behind it, and what is left when the process ends."""

from __future__ import annotations

import asyncio
import pickle
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import agentnb
from agentnb import Deadlines, Media, agents, history
from agentnb.agents import Agent, known_agents, list_agents
from agentnb.config import config
from agentnb.errors import (
    AuthenticationError,
    ConfigError,
    MissingKeyError,
    RequestError,
    RunFailedError,
    UnsupportedError,
)
from agentnb.events import RunFinished, RunStarted, TextDelta
from agentnb.platforms.base import Capabilities, RunRequest
from agentnb.platforms.clients import connect
from agentnb.run import Run
from tests.children import python
from tests.platforms.scripted import Reply, scripted_server, stream
from tests.played import LONG, STARTED, Batches, PlayedPlatform, player

pytestmark = pytest.mark.anyio

CANARY = "canary-4711"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No file and no session choices: what is configured is what a test configures."""
    monkeypatch.chdir(tmp_path)
    fresh = config(reload=True)
    fresh.aliases.clear()
    monkeypatch.setattr(fresh, "default_agent", None)
    monkeypatch.setattr(fresh, "default_platform", None)


async def repeat(request: RunRequest) -> Batches:
    yield [STARTED, TextDelta(request.prompt), RunFinished()]


# -- starting ------------------------------------------------------------------------------------


class TestStarting:
    def test_what_is_asked(self) -> None:
        platform = PlayedPlatform(repeat, capabilities=Capabilities(output_schema=True, media=True))
        agent = Agent(platform, "a1", title="The agent", params={"depth": 1, "style": "dry"})
        run = agent.run("hi", session="s7", output_type={"type": "object"}, media=[b"x"], depth=2)
        (request,) = platform.requests
        assert request == run.request
        assert request.agent == "a1"
        assert request.prompt == "hi"
        assert request.session_id == "s7"
        assert request.params == {"depth": 2, "style": "dry"}
        assert request.output_schema == {"type": "object"}
        assert request.media == (Media(data=b"x"),)
        assert agent.params == {"depth": 1, "style": "dry"}
        assert (agent.name, repr(agent)) == ("played:a1", "<Agent played:a1>")
        assert run.title == "The agent"

    def test_going_on_in_a_session(self) -> None:
        def remember(prompt: str, context: Any) -> str:
            return f"{len(context.history)} before"

        agent = agentnb.agent(remember)
        first = agent.run("one")
        second = agent.run("two", session=first)
        third = agent.run("three", session=second.session_id)
        assert [r.text for r in (first, second, third)] == ["0 before", "2 before", "4 before"]
        assert first.session_id == third.session_id
        assert agent.run("four").session_id != first.session_id

    def test_a_run_without_a_session_cannot_be_gone_on_in(self) -> None:
        async def homeless(request: RunRequest) -> Batches:
            yield [RunStarted(run_id="r"), RunFinished()]

        agent = player(PlayedPlatform(homeless))
        run = agent.run("hi")
        with pytest.raises(RequestError, match="no session"):
            agent.run("again", session=run)

    @pytest.mark.parametrize("prompt", ["", "  \n\t "])
    def test_an_empty_question_is_refused(self, prompt: str) -> None:
        platform = PlayedPlatform(repeat)
        before = len(history.recent_runs())
        with pytest.raises(RequestError, match="empty"):
            player(platform).start(prompt)
        assert platform.requests == []
        assert len(history.recent_runs()) == before

    def test_what_the_platform_cannot_do_is_refused(self) -> None:
        agent = player(PlayedPlatform(repeat, capabilities=Capabilities()))
        with pytest.raises(UnsupportedError, match="structured output"):
            agent.run("hi", output_type={})
        with pytest.raises(UnsupportedError, match="attachments"):
            agent.run("hi", media=[b"x"])
        with pytest.raises(UnsupportedError, match="join"):
            agent.attach("run_1")

    def test_a_run_is_remembered(self) -> None:
        run = player(PlayedPlatform(repeat)).start("hi")
        assert agentnb.last_run() is run
        run.wait(LONG)


class TestMedia:
    @pytest.fixture
    def sent(self) -> Any:
        platform = PlayedPlatform(repeat, capabilities=Capabilities(media=True))

        def send(media: Any) -> tuple[Media, ...]:
            player(platform).run("hi", media=media)
            return tuple(platform.requests[-1].media)

        return send

    def test_every_kind(self, sent: Any, tmp_path: Path) -> None:
        file = tmp_path / "a.png"
        file.write_bytes(b"\x89PNG")
        own = Media(data=b"x", mime_type="image/png")
        address = "https://example.org/a.png"
        found = sent([own, b"y", file, str(file), address, "DATA:text/plain,hi"])
        assert found == (
            own,
            Media(data=b"y"),
            Media(path=file),
            Media(path=file),
            Media(url=address),
            Media(url="DATA:text/plain,hi"),
        )

    def test_a_single_one(self, sent: Any, tmp_path: Path) -> None:
        file = tmp_path / "a.png"
        file.write_bytes(b"\x89PNG")
        assert sent(str(file)) == (Media(path=file),)
        assert sent(b"bytes") == (Media(data=b"bytes"),)
        assert sent(file) == (Media(path=file),)

    def test_the_home_folder_has_its_short_name(
        self, sent: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        (tmp_path / "a.png").write_bytes(b"\x89PNG")
        assert sent("~/a.png") == (Media(path=tmp_path / "a.png"),)

    @pytest.mark.parametrize(
        "item", ["no_such_file.png", "", "s3://bucket/a.png", "A" * 100_000, "a\x00b", "."]
    )
    def test_a_text_that_is_neither_a_file_nor_an_address(self, sent: Any, item: str) -> None:
        with pytest.raises(RequestError, match="neither a file nor an address") as caught:
            sent([item])
        assert len(str(caught.value)) < 300

    def test_something_else(self, sent: Any) -> None:
        with pytest.raises(RequestError, match="A int is no attachment"):
            sent([5])


# -- streaming -----------------------------------------------------------------------------------


class TestStreaming:
    async def test_every_event(self) -> None:
        agent = player(PlayedPlatform(repeat))
        events = [event async for event in agent.stream("hi")]
        assert events == [STARTED, TextDelta("hi"), RunFinished()]

    async def test_leaving_early_cancels(self) -> None:
        async def long(request: RunRequest) -> Batches:
            yield [STARTED]
            while True:
                await asyncio.sleep(0.001)
                yield [TextDelta("x")]

        platform = PlayedPlatform(long)
        async for event in player(platform).stream("hi"):
            if isinstance(event, TextDelta):
                break
        run = agentnb.last_run()
        assert isinstance(run, Run)
        # The generator closes at the loop's next turn.
        await asyncio.wait_for(run.wait_async(check=False), LONG)
        assert run.status == "cancelled"
        assert platform.closed.is_set()
        assert await asyncio.to_thread(platform.was_told.wait, LONG)

    async def test_one_that_was_never_used_sends_nothing(self) -> None:
        platform = PlayedPlatform(repeat)
        events = player(platform).stream("hi")
        await events.aclose()
        assert platform.requests == []

    async def test_a_failure_comes_after_the_last_event(self) -> None:
        def failing(prompt: str) -> Iterator[str]:
            yield "So far"
            raise ValueError("no further")

        events = agentnb.agent(failing).stream("hi")
        seen = [await anext(events) for _ in range(3)]
        assert [e.type for e in seen] == ["run_started", "text_delta", "run_failed"]
        with pytest.raises(RunFailedError, match="no further"):
            await anext(events)
        unchecked = [e async for e in agentnb.agent(failing).stream("hi", check=False)]
        assert len(unchecked) == 3


# -- joining again -------------------------------------------------------------------------------


class TestAttaching:
    def test_a_run_that_goes_on(self) -> None:
        async def rest(request: RunRequest) -> Batches:
            assert request.prompt == "run_9"
            yield [TextDelta("the rest"), RunFinished()]

        run = player(PlayedPlatform(rest)).attach("run_9", session="s1")
        assert run.id == "run_9"
        assert run.wait(LONG).text == "the rest"
        assert run.session_id == "s1"
        assert agentnb.last_run() is run

    def test_cancelled_at_once_the_platform_is_told_all_the_same(self) -> None:
        platform = PlayedPlatform(repeat)
        run = player(platform).attach("run_9")
        run.cancel()
        run.wait(LONG, check=False)
        if run.status == "cancelled":
            assert platform.was_told.wait(LONG)
            assert platform.told == [("run_9", None)]


# -- functions -----------------------------------------------------------------------------------


def test_a_function_takes_no_settings() -> None:
    with pytest.raises(ConfigError, match="function needs no"):
        agentnb.agent(len, api_key=CANARY)
    with pytest.raises(ConfigError, match="function needs no"):
        agentnb.agent(len, base_url="http://127.0.0.1:1")


def test_what_a_function_s_platform_cannot_do() -> None:
    agent = agentnb.agent(len)
    assert [a.id for a in agent.agents()] == ["len"]
    with pytest.raises(UnsupportedError):
        agent.remote_runs()
    with pytest.raises(UnsupportedError):
        agent.remote_status(["r"])
    with pytest.raises(UnsupportedError):
        agent.attach("r")


# -- the sandbox ---------------------------------------------------------------------------------


class TestSandbox:
    def test_it_answers_where_nothing_is_configured(self) -> None:
        run = agentnb.agent("echo").run("Hello **there**")
        assert (run.platform, run.text, run.status) == ("sandbox", "Hello **there**", "completed")

    @pytest.mark.parametrize("platform", ["operativus", "runagent", "runtools", "seekr"])
    def test_it_speaks_for_every_platform(self, platform: str) -> None:
        run = agentnb.agent(f"{platform}:echo", base_url="sandbox").run("hi")
        assert (run.platform, run.text) == (platform, "hi")

    def test_its_agents_are_listed_and_then_known(self) -> None:
        found = {a.id for a in list_agents("sandbox")}
        assert {"echo", "finance_agent"} <= found
        assert {"echo", "sandbox:echo", "operativus:"} <= set(known_agents())

    def test_known_agents_never_fail(self, monkeypatch: pytest.MonkeyPatch) -> None:
        config().aliases["mine"] = "seekr:a1"
        monkeypatch.setenv("SEEKR_API_KEY", "k")
        monkeypatch.setenv("RUNAGENT_API_KEY", "k")
        assert "mine" in known_agents()
        assert "seekr:" in known_agents()


# -- clients -------------------------------------------------------------------------------------


class TestClients:
    def test_the_same_settings_share_one(self) -> None:
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

    def test_an_unknown_platform_is_not_asked_a_key_for(self) -> None:
        with pytest.raises(ConfigError, match="no platform 'seeker'") as caught:
            connect("seeker")
        assert not isinstance(caught.value, MissingKeyError)
        assert caught.value.hint == "Did you mean 'seekr'?"

    def test_a_name_of_one_s_own_needs_a_type(self, tmp_path: Path) -> None:
        (tmp_path / "agentnb.toml").write_text("[platforms.mine]\nidle_timeout = 5")
        config(reload=True)
        with pytest.raises(ConfigError, match="does not say what kind") as caught:
            agentnb.agent("mine:a", api_key="k")
        assert "operativus" in (caught.value.hint or "")

    def test_a_name_of_one_s_own(self, tmp_path: Path) -> None:
        (tmp_path / "agentnb.toml").write_text(
            '[platforms.mine]\ntype = "runtools"\nbase_url = "sandbox"\n'
        )
        config(reload=True)
        agent = agentnb.agent("mine:echo")
        assert agent.name == "mine:echo"
        assert agent.run("hi").text == "hi"

    async def test_a_key_that_was_refused_is_looked_for_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
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
            # And nobody is asked a third time.
            assert (await ask().arun("hi")).status == "completed"

    async def test_also_where_a_list_was_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
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


# -- keys ----------------------------------------------------------------------------------------


def shown(value: object) -> str:
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
                found += [shown(value) for value in frame.f_locals.values()]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(found)


class TestKeys:
    def test_an_agent_does_not_show_its_key(self) -> None:
        agent = agentnb.agent(f"operativus:{'a'}", base_url="http://127.0.0.1:1", api_key=CANARY)
        run = agent.run("hi", check=False)
        assert run.status == "failed"
        for thing in (agent, agent.platform, run, run.request, run.exception):
            assert CANARY not in repr(thing)
            assert CANARY not in str(thing)
            assert CANARY not in str(getattr(thing, "__dict__", ""))
        assert CANARY not in str(run.to_dict())
        assert CANARY not in repr(agents.__dict__)
        assert CANARY not in repr(sys.modules["agentnb.platforms.clients"].__dict__)
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(agent)

    def test_a_failed_run_s_traceback_does_not_show_it(self) -> None:
        agent = agentnb.agent("operativus:a", base_url="http://127.0.0.1:1", api_key=CANARY)
        with pytest.raises(RunFailedError) as caught:
            agent.run("hi")
        assert CANARY not in spilled(caught.value)
        # It would be found where it was.
        given: object = CANARY
        assert CANARY in shown([given])

    @pytest.mark.parametrize(
        "wrong",
        [
            {"target": "operativus:a", "base_url": "nonsense"},
            {"target": "operativs:a"},
            {"target": "operativus:a", "options": {"no_such_option": 1}},
        ],
    )
    def test_nor_does_that_of_a_wrong_setting(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(agentnb.AgentnbError) as caught:
            agentnb.agent(**wrong, api_key=CANARY)
        assert CANARY not in spilled(caught.value)
        with pytest.raises(agentnb.AgentnbError) as caught:
            agentnb.attach(**wrong, run_id="r", api_key=CANARY)
        assert CANARY not in spilled(caught.value)


# -- the end of the process ----------------------------------------------------------------------


class TestTheEnd:
    async def test_runs_left_behind_are_cancelled_on_their_platform(self) -> None:
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

    async def test_a_platform_that_does_not_listen_holds_nobody_up(self) -> None:
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
    def test_an_agent_that_hangs_does_not_keep_the_process(self, agent: str) -> None:
        python(
            f"import agentnb, asyncio, time\n{agent}\n"
            "agentnb.agent(agent).start('hi')\n"
            "time.sleep(0.1)\n"
        )

    def test_a_forked_child_has_clients_of_its_own(self) -> None:
        done = python(
            """
            import os, sys
            import agentnb
            from agentnb.platforms.clients import connect
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
