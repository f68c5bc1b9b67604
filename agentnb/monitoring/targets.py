"""Resolution of a user's targets to the runs and agents that are watched."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, TypeGuard, cast

from agentnb.agents import Agent, agent
from agentnb.errors import HistoryError, RequestError, UnsupportedError
from agentnb.event.transcript import FINAL_STATUSES, Status
from agentnb.monitoring.watched_run import Item, LocalItem, RemoteItem, own_runs, remote_item
from agentnb.platforms.base import Platform, RemoteRun
from agentnb.platforms.base_platform import BasePlatform
from agentnb.recording.base_run import BaseRun
from agentnb.render.visible import one_line
from agentnb.run.clients import connect
from agentnb.run.run import Run
from agentnb.store.record import UNKNOWN_TIME, RunRecord
from agentnb.store.values import from_micros, span, to_micros

_log = logging.getLogger(__name__)

# The platform of Python functions, whose runs only their own process knows.
_FUNCTIONS: Final = "local"
# Statuses that a platform would not change; a run that was cut off here may continue there.
_ENDED: Final = ("completed", "failed", "cancelled")
# How many of an agent's newest runs are watched.
_NEWEST: Final = 20
# How many unknown ids an error names, and how many characters of each.
_MAX_IDS: Final = 3
_MAX_ID: Final = 80


@dataclass(slots=True)
class Targets:
    """Runs to watch, and agents whose runs have to be listed first."""

    items: list[Item]
    agents: list[Agent]


def resolve(targets: Any, *, within: str | Agent | None = None) -> Targets:
    """Return the runs of ``targets``, each once; ``within`` is the agent of bare run ids.

    Ids without an agent are looked up in this process, then in the history.

    Raises:
        RequestError: a target is not a run, or an id is unknown.
    """
    resolver = _Resolver(within)
    resolver.add(targets)
    resolver.raise_for_unknown()
    unique: dict[str, Item] = {}
    for item in resolver.items:
        unique.setdefault(item.key, item)
    return Targets(list(unique.values()), resolver.agents)


async def list_agent_runs(of: Agent) -> list[Item]:
    """Return the newest runs of an agent, from this process and its platform, newest first.

    Raises:
        UnsupportedError: the platform does not list its runs, and this process has none.
    """
    client = of.platform
    own = [LocalItem(run) for run in own_runs() if run.client is client and run.agent == of.id]
    active = [item for item in own if not item.final]
    ended = [item for item in own if item.final]
    items: list[Item] = [*active, *ended[: max(0, _NEWEST - len(active))]]
    known = {item.run.id for item in own if item in items}
    try:
        if not client.capabilities.list_runs:
            raise UnsupportedError(
                f"{client.name} does not list its runs.",
                hint="Give their ids, or the runs themselves.",
            )
        async for state in client.runs(agent=of.id, limit=_NEWEST):
            if state.id not in known:
                item = RemoteItem(client, state.id, agent=of.id)
                item.update(state)
                items.append(item)
    except (RequestError, UnsupportedError):
        # SeekrFlow lists only the runs of a thread; then those of this process have to do.
        if not items:
            raise
    return items


async def find_sessions(items: Sequence[RemoteItem]) -> None:
    """Look up missing sessions of one client's runs, where its requests need them."""
    client = items[0].client
    missing = {item.run_id: item for item in items if item.session_id is None}
    if not missing or not client.capabilities.lists_sessions:
        return

    def look_up() -> dict[str, str]:
        # Imported here because it loads the database.
        from agentnb.store.lookup import sessions_of

        return sessions_of(client.name, list(missing))

    try:
        found = await asyncio.to_thread(look_up)
    except Exception as error:
        # The client may know them, and reports it otherwise.
        _log.info("Sessions cannot be looked up in the history", exc_info=error)
        return
    for run_id, session in found.items():
        missing[run_id].session_id = session


