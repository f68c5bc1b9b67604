"""`sync` against the sandbox: what the platforms know comes into the tables."""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, update

import agentnb
from agentnb import _loop
from agentnb.errors import HistoryError, RequestError, UnsupportedError
from agentnb.platforms.base import RunRequest
from agentnb.sandbox import FunctionContext, Sandbox
from agentnb.sandbox import agent as sandbox_agent
from agentnb.store.recorder import flush, use
from agentnb.store.schema import content, run, tool_call
from agentnb.store.store import Store
from agentnb.synchronization.sync import sync, sync_async
from agentnb.tables.events import events
from agentnb.tables.runs import runs, tool_calls

PLATFORMS = ("seekr", "operativus", "runtools")


@pytest.fixture(scope="module", autouse=True)
def until_told() -> dict[str, asyncio.Event]:
    """An agent of the sandbox that answers a session when its event is set."""
    gates: dict[str, asyncio.Event] = {}

    @sandbox_agent("until_told")
    async def until_told(prompt: str, context: FunctionContext) -> str:
        gates[context.run_id] = asyncio.Event()
        await gates[context.run_id].wait()
        return "At last."

    return gates


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(pace=0) as running:
        yield running


@pytest.fixture(params=PLATFORMS)
def platform(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def agent_of(sandbox: Sandbox, platform: str, name: str = "echo", **options: Any) -> agentnb.Agent:
    return agentnb.agent(
        f"{platform}:{name}",
        base_url=sandbox.base_url(platform),
        api_key=sandbox.api_key,
        options=options or None,
    )


def asked_elsewhere(
    agent: agentnb.Agent, *prompts: str, session: str | None = None
) -> list[tuple[str, str]]:
    """Ask without any recording; return each run's id and session."""
    places: list[tuple[str, str]] = []
    for prompt in prompts:
        request = RunRequest(agent=agent.id, prompt=prompt, session_id=session)

        async def stream(request: RunRequest = request) -> tuple[str, str]:
            run_id = session_id = ""
            async for batch in agent.platform.stream(request):
                for event in batch:
                    run_id = getattr(event, "run_id", None) or run_id
                    session_id = getattr(event, "session_id", None) or session_id
            return run_id, session_id

        places.append(_loop.wait(stream()))
    return places


def going(agent: agentnb.Agent) -> tuple[str, str]:
    """Start a run that goes on, without any recording; return its id and session."""
    client: Any = agent.platform
    request = RunRequest(agent=agent.id, prompt="Wait")
    if hasattr(client, "start_background"):
        started = _loop.wait(client.start_background(request))
        return started.id, started.session_id
    told: queue.Queue[Any] = queue.Queue()

    async def stream() -> None:
        async for batch in client.stream(request):
            told.put(batch[0])

    _loop.submit(stream())
    first = told.get(timeout=20)
    return first.run_id, first.session_id


def rows(store: Store) -> list[dict[str, Any]]:
    found = (
        select(run, content.c.prompt, content.c.text, content.c.remote)
        .select_from(run.outerjoin(content, content.c.run == run.c.key))
        .order_by(run.c.started_at, run.c.run_id)
    )
    with store.connect() as connection:
        return [dict(row) for row in connection.execute(found).mappings()]


class TestBoth:
    """On SQLite and on PostgreSQL."""

    def test_runs_that_only_the_platform_knows(
        self, history_store: Store, sandbox: Sandbox, platform: str
    ) -> None:
        agent = agent_of(sandbox, platform)
        told = '{"text": "one two", "reasoning": "hm", "tools": 1}'
        ((run_id, session),) = asked_elsewhere(agent, told)
        (failed,) = asked_elsewhere(agent, '{"error_after": 0, "error": "No."}', session=session)
        brought = sync(agent, sessions=session, progress=False)
        assert (brought.added, brought.updated, brought.unchanged) == (2, 0, 0)
        table = runs(source="platform")
        first = table[table.run_id == run_id].iloc[0]
        assert (first.platform, first.agent, first.session_id) == (platform, "echo", session)
        assert (first.status, first.total_tokens > 0) == ("completed", True)
        assert first.finished_at >= first.started_at
        assert (first.prompt, first.text) == (told, "one two")
        if platform == "seekr":
            assert (first.object, first.temperature) == ("thread.run", 1.0)
            assert first.created_at <= first.completed_at
        last = table[table.run_id == failed[0]].iloc[0]
        assert last.status == "failed"
        # A second time there is nothing new, and nothing doubled.
        again = sync(agent, sessions=session, progress=False)
        assert (again.added, again.updated, again.unchanged) == (0, 0, 2)
        assert len(rows(history_store)) == 2

    def test_a_run_that_was_recorded_is_one_row(
        self, history_store: Store, sandbox: Sandbox, platform: str
    ) -> None:
        agent = agent_of(sandbox, platform)
        own = agent.run("Hello there")
        assert flush()
        (before,) = rows(history_store)
        brought = sync(agent, progress=False)
        assert (brought.added, brought.updated) == (0, 1)
        (after,) = rows(history_store)
        assert (before["source"], after["source"]) == ("recorded", "both")
        assert (after["key"], after["run_id"]) == (own.local_id, own.id)
        assert after["remote"] is not None
        assert after["pulled_at"] is not None
        # What was recorded counts.
        lacking = {name for name, value in before.items() if value is None}
        changed = {name for name in before if before[name] != after[name]}
        assert changed <= lacking | {"source"}
        assert sync(agent, progress=False).unchanged == 1
        assert len(runs()) == 1

    def test_a_run_that_goes_on_is_asked_for_again(
        self,
        history_store: Store,
        sandbox: Sandbox,
        platform: str,
        until_told: dict[str, asyncio.Event],
    ) -> None:
        agent = agent_of(sandbox, platform, "until_told")
        run_id, session = going(agent)
        # As if another process had recorded it, and had gone away.
        known = {
            "key": "0" * 32,
            "source": "recorded",
            "platform": platform,
            "agent": agent.id,
            "run_id": run_id,
            "session_id": session,
            "status": "interrupted",
            "error": "It went away.",
            "started_at": 1,
        }
        with history_store.begin() as connection:
            connection.execute(history_store.insert(run), known)
        sync(agent, progress=False)
        (row,) = rows(history_store)
        assert (row["status"], row["source"]) == ("interrupted", "both")
        for _ in range(1000):
            if run_id in until_told:
                break
            time.sleep(0.01)
        sandbox_loop(sandbox).call_soon_threadsafe(until_told[run_id].set)
        for _ in range(1000):
            if not sandbox.active_runs:
                break
            time.sleep(0.01)
        sync(agent, progress=False)
        (row,) = rows(history_store)
        assert (row["status"], row["error"]) == ("completed", None)
        assert row["finished_at"] is not None


def sandbox_loop(sandbox: Sandbox) -> asyncio.AbstractEventLoop:
    server = sandbox._server  # pyright: ignore[reportPrivateUsage]
    assert server is not None
    assert server.loop is not None
    return server.loop


@pytest.fixture
def small_store(tmp_path: Any) -> Iterator[Store]:
    """An SQLite store, for what does not depend on the database."""
    from agentnb.store.store import store

    use(tmp_path / "history.sqlite")
    yield store(required=True)
    use(None)


class TestEvents:
    def test_runtools_keeps_what_happened(self, history_store: Store, sandbox: Sandbox) -> None:
        agent = agent_of(sandbox, "runtools")
        ((run_id, _),) = asked_elsewhere(
            agent, '{"text": "one two", "reasoning": "hm", "tools": 2, "tool_error": true}'
        )
        sync(agent, progress=False)
        table = events(run=run_id).sort_values("position")
        kinds = list(dict.fromkeys(table.type))
        assert kinds[0] == "run_started"
        assert kinds[-1] == "run_finished"
        assert "".join(table[table.type == "text_delta"].text) == "one two"
        assert (table["at"].dt.total_seconds() >= 0).all()
        calls = tool_calls(run=run_id).sort_values("position")
        assert list(calls.status) == ["completed", "failed"]
        assert list(calls.name) == ["echo_tool"] * 2
        (row,) = rows(history_store)
        assert (row["tool_calls"], row["tool_errors"], row["events"]) == (2, 1, len(table))
        # They are fetched once.
        assert sync(agent, progress=False).requests == 1

    def test_what_was_recorded_is_not_fetched(self, small_store: Store, sandbox: Sandbox) -> None:
        agent = agent_of(sandbox, "runtools")
        agent.run("Hello")
        before = len(events())
        assert sync(agent, progress=False).requests == 1
        assert len(events()) == before


class TestContent:
    def test_without_content(
        self, small_store: Store, sandbox: Sandbox, platform: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(small_store, "store_content", False)
        agent = agent_of(sandbox, platform)
        secret = "Grandmother's recipe"
        told = f'{{"text": "{secret}", "reasoning": "{secret}", "tools": 1}}'
        ((_, session),) = asked_elsewhere(agent, told)
        sync(agent, sessions=session, progress=False)
        (row,) = rows(small_store)
        assert (row["status"], row["prompt"], row["text"]) == ("completed", None, None)
        assert secret not in str(row)
        assert "instructions" not in row["remote"]
        assert row["run_id"] in row["remote"]
        with small_store.connect() as connection:
            calls = connection.execute(select(tool_call)).mappings().all()
        assert all(call["arguments"] is None and call["result"] is None for call in calls)
        assert len(events()) == 0

    def test_a_key_that_the_platform_echoes(
        self, small_store: Store, sandbox: Sandbox, platform: str
    ) -> None:
        agent = agent_of(sandbox, platform)
        key = sandbox.api_key.get_secret_value()
        ((_, session),) = asked_elsewhere(agent, f"My key is {key}")
        sync(agent, sessions=session, progress=False)
        (row,) = rows(small_store)
        assert key not in str(row)
        assert key not in events().to_string()


class TestTargets:
    def test_a_platform(self, small_store: Store, sandbox: Sandbox) -> None:
        for name in ("echo", "finance_agent"):
            asked_elsewhere(agent_of(sandbox, "operativus", name), "Hello")
        options: dict[str, Any] = {
            "base_url": sandbox.base_url("operativus"),
            "api_key": sandbox.api_key,
        }
        assert sync("operativus:echo", progress=False, **options).added == 1
        assert sync("operativus", progress=False, **options).added == 1
        assert set(runs().agent) == {"echo", "finance_agent"}

    def test_the_threads_that_are_known(self, small_store: Store, sandbox: Sandbox) -> None:
        agent = agent_of(sandbox, "seekr")
        ((_, session), _other) = asked_elsewhere(agent, "Nobody knows", "Nor this")
        assert sync(agent, progress=False).added == 0
        # A run of this process makes its thread known.
        agent.run("Now they do", session=session)
        brought = sync(agent, progress=False)
        assert (brought.added, brought.updated) == (1, 1)

    def test_a_thread_that_is_gone(self, small_store: Store, sandbox: Sandbox) -> None:
        agent = agent_of(sandbox, "seekr")
        agent.run("Hello")
        assert flush()
        with small_store.begin() as connection:
            connection.execute(update(run).values(session_id="gone"))
        # It is no reason not to pull the others; asked for by name, it is an error.
        assert sync(agent, progress=False).updated == 1
        with pytest.raises(agentnb.PlatformError, match="gone"):
            sync(agent, sessions="gone", progress=False)

    @pytest.mark.anyio
    async def test_from_async_code(self, small_store: Store, sandbox: Sandbox) -> None:
        agent = agent_of(sandbox, "operativus")
        await asyncio.to_thread(asked_elsewhere, agent, "Hello")
        assert (await sync_async(agent, progress=False)).added == 1

    def test_a_platform_that_lists_nothing(self, small_store: Store, sandbox: Sandbox) -> None:
        with pytest.raises(UnsupportedError, match="runagent does not list its runs"):
            sync(agent_of(sandbox, "runagent"))

    def test_what_is_no_target(self, small_store: Store) -> None:
        with pytest.raises(RequestError, match="names no platform"):
            sync(7)  # pyright: ignore[reportArgumentType]

    def test_without_a_store(self, sandbox: Sandbox) -> None:
        use("off")
        try:
            with pytest.raises(HistoryError, match="History is off"):
                sync(agent_of(sandbox, "operativus"), progress=False)
        finally:
            use(None)

    def test_the_bar(
        self, small_store: Store, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
    ) -> None:
        agent = agent_of(sandbox, "operativus")
        asked_elsewhere(agent, "one", "two")
        sync(agent)
        shown = capsys.readouterr()
        assert "operativus: 2 runs" in shown.err
        assert shown.out == ""
        sync(agent, progress=False)
        assert capsys.readouterr().err == ""
