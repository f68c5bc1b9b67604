"""What to do next about an error, by what its platform can do and what is configured."""

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

__all__ = ["add_address_hint", "add_hint"]

# How long the platform may take to list its agents for a suggestion, in seconds.
_LISTING: Final = 3.0
# For how long a list serves further errors, in seconds: all rows of a map may name a wrong agent.
_FRESH: Final = 30.0

_listings: WeakKeyDictionary[Platform, tuple[float, list[str]]] = WeakKeyDictionary()


async def add_hint(platform: Platform, agent: str, error: BaseException) -> None:
    """Set the hint of an error that a run of ``agent`` failed by; other errors stay as they are.

    A platform that lists its agents is asked for them where there is no such agent.
    """
    if isinstance(error, NotFoundError) and error.missing == "agent":
        error.hint = await _agent_hint(platform, agent)
    add_address_hint(platform.name, error)


def add_address_hint(name: str, error: BaseException) -> None:
    """Name an address of the platform in ``.env``, which is not used, where a connection failed."""
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
    return f"'%agent list {platform.name}' shows its agents." if lists else "Check the agent's id."


async def _agent_ids(platform: Platform) -> list[str]:
    """Return the ids of the agents that the platform lists, or listed a moment ago."""
    now = time.monotonic()
    if (known := _listings.get(platform)) is not None and now - known[0] < _FRESH:
        return known[1]
    names: list[str] = []
    with suppress(AgentnbError, TimeoutError), side_request():
        async with asyncio.timeout(_LISTING):
            names = [found.id for found in await platform.agents()]
    _listings[platform] = now, names
    return names
