"""Row 14: a table of prompts, beside bare httpx that makes the same requests."""

from __future__ import annotations

import asyncio
import math
import os
import secrets
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

import agentnb
from tests.bench.alone import MB, resident, tell, told_by
from tests.bench.inputs import sentences
from tests.bench.measure import FEWEST, Row

PROMPTS: Final = 10_000
# As many do for the peer, whose rate does not depend on it, and tell how ours grows.
FEW: Final = PROMPTS // 4
CONCURRENCY: Final = 256
SLOWEST: Final = 0.7
STEP: Final = 100
# Of a thousand rows, whose answers and figures are kept; a run itself takes fifty times as much.
MOST_MB: Final = 3.0
PLATFORM: Final = "runtools"
AGENT: Final = "echo"
KEY: Final = "AGENTNB_BENCH_KEY"


@dataclass
class Watched:
    """Prompts, with the memory of this process each time that some more have been taken."""

    prompts: list[str]
    held: list[float] = field(default_factory=list[float])

    def __iter__(self) -> Iterator[str]:
        for number, prompt in enumerate(self.prompts):
            if number % STEP == 0:
                self.held.append(resident() / MB)
            yield prompt

    @property
    def growth(self) -> float:
        """MB for each thousand of the second half: until then, what is kept at hand has filled."""
        later = self.held[len(self.held) // 2 - 1 :]
        return (later[-1] - later[0]) / (len(later) - 1) * 1000 / STEP


async def table(seed: int) -> list[Row]:
    """Rows a second, by the clock on the wall: of all prompts, and of a quarter with the peer."""
    told: dict[str, list[list[float]]] = {}
    async with _sandbox() as url:
        given = [("ours", PROMPTS), ("bare", FEW), ("ours", FEW)]
        for number in range(FEWEST):
            first = number % len(given)
            for name, count in given[first:] + given[:first]:
                one = await told_by("tests.bench.prompts", name, url, count, seed)
                told.setdefault(f"{name} {count}", []).append(one)
    ours, bare, few = told[f"ours {PROMPTS}"], told[f"bare {FEW}"], told[f"ours {FEW}"]
    rates = [PROMPTS / seconds for seconds, *_ in ours]
    bare_rates = [FEW / seconds for seconds, *_ in bare]
    what = f"map of {PROMPTS:,} prompts, {CONCURRENCY} at once"
    return [
        Row(
            f"{what}: rows a second",
            [own / theirs for own, theirs in zip(rates, bare_rates, strict=True)],
            SLOWEST,
            over="bare httpx",
            exponents=[math.log(own[0] / less[0], 4) for own, less in zip(ours, few, strict=True)],
        ),
        Row(
            f"{what}: rows",
            rates,
            None,
            unit="/s",
            limit=bare_rates,
            limit_of="bare httpx",
        ),
        Row(
            f"{what}: CPU of a row",
            [own[1] / theirs[1] / 4 for own, theirs in zip(ours, bare, strict=True)],
            None,
            at_least=False,
            over="bare httpx",
        ),
        Row(
            f"{what}: memory per 1,000",
            [own[2] for own in ours],
            MOST_MB,
            at_least=False,
            unit="MB",
            limit=[theirs[2] for theirs in bare],
            limit_of="bare httpx",
        ),
    ]


@asynccontextmanager
async def _sandbox() -> AsyncGenerator[str, None]:
    """The address of a sandbox in a process of its own, whose key is in the environment."""
    os.environ[KEY] = secrets.token_urlsafe(16)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "agentnb.sandbox", "--pace", "0"),
        env={**os.environ, "AGENTNB_SANDBOX_KEY": os.environ[KEY]},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        head = (await process.stdout.readline()).decode()
        yield next(word for word in head.split() if word.startswith("http"))
    finally:
        process.terminate()
        await process.communicate()
        del os.environ[KEY]


# --- What the processes do


async def _ours(url: str, prompts: Any) -> int:
    agent = agentnb.agent(f"{PLATFORM}:{AGENT}", base_url=url, api_key=os.environ[KEY])
    found = await agent.amap(prompts, concurrency=CONCURRENCY, progress=False)
    assert list(found["item"]) == list(found["answer"])
    return int((found["status"] == "completed").sum())


async def _bare(url: str, prompts: Any) -> int:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=CONCURRENCY)
    headers = {"x-api-key": os.environ[KEY]}
    gate = asyncio.Semaphore(CONCURRENCY)
    async with (
        httpx.AsyncClient(timeout=None, limits=limits, headers=headers) as client,
        asyncio.TaskGroup() as tasks,
    ):

        async def ask(prompt: str) -> bytes:
            try:
                body = {"agent": AGENT, "prompt": prompt, "stream": True}
                answer = await client.post(f"{url}/v1/run", json=body)
                answer.raise_for_status()
                return answer.content
            finally:
                gate.release()

        asked: list[asyncio.Task[bytes]] = []
        for prompt in prompts:
            await gate.acquire()
            asked.append(tasks.create_task(ask(prompt)))
    return sum(b"event: complete" in task.result() for task in asked)


async def _measure(name: str, url: str, count: str, seed: str) -> None:
    """Tell the seconds on the wall and of the processor, and the growth of memory."""
    work = {"ours": _ours, "bare": _bare}[name]
    at = f"{url}/{PLATFORM}"
    prompts = sentences(int(seed), int(count) + CONCURRENCY)
    # Everything is loaded, and the first connections are there.
    assert await work(at, prompts[:CONCURRENCY]) == CONCURRENCY
    watched = Watched(prompts[CONCURRENCY:])
    start, computed = time.perf_counter(), time.process_time()
    assert await work(at, watched) == int(count)
    took = (time.perf_counter() - start, time.process_time() - computed)
    tell([*took, watched.growth])


if __name__ == "__main__":
    asyncio.run(_measure(*sys.argv[1:]))
