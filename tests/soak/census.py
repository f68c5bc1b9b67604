"""What a process holds: memory, descriptors, threads, tasks."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from agentnb._loop import background_loop

__all__ = ["Census", "take_census"]


@dataclass(frozen=True, slots=True)
class Census:
    """``memory`` is what is resident, in bytes; ``sockets`` are part of ``descriptors``.

    ``threads`` are their names, sorted.
    """

    memory: int
    descriptors: int
    sockets: int
    threads: list[str]
    tasks: int

    def __str__(self) -> str:
        return (
            f"{self.memory / 2**20:6.1f} MiB, {self.descriptors} descriptors, {self.sockets} "
            f"sockets, {len(self.threads)} threads, {self.tasks} tasks"
        )


# asyncio's own threads grow in number where one is asked again before it says that it is idle.
_counter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="census")


async def take_census() -> Census:
    """Return what this process holds, counted in a thread of its own."""
    return await asyncio.get_running_loop().run_in_executor(_counter, _count)


def _count() -> Census:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    descriptors: list[str] = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            descriptors.append(str(link.readlink()))
        except FileNotFoundError:  # the one that lists them
            continue
    return Census(
        memory=pages * os.sysconf("SC_PAGE_SIZE"),
        descriptors=len(descriptors),
        sockets=sum(each.startswith("socket:") for each in descriptors),
        threads=sorted(thread.name for thread in threading.enumerate()),
        # The loop's own count: what it holds is looked at where it is changed.
        tasks=asyncio.run_coroutine_threadsafe(_tasks(), background_loop()).result(30),
    )


async def _tasks() -> int:
    return len(asyncio.all_tasks()) - 1
