"""A cluster of Dask, of processes, and a platform in this one that its workers ask."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pytest
from pydantic import SecretStr

import agentnb
from agentnb.redaction import secrets
from agentnb.sandbox import Sandbox
from agentnb.store.recorder import use

T = TypeVar("T")

#: What the platform wants to see, and nobody else is to.
KEY = "sk-canary-dask-0123456789"
WORKERS = 2


class Parrot:
    """An agent that says what it was asked, once the test does not hold it any more.

    It fails at what is in ``fails``.  ``left`` are the questions whose run was stopped before.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.holds: Callable[[str], bool] = lambda prompt: False
        self.fails: set[str] = set()
        self.asked: list[str] = []
        self.left: list[str] = []

    async def answer(self, prompt: str) -> AsyncIterator[str]:
        self.asked.append(prompt)
        is_done = False
        try:
            while self.holds(prompt):  # noqa: ASYNC110 - another thread ends it
                await asyncio.sleep(0.01)
            is_done = True
            if prompt in self.fails:
                raise ValueError("polly is tired")
            yield f"You said: {prompt}"
        finally:
            if not is_done:
                self.left.append(prompt)


@dataclass(frozen=True)
class Surroundings:
    """``cluster`` is the `LocalCluster`, ``client`` a `Client` of it."""

    cluster: Any
    client: Any
    sandbox: Sandbox
    parrot: Parrot
    history: Path

    def map(
        self, agent: agentnb.Agent, data: Any, prompt: str | None = None, **options: Any
    ) -> pd.DataFrame:
        """Map ``agent`` over ``data`` on the cluster."""
        return agent.map(data, prompt, client=self.client, progress=False, **options)

    def pids(self) -> dict[str, int]:
        """Return the process of each worker, by its address."""
        return self.client.run(os.getpid)


@contextlib.contextmanager
def surroundings(folder: Path) -> Generator[Surroundings]:
    """Start a cluster whose workers have `KEY`, and the platform ``seekr`` that wants it.

    So has this process, as a notebook that starts a cluster has.
    """
    import dask.config
    import distributed

    parrot, history = Parrot(), folder / "runs.sqlite"
    kept = secrets._known  # pyright: ignore[reportPrivateUsage]
    # Who leaves a run does not stop it: only who says so does.
    with (
        Sandbox(api_key=SecretStr(KEY), keep=60) as sandbox,
        pytest.MonkeyPatch.context() as patch,
        # Else a worker is taken from the cluster so long after it died, though it is back.
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}),
    ):
        sandbox.agent("parrot")(parrot.answer)
        patch.setenv("SEEKR_API_KEY", KEY)
        patch.setenv("SEEKR_BASE_URL", sandbox.base_url("seekr"))
        patch.setenv("AGENTNB_HISTORY", str(history))
        # This process may have opened another one.
        use(None)
        # Dask has no types to speak of.
        dask_: Any = distributed
        with (
            dask_.LocalCluster(
                n_workers=WORKERS,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                # None would be a port of its own choice, and everybody's.
                dashboard_address="127.0.0.1:0",
            ) as cluster,
            dask_.Client(cluster, set_as_default=False) as client,
        ):
            # The first run of a process imports what all others use.
            client.run(_ask_once)
            parrot.reset()
            yield Surroundings(cluster, client, sandbox, parrot, history)
    use(None)
    secrets._known = kept  # pyright: ignore[reportPrivateUsage]


def numbered(count: int) -> list[str]:
    """Return so many questions."""
    return [str(number) for number in range(count)]


def known_to_the_scheduler(dask_scheduler: Any) -> bytes:
    """Return all that the scheduler knows of its tasks and has said of them."""
    tasks = {key: task.run_spec for key, task in dask_scheduler.tasks.items()}
    log = dask_scheduler.get_logs(), list(dask_scheduler.transition_log)
    return _as_bytes((tasks, dask_scheduler.get_events(), log))


def known_to_a_worker(dask_worker: Any) -> bytes:
    """Return all that a worker knows of its tasks, and has said and made of them."""
    tasks = {key: task.run_spec for key, task in dask_worker.state.tasks.items()}
    return _as_bytes((tasks, dask_worker.get_logs(), dict(dask_worker.data)))


def _as_bytes(known: object) -> bytes:
    from distributed.protocol import pickle

    travels: Any = pickle
    return travels.dumps(known)


async def _ask_once() -> None:
    await agentnb.agent("seekr:parrot").arun("Are you there?")


def aside(work: Callable[[], T]) -> Future[T]:
    """Do ``work`` in a thread of its own."""
    future: Future[T] = Future()

    def do() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=do, daemon=True).start()
    return future
