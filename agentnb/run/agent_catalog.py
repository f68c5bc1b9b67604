"""List the agents of platforms, and keep their ids for completion."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from agentnb.cassettes import record_agents
from agentnb.config import AgentName, config
from agentnb.errors import ConfigError
from agentnb.platforms import registry
from agentnb.platforms._validation import remote_filters
from agentnb.platforms.base import AgentInfo, Platform, RemoteRun
from agentnb.run.clients import connect
from agentnb.run.request import call_sync, collect_runs
from agentnb.store.recent import recent_runs

if TYPE_CHECKING:
    from agentnb.tables.run_list import RunList

# Platform -> the agent ids that it listed last.
_listed: dict[str, list[str]] = {}


def list_agents(platform: str, *, ask: bool = False) -> list[AgentInfo]:
    """Return the agents that ``platform`` lists (blocks); their ids are kept for completion."""
    client = connect(platform, ask=ask)
    agents = agents_of(client)
    _listed[platform] = [agent.id for agent in agents]
    return agents


def known_agents() -> list[str]:
    """Return the names for completion, without requests."""
    current = config()
    builtin = registry.names()
    names = list(current.all_aliases())
    with suppress(ConfigError):  # several platforms without a default
        names += _listed.get(current.infer_platform(builtin), [])
    for platform, ids in _listed.items():
        names += [str(AgentName(platform, i)) for i in ids]
    # An agent that never answered may be misspelt; a local function is no name.
    for run in recent_runs():
        if run.transcript.status == "completed" and run.platform != "local":
            names.append(str(AgentName(run.platform, run.agent)))
    names += [f"{platform}:" for platform in current.platform_names(builtin)]
    return list(dict.fromkeys(names))


def agents_of(platform: Platform) -> list[AgentInfo]:
    """Return the agents that the platform lists (blocks)."""
    agents = call_sync(platform, platform.agents())
    record_agents(platform, agents)
    return agents


class AgentCatalog(Protocol):
    """The lists of an agent's platform; part of `Agent`."""

    id: str

    @property
    def platform(self) -> Platform: ...

    def agents(self) -> list[AgentInfo]:
        """Return the agents that the platform lists (blocks)."""
        return agents_of(self.platform)

    def remote_runs(self, **filters: Any) -> RunList[RemoteRun]:
        """Return the platform's list of the agent's runs (blocks), with a ``DataFrame()`` method.

        ``filters`` are those of `Platform.runs`: session_id, status, limit, order, offset.
        """
        from agentnb.tables.run_list import RunList

        runs = self.platform.runs(agent=self.id, **remote_filters(filters))
        return RunList(call_sync(self.platform, collect_runs(runs)), platform=self.platform.name)

    def remote_status(
        self, run_ids: Sequence[str], *, session: str | None = None
    ) -> dict[str, RemoteRun]:
        """Return the states of runs on the platform by id (blocks); unknown ids are absent."""
        work = self.platform.status(run_ids, agent=self.id, session_id=session)
        return call_sync(self.platform, work)
