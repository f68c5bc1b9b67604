"""Pulling what a platform knows of its runs into the store."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
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

__all__ = ["Synced", "sync", "sync_async"]

# How long the end of a pull that is interrupted is waited for, in seconds.
_LAST_WRITE = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What a pull brought: runs that were new, that had changed, that were as they were known.

    ``requests`` is how many requests that took.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    requests: int = 0

    def __str__(self) -> str:
        asked = "1 request" if self.requests == 1 else f"{self.requests} requests"
        return f"{self.added} added, {self.updated} updated, {self.unchanged} unchanged, in {asked}"

    def __repr__(self) -> str:
        return f"<Synced {self}>"


class AgentLike(Protocol):
    """An agent, which is a thing of a higher layer."""

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
    """Pull the runs that a platform knows into the store (blocks); return what that brought.

    ``target`` is a platform, ``platform:agent`` or an `Agent`.  They come with the source
    ``platform``; a run that was recorded here becomes ``both``, keeps what was recorded and gets
    what that lacks.  The next pull goes only as far back as there is something new; runs that had
    not ended are asked for again.  RunTools' runs bring their events, too, and SeekrFlow's bring
    question and answer from the messages of their thread, unless content is not to be stored.

    ``since`` is how far back to go: a time, an ISO date, or an age such as "7d".  ``sessions``
    keeps to some sessions.  Of SeekrFlow, which lists by thread, by default those are pulled that
    the store or this process knows: with ``since`` the ones used since then; else at first all,
    and later those that were used in the last 30 days or were not pulled to their end.  Of runs
    that had not ended, the newest 200 are asked for; one that the platform did not know, not again
    within a day.  ``limit`` bounds the runs of each list.  ``progress`` shows a bar.  ``options``
    are those of `agentnb.agent`: base_url, api_key, deadlines, options.

    A platform that asks for a pause gets it, up to 120 s; what fails is tried again twice.  What
    was pulled before an error or an interruption stays.

    Raises:
        UnsupportedError: the platform does not list its runs.
        HistoryError: there is no store that could take them.
    """
    if _loop.in_background():
        raise RuntimeError("sync() blocks; on an event loop write 'await sync_async(...)'.")
    client, agent = _resolved(target, options)
    over = threading.Event()

    async def work() -> Synced:
        try:
            return await _pull(client, agent, since, sessions, limit, progress)
        finally:
            over.set()

    try:
        return _loop.wait(work())
    except BaseException:
        # It is being cancelled, and writes what it has.
        over.wait(_LAST_WRITE)
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
    """Do as `sync`, for async code: the running event loop is not held up."""
    client, agent = _resolved(target, options)
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
    given = (sessions,) if isinstance(sessions, str) else sessions
    pull = Pull(
        client,
        await asyncio.to_thread(_store),
        agent=agent,
        since=read_filters(since=since).since,
        sessions=None if given is None else tuple(given),
        limit=read_limit(limit),
        progress=progress,
    )
    return await pull.run()


def _store() -> Store:
    from agentnb.store.recorder import flush
    from agentnb.store.store import store

    opened = store(required=True)
    # A run of this process that is not written yet would come in twice.
    flush()
    return opened


def _resolved(target: Target, options: dict[str, Any]) -> tuple[Platform, str | None]:
    """Return the platform's client and the agent that are meant, None where all agents are."""
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