class _Resolver:
    """Collects the items and agents of targets; ``within`` is the agent of bare run ids."""

    def __init__(self, within: str | Agent | None) -> None:
        self.items: list[Item] = []
        self.agents: list[Agent] = []
        self._within = within
        self._unknown: dict[str, None] = {}

    def add(self, target: Any) -> None:
        match target:
            case Run():
                self.items.append(LocalItem(target))
            case Agent():
                self.agents.append(target)
            case str():
                self._add_id(target)
            case RemoteRun():
                item = self._add_id(target.id, target)
                if isinstance(item, RemoteItem):
                    item.update(target)
            case _ if _is_table(target):
                for row in _table_runs(target):
                    self.add(row if row.platform else row.id)
            case (Agent() as of, ids, *more) if isinstance(target, tuple) and len(more) <= 2:
                self._add_ids(of.platform, of.id, ids, more)
            case (client, ids, *more) if isinstance(target, tuple) and _is_platform(client):
                self._add_ids(client, None, ids, more)
            case RunRecord():
                self.items.append(_stored_item(target))
            case BaseRun():
                record = RunRecord.from_run(target, process=None, user=None)
                self.items.append(_stored_item(record))
            case Iterable():
                for each in cast("Iterable[Any]", target):
                    self.add(each)
            case _:
                raise RequestError(
                    f"{target!r} names no run.",
                    hint="Give a run, a run's id with its agent, or an agent.",
                )

    def raise_for_unknown(self) -> None:
        unknown = list(self._unknown)
        if not unknown:
            return
        names = ", ".join(repr(one_line(each, _MAX_ID)) for each in unknown[:_MAX_IDS])
        if (more := len(unknown) - _MAX_IDS) > 0:
            names += f" and {more} more"
        what = f"run {names} is" if len(unknown) == 1 else f"runs {names} are"
        raise RequestError(f"It is not known whose {what}.", hint='Say it: agent="platform:agent".')

    def _add_id(self, run_id: str, state: RemoteRun | None = None) -> Item | None:
        if isinstance(self._within, str):
            self._within = agent(self._within)
        of = self._within
        if of is not None:
            name = (state.agent if state else None) or of.id
            session = state.session_id if state else None
            item: Item | None = remote_item(of.platform, run_id, name, session)
        else:
            item = _own_item(run_id) or _find_in_history(run_id)
        if item is None:
            self._unknown[run_id] = None
        else:
            self.items.append(item)
        return item

    def _add_ids(self, client: Platform, agent_id: str | None, ids: Any, more: list[Any]) -> None:
        given_agent, session = (*more, None, None)[:2]
        for run_id in [ids] if isinstance(ids, str) else cast("Iterable[str]", ids):
            self.items.append(remote_item(client, run_id, given_agent or agent_id, session))


def _own_item(run_id: str) -> Item | None:
    """Return the run of this process with this id, the platform's or agentnb's own."""
    run = next((r for r in own_runs() if run_id in (r.id, r.local_id)), None)
    if run is None:
        return None
    if run.platform == _FUNCTIONS:
        return LocalItem(run)
    return remote_item(run.client, run.id, run.agent, run.session_id)


def _find_in_history(run_id: str) -> Item | None:
    try:
        # Imported here because it loads the database.
        from agentnb.store.lookup import known_run

        found = known_run(run_id)
    except (HistoryError, ImportError) as error:
        _log.info("The history cannot be read", exc_info=error)
        return None
    return None if found is None else _stored_item(found)


def _stored_item(run: RunRecord) -> Item:
    """Return a stored run, which is polled unless it is known to have ended.

    Raises:
        ConfigError: its platform's key or settings are missing.
    """
    if (own := next((r for r in own_runs() if r.local_id == run.key), None)) is not None:
        return _own_item(own.local_id) or LocalItem(own)
    if run.status not in _ENDED and run.platform != _FUNCTIONS:
        return remote_item(connect(run.platform), run.id, run.agent, run.session_id)
    item = RemoteItem(_offline(run.platform), run.id, agent=run.agent, session_id=run.session_id)
    start = None if run.started_at == UNKNOWN_TIME else from_micros(run.started_at)
    end = None
    if start is not None and run.duration is not None:
        end = from_micros(run.started_at + run.duration)
    item.update(
        RemoteRun(
            id=run.id,
            status=cast("Status", run.status or "queued"),
            agent=run.agent,
            session_id=run.session_id,
            created_at=start,
            started_at=start,
            finished_at=end,
            error=run.error if run.status == "failed" else None,
        )
    )
    if run.status not in FINAL_STATUSES:
        item.stopped = "Runs in another kernel, which alone knows its state"
    return item


def _table_runs(table: Any) -> Iterator[RunRecord]:
    """Yield the runs of a pandas or polars table with the columns of `agentnb.runs`.

    Raises:
        RequestError: it has no column ``run_id``.
    """
    texts = ("run_id", "local_id", "platform", "agent", "session_id", "status", "error")
    columns = [str(name) for name in table.columns]
    if "run_id" not in columns:
        raise RequestError(
            "The table has no column 'run_id'.", hint="agentnb.runs() returns a table that has it."
        )
    # Without the columns of long texts.
    needed = table[[name for name in columns if name in (*texts, "started_at", "duration")]]
    rows: list[dict[str, Any]] = (
        needed.to_dicts() if hasattr(needed, "to_dicts") else needed.to_dict("records")
    )
    for row in rows:
        values = {name: row.get(name) for name in texts}
        known: dict[str, Any] = {k: v for k, v in values.items() if isinstance(v, str) and v}
        start, duration = row.get("started_at"), row.get("duration")
        if "run_id" in known:
            yield RunRecord(
                key=known.pop("local_id", ""),
                # pandas' NaT is a datetime that does not equal itself.
                started_at=to_micros(_in_utc(start))
                if isinstance(start, datetime) and start == start
                else UNKNOWN_TIME,
                duration=span(duration.total_seconds())
                if isinstance(duration, timedelta) and duration == duration
                else None,
                **cast("dict[str, Any]", {"platform": "", "status": "", **known}),
            )


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _is_table(value: Any) -> bool:
    return hasattr(value, "columns") and (hasattr(value, "to_dicts") or hasattr(value, "to_dict"))


def _is_platform(value: Any) -> TypeGuard[Platform]:
    return hasattr(value, "capabilities") and callable(getattr(value, "status", None))


@lru_cache(maxsize=256)
def _offline(name: str) -> Platform:
    return BasePlatform(name)
