"""What a map asks of a cluster of Dask, on the event loop of its client."""

from __future__ import annotations

import asyncio
import pkgutil
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, Final, TypeVar

from agentnb._support.installing import __version__, install_hint
from agentnb.batch import cluster_worker
from agentnb.batch.cluster_worker import Answer, Refusal
from agentnb.errors import ConfigError, TransportError

__all__ = ["Cluster", "LostRow", "check_client", "refused"]

T = TypeVar("T")

_NOTHING: Final = Refusal("it has no agentnb.", "Install the same version on all workers.")
# How long telling all workers something may take, in seconds.
_TELL: Final = 5.0


class LostRow(Exception):
    """Dask gave up a row; says why."""


def check_client(client: object) -> None:
    """Check that ``client`` is one that rows can be given to while the calling thread waits.

    Raises:
        ConfigError: it is none, or is closed, or could not do its work meanwhile.
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


def refused(who: str, refusal: Refusal) -> ConfigError:
    """Return the error of a worker that can ask no rows."""
    return ConfigError(f"{who} cannot ask rows: {refusal.message}", hint=refusal.hint)


class Cluster:
    """The workers of a Dask client, for the map called ``name``, whose pickled `Kit` is ``kit``.

    ``heard`` is called, on the client's loop, with what the workers tell.  All methods may be
    called on any event loop.

    Raises:
        TransportError: the client was closed, or lost its scheduler; so do all methods.
    """

    # Dask's own methods have no types to speak of.
    def __init__(
        self, client: Any, name: str, kit: bytes, *, heard: Callable[[dict[str, Any]], None]
    ) -> None:
        self._client = client
        self._loop: asyncio.AbstractEventLoop = client.loop.asyncio_loop
        self._name = name
        self._kit = kit
        self._heard = heard
        self._is_listening = False

    async def check(self) -> None:
        """Check that all workers there are can ask rows, and listen to them.

        Raises:
            ConfigError: one of them cannot.
        """
        await self._there(self._check())

    async def ask(self, row: bytes, number: int) -> Answer | Refusal | None:
        """Have a worker ask a row; return what it returned, see `cluster_worker.ask`.

        Cancelling it cancels the run.

        Raises:
            LostRow: Dask gave it up.
            ConfigError: the worker has no agentnb.
        """
        return await self._there(self._ask(row, number))

    async def tell(self, what: Callable[..., Any], *arguments: Any) -> None:
        """Have all workers call ``what`` with the map's name; those that are lost need not."""

        async def tell() -> None:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(_TELL):
                    await self._client.run(what, self._name, *arguments, on_error="ignore")

        with suppress(TransportError):
            await self._there(tell())

    async def close(self) -> None:
        """Have the workers forget the map, and listen to them no more."""

        async def unsubscribe() -> None:
            if self._is_listening:
                self._client.unsubscribe_topic(self._name)

        await self.tell(cluster_worker.forget)
        with suppress(TransportError):
            await self._there(unsubscribe())

    async def _there(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError as error:
            work.close()
            raise TransportError("The Dask client was closed.") from error
        return await asyncio.wrap_future(future)

    async def _check(self) -> None:
        client = self._client
        try:
            # Tasks are unpickled there, too.
            await client.run_on_scheduler(pkgutil.resolve_name, f"{cluster_worker.__name__}:ask")
        except ImportError as error:
            raise ConfigError(
                "Dask's scheduler does not have this agentnb.",
                hint="Install the same version there and on all workers.",
            ) from error
        # By the standard library: what is agentnb's own can be unpickled only where that is.
        found: dict[str, object] = await client.run(
            pkgutil.resolve_name, "agentnb:__version__", on_error="return"
        )
        for address, version in found.items():
            if isinstance(version, ImportError):
                raise refused(f"The Dask worker {address}", _NOTHING) from version
            if isinstance(version, str) and version != __version__:
                other = cluster_worker.other_version(version, __version__)
                raise refused(f"The Dask worker {address}", other)
        found = await client.run(
            cluster_worker.look, __version__, self._name, self._kit, on_error="return"
        )
        for address, refusal in found.items():
            if isinstance(refusal, Refusal):
                raise refused(f"The Dask worker {address}", refusal)

        def heard(event: tuple[float, dict[str, Any]]) -> None:
            self._heard(event[1])

        client.subscribe_topic(self._name, heard)
        self._is_listening = True

    async def _ask(self, row: bytes, number: int) -> Answer | Refusal | None:
        from distributed import KilledWorker

        future = self._client.submit(
            cluster_worker.ask,
            *(__version__, self._name, self._kit, row, number),
            key=cluster_worker.task_key(self._name, number),
            pure=False,
        )
        try:
            return await future
        except KilledWorker as error:
            raise LostRow(f"Its worker was lost, time and again: {error}") from error
        except CancelledError as error:
            if self._client.status == "running":
                raise LostRow(f"Dask gave it up: {error}") from error
            raise TransportError("The connection to Dask's scheduler was lost.") from error
        except ImportError as error:
            raise refused("A Dask worker", _NOTHING) from error
        finally:
            # A task that nobody waits for is forgotten, and its run cancelled.
            future.release()
