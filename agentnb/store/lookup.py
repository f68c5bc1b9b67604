"""Where a run is on its platform, as far as this process and the store know."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sqlalchemy import or_, select

from agentnb.store.deduplication import best_first, find_run, is_attached
from agentnb.store.recent import recent_runs
from agentnb.store.record import RunRecord
from agentnb.store.schema import content, run
from agentnb.store.statements import open_store, reading
from agentnb.store.store import store

_log = logging.getLogger(__name__)


def known_run(run_id: str) -> RunRecord | None:
    """Return the stored run with this id, the platform's or agentnb's own; None if there is none.

    The record has no texts.  Of several with the same platform's id, it is the one that `load`
    returns.

    Raises:
        HistoryError: the store fails.
    """
    with reading(open_store()) as connection:
        row = find_run(connection, run_id)
    return None if row is None else RunRecord.from_row(row)


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
