"""Row 12: what recording costs the process in which a run streams."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

import agentnb
from agentnb import history
from agentnb.store.recorder import flush, use
from agentnb.store.store import store
from tests.bench import server
from tests.bench.inputs import WIDTH
from tests.bench.measure import Cost, Row, cost

EVENTS: Final = 20_000
# Its threads take turns as they like, so that single rounds differ by more than what is looked for.
ROUNDS: Final = 31
# Far more than any of it takes, in seconds.
LONG: Final = 60.0


async def recorded(seed: int) -> list[Row]:
    """Row 12: the seconds that this process computes for a run, with the store over without.

    Until all of it is written; what loads and opens the store, once in a process, is left out.
    """
    rows: list[Row] = []
    async with server.running(seed) as url:
        with tempfile.TemporaryDirectory() as folder:
            use(Path(folder) / "history.sqlite")
            try:
                store(required=True)
                for name in ("seekr", "operativus"):
                    agent, few = (
                        agentnb.agent(
                            f"{name}:a", base_url=f"{url}/{name}/{count}", api_key="of the bench"
                        )
                        for count in (EVENTS, EVENTS // 4)
                    )
                    rows.append(
                        await cost(
                            f"{EVENTS:,} events of {name}, recorded: CPU",
                            _run(agent, EVENTS, durable=True),
                            _run(agent, EVENTS, durable=False),
                            over="not recorded",
                            goal=1.10,
                            quarter=_run(few, EVENTS // 4, durable=True),
                            rounds=ROUNDS,
                        )
                    )
            finally:
                use("off")
    return rows


def _run(agent: agentnb.Agent, events: int, *, durable: bool) -> Cost:
    async def run() -> float:
        start = time.process_time()
        asked = agent.prepare("p")
        asked.durable = durable
        history.remember(asked)
        await asked.start()
        assert flush(LONG)
        took = time.process_time() - start
        assert len(asked.text) == WIDTH * events
        assert asked.status == "completed"
        return took

    return run
