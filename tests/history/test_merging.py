"""A run that was pulled from its platform before it was recorded here: one row."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from agentnb.event.types import RunFinished, RunStarted, TextDelta, Usage, UsageReported
from agentnb.platforms.base import RunRequest
from agentnb.store.schema import content, run
from agentnb.store.store import Store
from agentnb.store.values import now, platform_key
from tests.history.recorded import keys, recorded
from tests.played import LONG, Batches, PlayedPlatform, player, until


async def full(request: RunRequest) -> Batches:
    yield [RunStarted(run_id=f"run of {request.prompt}", model="m-1"), TextDelta("Hello")]
    yield [UsageReported(usage=Usage(total_tokens=15)), RunFinished()]


class TestPulledBefore:
    def pull(self, store: Store, run_id: str, **values: Any) -> str:
        key = platform_key("played", run_id)
        row = {
            "key": key,
            "source": "platform",
            "platform": "played",
            "run_id": run_id,
            "status": "running",
            "started_at": now(),
            "pulled_at": 77,
            **values,
        }
        with store.begin() as connection:
            connection.execute(run.insert().values(row))
            connection.execute(content.insert().values(run=key, remote='{"id": "x"}'))
        return key

    def test_it_becomes_one_row(self, history_store: Store) -> None:
        self.pull(history_store, "run of q", total_tokens=99, model="theirs", cost_usd=0.5)
        asked = player(PlayedPlatform(full)).run("q")
        found = recorded(history_store, asked)
        assert keys(history_store) == {asked.local_id}
        assert (found.run["source"], found.run["pulled_at"]) == ("both", 77)
        assert found.content["remote"] == '{"id": "x"}'
        assert found.content["prompt"] == "q"
        # What was seen here counts.
        assert (found.run["total_tokens"], found.run["model"]) == (15, "m-1")
        assert found.run["status"] == "completed"

    def test_what_only_the_platform_knows_stays(self, history_store: Store) -> None:
        gate = threading.Event()

        async def script(request: RunRequest) -> Batches:
            yield [RunStarted(run_id="r")]
            await asyncio.to_thread(gate.wait, LONG)
            yield [RunFinished()]

        self.pull(history_store, "r", total_tokens=99, model="theirs")
        going = player(PlayedPlatform(script)).start("q")
        try:
            until(lambda: going.id == "r")
            assert recorded(history_store, going).run["source"] == "both"
        finally:
            gate.set()
        found = recorded(history_store, going.wait(LONG))
        assert (found.run["source"], found.run["status"]) == ("both", "completed")
        assert (found.run["total_tokens"], found.run["model"]) == (99, "theirs")
        assert found.content["remote"] == '{"id": "x"}'

    def test_one_of_another_platform_is_another(self, history_store: Store) -> None:
        key = platform_key("elsewhere", "run of q")
        values = {"key": key, "source": "platform", "platform": "elsewhere"}
        with history_store.begin() as connection:
            connection.execute(
                run.insert().values(**values, run_id="run of q", status="completed", started_at=1)
            )
        asked = player(PlayedPlatform(full)).run("q")
        assert recorded(history_store, asked).run["source"] == "recorded"
        assert keys(history_store) == {asked.local_id, key}
