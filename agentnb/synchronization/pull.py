"""One pull: read lists until nothing is new, query open runs, fetch events."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, delete, func, literal, select
from sqlalchemy.exc import SQLAlchemyError

from agentnb._http import RetryDelay, current_options
from agentnb._loop import gather_or_cancel
from agentnb.errors import NotFoundError
from agentnb.event.transcript import FINAL_STATUSES
from agentnb.platforms.base import KeepsEvents, KeepsMessages, LearnsTimes, Platform, RemoteRun
from agentnb.platforms.run_lists import batches, common
from agentnb.store.failures import explained
from agentnb.store.locking import in_transaction
from agentnb.store.recent import recent_runs
from agentnb.store.schema import cursor, run
from agentnb.store.timestamps import from_micros, now, to_micros
from agentnb.synchronization.merge import Outcome, Synced, listed_run, write_listed
from agentnb.synchronization.merge_events import (
    RunWithoutEvents,
    runs_without_events,
    write_events,
    write_exchanges,
)

if TYPE_CHECKING:
    from agentnb.store.store import Store

__all__ = ["Pull"]

# Runs in one transaction; fewer if the list was read before and may end soon.
_BATCH: Final = 200
_SMALL_BATCH: Final = 20
# After so many known and ended runs in a row, older ones are known, too.
_MAX_SETTLED: Final = 10
# Concurrent requests.
_MAX_CONCURRENT: Final = 4
# Open runs that are queried again, the newest ones.
_MAX_OPEN: Final = 200
# Recorded runs whose start the platform client gets, the newest ones.
_MAX_STARTS: Final = 200
_DAY: Final = 24 * 3600 * 1_000_000
# A session that was read completely and not used for so long is not read again.
_RECENT: Final = 30 * _DAY
# Prefix of a cursor's scope: a run that the platform does not know is not queried for a day.
_UNKNOWN: Final = "#unknown:"


@dataclass(frozen=True, slots=True)
class _OpenRun:
    """A run of the store that has not ended as far as known."""

    run_id: str
    agent: str | None
    session_id: str | None


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
                    self._client.learn_starts(await asyncio.to_thread(self._starts))
                sessions = self._sessions
                if sessions is None and self._client.capabilities.lists_sessions:
                    sessions = await asyncio.to_thread(self._known_sessions)
                if sessions is None:
                    await self._list(None)
                else:
                    await gather_or_cancel(
                        self._limited(self._list, session) for session in sessions
                    )
                await self._update_open()
                if isinstance(self._client, KeepsEvents):
                    await self._fetch_events(self._client)
                elif isinstance(self._client, KeepsMessages) and self._store.store_content:
                    await self._fetch_messages(self._client)
        except SQLAlchemyError as error:
            raise explained(error, self._store.url) from error
        finally:
            self._bar.close()
        return Synced(**self._counts, requests=self._requests)

    def _count_request(self) -> None:
        self._requests += 1

    def _show_delay(self, pause: RetryDelay) -> None:
        self._bar.set_postfix_str(f"pending {pause.seconds:.0f} s")

    async def _limited(self, work: Callable[[Any], Awaitable[None]], argument: Any) -> None:
        async with self._semaphore:
            await work(argument)

    async def _list(self, session: str | None) -> None:
        """Read one list, newest first, until nothing is new; write its runs."""
        scope = self._scope(session)
        before = await asyncio.to_thread(self._cursor, scope)
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
            await asyncio.to_thread(self._set_cursor, scope, newest)

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
        open_runs = [o for o in await asyncio.to_thread(self._open) if o.run_id not in self._seen]
        if self._client.capabilities.status_batch == "session":
            open_runs = [each for each in open_runs if each.session_id is not None]
        groups = batches(open_runs, self._client.capabilities)
        await gather_or_cancel(self._limited(self._query, group) for group in groups)

    async def _query(self, runs: Sequence[_OpenRun]) -> None:
        states = await self._client.status(
            [each.run_id for each in runs],
            agent=common(each.agent for each in runs),
            session_id=common(each.session_id for each in runs),
        )
        unknown = [each.run_id for each in runs if each.run_id not in states]
        await asyncio.to_thread(self._mark_unknown, unknown)
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

    async def _fetch_events(self, client: KeepsEvents) -> None:
        """Fetch the events of runs without events in the store, by session."""

        async def fetch(runs: list[RunWithoutEvents]) -> None:
            try:
                events = dict(await client.recorded_events(runs[0].session_id))
            except NotFoundError:
                events = {}
            async with self._writing:
                await asyncio.shield(asyncio.to_thread(write_events, self._store, runs, events))

        sessions = await self._unfetched()
        await gather_or_cancel(self._limited(fetch, runs) for runs in sessions)

    async def _fetch_messages(self, client: KeepsMessages) -> None:
        """Fetch prompts and answers of runs without them in the store, by session."""

        async def fetch(runs: list[RunWithoutEvents]) -> None:
            starts = {each.run_id: from_micros(each.started_at) for each in runs}
            try:
                exchanges = dict(await client.exchanges(runs[0].session_id, starts))
            except NotFoundError:
                exchanges = {}
            async with self._writing:
                await asyncio.shield(
                    asyncio.to_thread(write_exchanges, self._store, runs, exchanges)
                )

        sessions = await self._unfetched()
        await gather_or_cancel(self._limited(fetch, runs) for runs in sessions)

    async def _unfetched(self) -> list[list[RunWithoutEvents]]:
        """Return the pulled runs whose events were not fetched yet, by session."""
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
        return list(sessions.values())

    def _scope(self, session: str | None) -> str:
        agent = "" if self._agent is None else f"#agent:{self._agent}"
        return f"{session or ''}{agent}"

    def _cursor(self, scope: str) -> int | None:
        found = select(cursor.c.newest).where(
            cursor.c.platform == self._client.name, cursor.c.scope == scope
        )
        with self._store.connect() as connection:
            return connection.execute(found).scalar_one_or_none()

    def _set_cursor(self, scope: str, newest: int) -> None:
        with self._store.begin() as connection:
            self._set(connection, {scope: newest})

    def _set(self, connection: Connection, scopes: Mapping[str, int]) -> None:
        insert = self._store.insert(cursor)
        kept = {name: insert.excluded[name] for name in ("newest", "pulled_at")}
        moment = now()
        rows = [
            {"platform": self._client.name, "scope": s, "newest": n, "pulled_at": moment}
            for s, n in sorted(scopes.items())
        ]
        connection.execute(
            insert.on_conflict_do_update(index_elements=["platform", "scope"], set_=kept), rows
        )

    def _starts(self) -> dict[str, datetime]:
        """Return when the newest runs start that were recorded here, by their ids there."""
        found = (
            select(run.c.run_id, run.c.started_at)
            .where(
                run.c.platform == self._client.name,
                run.c.source != "platform",
                run.c.run_id.is_not(None),
            )
            .order_by(run.c.started_at.desc())
            .limit(_MAX_STARTS)
        )
        with self._store.connect() as connection:
            rows = connection.execute(found).all()
        return {run_id: from_micros(started_at) for run_id, started_at in rows}

    def _known_sessions(self) -> list[str]:
        """Return the known sessions to read, newest first.

        They are those used since ``since``, by default in the last 30 days, and those never read
        completely.
        """
        name, used = self._client.name, func.max(run.c.started_at)
        found = (
            select(run.c.session_id, used)
            .where(run.c.platform == name, run.c.session_id.is_not(None))
            .group_by(run.c.session_id)
            .order_by(used.desc())
        )
        if self._agent is not None:
            found = found.where(run.c.agent == self._agent)
        if self._since is not None:
            found = found.having(used >= self._since)
        with self._store.connect() as connection:
            stored = connection.execute(found).all()
            scopes = select(cursor.c.scope).where(cursor.c.platform == name)
            read = set(connection.execute(scopes).scalars())
        earliest = now() - _RECENT if self._since is None else self._since
        own = [
            each.transcript.session_id
            for each in reversed(recent_runs())
            if each.platform == name
            and self._agent in (None, each.agent)
            and to_micros(each.created_at) >= earliest
        ]
        due = [s for s, at in stored if at >= earliest or self._scope(s) not in read]
        return [each for each in dict.fromkeys([*own, *due]) if each is not None]

    def _open(self) -> list[_OpenRun]:
        name = self._client.name
        marks = select(cursor.c.scope).where(
            cursor.c.platform == name,
            cursor.c.scope == literal(_UNKNOWN) + run.c.run_id,
            cursor.c.pulled_at > now() - _DAY,
        )
        found = select(run.c.run_id, run.c.agent, run.c.session_id).where(
            run.c.platform == name,
            run.c.run_id.is_not(None),
            run.c.status.not_in(("completed", "failed", "cancelled")),
            ~marks.exists(),
        )
        if self._agent is not None:
            found = found.where(run.c.agent == self._agent)
        if self._since is not None:
            found = found.where(run.c.started_at >= self._since)
        if self._sessions is not None:
            found = found.where(run.c.session_id.in_(self._sessions))
        found = found.order_by(run.c.started_at.desc()).limit(_MAX_OPEN)
        with self._store.connect() as connection:
            return [_OpenRun(*row) for row in connection.execute(found)]

    def _mark_unknown(self, run_ids: Sequence[str]) -> None:
        """Mark runs as unknown to the platform; old marks are deleted."""
        if not run_ids:
            return
        moment = now()
        old = delete(cursor).where(
            cursor.c.platform == self._client.name,
            cursor.c.scope.startswith(_UNKNOWN, autoescape=True),
            cursor.c.pulled_at <= moment - _DAY,
        )

        def write(connection: Connection) -> None:
            connection.execute(old)
            self._set(connection, {_UNKNOWN + each: moment for each in run_ids})

        in_transaction(self._store, write)


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
