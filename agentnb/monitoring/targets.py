"""From what a user names to what is watched: runs of this process, runs of platforms, agents."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeGuard, cast

from agentnb.agents import Agent, agent
from agentnb.errors import RequestError, UnsupportedError
from agentnb.monitoring.items import Item, LocalItem, RemoteItem, remote_item
from agentnb.monitoring.known_runs import (
    in_the_history,
    in_this_process,
    is_table,
    kept,
    table_rows,
)
from agentnb.platforms.base import Platform, RemoteRun
from agentnb.render.visible import one_line
from agentnb.run.run import Run
from agentnb.store.recent import recent_runs

__all__ = ["Targets", "find_sessions", "listed", "resolve"]

_log = logging.getLogger(__name__)

# How many of an agent's newest runs are watched.
_NEWEST: Final = 20
# How many ids that nobody knows are named, and how much of each.
_IDS: Final = 3
_ID: Final = 80


@dataclass(slots=True)
class Targets:
    """What is to be watched: runs, and agents whose runs are still to be listed."""

    items: list[Item]
    agents: list[Agent]


def resolve(targets: Any, *, within: str | Agent | None = None) -> Targets:
    """Return what ``targets`` name, each run once; ``within`` is the agent of bare run ids.

    Ids without an agent are looked up: among the runs of this process, then in the history.

    Raises:
        RequestError: something among them names no run, or a run that is not known.
    """
    found = Targets([], [])
    whose = _Whose(within)
    _add(found, targets, whose)
    whose.check()
    unique: dict[str, Item] = {}
    for item in found.items:
        unique.setdefault(item.key, item)
    return Targets(list(unique.values()), found.agents)


async def listed(of: Agent) -> list[Item]:
    """Return the newest runs of an agent, its platform's and this process's own, newest first.

    Raises:
        UnsupportedError: the platform does not list its runs, and this process knows of none.
    """
    own: list[Item] = [
        LocalItem(run)
        for run in reversed(recent_runs())
        if isinstance(run, Run) and (run.client is of.platform and run.agent == of.id)
    ]
    # Those that go on, and as many of the others as there is room for.
    going = [item for item in own if not item.final]
    items = (going + [item for item in own if item.final][: max(0, _NEWEST - len(going))]) or own
    known = {item.run.id for item in items if isinstance(item, LocalItem)}
    client = of.platform
    try:
        if not client.capabilities.list_runs:
            raise UnsupportedError(
                f"{client.name} does not list its runs.",
                hint="Give their ids, or the runs themselves.",
            )
        async for state in client.runs(agent=of.id, limit=_NEWEST):
            if state.id not in known:
                item = RemoteItem(client, state.id, agent=of.id)
                item.take(state)
                items.append(item)
    except (RequestError, UnsupportedError):
        # SeekrFlow lists the runs of a thread only; those of this process are something.
        if not items:
            raise
    return items


async def find_sessions(items: Sequence[RemoteItem]) -> None:
    """Fill in, for one client, the sessions that runs are found by and the user did not give."""
    client = items[0].client
    lost = {item.run_id: item for item in items if item.session_id is None}
    if not lost or not client.capabilities.lists_sessions:
        return

    def look() -> dict[str, str]:
        # Only where it is needed: it loads what a database takes.
        from agentnb.store.lookup import sessions_of

        return sessions_of(client.name, list(lost))

    try:
        found = await asyncio.to_thread(look)
    except Exception as error:
        # The platform's client may know them, and says so where it does not.
        _log.info("The store was of no help", exc_info=error)
        return
    for run_id, session in found.items():
        lost[run_id].session_id = session


class _Whose:
    """The agent that bare run ids belong to, made when the first of them comes."""

    def __init__(self, given: str | Agent | None) -> None:
        self._given = given
        self._unknown: list[str] = []

    @property
    def agent(self) -> Agent | None:
        if isinstance(self._given, str):
            self._given = agent(self._given)
        return self._given

    def look_up(self, run_id: str) -> Item | None:
        """Return the run if it is known here; else note it for `check`."""
        item = in_this_process(run_id) or in_the_history(run_id)
        if item is None and run_id not in self._unknown:
            self._unknown.append(run_id)
        return item

    def check(self) -> None:
        """Raise if there were ids that nobody knows."""
        if not self._unknown:
            return
        shown = ", ".join(repr(one_line(each, _ID)) for each in self._unknown[:_IDS])
        if (more := len(self._unknown) - _IDS) > 0:
            shown += f" and {more} more"
        what = f"run {shown} is" if len(self._unknown) == 1 else f"runs {shown} are"
        raise RequestError(f"It is not known whose {what}.", hint='Say it: agent="platform:agent".')


def _add(found: Targets, target: Any, whose: _Whose) -> None:
    match target:
        case Run():
            found.items.append(LocalItem(target))
        case Agent():
            found.agents.append(target)
        case str() if (of := whose.agent) is not None:
            found.items.append(remote_item(of.platform, target, of.id, None))
        case str():
            if (item := whose.look_up(target)) is not None:
                found.items.append(item)
        case RemoteRun():
            of = whose.agent
            item = whose.look_up(target.id) if of is None else _listed(of, target)
            if isinstance(item, RemoteItem):
                item.take(target)
            if item is not None:
                found.items.append(item)
        case _ if is_table(target):
            for row in table_rows(target):
                _add(found, row if row.platform else row.id, whose)
        case (first, *rest) if isinstance(target, tuple) and _names_place(first, rest):
            client, of_agent = _place(first)
            ids, *more = rest
            given_agent, session = (*more, None, None)[:2]
            for run_id in [ids] if isinstance(ids, str) else cast("Iterable[str]", ids):
                found.items.append(remote_item(client, run_id, given_agent or of_agent, session))
        case _ if _is_stored(target):
            found.items.append(kept(target))
        case Iterable():
            for each in cast("Iterable[Any]", target):
                _add(found, each, whose)
        case _:
            raise RequestError(
                f"{target!r} names no run.",
                hint="Give a run, a run's id with its agent, or an agent.",
            )


def _listed(of: Agent, run: RemoteRun) -> Item:
    return remote_item(of.platform, run.id, run.agent or of.id, run.session_id)


def _is_platform(value: Any) -> TypeGuard[Platform]:
    return hasattr(value, "capabilities") and callable(getattr(value, "status", None))


def _names_place(first: Any, rest: list[Any]) -> bool:
    return bool(rest) and len(rest) <= 3 and (_is_platform(first) or isinstance(first, Agent))


def _place(first: Any) -> tuple[Platform, str | None]:
    if isinstance(first, Agent):
        return first.platform, first.id
    return first, None


def _is_stored(target: Any) -> bool:
    return not isinstance(target, str) and all(
        hasattr(target, name) for name in ("id", "platform", "agent", "session_id", "status")
    )
