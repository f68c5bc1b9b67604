"""`python -m tests.bench [row ...]`: agentnb beside its peers, measured in turn in one run."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

from tests.bench import decoding, history, notebooks, recording, streaming
from tests.bench.measure import Row

Bench = Callable[[], Awaitable[list[Row]]]

ROWS: dict[str, Bench] = {
    "1": decoding.bytes_to_events,
    "2": streaming.throughput,
    "4": streaming.latency,
    "5": streaming.second_run,
    "7": notebooks.deltas,
    "10": notebooks.code,
    "12": recording.recorded,
    "13": history.a_million_runs,
    "15": notebooks.saved_runs,
    "chat": notebooks.long_chat,
}


async def main(wanted: list[str]) -> int:
    unknown = set(wanted) - set(ROWS)
    if unknown:
        print(f"No such row: {', '.join(sorted(unknown))}. There are {', '.join(ROWS)}.")
        return 2
    print(f"{'row':>3}  {'what':<52} {'ratio':>6}  {'spread':^13} {'goal':>8}")
    missed = 0
    for number in wanted or ROWS:
        for row in await ROWS[number]():
            missed += not row.met
            print(f"{number:>3}  {row}", flush=True)
    print("All goals met." if not missed else f"{missed} missed.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
