"""`Watch` of runs that are named by an id or a table only: found here, or in the history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import polars
import pytest

import agentnb
from agentnb.errors import MissingKeyError, RequestError
from agentnb.monitoring import Watch
from agentnb.platforms.base import RemoteRun
from agentnb.sandbox import Sandbox
from agentnb.store.recorder import use
from agentnb.store.schema import run as runs
from agentnb.store.store import store
from agentnb.store.values import now

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(pace=0) as running:
        yield running


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """What puts a run that another process had into the store."""
    use(tmp_path / "history.sqlite")

    def keep(key: str, **values: Any) -> None:
        given = {"source": "recorded", "agent": "echo", "started_at": now() - 5_000_000, **values}
        with store(required=True).begin() as connection:
            connection.execute(runs.insert().values(key=key * 32, **given))

    try:
        yield keep
    finally:
        use(None)


@pytest.fixture
def operativus(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> agentnb.Agent:
    """An agent of a platform that is configured, as another process has it."""
    monkeypatch.setenv("OPERATIVUS_BASE_URL", sandbox.base_url("operativus"))
    monkeypatch.setenv("OPERATIVUS_API_KEY", sandbox.api_key.get_secret_value())
    return agentnb.agent("operativus:echo", options={"org_id": "other"})


async def ended(watch: Watch) -> list[agentnb.monitoring.WatchedRun]:
    return await asyncio.wait_for(watch.wait(), 20)


async def test_a_run_of_this_process_by_either_id() -> None:
    def repeat(prompt: str) -> str:
        return prompt

    run = agentnb.agent(repeat).run("Hello")
    for name in (run.id, run.local_id):
        (row,) = await ended(Watch([name]))
        assert (row.key, row.status) == (run.local_id, "completed")
    assert await agentnb.wait(run.id, timeout=20) == [run]


async def test_one_that_the_history_knows_is_asked_for_at_its_platform(
    kept: Callable[..., None], operativus: agentnb.Agent
) -> None:
    known = operativus.run("Hello")
    # Of another process, to which it still went on.
    kept("a", platform="operativus", run_id="run_far", status="running")
    watch = Watch("run_far")
    assert [(row.platform, row.agent) for row in watch.rows()] == [("operativus", "echo")]
    found = Watch([RemoteRun(id="run_far", status="completed")])
    assert [row.status for row in await ended(found)] == ["completed"]
    assert [row.agent for row in await ended(Watch(known.id))] == ["echo"]


async def test_what_has_ended_is_asked_for_no_more(kept: Callable[..., None]) -> None:
    kept("b", platform="operativus", run_id="run_ended", status="cancelled", duration=2_000_000)
    kept("c", platform="local", status="interrupted")
    kept("d", platform="local", status="running")
    watch = Watch(["run_ended", "c" * 32, "d" * 32])
    rows = await ended(watch)
    assert [(row.status, row.final) for row in rows] == [
        ("cancelled", True),
        ("interrupted", True),
        ("running", True),
    ]
    assert watch.requests == 0
    assert rows[0].elapsed == 2
    assert rows[0].error is None
    assert "another kernel" in rows[2].detail


def test_a_key_that_is_missing_is_said(kept: Callable[..., None]) -> None:
    kept("e", platform="operativus", run_id="run_e", status="running")
    with pytest.raises(MissingKeyError):
        Watch("run_e")


@pytest.mark.parametrize("of", [pd.DataFrame, polars.DataFrame], ids=["pandas", "polars"])
async def test_a_table(of: Any, operativus: agentnb.Agent) -> None:
    done = {"run_id": "1", "platform": "seekr", "agent": "a", "session_id": "s", "status": "failed"}
    going = {**done, "run_id": "2", "platform": "operativus", "agent": "echo", "status": "running"}
    rows = Watch(of([done, going])).rows()
    assert [(row.key, row.agent, row.final) for row in rows] == [
        ("seekr:1", "a", True),
        ("operativus:2", "echo", False),
    ]
    bare = operativus.run("Hello")
    (row,) = Watch(of({"run_id": [bare.id]})).rows()
    assert row.key == bare.local_id
    with pytest.raises(RequestError, match="no column 'run_id'"):
        Watch(of({"id": ["1"]}))


async def test_the_table_of_all_runs(kept: Callable[..., None]) -> None:
    kept("f", platform="operativus", run_id="run_f", status="completed", duration=1_500_000)
    kept("0", platform="seekr", run_id="run_0", status="failed", error="No.")
    table = agentnb.runs()
    rows = {row.run_id: row for row in await ended(Watch(table))}
    assert rows["run_f"].elapsed == 1.5
    assert (rows["run_0"].error, rows["run_0"].elapsed) == ("No.", None)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("no_1", "It is not known whose run 'no_1' is."),
        (["no_1", "no_2"], "It is not known whose runs 'no_1', 'no_2' are."),
        (
            [f"no_{number}" for number in range(5)],
            "It is not known whose runs 'no_0', 'no_1', 'no_2' and 2 more are.",
        ),
    ],
)
def test_ids_that_nobody_knows(wrong: Any, said: str) -> None:
    with pytest.raises(RequestError) as caught:
        Watch(wrong)
    assert caught.value.message == said
    assert caught.value.hint == 'Say it: agent="platform:agent".'
