"""Worker side of a map on a Dask cluster: a recreated agent, and a task for each attempt at a row.

A task holds no slot of the worker, so as many run at once as the client submits.  Errors of a row
are returned and not raised, since Dask would log the task's arguments.
"""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agentnb._loop import submit
from agentnb._support import __version__, embedded
from agentnb._support.fork import after_fork_in_child, keep_forever
from agentnb.batch.executor import LocalExecutor
from agentnb.batch.rows import Recipe, Row, RowResult, RunFactory
from agentnb.config import EMBEDDED, find_key
from agentnb.errors import AgentnbError
from agentnb.store.recent import recent_runs
from agentnb.store.recorder import flush

if TYPE_CHECKING:
    from distributed import Worker

# Seconds between checks whether the client still waits for a row.
_CHECK_INTERVAL: Final = 0.5
# Seconds that a flush of the history may delay the end of a map.
_FLUSH_SECONDS: Final = 5.0
# Maps kept at most: one whose client is gone is never removed otherwise.
_MAX_MAPS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSetup:
    """Data that a worker needs to run rows of a map; sent pickled.

    ``added`` is the agent if it was added to the embedded sandbox of the client's process.
    """

    recipe: Recipe
    options: Mapping[str, Any]
    rebuild: Callable[[Recipe], RunFactory]
    added: Any = None


@dataclass(frozen=True, slots=True)
class WorkerResult:
    """Result of a row, and its run as data, as of `Run.to_dict`."""

    result: RowResult
    run: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class WorkerRefusal:
    """Reason why a worker cannot run rows of a map, in one line, and a hint."""

    message: str
    hint: str | None = None


def version_refusal(worker: str, client: str) -> WorkerRefusal:
    """Return the refusal of a worker whose version of agentnb differs from the client's."""
    return WorkerRefusal(
        f"it has agentnb {worker}, and the client has {client}.",
        "Install the same version on all workers.",
    )


def task_key(name: str, number: int) -> tuple[str, int]:
    """Return the key of an attempt's task."""
    return (name, number)


class _Map:
    """A map on this worker: its executor, and the rows that wait for the client's rate limiter."""

    def __init__(self, executor: LocalExecutor) -> None:
        self.executor = executor
        # Used on the background loop only.
        self.paused: dict[int, asyncio.Future[None]] = {}


class _ClientBackoff:
    """A `SharedBackoff` that forwards to the client's rate limiter by events of Dask."""

    def __init__(self, map_: _Map, number: int, emit: Callable[[dict[str, Any]], None]) -> None:
        self._map = map_
        self._number = number
        self._emit = emit

    def report_refusal(self, seconds: float) -> None:
        self._emit({"row": self._number, "what": "refused", "seconds": seconds})

    async def pause(self, seconds: float) -> None:
        resumed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._map.paused[self._number] = resumed
        try:
            self._emit({"row": self._number, "what": "pause", "seconds": seconds})
            await resumed
        finally:
            del self._map.paused[self._number]


_lock = threading.RLock()
# By name; a future, since it takes a while to create an agent.
_maps: OrderedDict[str, Future[_Map | WorkerRefusal]] = OrderedDict()


async def check_map(version: str, name: str, setup: bytes) -> WorkerRefusal | None:
    """Create the map ``name`` and return None, or the reason why this worker cannot run its rows.

    ``version`` is the client's, ``setup`` a pickled `WorkerSetup`.
    """
    map_ = await asyncio.to_thread(_get_map, version, name, setup)
    return map_ if isinstance(map_, WorkerRefusal) else None


async def run_row(
    version: str, name: str, setup: bytes, row: bytes, number: int
) -> WorkerResult | WorkerRefusal | None:
    """Run one row, as a task of Dask, and return its result; None if the client left.

    ``row`` is a pickled `Row`, ``number`` counts the attempts of the map; the other arguments are
    those of `check_map`.  The task's key is `task_key`.
    """
    from distributed import get_worker

    worker, key = get_worker(), task_key(name, number)
    _secede(worker, key)
    map_ = _ready_map(name) or await asyncio.to_thread(_get_map, version, name, setup)
    if isinstance(map_, WorkerRefusal):
        return map_

    def emit(event: dict[str, Any]) -> None:
        worker.log_event(name, event)

    unpickled: Row = pickle.loads(row)
    backoff = _ClientBackoff(map_, number, emit)
    attempt = asyncio.wrap_future(submit(map_.executor.attempt(unpickled, backoff)))
    try:
        while not attempt.done():
            await asyncio.wait({attempt}, timeout=_CHECK_INTERVAL)
            if not _is_wanted(worker, key):
                attempt.cancel()
    finally:
        attempt.cancel()
    if attempt.cancelled():
        return None
    result = attempt.result()
    runs = reversed(recent_runs())
    run = next((run for run in runs if run.local_id == result.local_id), None)
    return WorkerResult(result, None if run is None else run.to_dict())


