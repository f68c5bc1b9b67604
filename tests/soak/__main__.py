"""`python -m tests.soak [--seconds N] [--seed N]`: runs under faults, and what is left of them.

Runs of all platforms go on side by side, most under a fault; some are cancelled, some abandoned in
mid-stream, some read slowly.  What an answer should be is known, so that what is lost or doubled
shows.  At the end nothing may be left: no socket, no task, no thread, and no memory that grew.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import surroundings

import agentnb
from agentnb import Deadlines, Run
from agentnb._http.retry import Retries
from agentnb._loop import background_loop
from agentnb.agents import Agent
from tests.soak.census import Census, take_census
from tests.soak.faults import FAULTS, PARAMS
from tests.soak.server import Served, served

PIECE = 6


class Soak:
    """Some runs at a time, until the time is over."""

    def __init__(self, at: Served, *, seed: int, patience: float) -> None:
        self.random = random.Random(seed)
        self.ended: Counter[tuple[str, str, str]] = Counter()
        self.wrong: list[str] = []
        self.runs = 0
        self.agents: dict[str, Agent] = {
            platform: agentnb.agent(
                f"{platform}:echo",
                base_url=f"{at.url}/{platform}",
                api_key=at.key,
                deadlines=Deadlines(idle=10, total=patience),
                retries=Retries(reconnects=4),
            )
            for platform in PARAMS
        }

    async def work(self, until: float) -> None:
        while time.monotonic() < until:
            platform = self.random.choice(list(self.agents))
            fault = self.random.choice(list(FAULTS))
            await self.one(platform, fault)

    async def one(self, platform: str, fault: str) -> None:
        count = self.random.choice((5, 40, 300))
        told: dict[str, Any] = {"deltas": count, "size": PIECE, "tools": self.random.choice((0, 2))}
        if self.random.random() < 0.3:
            told["delay_ms"] = 5
        script = FAULTS[fault](self.random)
        params = PARAMS[platform](script) if script else {}
        run = self.agents[platform].start(json.dumps(told), **params)
        self.runs += 1
        leave = self.random.random()
        if leave < 0.1:
            await asyncio.sleep(self.random.random())
            run.cancel()
            await run.wait_async(check=False)
            way = "cancelled"
        elif leave < 0.2:
            await self.abandon(run)
            run.cancel()
            await run.wait_async(check=False)
            way = "abandoned"
        elif leave < 0.3:
            await self.read_slowly(run)
            way = "read slowly"
        else:
            await run.wait_async(check=False)
            way = "waited for"
        self.judge(run, platform, fault, way, count)

    async def abandon(self, run: Run) -> None:
        events = run.iterate()
        async for _ in events:
            break

    async def read_slowly(self, run: Run) -> None:
        async for _ in run.iterate():
            if self.random.random() < 0.05:
                await asyncio.sleep(0.01)

    def judge(self, run: Run, platform: str, fault: str, way: str, count: int) -> None:
        wanted = "".join(f"{n:0{PIECE - 1}d} " for n in range(count))
        self.ended[platform, fault, run.status] += 1
        if fault == "malformed event" or (fault == "duplicate event" and platform != "runagent"):
            # What is damaged is lost, and without numbers nobody can tell a piece that came twice.
            return
        # A part of it is its beginning, whatever happened.
        whole = run.text == wanted
        if not (whole or (run.status != "completed" and wanted.startswith(run.text))):
            self.wrong.append(
                f"{platform}, {fault}, {way}: {run.status} with {len(run.text)} characters of "
                f"{len(wanted)}: {run.error or ''} {run.text[:60]!r}"
            )


async def close(agents: Iterable[Agent]) -> None:
    """Let all connections go that wait to be used again."""
    for agent in agents:
        closing = asyncio.run_coroutine_threadsafe(agent.platform.aclose(), background_loop())
        await asyncio.wrap_future(closing)


async def settled(before: Census, seconds: float = 20.0) -> Census:
    """Return what is held once it is no more than ``before``, or when the time is over."""
    end = time.monotonic() + seconds
    while True:
        now = await take_census()
        quiet = now.sockets <= before.sockets and now.tasks <= before.tasks
        if (quiet and len(now.threads) <= len(before.threads)) or time.monotonic() > end:
            return now
        await asyncio.sleep(0.25)


async def soak(at: Served, *, seconds: float, seed: int, at_once: int, patience: float) -> int:
    soak = Soak(at, seed=seed, patience=patience)
    # What the first runs bring along stays: imports, the thread that records.
    for agent in soak.agents.values():
        await agent.start("hello")
    await close(soak.agents.values())
    before = await take_census()
    print(f"seed {seed}\n  at first  {before}", flush=True)
    start = time.monotonic()
    workers = [asyncio.create_task(soak.work(start + seconds)) for _ in range(at_once)]
    seen: list[Census] = []
    while any(not worker.done() for worker in workers):
        await asyncio.wait(workers, timeout=max(1.0, seconds / 20))
        seen.append(await take_census())
        print(f"{time.monotonic() - start:8.0f} s  {seen[-1]}, {soak.runs} runs", flush=True)
    for worker in workers:
        worker.result()
    await close(soak.agents.values())
    after = await settled(before)
    print(f"   at last  {after}", flush=True)
    report(soak)
    half = seen[len(seen) // 2 :]
    growth = (half[-1].memory - half[0].memory) / 2**20
    print(f"\n{soak.runs} runs; memory in the second half: {growth:+.1f} MiB")
    left = {
        name: (getattr(before, name), getattr(after, name))
        for name in ("sockets", "tasks")
        if getattr(after, name) > getattr(before, name)
    }
    if len(after.threads) > len(before.threads):
        left["threads"] = (before.threads, after.threads)
    print(f"left behind: {left or 'nothing'}; wrong answers: {len(soak.wrong)}")
    for line in soak.wrong[:20]:
        print("  " + line)
    # The first half is for caches to fill.
    grows = growth > max(8.0, 0.05 * half[0].memory / 2**20)
    return 1 if left or soak.wrong or grows else 0


def report(soak: Soak) -> None:
    statuses = sorted({status for _, _, status in soak.ended})
    print(f"\n{'fault':<20}" + "".join(f"{status:>13}" for status in statuses))
    for fault in FAULTS:
        counts = [
            sum(n for (_, f, s), n in soak.ended.items() if f == fault and s == status)
            for status in statuses
        ]
        print(f"{fault:<20}" + "".join(f"{n or '':>13}" for n in counts))


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (600)")
    parser.add_argument("--at-once", type=int, default=24, help="how many runs at a time (24)")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds for each run (60)")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="random by default")
    asked = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="agentnb-soak-") as home:
        clean = surroundings.clean(os.environ, home=Path(home))
        os.environ.clear()
        os.environ.update(clean)
        with served() as at:
            code = asyncio.run(
                soak(
                    at,
                    seconds=asked.seconds,
                    seed=asked.seed,
                    at_once=asked.at_once,
                    patience=asked.patience,
                )
            )
        # Before the folder of the store is removed.
        agentnb.history.use("off")
        return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
