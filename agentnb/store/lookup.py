"""Where a run is on its platform, as far as this process and the store know."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import func, or_, select

from agentnb.event.transcript import Status
from agentnb.store.deduplication import best_first, is_attached
from agentnb.store.recent import recent_runs
from agentnb.store.schema import content, run
from agentnb.store.statements import open_store, reading
from agentnb.store.store import store
from agentnb.store.timestamps import from_micros

__all__ = ["PlacedRun", "known_run", "session_of", "sessions_of"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedRun:
    """Ids and status of a run.

    ``id`` is the platform's, or agentnb's own if that gave none.  ``duration`` is in seconds.
    """

    id: str
    local_id: str
    platform: str
    agent: str | None
    session_id: str | None
    status: Status
    created_at: datetime
    duration: float | None
    error: str | None


def known_run(run_id: str) -> PlacedRun | None:
    """Return the stored run with this id, the platform's or agentnb's own; None if there is none.

    Of several with the same platform's id, the one that `load` returns.

    Raises:
        HistoryError: the store fails.
    """
    statement = (
        select(
            func.coalesce(run.c.run_id, run.c.key).label("id"),
            run.c.key.label("local_id"),
            run.c.platform,
            run.c.agent,
            run.c.session_id,
            run.c.status,
            run.c.started_at,
            run.c.duration,
            run.c.error,
        )
        .where(or_(run.c.key == run_id, run.c.run_id == run_id))
        .order_by((run.c.key == run_id).desc(), *best_first())
        .limit(1)
    )
    with reading(open_store()) as connection:
        row = connection.execute(statement).mappings().first()
    if row is None:
        return None
    fields = {name: row[name] for name in row if name not in ("started_at", "duration", "status")}
    return PlacedRun(
        **fields,
        status=cast("Status", row["status"]),
        created_at=from_micros(row["started_at"]),
        duration=None if row["duration"] is None else row["duration"] / 1e6,
    )


def session_of(platform: str, run_id: str) -> str | None:
    """Return the session of a run as this process or the store knows it, else None.

    A failure of the store is logged.
    """
    for each in reversed(recent_runs()):
        # An attach that failed may have been given another session.
        is_known = each.text or getattr(each, "via", None) != "attach"
        session = each.transcript.session_id if is_known else None
        if session is not None and (each.platform, each.id) == (platform, run_id):
            return session
    try:
        return sessions_of(platform, [run_id]).get(run_id)
    except Exception as error:
        # The platform may not need it, and reports an error if it does.
        _log.info("The session of a run could not be read from the store", exc_info=error)
        return None


def sessions_of(platform: str, run_ids: Sequence[str]) -> dict[str, str]:
    """Return the sessions of those runs that the store has, by run id; {} without a store."""
    opened = store()
    if opened is None or not run_ids:
        return {}
    statement = (
        select(run.c.run_id, run.c.session_id)
        .select_from(run.outerjoin(content, content.c.run == run.c.key))
        .where(
            run.c.platform == platform,
            run.c.run_id.in_(run_ids),
            run.c.session_id.is_not(None),
            # An attach that fails may have been given another session.
            or_(run.c.status == "completed", run.c.first_token.is_not(None), ~is_attached()),
        )
        .order_by(*best_first())
    )
    sessions: dict[str, str] = {}
    with opened.connect() as connection:
        for row in connection.execute(statement):
            sessions.setdefault(row.run_id, row.session_id)
    return sessions
