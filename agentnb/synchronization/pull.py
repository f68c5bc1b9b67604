"""One pull: lists are walked until nothing new comes, open runs asked for, events fetched."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, delete, func, literal, select
from sqlalchemy.exc import SQLAlchemyError

from agentnb._http import Pause, current_terms
from agentnb._loop import all_or_none
from agentnb.errors import NotFoundError
from agentnb.event.transcript import FINAL_STATUSES
from agentnb.platforms.base import KeepsEvents, KeepsMessages, LearnsTimes, Platform, RemoteRun
from agentnb.platforms.run_lists import batches, common
from agentnb.store.failures import explained
from agentnb.store.locking import in_transaction
from agentnb.store.recent import recent_runs
from agentnb.store.schema import cursor, run
from agentnb.store.timestamps import from_micros, now, to_micros
from agentnb.synchronization.merge import Outcome, entry_of, write_entries
from agentnb.synchronization.merge_events import (
    Lacking,
    lacking_events,
    write_events,
    write_exchanges,
)
from agentnb.synchronization.sync import Synced

if TYPE_CHECKING:
    from agentnb.store.store import Store

__all__ = ["Pull"]

# Runs in one transaction; fewer where a list was walked before, and may end soon.
_BATCH: Final = 200
_SMALL_BATCH: Final = 20
# So many runs in a row that are known and over: what is older is known, too.
_SETTLED: Final = 10
# How many requests may be under way at once.
_AT_ONCE: Final = 4
# How many runs that had not ended are asked for again, the newest ones.
_MOST_OPEN: Final = 200
# Of how many recorded runs a platform is told when they began, the newest ones.
_MOST_STARTS: Final = 200
_DAY: Final = 24 * 3600 * 1_000_000
# A session that was walked to its end and not used for so long is taken to be over.
_RECENT: Final = 30 * _DAY
# Beside what was walked, what the platform did not know is noted for a day: this, and the run's id.
_UNKNOWN: Final = "#unknown:"


@dataclass(frozen=True, slots=True)
class _Open:
    """A run of the store that had not ended when it was last heard of."""

    run_id: str
    agent: str | None
    session_id: str | None


class Pull:
    """Brings the runs of one platform, or of one agent on it, into ``store``.

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
        self._bar = _bar(client.name, shown=progress)
        self._requests = 0
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._writing = asyncio.Lock()
        self._counts: dict[Outcome, int] = {"added": 0, "updated": 0, "unchanged": 0}
        self._seen: set[str] = set()

    async def run(self) -> Synced:
        """Pull; what came before an error is kept."""
        try:
            terms = replace(current_terms(), sending=self._sends, pausing=self._waits)
            with terms.applied():
                if isinstance(self._client, LearnsTimes):
                    self._client.learn_starts(await asyncio.to_thread(self._starts))
                sessions = self._sessions
                if sessions is None and self._client.capabilities.lists_sessions:
                    sessions = await asyncio.to_thread(self._known_sessions)
                if sessions is None:
                    await self._list(None)
                else:
                    await all_or_none(self._in_turn(self._list, session) for session in sessions)
                await self._ask_open()
                if isinstance(self._client, KeepsEvents):
                    await self._fetch_events(self._client)
                elif isinstance(self._client, KeepsMessages) and self._store.store_content:
                    await self._fetch_messages(self._client)
        except SQLAlchemyError as error:
            raise explained(error, self._store.url) from error
        finally:
            self._bar.close()
        return Synced(**self._counts, requests=self._requests)

    def _sends(self) -> None:
        self._requests += 1

    def _waits(self, pause: Pause) -> None:
        self._bar.set_postfix_str(f"waiting {pause.seconds:.0f} s")

    async def _in_turn(self, work: Callable[[Any], Awaitable[None]], argument: Any) -> None:
        async with self._gate:
            await work(argument)

    # -- lists -----------------------------------------------------------------------------------

    async def _list(self, session: str | None) -> None:
        """Walk one list, newest first, as far as there is news; write what comes."""
        scope = self._scope(session)
        before = await asyncio.to_thread(self._cursor, scope)
        size = _BATCH if before is None else _SMALL_BATCH
        newest, settled, complete = before or 0, 0, False
        waiting: list[RemoteRun] = []
        runs = self._client.runs(agent=self._agent, session_id=session, limit=self._limit)
        try:
            async for remote in runs:
                began = _began(remote)
                if self._since is not None and began is not None and began < self._since:
                    break
                newest = max(newest, began or 0)
                waiting.append(remote)
                if len(waiting) < size:
                    continue
                some, waiting = waiting, []
                for each, outcome in zip(some, await self._write(some), strict=True):
                    known = before is not None and (_began(each) or 0) <= before
                    is_settled = known and outcome == "unchanged" and each.status in FINAL_STATUSES
                    settled = settled + 1 if is_settled else 0
                if settled >= _SETTLED:
                    complete = True
                    break
            else:
                complete = self._limit is None
        except NotFoundError:
            # A thread that is gone there is no reason not to pull the others.
            if session is None or self._sessions is not None:
                raise
            complete = True
        finally:
            # Also where it broke off.
            await _aclose(runs)
            await self._write(waiting)
        # Of a session, also that there is nothing in it: it need not be asked for for ever.
        if complete and (newest or session is not None):
            await asyncio.to_thread(self._set_cursor, scope, newest)

    async def _write(self, remotes: Sequence[RemoteRun]) -> list[Outcome]:
        if not remotes:
            return []
        store, name = self._store, self._client.name

        def write() -> list[Outcome]:
            kept = store.store_content
            return write_entries(store, [entry_of(name, r, store_content=kept) for r in remotes])

        async with self._writing:
            # Begun, it is to be finished, also when the pull is broken off.
            outcomes = await asyncio.shield(asyncio.to_thread(write))
        for remote, outcome in zip(remotes, outcomes, strict=True):
            self._seen.add(remote.id)
            self._counts[outcome] += 1
        self._bar.update(len(remotes))
        self._bar.set_postfix_str("")
        return outcomes

    # -- runs that had not ended -----------------------------------------------------------------

    async def _ask_open(self) -> None:
        """Ask for the runs of the store whose end is not known and which no list brought."""
        if not self._client.capabilities.run_status:
            return
        found = [o for o in await asyncio.to_thread(self._open) if o.run_id not in self._seen]
        if self._client.capabilities.status_batch == "session":
            found = [each for each in found if each.session_id is not None]
        asks = batches(found, self._client.capabilities)
        await all_or_none(self._in_turn(self._ask, ask) for ask in asks)

    async def _ask(self, ask: Sequence[_Open]) -> None:
        states = await self._client.status(
            [each.run_id for each in ask],
            agent=common(each.agent for each in ask),
            session_id=common(each.session_id for each in ask),
        )
        unknown = [each.run_id for each in ask if each.run_id not in states]
        await asyncio.to_thread(self._note_unknown, unknown)
        found = [state for state in states.values() if state.id not in self._seen]
        if self._client.capabilities.status_batch == "agent":
            # What a call for several leaves out, the one for a single run tells.
            found = [await self._whole(state) for state in found]
        await self._write(found)

    async def _whole(self, state: RemoteRun) -> RemoteRun:
        if state.status not in FINAL_STATUSES or state.output is not None:
            return state
        alone = await self._client.status(
            [state.id], agent=state.agent, session_id=state.session_id
        )
        return alone.get(state.id, state)

    # -- events ----------------------------------------------------------------------------------

    async def _fetch_events(self, client: KeepsEvents) -> None:
        """Fetch what happened in the runs of which the store has no events, by session."""

        async def fetch(runs: list[Lacking]) -> None:
            try:
                events = dict(await client.recorded_events(runs[0].session_id))
            except NotFoundError:
                events = {}
            async with self._writing:
                await asyncio.shield(asyncio.to_thread(write_events, self._store, runs, events))

        sessions = await self._lacking()
        await all_or_none(self._in_turn(fetch, runs) for runs in sessions)

    async def _fetch_messages(self, client: KeepsMessages) -> None:
        """Fetch what was asked and answered in runs of which the store does not know it."""

        async def fetch(runs: list[Lacking]) -> None:
            began = {each.run_id: from_micros(each.started_at) for each in runs}
            try:
                found = dict(await client.exchanges(runs[0].session_id, began))
            except NotFoundError:
                found = {}
            async with self._writing:
                await asyncio.shield(asyncio.to_thread(write_exchanges, self._store, runs, found))

        sessions = await self._lacking()
        await all_or_none(self._in_turn(fetch, runs) for runs in sessions)

    async def _lacking(self) -> list[list[Lacking]]:
        """Return the pulled runs of which nothing was fetched yet, by session."""
        lacking = await asyncio.to_thread(
            lacking_events,
            self._store,
            self._client.name,
            agent=self._agent,
            since=self._since,
        )
        sessions: dict[str, list[Lacking]] = {}
        for each in lacking:
            if self._sessions is None or each.session_id in self._sessions:
                sessions.setdefault(each.session_id, []).append(each)
        return list(sessions.values())

    # -- the store -------------------------------------------------------------------------------

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
        """Return when the newest runs began that were recorded here, by their ids there."""
        found = (
            select(run.c.run_id, run.c.started_at)
            .where(
                run.c.platform == self._client.name,
                run.c.source != "platform",
                run.c.run_id.is_not(None),
            )
            .order_by(run.c.started_at.desc())
            .limit(_MOST_STARTS)
        )
        with self._store.connect() as connection:
            rows = connection.execute(found).all()
        return {run_id: from_micros(started_at) for run_id, started_at in rows}

    def _known_sessions(self) -> list[str]:
        """Return the sessions to be walked of those that the store and this process know.

        The newest first: those that were used since ``since``, by default in the last 30 days, and
        those that were never walked to their end.
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
            walked = set(connection.execute(scopes).scalars())
        earliest = now() - _RECENT if self._since is None else self._since
        own = [
            each.transcript.session_id
            for each in reversed(recent_runs())
            if each.platform == name
            and self._agent in (None, each.agent)
            and to_micros(each.created_at) >= earliest
        ]
        due = [s for s, at in stored if at >= earliest or self._scope(s) not in walked]
        return [each for each in dict.fromkeys([*own, *due]) if each is not None]

    def _open(self) -> list[_Open]:
        name = self._client.name
        noted = select(cursor.c.scope).where(
            cursor.c.platform == name,
            cursor.c.scope == literal(_UNKNOWN) + run.c.run_id,
            cursor.c.pulled_at > now() - _DAY,
        )
        found = select(run.c.run_id, run.c.agent, run.c.session_id).where(
            run.c.platform == name,
            run.c.run_id.is_not(None),
            run.c.status.not_in(("completed", "failed", "cancelled")),
            ~noted.exists(),
        )
        if self._agent is not None:
            found = found.where(run.c.agent == self._agent)
        if self._since is not None:
            found = found.where(run.c.started_at >= self._since)
        if self._sessions is not None:
            found = found.where(run.c.session_id.in_(self._sessions))
        found = found.order_by(run.c.started_at.desc()).limit(_MOST_OPEN)
        with self._store.connect() as connection:
            return [_Open(*row) for row in connection.execute(found)]

    def _note_unknown(self, run_ids: Sequence[str]) -> None:
        """Note that the platform does not know these runs; what was noted long ago goes."""
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


def _began(remote: RemoteRun) -> int | None:
    moment = remote.started_at or remote.created_at
    return None if moment is None else to_micros(moment)


async def _aclose(runs: AsyncIterator[RemoteRun]) -> None:
    # A platform of somebody else's may iterate by other means than a generator.
    if (close := getattr(runs, "aclose", None)) is not None:
        await close()


def _bar(name: str, *, shown: bool) -> Any:
    from tqdm.auto import tqdm

    return tqdm(desc=name, unit=" runs", disable=not shown, file=sys.stderr)