async def resume(name: str, numbers: Sequence[int]) -> None:
    """Resume attempts that wait for the rate limiter."""

    async def resume_paused(map_: _Map) -> None:
        for number in numbers:
            future = map_.paused.get(number)
            if future is not None and not future.done():
                future.set_result(None)

    if (map_ := _ready_map(name)) is not None:
        submit(resume_paused(map_))


async def stop_map(name: str) -> None:
    """Cancel all runs of a map, current and later ones; its rows return partial results."""

    async def stop_executor(map_: _Map) -> None:
        map_.executor.stop()

    def on_created(future: Future[_Map | WorkerRefusal]) -> None:
        if isinstance(map_ := future.result(), _Map):
            submit(stop_executor(map_))

    with _lock:
        if (future := _maps.get(name)) is None:
            future = _maps[name] = Future()
            future.set_result(WorkerRefusal("the map has ended."))
    future.add_done_callback(on_created)


async def remove_map(name: str) -> None:
    """Remove an ended map, and write its runs to the history."""
    with _lock:
        _maps.pop(name, None)
    # A closing cluster gives its workers little time.
    await asyncio.to_thread(flush, _FLUSH_SECONDS)


def _ready_map(name: str) -> _Map | None:
    with _lock:
        future = _maps.get(name)
    map_ = future.result() if future is not None and future.done() else None
    return map_ if isinstance(map_, _Map) else None


def _get_map(version: str, name: str, setup: bytes) -> _Map | WorkerRefusal:
    """Return the map of that name, created on first use."""
    with _lock:
        future = _maps.get(name)
        if is_new := future is None:
            future = _maps[name] = Future()
        _maps.move_to_end(name)
        while len(_maps) > _MAX_MAPS:
            _maps.popitem(last=False)
    if is_new:
        future.set_result(_create_map(version, setup))
    return future.result()


def _create_map(version: str, pickled: bytes) -> _Map | WorkerRefusal:
    if version != __version__:
        return version_refusal(__version__, version)
    try:
        setup: WorkerSetup = pickle.loads(pickled)
        recipe = setup.recipe
        if recipe.function is None and recipe.base_url != EMBEDDED:
            # Without a prompt: the terminal of a worker is not the user's.
            find_key(recipe.name.partition(":")[0], ask=False)
        if setup.added is not None:
            embedded.added_agents().add(setup.added)
        return _Map(LocalExecutor(setup.rebuild(recipe), setup.options))
    except AgentnbError as error:
        return WorkerRefusal(error.message, error.hint)
    # Unpickling a user's class or function may raise anything.
    except Exception as error:
        return WorkerRefusal(
            f"the agent cannot be made there: {type(error).__name__}: {error}",
            "What an agent is made of must be installed on all workers.",
        )


def _secede(worker: Worker, key: tuple[str, int]) -> None:
    """Let the worker start other tasks, as `distributed.secede` does for tasks with a thread."""
    from distributed.worker_state_machine import SecedeEvent

    event = SecedeEvent(key=key, compute_duration=0.0, stimulus_id=f"secede-{time.time()}")
    worker.handle_stimulus(event)


def _is_wanted(worker: Worker, key: tuple[str, int]) -> bool:
    """Return whether the client waits for the task, as far as the worker knows."""
    task = worker.state.tasks.get(key)
    return task is not None and task.state != "cancelled"


def _after_fork() -> None:
    # The futures belong to threads that do not exist in the child.
    global _lock
    _lock = threading.RLock()
    keep_forever(*_maps.values())
    _maps.clear()


after_fork_in_child(_after_fork)
