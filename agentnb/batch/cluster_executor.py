"""Executor on a Dask cluster: each attempt at a row is a task, and all decisions are made here.

The client has the rows that run at once, the rate limiter, the checkpoint and the table; a worker
runs one row and returns its result.  The agent travels as a recipe without its key: each worker
takes that from its own environment, ``.env`` or keyring.  Dask reschedules the tasks of a worker
that is lost.

The caller's history has the run of each returned row, also if its worker died before it recorded
it.  Each worker also records its runs in the store that its environment names.  Where that is the
same store, as on one machine or with PostgreSQL in ``AGENTNB_HISTORY``, a run has one row.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import pickle
import pkgutil
import uuid
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any, Final, TypeVar

from pydantic import SecretBytes, SecretStr

from agentnb._support import __version__, embedded, install_hint
from agentnb.batch import cluster_worker
from agentnb.batch.cluster_worker import WorkerRefusal, WorkerResult, WorkerSetup
from agentnb.batch.executor import Executor, unsent
from agentnb.batch.rate_limiter import RateLimiterClosedError, SharedBackoff
from agentnb.batch.rows import Recipe, Row, RowResult, RunFactory
from agentnb.config import EMBEDDED
from agentnb.errors import AgentnbError, ConfigError, RequestError, TransportError
from agentnb.platforms.base import Media
from agentnb.platforms.base_platform import OfflinePlatform
from agentnb.platforms.media import MediaLike, as_media
from agentnb.redaction.secrets import has_secret, remember_environment
from agentnb.run.run import Run
from agentnb.store import recent
from agentnb.store.stored_run import exported

T = TypeVar("T")

_NOT_INSTALLED: Final = WorkerRefusal(
    "it has no agentnb.", "Install the same version on all workers."
)
# Seconds that a broadcast to all workers may take.
_BROADCAST_TIMEOUT: Final = 5.0


class _LostRowError(Exception):
    """Dask gave up the task of a row."""


def cluster_executor(
    client: Any,
    recipe: Recipe,
    options: Mapping[str, Any],
    rebuild: Callable[[Recipe], RunFactory],
) -> Executor:
    """Return an executor on the workers of ``client``.

    ``options`` apply to every row; ``rebuild`` recreates the agent on a worker.  Call it in the
    thread that then waits for the rows.  Workers are checked before the first row.

    Raises:
        ConfigError: the agent has a key of its own or cannot be pickled, or ``client`` cannot be
            used.
    """
    _check_client(client)
    if recipe.has_own_key:
        raise ConfigError(
            f"The key of {recipe.name} was given in code, and keys do not travel to Dask workers.",
            hint="Leave api_key= out: each worker takes the key from its own environment, .env "
            "or keyring.",
        )
    added = None
    if recipe.base_url == EMBEDDED:
        added = embedded.added_agents().find(recipe.name.partition(":")[2])
    name = f"agentnb-map-{uuid.uuid4().hex}"
    setup = WorkerSetup(recipe=recipe, options=options, rebuild=rebuild, added=added)
    return _ClusterExecutor(client, name, _pickle(setup), options)


def _check_client(client: object) -> None:
    """Check that ``client`` can run rows while the calling thread waits."""
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


def _worker_error(worker: str, refusal: WorkerRefusal) -> ConfigError:
    return ConfigError(f"{worker} cannot run rows: {refusal.message}", hint=refusal.hint)


class _SecretFoundError(Exception):
    """The object to pickle holds a secret, which pickling would reveal."""


def _pickle(setup: WorkerSetup) -> bytes:
    import cloudpickle  # pyright: ignore[reportMissingTypeStubs]

    class Pickler(cloudpickle.Pickler):
        def persistent_id(self, obj: Any) -> None:
            if isinstance(obj, SecretStr | SecretBytes):
                raise _SecretFoundError

    name, file = setup.recipe.name, io.BytesIO()
    try:
        Pickler(file).dump(setup)  # pyright: ignore[reportUnknownMemberType]
        remember_environment()
        if has_secret(file.getvalue().decode("latin-1")):
            raise _SecretFoundError
    except _SecretFoundError:
        raise ConfigError(
            f"{name} holds a key, in its options or its function, and keys do not travel to Dask "
            "workers.",
            hint="Read it where it is used, from the worker's own environment.",
        ) from None
    # An object that cannot be pickled may raise anything.
    except Exception as error:
        raise ConfigError(
            f"{name} cannot travel to Dask workers: {error}",
            hint="Open files, locks and connections are to be made where they are used: inside of "
            "the function.",
        ) from error
    return file.getvalue()


class _ClusterExecutor:
    """An `Executor` on the workers of a cluster."""

    # Dask's client is untyped.
    def __init__(self, client: Any, name: str, setup: bytes, options: Mapping[str, Any]) -> None:
        self._client = client
        self._client_loop: asyncio.AbstractEventLoop = client.loop.asyncio_loop
        self._name = name
        self._setup = setup
        self._options = options
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready: asyncio.Task[None] | None = None
        self._numbers = count()
        # By the number of a pending attempt: its backoff, and its wait for the rate limiter.
        self._backoffs: dict[int, SharedBackoff] = {}
        self._pauses: dict[int, asyncio.Task[None]] = {}
        self._resumable: list[int] = []
        self._broadcasts: set[asyncio.Task[None]] = set()
        self._is_subscribed = False
        self._is_stopping = False

    async def attempt(self, row: Row, backoff: SharedBackoff) -> RowResult:
        if self._ready is None:
            self._loop = asyncio.get_running_loop()
            self._ready = asyncio.create_task(self._on_client_loop(self._check_workers()))
        await asyncio.shield(self._ready)
        if self._is_stopping:
            return unsent(row, "The run was cancelled.", status="cancelled", attempts=1)
        try:
            media = await asyncio.to_thread(_load_media, row.media) if row.media else ()
        except (AgentnbError, OSError) as error:
            return unsent(row, str(error), code=type(error).__name__)
        number = next(self._numbers)
        # If Dask runs the task again, its run replaces the lost one of the same id.
        pickled = pickle.dumps(replace(row, media=media, local_id=_run_id(self._name, number)))
        if has_secret(pickled.decode("latin-1")):
            what = "prompt holds" if has_secret(row.prompt) else "row's attachments hold"
            message = f"The {what} a key that is known here, and keys do not travel to workers."
            return unsent(row, message, code="key_in_prompt")
        self._backoffs[number] = backoff
        try:
            result = await self._on_client_loop(self._run_row(pickled, number))
        except _LostRowError as error:
            return unsent(row, str(error), code="worker_lost", verdict="retryable", attempts=1)
        finally:
            del self._backoffs[number]
            await self._end_pause(number)
        if isinstance(result, WorkerResult):
            if result.run is not None:
                self._remember(result.run, media)
            return result.result
        if result is None or self._is_stopping:
            return unsent(row, "The run was cancelled.", status="cancelled", attempts=1)
        raise _worker_error("A Dask worker", result)

    def _remember(self, values: dict[str, Any], media: tuple[Media, ...]) -> None:
        """Add a run of a worker to this process's runs and to its history.

        The worker may have recorded it in the same store, in another one, or not at all: the run
        has the same key in all of them.
        """
        local_id = values["local_id"]
        if any(getattr(run, "local_id", None) == local_id for run in recent.recent_runs()):
            # The worker is in this process.
            return
        with suppress(KeyError, TypeError, ValueError):
            run = Run.recorded(exported(values), platform=OfflinePlatform(values["platform"]))
            run.request = replace(
                run.request,
                media=media,
                output_schema=self._options.get("output_type"),
                history=self._options.get("history") or (),
                followups=bool(self._options.get("followups")),
            )
            run.durable = True
            recent.remember(run)

    def stop(self) -> None:
        self._is_stopping = True
        if self._backoffs:
            self._broadcast(cluster_worker.stop_map)

    async def aclose(self) -> None:
        """Remove the map from the workers."""
        if self._ready is not None:
            if self._broadcasts:
                await asyncio.wait(self._broadcasts)
            await self._call_workers(cluster_worker.remove_map)
            with suppress(TransportError):
                await self._on_client_loop(self._unsubscribe())

    def _on_event(self, event: tuple[float, dict[str, Any]]) -> None:
        """Handle an event of an attempt on a worker; called on the client's loop."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._apply, event[1])

    def _apply(self, event: dict[str, Any]) -> None:
        number, seconds = event["row"], float(event["seconds"])
        if (backoff := self._backoffs.get(number)) is None:
            return
        if event["what"] == "refused":
            backoff.report_refusal(seconds)
        elif number not in self._pauses:
            self._pauses[number] = asyncio.create_task(self._pause(number, backoff, seconds))

    async def _pause(self, number: int, backoff: SharedBackoff, seconds: float) -> None:
        with suppress(RateLimiterClosedError):
            await backoff.pause(seconds)
            self._pauses.pop(number, None)
            self._resumable.append(number)
            if len(self._resumable) == 1:
                asyncio.get_running_loop().call_soon(self._resume)

    async def _end_pause(self, number: int) -> None:
        if (pause := self._pauses.pop(number, None)) is not None:
            # It must not acquire a slot after the row has released its own.
            pause.cancel()
            await asyncio.wait([pause])

    def _resume(self) -> None:
        numbers, self._resumable = self._resumable, []
        self._broadcast(cluster_worker.resume, numbers)

    def _broadcast(self, function: Callable[..., Any], *arguments: Any) -> None:
        task = asyncio.create_task(self._call_workers(function, *arguments))
        self._broadcasts.add(task)
        task.add_done_callback(self._broadcasts.discard)

    # -- on the client's loop --------------------------------------------------------------------

    async def _on_client_loop(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._client_loop)
        except RuntimeError as error:
            work.close()
            raise TransportError("The Dask client was closed.") from error
        return await asyncio.wrap_future(future)

    async def _check_workers(self) -> None:
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
                raise _worker_error(f"The Dask worker {address}", _NOT_INSTALLED) from version
            if isinstance(version, str) and version != __version__:
                refusal = cluster_worker.version_refusal(version, __version__)
                raise _worker_error(f"The Dask worker {address}", refusal)
        refusals: dict[str, object] = await client.run(
            cluster_worker.check_map, __version__, self._name, self._setup, on_error="return"
        )
        for address, refusal in refusals.items():
            if isinstance(refusal, WorkerRefusal):
                raise _worker_error(f"The Dask worker {address}", refusal)

        client.subscribe_topic(self._name, self._on_event)
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
            raise _LostRowError(f"Its worker was lost, time and again: {error}") from error
        except CancelledError as error:
            if self._client.status == "running":
                raise _LostRowError(f"Dask gave it up: {error}") from error
            raise TransportError("The connection to Dask's scheduler was lost.") from error
        except ImportError as error:
            raise _worker_error("A Dask worker", _NOT_INSTALLED) from error
        finally:
            # Dask forgets a released task, and the worker then cancels its run.
            future.release()

    async def _unsubscribe(self) -> None:
        if self._is_subscribed:
            self._client.unsubscribe_topic(self._name)

    async def _call_workers(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call ``function`` with the map's name on all workers; their errors are ignored."""

        async def call() -> None:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(_BROADCAST_TIMEOUT):
                    await self._client.run(function, self._name, *arguments, on_error="ignore")

        with suppress(TransportError):
            await self._on_client_loop(call())


def _load_media(media: tuple[MediaLike, ...]) -> tuple[Media, ...]:
    """Return attachments with their content: a worker may not have this machine's files."""

    def load(item: Media) -> Media:
        if (path := item.path) is None:
            return item
        path = path.expanduser()
        # Reading a device or a pipe may never end.
        if not path.is_file():
            raise RequestError(f"The attachment {path} is no file.")
        # The media type may depend on the name.
        return replace(item, data=path.read_bytes(), path=None, name=item.name or path.name)

    return tuple(load(as_media(item)) for item in media)


def _run_id(name: str, number: int) -> str:
    """Return the ``local_id`` of an attempt's run: 32 hexadecimal digits."""
    return hashlib.blake2b(f"{name} {number}".encode(), digest_size=16).hexdigest()
