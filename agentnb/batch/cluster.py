"""Client side of a map on a Dask cluster, on the event loop of the Dask client."""

from __future__ import annotations

import asyncio
import pkgutil
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, Final, TypeVar

from agentnb._support.installing import __version__, install_hint
from agentnb.batch import cluster_worker
from agentnb.batch.cluster_worker import WorkerRefusal, WorkerResult
from agentnb.errors import ConfigError, TransportError

T = TypeVar("T")

_NOT_INSTALLED: Final = WorkerRefusal(
    "it has no agentnb.", "Install the same version on all workers."
)
# Seconds that a broadcast to all workers may take.
_BROADCAST_TIMEOUT: Final = 5.0


class LostRowError(Exception):
    """Dask gave up the task of a row."""


def check_client(client: object) -> None:
    """Check that ``client`` can run rows while the calling thread waits.

    Raises:
        ConfigError: it is no client, is closed, or runs on the loop of the calling thread.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError(
            "client= takes a Dask client, and Dask is not installed.",
            hint=install_hint("dask"),
        ) from error
    if not isinstance(client, Client):
        raise ConfigError(
            f"client= takes a dask.distributed Client, not {type(client).__name__}.",
            hint="client=Client(...), with the address of a scheduler or a cluster.",
        )
    if client.status != "running":
        raise ConfigError(
            f"The Dask client is {client.status}.", hint="Await it first, or make another."
        )
    if client.asynchronous:
        raise ConfigError(
            "The Dask client runs on this thread's event loop, which map() would hold up.",
            hint="Write 'await agent.amap(...)', or make the Client without asynchronous=True.",
        )


def worker_error(worker: str, refusal: WorkerRefusal) -> ConfigError:
    """Return the error for a worker that cannot run rows."""
    return ConfigError(f"{worker} cannot run rows: {refusal.message}", hint=refusal.hint)


class Cluster:
    """Workers of a Dask client, for the map ``name`` with the pickled `WorkerSetup` ``setup``.

    ``on_event`` is called on the client's loop with the events of workers.  All methods may be
    called on any event loop.

    Raises:
        TransportError: the client was closed, or lost its scheduler; raised by all methods.
    """

    # Dask's client is untyped.
    def __init__(
        self, client: Any, name: str, setup: bytes, *, on_event: Callable[[dict[str, Any]], None]
    ) -> None:
        self._client = client
        self._loop: asyncio.AbstractEventLoop = client.loop.asyncio_loop
        self._name = name
        self._setup = setup
        self._on_event = on_event
        self._is_subscribed = False

    async def check(self) -> None:
        """Check that all current workers can run rows, and subscribe to their events.

        Raises:
            ConfigError: a worker cannot.
        """
        await self._on_client_loop(self._check())

    async def run_row(self, row: bytes, number: int) -> WorkerResult | WorkerRefusal | None:
        """Return the result of `cluster_worker.run_row` on a worker.

        Cancelling it cancels the run.

        Raises:
            LostRowError: Dask gave up the task.
            ConfigError: the worker has no agentnb.
        """
        return await self._on_client_loop(self._run_row(row, number))

    async def broadcast(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call ``function`` with the map's name on all workers; errors of workers are ignored."""

        async def call() -> None:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(_BROADCAST_TIMEOUT):
                    await self._client.run(function, self._name, *arguments, on_error="ignore")

        with suppress(TransportError):
            await self._on_client_loop(call())

    async def close(self) -> None:
        """Remove the map from the workers, and unsubscribe from their events."""

        async def unsubscribe() -> None:
            if self._is_subscribed:
                self._client.unsubscribe_topic(self._name)

        await self.broadcast(cluster_worker.remove_map)
        with suppress(TransportError):
            await self._on_client_loop(unsubscribe())

    async def _on_client_loop(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError as error:
            work.close()
            raise TransportError("The Dask client was closed.") from error
        return await asyncio.wrap_future(future)

    async def _check(self) -> None:
        client = self._client
        try:
            # The scheduler unpickles tasks, too.
            function = f"{cluster_worker.__name__}:run_row"
            await client.run_on_scheduler(pkgutil.resolve_name, function)
        except ImportError as error:
            raise ConfigError(
                "Dask's scheduler does not have this agentnb.",
                hint="Install the same version there and on all workers.",
            ) from error
        # A function of the standard library can be unpickled on a worker without agentnb.
        versions: dict[str, object] = await client.run(
            pkgutil.resolve_name, "agentnb:__version__", on_error="return"
        )
        for address, version in versions.items():
            if isinstance(version, ImportError):
                raise worker_error(f"The Dask worker {address}", _NOT_INSTALLED) from version
            if isinstance(version, str) and version != __version__:
                refusal = cluster_worker.version_refusal(version, __version__)
                raise worker_error(f"The Dask worker {address}", refusal)
        refusals: dict[str, object] = await client.run(
            cluster_worker.check_map, __version__, self._name, self._setup, on_error="return"
        )
        for address, refusal in refusals.items():
            if isinstance(refusal, WorkerRefusal):
                raise worker_error(f"The Dask worker {address}", refusal)

        def on_event(event: tuple[float, dict[str, Any]]) -> None:
            self._on_event(event[1])

        client.subscribe_topic(self._name, on_event)
        self._is_subscribed = True

    async def _run_row(self, row: bytes, number: int) -> WorkerResult | WorkerRefusal | None:
        from distributed import KilledWorker

        future = self._client.submit(
            cluster_worker.run_row,
            *(__version__, self._name, self._setup, row, number),
            key=cluster_worker.task_key(self._name, number),
            pure=False,
        )
        try:
            return await future
        except KilledWorker as error:
            raise LostRowError(f"Its worker was lost, time and again: {error}") from error
        except CancelledError as error:
            if self._client.status == "running":
                raise LostRowError(f"Dask gave it up: {error}") from error
            raise TransportError("The connection to Dask's scheduler was lost.") from error
        except ImportError as error:
            raise worker_error("A Dask worker", _NOT_INSTALLED) from error
        finally:
            # Dask forgets a released task, and the worker then cancels its run.
            future.release()
