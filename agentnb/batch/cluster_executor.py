"""A map's rows on a cluster of Dask: each row is a task, and all that is decided stays here.

The client's side has the window of rows that run at once, the gate, the checkpoint and the table; a
worker makes one run of one row and returns what came of it.  What travels is how to make the agent
again, never its key: each worker takes that from its own environment, ``.env`` or keyring.  The
task of a worker that is lost is given to another one by Dask's scheduler.

The caller's history has the run of each row that came back, also where its worker died before it
wrote it.  Each worker records its runs, too, in the store that its own environment names.  On one
machine that is everybody's, and so is the PostgreSQL that ``AGENTNB_HISTORY`` names on all of them:
there a run has one row.
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
from agentnb.batch.cluster import Cluster, LostRow, check_client, refused
from agentnb.batch.cluster_worker import Answer, Kit
from agentnb.batch.executor import Place, Prepares, unsent
from agentnb.batch.rate_limiter import Company, GateClosedError
from agentnb.batch.recipe import Recipe
from agentnb.batch.rows import Row, RowResult
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

__all__ = ["spread"]


def spread(
    client: Client,
    recipe: Recipe,
    options: Mapping[str, Any],
    rebuild: Callable[[Recipe], Prepares],
) -> Place:
    """Return the workers of ``client`` as the place where rows are asked.

    ``options`` are those of every row, ``rebuild`` makes the agent on a worker.  Called in the
    thread that then waits for the rows.  The workers are looked at before the first row is asked.

    Raises:
        ConfigError: the agent has a key of its own, or cannot travel, or ``client`` is of no use.
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
    kit = Kit(recipe=recipe, options=options, rebuild=rebuild, added=added)
    return _Workers(client, name, _packed(kit), options)


def _packed(kit: Kit) -> bytes:
    try:
        packed = _pickled(kit)
    except _SecretFoundError:
        raise _holds_key(kit) from None
    # Whatever an object raises that is not made for this.
    except Exception as error:
        raise ConfigError(
            f"{kit.recipe.name} cannot travel to Dask workers: {error}",
            hint="Open files, locks and connections are to be made where they are used: inside of "
            "the function.",
        ) from error
    remember_environment()
    if has_secret(packed.decode("latin-1")):
        raise _holds_key(kit)
    return packed


class _SecretFoundError(Exception):
    """What is to be pickled holds a secret, which is there in clear once it is pickled."""


def _pickled(kit: Kit) -> bytes:
    import cloudpickle  # pyright: ignore[reportMissingTypeStubs]

    class Pickler(cloudpickle.Pickler):
        def persistent_id(self, obj: Any) -> None:
            # Whether its value is known here or not.
            if isinstance(obj, SecretStr | SecretBytes):
                raise _SecretFoundError

    file = io.BytesIO()
    Pickler(file).dump(kit)  # pyright: ignore[reportUnknownMemberType]
    return file.getvalue()


def _holds_key(kit: Kit) -> ConfigError:
    return ConfigError(
        f"{kit.recipe.name} holds a key, in its options or its function, and keys do not "
        "travel to Dask workers.",
        hint="Read it where it is used, from the worker's own environment.",
    )


