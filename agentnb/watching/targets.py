"""From what a user names to what is watched: runs of this process, runs of platforms, agents."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeGuard, cast

from agentnb.agents import Agent, agent
from agentnb.errors import RequestError, UnsupportedError
from agentnb.history.recent import recent_runs
from agentnb.platforms.base import Platform, RemoteRun
from agentnb.platforms.clients import connect
from agentnb.run import Run
from agentnb.transcript import FINAL_STATUSES
from agentnb.watching.rows import WatchedRun, local_row, remote_times

__all__ = ["Item", "LocalItem", "RemoteItem", "Targets", "find_sessions", "listed", "resolve"]

_log = logging.getLogger(__name__)

#: How many times a platform may answer without a run until that counts as not knowing it.
STRIKES: Final = 3
# How many of an agent's newest runs are watched.
_NEWEST: Final = 20


@dataclass(eq=False, slots=True)
class LocalItem:
    """A run of this process: nobody needs to be asked for it."""

    run: Run

    @property
    def key(self) -> str:
        return self.run.local_id

    @property
    def final(self) -> bool:
        return self.newest.done and self.newest.status != "paused"

    @property
    def newest(self) -> Run:
        """The run as which it goes on."""
        run = self.run
        while run.successor is not None:
            run = run.successor
        return run

    def row(self) -> WatchedRun:
        # The key stays the one that it began with.
        return replace(local_row(self.newest), key=self.key)


@dataclass(eq=False, slots=True)
class RemoteItem:
    """A run that its platform is asked for.

    ``state`` is what it said last.  ``strikes`` counts the answers without the run; ``gone`` says
    why nobody asks any more, ``problem`` what went wrong with a request for it.
    """

    client: Platform
    run_id: str
    agent: str | None = None
    session_id: str | None = None
    state: RemoteRun | None = None
    strikes: int = 0
    gone: str | None = None
    problem: str | None = None
    trouble: str | None = None

    @property
    def key(self) -> str:
        return f"{self.client.name}:{self.run_id}"

    @property
    def final(self) -> bool:
        known = self.state is not None and self.state.status in FINAL_STATUSES
        return known or self.gone is not None

    def take(self, state: RemoteRun) -> bool:
        """Keep what the platform said; tell whether it is news."""
        before = None if self.state is None else (self.state.status, self.state.error)
        self.agent = self.agent or state.agent
        self.session_id = self.session_id or state.session_id
        self.state, self.strikes, self.trouble = state, 0, None
        return before != (state.status, state.error)

    def row(self) -> WatchedRun:
        state = self.state
        began, elapsed = (None, None) if state is None else remote_times(state)
        cancels = self.client.capabilities.cancel
        return WatchedRun(
            key=self.key,
            run_id=self.run_id,
            platform=self.client.name,
            agent=self.agent,
            session_id=self.session_id,
            title=self.agent or self.client.name,
            # Of one that was never seen nothing better can be said than that it is not known to
            # have begun.
            status="queued" if state is None else state.status,
            started_at=began,
            elapsed=elapsed,
            detail=self._detail(),
            error=self.problem or (state.error if state is not None else None),
            final=self.final,
            can_cancel=cancels and not self.final,
        )

    def _detail(self) -> str:
        if self.gone is not None:
            return self.gone
        if self.trouble is not None:
            return self.trouble
        if self.state is None:
            return "Not found yet" if self.strikes else "Is being asked for"
        match self.state.status:
            case "queued":
                return "Waits on the platform"
            case "running":
                return "Goes on on the platform"
            case "paused":
                return "Waits for a decision"
            case _:
                model = self.state.model
                return f"Model {model}" if model else ""


Item = LocalItem | RemoteItem


@dataclass(slots=True)
class Targets:
    """What is to be watched: runs, and agents whose runs are still to be listed."""

    items: list[Item]
    agents: list[Agent]


def resolve(targets: Any, *, within: str | Agent | None = None) -> Targets:
    """Return what ``targets`` name, each run once; ``within`` is the agent of bare run ids.

    Raises:
        RequestError: something among them names no run.
    """
    found = Targets([], [])
    _add(found, targets, _Whose(within))
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
        from agentnb.history.places import sessions_of

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

    def agent(self, run_id: str) -> Agent:
        if self._given is None:
            raise RequestError(
                f"Whose run {run_id!r} is is not known.",
                hint='Say it: agent="platform:agent".',
            )
        if isinstance(self._given, str):
            self._given = agent(self._given)
        return self._given


def _add(found: Targets, target: Any, whose: _Whose) -> None:
    match target:
        case Run():
            found.items.append(LocalItem(target))
        case Agent():
            found.agents.append(target)
        case str():
            of = whose.agent(target)
            found.items.append(_remote(of.platform, target, of.id, None))
        case RemoteRun():
            of = whose.agent(target.id)
            item = _remote(of.platform, target.id, target.agent or of.id, target.session_id)
            if isinstance(item, RemoteItem):
                item.take(target)
            found.items.append(item)
        case (first, *rest) if isinstance(target, tuple) and _names_place(first, rest):
            client, of_agent = _place(first)
            ids, *more = rest
            given_agent, session = (*more, None, None)[:2]
            for run_id in [ids] if isinstance(ids, str) else cast("Iterable[str]", ids):
                found.items.append(_remote(client, run_id, given_agent or of_agent, session))
        case _ if _is_stored(target):
            found.items.append(
                _remote(connect(target.platform), target.id, target.agent, target.session_id)
            )
        case Iterable():
            for each in cast("Iterable[Any]", target):
                _add(found, each, whose)
        case _:
            raise RequestError(
                f"{target!r} names no run.",
                hint="Give a run, a run's id with its agent, or an agent.",
            )


def _remote(client: Platform, run_id: str, of: str | None, session: str | None) -> Item:
    """Return the run; where this process follows it, or knows its end, as it is here."""
    for run in reversed(recent_runs()):
        if isinstance(run, Run) and run.client is client and run.id == run_id:
            if run.done and run.status in ("truncated", "interrupted"):
                break  # what was cut off here may well go on there
            return LocalItem(run)
    return RemoteItem(client, run_id, agent=of, session_id=session)


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
