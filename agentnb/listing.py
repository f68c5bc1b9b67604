"""Which agents there are: asking platforms, and remembering what they said."""

from __future__ import annotations

from contextlib import suppress

from agentnb.asking import answer_of
from agentnb.config import AgentName, config
from agentnb.errors import ConfigError
from agentnb.history import recent_runs
from agentnb.platforms import registry
from agentnb.platforms.base import AgentInfo, Platform
from agentnb.platforms.clients import connect
from agentnb.platforms.tape import note_agents

__all__ = ["agents_of", "known_agents", "list_agents", "listed_agents"]

# What `%agent list` and completion learned: platform -> agent ids.
_listed: dict[str, list[str]] = {}


def list_agents(platform: str, *, ask: bool = False) -> list[AgentInfo]:
    """Return the agents that ``platform`` lists (blocks); their names are kept for completion."""
    client = connect(platform, ask=ask)
    found = agents_of(client)
    _listed[platform] = [a.id for a in found]
    return found


def listed_agents(platform: str) -> list[str]:
    """Return the ids of the agents that ``platform`` listed before, without asking it."""
    return _listed.get(platform, [])


def known_agents() -> list[str]:
    """Return the names to offer for completion, without asking any platform."""
    current = config()
    builtin = registry.names()
    names = list(current.all_aliases())
    with suppress(ConfigError):  # several platforms, and none is the default
        names += _listed.get(current.bare_platform(builtin), [])
    for platform, ids in _listed.items():
        names += [str(AgentName(platform, i)) for i in ids]
    # An agent that never answered may be a misspelt one; a function is asked by its variable.
    for run in recent_runs():
        if run.transcript.status == "completed" and run.platform != "local":
            names.append(str(AgentName(run.platform, run.agent)))
    names += [f"{platform}:" for platform in current.platform_names(builtin)]
    return list(dict.fromkeys(names))


def agents_of(platform: Platform) -> list[AgentInfo]:
    """Return the agents that the platform lists (blocks)."""
    found = answer_of(platform, platform.agents())
    note_agents(platform, found)
    return found
