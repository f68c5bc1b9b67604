"""A map's rows on a worker of Dask: the agent made again there, and each row a task.

A row's task holds no slot of the worker while it waits: as many run at once as the client sends.
Nothing here raises what is the row's own affair, since Dask would log the task with it.
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
from agentnb._support import embedded
from agentnb._support.fork import after_fork_in_child, keep_forever
from agentnb._support.installing import __version__
from agentnb.batch.executor import Here, Prepares
from agentnb.batch.recipe import Recipe
from agentnb.batch.rows import Row, RowResult
from agentnb.config import EMBEDDED, find_key
from agentnb.errors import AgentnbError
from agentnb.recording.base_run import RunFacts
from agentnb.store.recent import recent_runs
from agentnb.store.recorder import flush

if TYPE_CHECKING:
    from distributed import Worker

__all__ = [
    "Answer",
    "Kit",
    "Refusal",
    "ask",
    "forget",
    "go_on",
    "look",
    "other_version",
    "stop",
    "task_key",
]

# How often a row looks whether anybody still waits for it, in seconds.
_LOOK: Final = 0.5
# How long writing to the history may hold up the end of a map, in seconds.
_WRITE: Final = 5.0
# So many maps are remembered: those whose client is gone are never told to end.
_MAPS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """What a worker needs to ask a map's rows; travels pickled.

    ``added`` is the agent where it was added to the embedded sandbox of the client's process.
    """

    recipe: Recipe
    options: Mapping[str, Any]
    rebuild: Callable[[Recipe], Prepares]
    added: Any = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a row; ``run`` is its run, as `RunFacts.to_dict` has it."""

    result: RowResult
    run: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a worker cannot ask any row of a map: one line, and what to do."""

    message: str
    hint: str | None = None


def other_version(its: str, clients: str) -> Refusal:
    """Return the refusal of a worker that has another version of agentnb than the client."""
    return Refusal(
        f"it has agentnb {its}, and the client has {clients}.",
        "Install the same version on all workers.",
    )


def task_key(name: str, number: int) -> tuple[str, int]:
    """Return the key of an attempt's task."""
    return (name, number)


class _Map:
    """A map on this worker: its agent, and the rows that wait for the gate at the client's."""

    def __init__(self, place: Here) -> None:
        self.place = place
        # Used on the background loop only.
        self.pausing: dict[int, asyncio.Future[None]] = {}


class _Company:
    """The rows of all workers: the gate is the client's, who hears of it by events of Dask."""

    def __init__(self, here: _Map, number: int, tell: Callable[[dict[str, Any]], None]) -> None:
        self._here = here
        self._number = number
        self._tell = tell

    def refused(self, seconds: float) -> None:
        self._tell({"row": self._number, "what": "refused", "seconds": seconds})

    async def pause(self, seconds: float) -> None:
        goes_on: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._here.pausing[self._number] = goes_on
        try:
            self._tell({"row": self._number, "what": "pause", "seconds": seconds})
            await goes_on
        finally:
            del self._here.pausing[self._number]


_lock = threading.RLock()
# By their names; a future, since it takes a while to make an agent.
_maps: OrderedDict[str, Future[_Map | Refusal]] = OrderedDict()


async def look(version: str, name: str, kit: bytes) -> Refusal | None:
    """Tell whether rows can be asked here; None where they can.

    ``version`` is the client's, ``name`` the map's, ``kit`` a pickled `Kit`.
    """
    found = await asyncio.to_thread(_map, version, name, kit)
    return found if isinstance(found, Refusal) else None


async def ask(
    version: str, name: str, kit: bytes, row: bytes, number: int
) -> Answer | Refusal | None:
    """Ask one row, as a task of Dask; return what came of it, None where nobody waits for it.

    ``row`` is a pickled `Row`, ``number`` that of the attempt among all of the map; the others are
    those of `look`.  The task's key is `task_key`.
    """
    from distributed import get_worker

    worker, key = get_worker(), task_key(name, number)
    _leave_slot(worker, key)
    here = _known(name) or await asyncio.to_thread(_map, version, name, kit)
    if isinstance(here, Refusal):
        return here

    def tell(event: dict[str, Any]) -> None:
        worker.log_event(name, event)

    asked: Row = pickle.loads(row)
    attempt = submit(here.place.attempt(asked, _Company(here, number, tell)))
    ended = asyncio.wrap_future(attempt)
    try:
        while not ended.done():
            await asyncio.wait({ended}, timeout=_LOOK)
            if not _is_wanted(worker, key):
                ended.cancel()
    finally:
        ended.cancel()
    if ended.cancelled():
        return None
    result = ended.result()
    return Answer(result, _run_of(result))


