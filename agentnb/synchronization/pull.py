"""One pull: read lists until nothing is new, query open runs, fetch events."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.exc import SQLAlchemyError

from agentnb._http import RetryDelay, current_options
from agentnb._loop import gather_or_cancel
from agentnb.errors import NotFoundError
from agentnb.event.transcript import FINAL_STATUSES
from agentnb.platforms.base import KeepsEvents, KeepsMessages, LearnsTimes, Platform, RemoteRun
from agentnb.platforms.base_platform import batches, common
from agentnb.store.failures import explained
from agentnb.store.values import from_micros, to_micros
from agentnb.synchronization.merge import Outcome, Synced, listed_run, write_listed
from agentnb.synchronization.merge_events import (
    RunWithoutEvents,
    runs_without_events,
    write_events,
    write_exchanges,
)
from agentnb.synchronization.state import OpenRun, SyncState

if TYPE_CHECKING:
    from agentnb.store.store import Store

# Runs in one transaction; fewer if the list was read before and may end soon.
_BATCH: Final = 200
_SMALL_BATCH: Final = 20
# After so many known and ended runs in a row, older ones are known, too.
_MAX_SETTLED: Final = 10
# Concurrent requests.
_MAX_CONCURRENT: Final = 4


class Pull:
    """Pull of the runs of a platform, or of one agent on it, into ``store``.

    ``since`` is in microseconds since 1970-01-01 UTC.
    """

    def __init__(
        self,
        client: Platform,
        store: Store,
        *,
        agent: str | None,
        since: int | None,
        sessions: Sequence[str] | None,
        limit: int | None,
        progress: bool,
    ) -> None:
        self._client, self._store, self._agent = client, store, agent
        self._since, self._sessions, self._limit = since, sessions, limit
        self._state = SyncState(store, client.name, agent=agent, since=since, sessions=sessions)
        self._bar = _bar(client.name, display=progress)
        self._requests = 0
        self._semaphore = asyncio.Semaphore(_MAX_CONCURRENT)
        self._writing = asyncio.Lock()
        self._counts: dict[Outcome, int] = {"added": 0, "updated": 0, "unchanged": 0}
        self._seen: set[str] = set()

    async def run(self) -> Synced:
        """Pull; runs received before an error are kept."""
        try:
            request_options = replace(
                current_options(), on_request=self._count_request, on_retry=self._show_delay
            )
            with request_options.applied():
                if isinstance(self._client, LearnsTimes):
                    self._client.learn_starts(await asyncio.to_thread(self._state.recorded_starts))
                sessions = self._sessions
                if sessions is None and self._client.capabilities.lists_sessions:
                    sessions = await asyncio.to_thread(self._state.known_sessions)
                if sessions is None:
                    await self._list(None)
                else:
                    await gather_or_cancel(
                        self._limited(self._list, session) for session in sessions
                    )
                await self._update_open()
                if isinstance(self._client, KeepsEvents):
                    await self._fetch_missing(write_events)
                elif isinstance(self._client, KeepsMessages) and self._store.store_content:
                    await self._fetch_missing(write_exchanges)
        except SQLAlchemyError as error:
            raise explained(error, self._store.url) from error
        finally:
            self._bar.close()
        return Synced(**self._counts, requests=self._requests)

    def _count_request(self) -> None:
        self._requests += 1

    def _show_delay(self, pause: RetryDelay) -> None:
        self._bar.set_postfix_str(f"waiting {pause.seconds:.0f} s")

    async def _limited(self, work: Callable[[Any], Awaitable[None]], argument: Any) -> None:
        async with self._semaphore:
            await work(argument)

    async def _list(self, session: str | None) -> None:
        """Read one list, newest first, until nothing is new; write its runs."""
        scope = self._state.scope(session)
        before = await asyncio.to_thread(self._state.newest, scope)
        size = _BATCH if before is None else _SMALL_BATCH
        newest, settled, complete = before or 0, 0, False
        pending: list[RemoteRun] = []
        runs = self._client.runs(agent=self._agent, session_id=session, limit=self._limit)
        try:
            async for remote in runs:
                start = _start_of(remote)
                if self._since is not None and start is not None and start < self._since:
                    break
                newest = max(newest, start or 0)
                pending.append(remote)
                if len(pending) < size:
                    continue
                batch, pending = pending, []
                for each, outcome in zip(batch, await self._write(batch), strict=True):
                    known = before is not None and (_start_of(each) or 0) <= before
                    is_settled = known and outcome == "unchanged" and each.status in FINAL_STATUSES
                    settled = settled + 1 if is_settled else 0
                if settled >= _MAX_SETTLED:
                    complete = True
                    break
            else:
                complete = self._limit is None
        except NotFoundError:
            # The session was deleted on the platform; the others are still pulled.
            if session is None or self._sessions is not None:
                raise
            complete = True
        finally:
            # After an error, too.
            await _aclose(runs)
            await self._write(pending)
        # An empty session gets a cursor, too, so that it is not read for ever.
        if complete and (newest or session is not None):
            await asyncio.to_thread(self._state.set_newest, scope, newest)

    async def _write(self, remotes: Sequence[RemoteRun]) -> list[Outcome]:
        if not remotes:
            return []
        store, name = self._store, self._client.name

        def write() -> list[Outcome]:
            content = store.store_content
            return write_listed(
                store, [listed_run(name, r, store_content=content) for r in remotes]
            )

        async with self._writing:
            # Once started, a write is completed even if the pull is cancelled.
            outcomes = await asyncio.shield(asyncio.to_thread(write))
        for remote, outcome in zip(remotes, outcomes, strict=True):
            self._seen.add(remote.id)
            self._counts[outcome] += 1
        self._bar.update(len(remotes))
        self._bar.set_postfix_str("")
        return outcomes

    async def _update_open(self) -> None:
        """Query the open runs of the store that were in no list."""
        if not self._client.capabilities.run_status:
            return
        open_runs = [
            o for o in await asyncio.to_thread(self._state.open_runs) if o.run_id not in self._seen
        ]
        if self._client.capabilities.status_batch == "session":
            open_runs = [each for each in open_runs if each.session_id is not None]
        groups = batches(open_runs, self._client.capabilities)
        await gather_or_cancel(self._limited(self._query, group) for group in groups)

    async def _query(self, runs: Sequence[OpenRun]) -> None:
        states = await self._client.status(
            [each.run_id for each in runs],
            agent=common(each.agent for each in runs),
            session_id=common(each.session_id for each in runs),
        )
        unknown = [each.run_id for each in runs if each.run_id not in states]
        await asyncio.to_thread(self._state.mark_unknown, unknown)
        updates = [state for state in states.values() if state.id not in self._seen]
        if self._client.capabilities.status_batch == "agent":
            # A query of several runs has fewer fields than one of a single run.
            updates = [await self._complete(state) for state in updates]
        await self._write(updates)

    async def _complete(self, state: RemoteRun) -> RemoteRun:
        if state.status not in FINAL_STATUSES or state.output is not None:
            return state
        single = await self._client.status(
            [state.id], agent=state.agent, session_id=state.session_id
        )
        return single.get(state.id, state)

    async def _fetch_missing(self, write: Callable[..., None]) -> None:
        """Fetch what the store lacks of pulled runs, by session, and ``write`` it."""

        async def fetch(runs: list[RunWithoutEvents]) -> None:
            found = await self._recorded(runs)
            async with self._writing:
                await asyncio.shield(asyncio.to_thread(write, self._store, runs, found))

        runs = await asyncio.to_thread(
            runs_without_events,
            self._store,
            self._client.name,
            agent=self._agent,
            since=self._since,
        )
        sessions: dict[str, list[RunWithoutEvents]] = {}
        for each in runs:
            if self._sessions is None or each.session_id in self._sessions:
                sessions.setdefault(each.session_id, []).append(each)
        await gather_or_cancel(self._limited(fetch, each) for each in sessions.values())

    async def _recorded(self, runs: Sequence[RunWithoutEvents]) -> dict[str, Any]:
        """Return events, or prompts and answers, of the runs of one session, by run id."""
        client, session = self._client, runs[0].session_id
        with suppress(NotFoundError):
            if isinstance(client, KeepsEvents):
                return dict(await client.recorded_events(session))
            if isinstance(client, KeepsMessages):
                starts = {each.run_id: from_micros(each.started_at) for each in runs}
                return dict(await client.exchanges(session, starts))
        return {}


def _start_of(remote: RemoteRun) -> int | None:
    moment = remote.started_at or remote.created_at
    return None if moment is None else to_micros(moment)


async def _aclose(runs: AsyncIterator[RemoteRun]) -> None:
    # The iterator of a third-party platform need not be a generator.
    if (close := getattr(runs, "aclose", None)) is not None:
        await close()


def _bar(name: str, *, display: bool) -> Any:
    from tqdm.auto import tqdm

    return tqdm(desc=name, unit=" runs", disable=not display, file=sys.stderr)
