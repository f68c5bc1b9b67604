"""Runs that are known here already: of this process, in the history, or in a table of runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, cast

from agentnb.errors import HistoryError, RequestError
from agentnb.event.transcript import FINAL_STATUSES, Status
from agentnb.monitoring.items import Item, LocalItem, RemoteItem, remote_item
from agentnb.platforms.base import Capabilities, Platform, RemoteRun
from agentnb.run.clients import connect
from agentnb.run.run import Run
from agentnb.store.recent import recent_runs

__all__ = ["KeptRun", "in_the_history", "in_this_process", "is_table", "kept", "table_rows"]

_log = logging.getLogger(__name__)

# Python functions as agents: nobody but the process that runs one can be asked for it.
_FUNCTIONS: Final = "local"
# What a platform would not tell otherwise; one that was cut off here may go on there.
_ENDED: Final = ("completed", "failed", "cancelled")
# What is read of a table.
_READ: Final = (
    "run_id",
    "local_id",
    "platform",
    "agent",
    "session_id",
    "status",
    "started_at",
    "duration",
    "error",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRun:
    """What a table tells of one run; what it does not tell is None.

    ``id`` is the platform's id, or agentnb's own.
    """

    id: str
    local_id: str | None = None
    platform: str | None = None
    agent: str | None = None
    session_id: str | None = None
    status: Status | None = None
    created_at: datetime | None = None
    duration: float | None = None
    error: str | None = None


def in_this_process(run_id: str) -> Item | None:
    """Return the run of this process that has this id, the platform's or agentnb's own."""
    for run in reversed(recent_runs()):
        if isinstance(run, Run) and run_id in (run.id, run.local_id):
            if run.platform == _FUNCTIONS:
                return LocalItem(run)
            return remote_item(run.client, run.id, run.agent, run.session_id)
    return None


def in_the_history(run_id: str) -> Item | None:
    """Return the run of this id as the history knows it; None where that is of no help.

    Raises:
        ConfigError: its platform cannot be asked, since its key or its settings are missing.
    """
    try:
        # Only where it is needed: it loads what a database takes.
        from agentnb.store.lookup import known_run

        found = known_run(run_id)
    except (HistoryError, ImportError) as error:
        _log.info("The history was of no help", exc_info=error)
        return None
    return None if found is None else kept(found)


def kept(run: Any) -> Item:
    """Return a run that was kept; its platform is asked unless it is known to have ended.

    ``run`` is a `StoredRun`, a `KeptRun`, or another object that has the same names.

    Raises:
        ConfigError: its platform cannot be asked, since its key or its settings are missing.
    """
    for own in reversed(recent_runs()):
        if isinstance(own, Run) and own.local_id == getattr(run, "local_id", None):
            return in_this_process(own.local_id) or LocalItem(own)
    here_only = run.platform == _FUNCTIONS
    if run.status not in _ENDED and not here_only:
        return remote_item(connect(run.platform), run.id, run.agent, run.session_id)
    item = RemoteItem(_nobody(run.platform), run.id, agent=run.agent, session_id=run.session_id)
    began: datetime | None = run.created_at
    took: float | None = run.duration
    item.take(
        RemoteRun(
            id=run.id,
            status=run.status or "queued",
            agent=run.agent,
            session_id=run.session_id,
            created_at=began,
            started_at=began,
            finished_at=None if began is None or took is None else began + timedelta(seconds=took),
            error=run.error if run.status == "failed" else None,
        )
    )
    if run.status not in FINAL_STATUSES:
        item.gone = "Goes on in another kernel, which alone can tell of it"
    return item


def is_table(value: Any) -> bool:
    """Tell whether ``value`` is a DataFrame, of pandas or of polars."""
    return hasattr(value, "columns") and (hasattr(value, "to_dicts") or hasattr(value, "to_dict"))


def table_rows(table: Any) -> Iterator[KeptRun]:
    """Yield what each row of a table tells of a run, by the columns that `agentnb.runs` has.

    Raises:
        RequestError: it has no column ``run_id``.
    """
    columns = [str(name) for name in table.columns]
    if "run_id" not in columns:
        raise RequestError(
            "The table has no column 'run_id'.", hint="agentnb.runs() gives one that has."
        )
    # Without the long texts, which nobody asks for.
    short = table[[name for name in columns if name in _READ]]
    rows: list[dict[str, Any]] = (
        short.to_dicts() if hasattr(short, "to_dicts") else short.to_dict("records")
    )
    for row in rows:
        if run_id := _text(row.get("run_id")):
            began, took = row.get("started_at"), row.get("duration")
            yield KeptRun(
                id=run_id,
                local_id=_text(row.get("local_id")),
                platform=_text(row.get("platform")),
                agent=_text(row.get("agent")),
                session_id=_text(row.get("session_id")),
                status=cast("Status | None", _text(row.get("status"))),
                created_at=began if isinstance(began, datetime) and _there(began) else None,
                duration=took.total_seconds()
                if isinstance(took, timedelta) and _there(took)
                else None,
                error=_text(row.get("error")),
            )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _there(value: datetime | timedelta) -> bool:
    # To pandas a missing moment is a moment, too, but not equal to itself.
    return value == value


class _Nobody:
    """Stands for a platform that is not asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.capabilities = Capabilities()


@lru_cache(maxsize=256)
def _nobody(name: str) -> Platform:
    return cast("Platform", _Nobody(name))
