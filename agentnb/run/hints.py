"""Add hints to errors: suggested agent ids, and addresses that are configured but unused."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from agentnb._http import side_request
from agentnb.config import config
from agentnb.config.environment import explain_ignored_address
from agentnb.config.names import suggestion
from agentnb.errors import (
    AgentnbError,
    ConnectionFailedError,
    DeadlineError,
    NotFoundError,
    with_hint,
)
from agentnb.platforms import registry

if TYPE_CHECKING:
    from agentnb.platforms.base import Platform

# How long the platform may take to list its agents, in seconds.
_LIST_TIMEOUT: Final = 3.0
# How long a list is reused, in seconds: all rows of a map may have the same wrong agent.
_MAX_AGE: Final = 30.0

# When a platform's list was requested, and the task that reads it.
_listings: WeakKeyDictionary[Platform, tuple[float, asyncio.Task[list[str]]]] = WeakKeyDictionary()


async def add_hint(platform: Platform, agent: str, error: BaseException) -> None:
    """Set the hint of an error of a run of ``agent``: of an unknown agent, or a failed connection.

    Suggestions come from the platform's list of agents.
    """
    if isinstance(error, NotFoundError) and error.missing == "agent":
        error.hint = await _agent_hint(platform, agent)
    add_address_hint(platform.name, error)


def add_address_hint(name: str, error: BaseException) -> None:
    """Add the platform's address in an untrusted ``.env`` to a failed connection's hint."""
    is_connection = isinstance(error, ConnectionFailedError) or (
        isinstance(error, DeadlineError) and error.deadline == "connect"
    )
    if not is_connection or not isinstance(error, AgentnbError):
        return
    if (ignored := explain_ignored_address(name)) is not None and ignored not in (error.hint or ""):
        error.hint = with_hint(error.hint, ignored) if error.hint else ignored


async def _agent_hint(platform: Platform, agent: str) -> str:
    lists = platform.capabilities.list_agents
    names = await _agent_ids(platform) if lists else []
    platforms = config().platform_names(registry.NAMES)
    if near := suggestion(agent, [*names, *platforms]):
        is_agent = any(near == suggestion(name, [name]) for name in names)
        return near if is_agent else f"{near} Its agents are named as in 'platform:agent'."
    return f"'%agent list {platform.name}' lists its agents." if lists else "Check the agent's id."


async def _agent_ids(platform: Platform) -> list[str]:
    """Return the ids of the agents that the platform lists, cached for a short time.

    Runs that fail together share one request, so that all of them have the same hint.
    """
    now = time.monotonic()
    known = _listings.get(platform)
    if known is None or now - known[0] >= _MAX_AGE:
        _listings[platform] = known = now, asyncio.create_task(_list_agents(platform))
    return await asyncio.shield(known[1])


async def _list_agents(platform: Platform) -> list[str]:
    """Return the ids of the agents that the platform lists, none if it does not answer in time."""
    with suppress(AgentnbError, TimeoutError), side_request():
        async with asyncio.timeout(_LIST_TIMEOUT):
            return [found.id for found in await platform.agents()]
    return []
