"""`sync` with a platform whose times name no zone: OperativusAI's real server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

import agentnb
from agentnb.sandbox import Sandbox
from agentnb.store.recorder import flush
from agentnb.store.store import Store
from agentnb.synchronization.sync import sync
from agentnb.tables.runs import runs


@pytest.fixture
def real() -> Iterator[Sandbox]:
    with Sandbox(pace=0, operativus="real", time_zone="+05:45") as running:
        yield running


def test_runs_are_synced_once_and_in_their_own_time(real: Sandbox, history_store: Store) -> None:
    agent = agentnb.agent(
        "operativus:echo", base_url=real.base_url("operativus"), api_key=real.api_key
    )
    first = agent.run("one")
    others = [agent.run("two", session=first), agent.run("three", session=first)]
    elsewhere = said_elsewhere(real)
    assert flush()
    brought = sync(agent, progress=False)
    assert sync(agent, progress=False).added == 0
    table = runs(platform="operativus").set_index("run_id")
    assert table.index.is_unique
    assert {first.id, *(run.id for run in others), elsewhere} <= set(table.index)
    assert (table.loc[[first.id, *(run.id for run in others)], "source"] == "both").all()
    assert table.loc[elsewhere, "source"] == "platform"
    assert table.loc[elsewhere, "total_tokens"] == 2
    now = datetime.now(UTC)
    assert ((now - table["started_at"]).abs() < timedelta(minutes=2)).all()
    assert brought.added >= 1


def test_a_client_that_asked_nothing_learns_from_the_history(
    real: Sandbox, history_store: Store
) -> None:
    def agent(**options: str) -> agentnb.Agent:
        return agentnb.agent(
            "operativus:echo",
            base_url=real.base_url("operativus"),
            api_key=real.api_key,
            options=options,
        )

    run = agent().run("one")
    elsewhere = said_elsewhere(real)
    assert flush()
    # Other settings make another client, as another process does.
    sync(agent(user_id="me"), progress=False)
    table = runs(platform="operativus").set_index("run_id")
    assert table.loc[run.id, "source"] == "both"
    started = table.loc[[elsewhere], "started_at"]
    assert ((datetime.now(UTC) - started).abs() < timedelta(minutes=2)).all()


def said_elsewhere(sandbox: Sandbox) -> str:
    header = {"Authorization": f"Bearer {sandbox.api_key.get_secret_value()}"}
    base = sandbox.base_url("operativus")
    with httpx.Client(base_url=base, headers=header, trust_env=False) as client:
        return client.post("/api/agents/echo/runs", json={"message": "four"}).json()["runId"]
