"""Pulling the runs that a platform knows into the store."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

from agentnb import _loop
from agentnb.config import config
from agentnb.errors import RequestError, UnsupportedError
from agentnb.platforms import registry
from agentnb.run.clients import connect

if TYPE_CHECKING:
    from agentnb.platforms.base import Platform
    from agentnb.store.filters import Moment
    from agentnb.store.store import Store
    from agentnb.synchronization.merge import Synced

# How long an interrupted pull may take to write, in seconds.
_WRITE_TIMEOUT = 5.0


class AgentLike(Protocol):
    """An agent, which is defined in a higher layer."""

    @property
    def id(self) -> str: ...
    @property
    def platform(self) -> Platform: ...


Target = str | AgentLike


def sync(
    target: Target,
    *,
    since: Moment | None = None,
    sessions: str | Sequence[str] | None = None,
    limit: int | None = None,
    progress: bool = True,
    **options: Any,
) -> Synced:
    """Pull the runs that a platform knows into the store (blocks); return their numbers.

    ``target`` is a platform, ``platform:agent`` or an `Agent`.  The runs have the source
    ``platform``; a run that was recorded here becomes ``both``, keeps its recorded values and gets
    the missing ones.  The next pull goes back only as far as there is something new, and queries
    open runs again.  For RunTools the events are pulled, too, and for SeekrFlow prompt and answer
    from the messages of the thread, unless content is not stored.

    ``since`` limits how far back to go: a time, an ISO date, or an age such as "7d".  ``sessions``
    restricts the pull to some sessions.  SeekrFlow lists by thread, and by default the threads that
    the store or this process knows are pulled: with ``since`` those used since then; else at first
    all, and later those used in the last 30 days or not pulled completely.  Of open runs the newest
    200 are queried; one that the platform does not know, not again within a day.  ``limit`` bounds
    the runs of each list.  ``progress`` displays a bar.  ``options`` are those of `agentnb.agent`:
    base_url, api_key, deadlines, options.

    A Retry-After is honoured up to 120 s; failures are retried twice.  Runs pulled before an error
    or an interruption are kept.

    Raises:
        UnsupportedError: the platform does not list its runs.
        HistoryError: there is no usable store.
    """
    if _loop.is_background_thread():
        raise RuntimeError("sync() blocks; on an event loop write 'await sync_async(...)'.")
    client, agent = _resolve(target, options)
    finished = threading.Event()

    async def work() -> Synced:
        try:
            return await _pull(client, agent, since, sessions, limit, progress)
        finally:
            finished.set()

    try:
        return _loop.wait(work())
    except BaseException:
        # It is being cancelled, and writes what it has.
        finished.wait(_WRITE_TIMEOUT)
        raise


async def sync_async(
    target: Target,
    *,
    since: Moment | None = None,
    sessions: str | Sequence[str] | None = None,
    limit: int | None = None,
    progress: bool = True,
    **options: Any,
) -> Synced:
    """Pull as `sync` does, without blocking the running event loop."""
    client, agent = _resolve(target, options)
    work = _pull(client, agent, since, sessions, limit, progress)
    return await asyncio.wrap_future(_loop.submit(work))


async def _pull(
    client: Platform,
    agent: str | None,
    since: Moment | None,
    sessions: str | Sequence[str] | None,
    limit: int | None,
    progress: bool,
) -> Synced:
    from agentnb.store.filters import read_filters, read_limit
    from agentnb.synchronization.pull import Pull

    if not client.capabilities.list_runs:
        raise UnsupportedError(
            f"{client.name} does not list its runs.", hint="What is run from here is recorded."
        )
    names = (sessions,) if isinstance(sessions, str) else sessions
    pull = Pull(
        client,
        await asyncio.to_thread(_store),
        agent=agent,
        since=read_filters(since=since).since,
        sessions=None if names is None else tuple(names),
        limit=read_limit(limit),
        progress=progress,
    )
    return await pull.run()


def _store() -> Store:
    from agentnb.store.recorder import flush
    from agentnb.store.store import store

    current = store(required=True)
    # A run of this process that is not written yet would be added twice.
    flush()
    return current


def _resolve(target: Target, options: dict[str, Any]) -> tuple[Platform, str | None]:
    """Return the platform's client, and the agent or None for all."""
    if _is_agent(target):
        if options:
            raise RequestError("An agent has its address and key already.")
        return target.platform, target.id
    if not isinstance(target, str):
        raise RequestError(
            f"{target!r} names no platform.", hint="Give 'platform', 'platform:agent' or an agent."
        )
    names = registry.names()
    if target in config().platform_names(names):
        return connect(target, **options), None
    name = config().resolve(target, names)
    return connect(name.platform, **options), name.agent


def _is_agent(target: object) -> TypeGuard[AgentLike]:
    return hasattr(target, "id") and hasattr(getattr(target, "platform", None), "capabilities")
