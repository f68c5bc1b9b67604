"""Where runs are on their platforms, as far as the store tells."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from agentnb.history.schema import run
from agentnb.history.store import store

__all__ = ["sessions_of"]


def sessions_of(platform: str, run_ids: Sequence[str]) -> dict[str, str]:
    """Return the session of each of these runs that is known here; nothing without a store."""
    opened = store()
    if opened is None or not run_ids:
        return {}
    found = select(run.c.run_id, run.c.session_id).where(
        run.c.platform == platform,
        run.c.run_id.in_(run_ids),
        run.c.session_id.is_not(None),
    )
    with opened.connect() as connection:
        return {row.run_id: row.session_id for row in connection.execute(found)}
