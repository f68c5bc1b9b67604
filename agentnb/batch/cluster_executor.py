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
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

from pydantic import SecretBytes, SecretStr

from agentnb._support import embedded
from agentnb.batch import cluster_worker
from agentnb.batch.cluster import Cluster, LostRowError, check_client, worker_error
from agentnb.batch.cluster_worker import WorkerResult, WorkerSetup
from agentnb.batch.executor import Executor, RunFactory, unsent
from agentnb.batch.rate_limiter import RateLimiterClosedError, SharedBackoff
from agentnb.batch.rows import Recipe, Row, RowResult
from agentnb.cassettes.offline import OfflinePlatform
from agentnb.config import EMBEDDED
from agentnb.errors import AgentnbError, ConfigError, RequestError
from agentnb.platforms.base import Media
from agentnb.platforms.media import MediaLike, as_media
from agentnb.redaction.secrets import has_secret, remember_environment
from agentnb.run.run import Run
from agentnb.store import recent
from agentnb.store.stored_run import exported

if TYPE_CHECKING:
    from distributed import Client


def cluster_executor(
    client: Client,
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
    check_client(client)
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

    def __init__(self, client: Client, name: str, setup: bytes, options: Mapping[str, Any]) -> None:
        self._cluster = Cluster(client, name, setup, on_event=self._on_event)
        self._name = name
        self._options = options
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready: asyncio.Task[None] | None = None
        self._numbers = count()
        # By the number of a pending attempt: its backoff, and its wait for the rate limiter.
        self._backoffs: dict[int, SharedBackoff] = {}
        self._pauses: dict[int, asyncio.Task[None]] = {}
        self._resumable: list[int] = []
        self._broadcasts: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    async def attempt(self, row: Row, backoff: SharedBackoff) -> RowResult:
        if self._ready is None:
            self._loop = asyncio.get_running_loop()
            self._ready = asyncio.create_task(self._cluster.check())
        await asyncio.shield(self._ready)
        if self._is_stopping:
            return _cancelled(row)
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
            result = await self._cluster.run_row(pickled, number)
        except LostRowError as error:
            return _lost(row, str(error))
        finally:
            del self._backoffs[number]
            await self._end_pause(number)
        if isinstance(result, WorkerResult):
            if result.run is not None:
                self._remember(result.run, media)
            return result.result
        if result is None or self._is_stopping:
            return _cancelled(row)
        raise worker_error("A Dask worker", result)

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
            await self._cluster.close()

    def _on_event(self, event: dict[str, Any]) -> None:
        """Handle an event of an attempt on a worker; called on the client's loop."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._apply, event)

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
        task = asyncio.create_task(self._cluster.broadcast(function, *arguments))
        self._broadcasts.add(task)
        task.add_done_callback(self._broadcasts.discard)


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


def _lost(row: Row, error: str) -> RowResult:
    return RowResult(
        position=row.position,
        status="failed",
        attempts=1,
        error=error,
        error_code="worker_lost",
        verdict="retryable",
    )


def _cancelled(row: Row) -> RowResult:
    return RowResult(
        position=row.position,
        status="cancelled",
        attempts=1,
        error="The run was cancelled.",
        verdict="failed",
    )
