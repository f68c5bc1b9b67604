"""What the store knows of a platform's lists: how far they were read, and which runs are open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, func, literal, select

from agentnb.store.recent import recent_runs
from agentnb.store.schema import cursor, run
from agentnb.store.store import Store
from agentnb.store.transactions import in_transaction
from agentnb.store.values import from_micros, now, to_micros

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
class OpenRun:
    """A run of the store that has not ended as far as known."""

    run_id: str
    agent: str | None
    session_id: str | None


class SyncState:
    """State of the lists of a platform, or of one agent on it; methods block."""

    def __init__(
        self,
        store: Store,
        platform: str,
        *,
        agent: str | None,
        since: int | None,
        sessions: Sequence[str] | None,
    ) -> None:
        self._store, self._platform, self._agent = store, platform, agent
        self._since, self._sessions = since, sessions

    def scope(self, session: str | None) -> str:
        """Return the scope of the cursor of a list."""
        agent = "" if self._agent is None else f"#agent:{self._agent}"
        return f"{session or ''}{agent}"

    def newest(self, scope: str) -> int | None:
        """Return the start of the newest run of a list that was read before."""
        statement = select(cursor.c.newest).where(
            cursor.c.platform == self._platform, cursor.c.scope == scope
        )
        with self._store.connect() as connection:
            return connection.execute(statement).scalar_one_or_none()

    def set_newest(self, scope: str, newest: int) -> None:
        """Store the start of the newest run of a list."""
        with self._store.begin() as connection:
            self._set(connection, {scope: newest})

    def _set(self, connection: Connection, scopes: Mapping[str, int]) -> None:
        insert = self._store.insert(cursor)
        kept = {name: insert.excluded[name] for name in ("newest", "pulled_at")}
        moment = now()
        rows = [
            {"platform": self._platform, "scope": s, "newest": n, "pulled_at": moment}
            for s, n in sorted(scopes.items())
        ]
        connection.execute(
            insert.on_conflict_do_update(index_elements=["platform", "scope"], set_=kept), rows
        )

    def recorded_starts(self) -> dict[str, datetime]:
        """Return when the newest runs start that were recorded here, by their ids there."""
        statement = (
            select(run.c.run_id, run.c.started_at)
            .where(
                run.c.platform == self._platform,
                run.c.source != "platform",
                run.c.run_id.is_not(None),
            )
            .order_by(run.c.started_at.desc())
            .limit(_MAX_STARTS)
        )
        with self._store.connect() as connection:
            rows = connection.execute(statement).all()
        return {run_id: from_micros(started_at) for run_id, started_at in rows}

    def known_sessions(self) -> list[str]:
        """Return the known sessions to read, newest first.

        They are those used since ``since``, by default in the last 30 days, and those never read
        completely.
        """
        name, used = self._platform, func.max(run.c.started_at)
        statement = (
            select(run.c.session_id, used)
            .where(run.c.platform == name, run.c.session_id.is_not(None))
            .group_by(run.c.session_id)
            .order_by(used.desc())
        )
        if self._agent is not None:
            statement = statement.where(run.c.agent == self._agent)
        if self._since is not None:
            statement = statement.having(used >= self._since)
        with self._store.connect() as connection:
            stored = connection.execute(statement).all()
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
        due = [s for s, at in stored if at >= earliest or self.scope(s) not in read]
        return [each for each in dict.fromkeys([*own, *due]) if each is not None]

    def open_runs(self) -> list[OpenRun]:
        """Return the newest runs that have not ended as far as known."""
        name = self._platform
        marks = select(cursor.c.scope).where(
            cursor.c.platform == name,
            cursor.c.scope == literal(_UNKNOWN) + run.c.run_id,
            cursor.c.pulled_at > now() - _DAY,
        )
        statement = select(run.c.run_id, run.c.agent, run.c.session_id).where(
            run.c.platform == name,
            run.c.run_id.is_not(None),
            run.c.status.not_in(("completed", "failed", "cancelled")),
            ~marks.exists(),
        )
        if self._agent is not None:
            statement = statement.where(run.c.agent == self._agent)
        if self._since is not None:
            statement = statement.where(run.c.started_at >= self._since)
        if self._sessions is not None:
            statement = statement.where(run.c.session_id.in_(self._sessions))
        statement = statement.order_by(run.c.started_at.desc()).limit(_MAX_OPEN)
        with self._store.connect() as connection:
            return [OpenRun(*row) for row in connection.execute(statement)]

    def mark_unknown(self, run_ids: Sequence[str]) -> None:
        """Mark runs as unknown to the platform; old marks are deleted."""
        if not run_ids:
            return
        moment = now()
        old = delete(cursor).where(
            cursor.c.platform == self._platform,
            cursor.c.scope.startswith(_UNKNOWN, autoescape=True),
            cursor.c.pulled_at <= moment - _DAY,
        )

        def write(connection: Connection) -> None:
            connection.execute(old)
            self._set(connection, {_UNKNOWN + each: moment for each in run_ids})

        in_transaction(self._store, write)
