"""Row 12: what recording costs the process in which a run streams."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import agentnb
from agentnb import history
from agentnb.history.recorder import flush
from agentnb.history.store import store, use
from tests.bench import server
from tests.bench.measure import Row, cost

EVENTS: Final = 20_000
# Far more than any of it takes, in seconds.
LONG: Final = 60.0


async def recorded() -> list[Row]:
    """Row 12: the seconds that this process computes for a run, with the store over without.

    Until all of it is written; what loads and opens the store, once in a process, is left out.
    """
    rows: list[Row] = []
    async with server.running() as url:
        with tempfile.TemporaryDirectory() as folder:
            use(Path(folder) / "history.sqlite")
            try:
                store(required=True)
                for name in ("seekr", "operativus"):
                    agent = agentnb.agent(
                        f"{name}:a", base_url=f"{url}/{name}/{EVENTS}", api_key="key of the bench"
                    )
                    rows.append(
                        await cost(
                            f"{EVENTS:,} events of {name}, recorded, over not recorded",
                            _run(agent, durable=True),
                            _run(agent, durable=False),
                            goal=1.10,
                        )
                    )
            finally:
                use("off")
    return rows


def _run(agent: agentnb.Agent, *, durable: bool) -> Callable[[], Awaitable[float]]:
    async def run() -> float:
        start = time.process_time()
        asked = agent.prepare("p")
        asked.durable = durable
        history.remember(asked)
        await asked.start()
        assert flush(LONG)
        took = time.process_time() - start
        assert len(asked.text) == 5 * EVENTS
        assert asked.status == "completed"
        return took

    return run