class _Workers:
    """The workers of a cluster, as a `Place`."""

    def __init__(self, client: Client, name: str, kit: bytes, options: Mapping[str, Any]) -> None:
        self._cluster = Cluster(client, name, kit, heard=self._heard)
        self._name = name
        self._options = options
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready: asyncio.Task[None] | None = None
        self._numbers = count()
        # By the number of an attempt that goes on: its company, and its wait for the gate.
        self._companies: dict[int, Company] = {}
        self._pauses: dict[int, asyncio.Task[None]] = {}
        self._go_on: list[int] = []
        self._telling: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    async def attempt(self, row: Row, company: Company) -> RowResult:
        if self._ready is None:
            self._loop = asyncio.get_running_loop()
            self._ready = asyncio.create_task(self._cluster.check())
        await asyncio.shield(self._ready)
        if self._is_stopping:
            return _cancelled(row)
        try:
            media = await asyncio.to_thread(_loaded, row.media) if row.media else ()
        except (AgentnbError, OSError) as error:
            return unsent(row, str(error), code=type(error).__name__)
        number = next(self._numbers)
        # Where Dask runs the task again, its run takes the place of the one that was lost.
        packed = pickle.dumps(replace(row, media=media, local_id=_run_key(self._name, number)))
        if has_secret(packed.decode("latin-1")):
            what = "prompt holds" if has_secret(row.prompt) else "row's attachments hold"
            why = f"The {what} a key that is known here, and keys do not travel to workers."
            return unsent(row, why, code="key_in_prompt")
        self._companies[number] = company
        try:
            found = await self._cluster.ask(packed, number)
        except LostRow as error:
            return _lost(row, str(error))
        finally:
            del self._companies[number]
            await self._end_pause(number)
        if isinstance(found, Answer):
            if found.run is not None:
                self._remember(found.run, media)
            return found.result
        if found is None or self._is_stopping:
            return _cancelled(row)
        raise refused("A Dask worker", found)

    def _remember(self, told: dict[str, Any], media: tuple[Media, ...]) -> None:
        """Add a run of a worker to this process's runs and to its history.

        The worker may have written it to the same store, to another one, or died before it did:
        the run has the same key in all of them.
        """
        if any(getattr(run, "local_id", None) == told["local_id"] for run in recent.recent_runs()):
            # The worker is in this process.
            return
        with suppress(KeyError, TypeError, ValueError):
            run = Run.recorded(exported(told), platform=OfflinePlatform(told["platform"]))
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
        if self._companies:
            self._tell(cluster_worker.stop)

    async def aclose(self) -> None:
        """Have the workers forget the map."""
        if self._ready is not None:
            if self._telling:
                await asyncio.wait(self._telling)
            await self._cluster.close()

    def _heard(self, said: dict[str, Any]) -> None:
        """Hear of an attempt on a worker; on the client's loop."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._follow, said)

    def _follow(self, said: dict[str, Any]) -> None:
        """Do for an attempt on a worker what it would do with its company if it were here."""
        number, seconds = said["row"], float(said["seconds"])
        if (company := self._companies.get(number)) is None:
            return
        if said["what"] == "refused":
            company.refused(seconds)
        elif number not in self._pauses:
            self._pauses[number] = asyncio.create_task(self._pause(number, company, seconds))

    async def _pause(self, number: int, company: Company, seconds: float) -> None:
        with suppress(GateClosedError):
            await company.pause(seconds)
            self._pauses.pop(number, None)
            self._go_on.append(number)
            if len(self._go_on) == 1:
                asyncio.get_running_loop().call_soon(self._let_go_on)

    async def _end_pause(self, number: int) -> None:
        if (pause := self._pauses.pop(number, None)) is not None:
            # It must not take a slot once the row has left its own.
            pause.cancel()
            await asyncio.wait([pause])

    def _let_go_on(self) -> None:
        numbers, self._go_on = self._go_on, []
        self._tell(cluster_worker.go_on, numbers)

    def _tell(self, what: Callable[..., Any], *arguments: Any) -> None:
        task = asyncio.create_task(self._cluster.tell(what, *arguments))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)


def _loaded(media: tuple[MediaLike, ...]) -> tuple[Media, ...]:
    """Return attachments with their content: a worker may not have this machine's files."""

    def loaded(item: Media) -> Media:
        if (path := item.path) is None:
            return item
        path = path.expanduser()
        # A device or a pipe is no attachment: reading one may never end.
        if not path.is_file():
            raise RequestError(f"The attachment {path} is no file.")
        # Its type is told from its name where it is not given.
        return replace(item, data=path.read_bytes(), path=None, name=item.name or path.name)

    return tuple(loaded(as_media(item)) for item in media)


def _run_key(name: str, number: int) -> str:
    """Return the `RunFacts.local_id` of an attempt: 32 hexadecimal digits."""
    return hashlib.blake2b(f"{name} {number}".encode(), digest_size=16).hexdigest()


def _lost(row: Row, why: str) -> RowResult:
    return RowResult(
        position=row.position,
        status="failed",
        attempts=1,
        error=why,
        error_code="worker_lost",
        verdict="may_pass",
    )


def _cancelled(row: Row) -> RowResult:
    return RowResult(
        position=row.position,
        status="cancelled",
        attempts=1,
        error="The run was cancelled.",
        verdict="failed",
    )
