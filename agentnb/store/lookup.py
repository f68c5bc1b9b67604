"""Where runs are on their platforms, as far as the store tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import func, or_, select

from agentnb.event.transcript import Status
from agentnb.store.deduplication import best_first, is_joined
from agentnb.store.schema import content, run
from agentnb.store.statements import open_store, reading
from agentnb.store.store import store
from agentnb.store.timestamps import from_micros

__all__ = ["PlacedRun", "known_run", "sessions_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedRun:
    """Where a run is, and how it stood.

    ``id`` is the platform's, or agentnb's own where that gave none.  ``duration`` is in seconds.
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
    """Return the run that has this id, the platform's or agentnb's own; None where none has.

    Of several with the same platform's id, the one that `load` returns counts.

    Raises:
        HistoryError: the store fails.
    """
    opened = open_store()
    if opened is None:
        return None
    found = (
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
    with reading(opened) as connection:
        row = connection.execute(found).mappings().first()
    if row is None:
        return None
    began, took = row["started_at"], row["duration"]
    known = {name: row[name] for name in row if name not in ("started_at", "duration", "status")}
    return PlacedRun(
        **known,
        status=cast("Status", row["status"]),
        created_at=from_micros(began),
        duration=None if took is None else took / 1e6,
    )


def sessions_of(platform: str, run_ids: Sequence[str]) -> dict[str, str]:
    """Return the session of each of these runs that is known here; nothing without a store."""
    opened = store()
    if opened is None or not run_ids:
        return {}
    found = (
        select(run.c.run_id, run.c.session_id)
        .select_from(run.outerjoin(content, content.c.run == run.c.key))
        .where(
            run.c.platform == platform,
            run.c.run_id.in_(run_ids),
            run.c.session_id.is_not(None),
            # An attempt to join it that fails may have been given another session.
            or_(run.c.status == "completed", run.c.first_token.is_not(None), ~is_joined()),
        )
        .order_by(*best_first())
    )
    sessions: dict[str, str] = {}
    with opened.connect() as connection:
        for row in connection.execute(found):
            sessions.setdefault(row.run_id, row.session_id)
    return sessions