async def go_on(name: str, numbers: Sequence[int]) -> None:
    """Let attempts go on that wait for the gate."""
    if (here := _known(name)) is not None:
        submit(_go_on(here, numbers))


async def stop(name: str) -> None:
    """Cancel what runs of a map, and whatever begins yet; its rows return with what they have."""

    def made(found: Future[_Map | Refusal]) -> None:
        if isinstance(here := found.result(), _Map):
            submit(_stop(here))

    with _lock:
        if (found := _maps.get(name)) is None:
            found = _maps[name] = Future()
            found.set_result(Refusal("the map has ended."))
    found.add_done_callback(made)


async def forget(name: str) -> None:
    """Let go of a map, of which nothing runs any more; its runs are in the history afterwards."""
    with _lock:
        _maps.pop(name, None)
    # Clusters that close give their workers little time.
    await asyncio.to_thread(flush, _WRITE)


async def _go_on(here: _Map, numbers: Sequence[int]) -> None:
    for number in numbers:
        waiting = here.pausing.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)


async def _stop(here: _Map) -> None:
    here.place.stop()


def _known(name: str) -> _Map | None:
    with _lock:
        found = _maps.get(name)
    known = found.result() if found is not None and found.done() else None
    return known if isinstance(known, _Map) else None


def _map(version: str, name: str, kit: bytes) -> _Map | Refusal:
    """Return the map of that name, made when it is not there yet."""
    with _lock:
        found = _maps.get(name)
        if is_new := found is None:
            found = _maps[name] = Future()
        _maps.move_to_end(name)
        while len(_maps) > _MAPS:
            _maps.popitem(last=False)
    if is_new:
        found.set_result(_made(version, kit))
    return found.result()


def _made(version: str, kit: bytes) -> _Map | Refusal:
    if version != __version__:
        return other_version(__version__, version)
    try:
        found: Kit = pickle.loads(kit)
        if found.recipe.function is None and found.recipe.base_url != EMBEDDED:
            # Where there is none, nobody is asked: the terminal of a worker is not the user's.
            find_key(found.recipe.name.partition(":")[0], ask=False)
        if found.added is not None:
            embedded.added_agents().add(found.added)
        return _Map(Here(found.rebuild(found.recipe), found.options))
    except AgentnbError as error:
        return Refusal(error.message, error.hint)
    # What a user's own class or function raises when it is read from its pickle.
    except Exception as error:
        return Refusal(
            f"the agent cannot be made there: {type(error).__name__}: {error}",
            "What an agent is made of must be installed on all workers.",
        )


def _run_of(result: RowResult) -> dict[str, Any] | None:
    for run in reversed(recent_runs()):
        if isinstance(run, RunFacts) and run.local_id == result.local_id:
            return run.to_dict()
    return None


def _leave_slot(worker: Worker, key: tuple[str, int]) -> None:
    """Let the worker begin other tasks, since this one only waits."""
    from distributed.worker_state_machine import SecedeEvent

    # As `distributed.secede` has it, which is for tasks that have a thread.
    event = SecedeEvent(key=key, compute_duration=0.0, stimulus_id=f"secede-{time.time()}")
    worker.handle_stimulus(event)


def _is_wanted(worker: Worker, key: tuple[str, int]) -> bool:
    """Tell whether somebody waits for the result of a task, as far as the worker knows."""
    known = worker.state.tasks.get(key)
    return known is not None and known.state != "cancelled"


def _after_fork() -> None:
    # The futures of the parent's maps belong to threads that do not exist in the child.
    global _lock
    _lock = threading.RLock()
    keep_forever(*_maps.values())
    _maps.clear()


after_fork_in_child(_after_fork)
