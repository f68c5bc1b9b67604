"""The clients of platforms: one for the same settings, with its connections."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Final

from agentnb._support.embedded import is_embedded as is_embedded_address
from agentnb._support.fork import after_fork_in_child, undisturbed
from agentnb.cassettes import active_playback
from agentnb.config import EMBEDDED, AgentName, BarePlatformError, PlatformSettings, config
from agentnb.errors import ConfigError
from agentnb.platforms import registry

if TYPE_CHECKING:
    from agentnb.platforms.base import Platform

__all__ = ["address_of", "close_clients", "connect", "is_embedded", "resolve_agent"]

_clients: dict[tuple[Any, ...], Platform] = {}
_lock = threading.Lock()
# Where the address stands in an identity.
_ADDRESS: Final = 2

# The clients that a forked child has of its parent's agents, which go on to use them.
_inherited: dict[tuple[Any, ...], list[Platform]] = {}


@undisturbed()  # pydantic makes its validators when they are first used, under a lock
def connect(name: str, **arguments: Any) -> Platform:
    """Return the client of the platform ``name``; same settings, same client and connections.

    ``arguments`` are those of `Config.settings`.

    While a recording is played back, the recorded platform of that name answers.

    Raises:
        ConfigError: the platform is unknown, or its settings are wrong.
        PlaybackError: a recording is played back that has nothing of the platform.
    """
    if (playback := active_playback()) is not None:
        return playback.platform(name)
    current = config()
    kind = current.platform_type(name)
    if kind == name and name in current.file.platforms and name not in registry.NAMES:
        raise ConfigError(
            f"[platforms.{name}] does not say what kind of platform it is.",
            hint=f"Give it a type: one of {', '.join(registry.names())}.",
        )
    # Before the settings: a wrong name is not to be answered by asking for its key.
    make = registry.load(kind)
    settings = current.settings(name, **arguments)
    identity = (kind, *_identity(settings))
    with _lock:
        if identity not in _clients:
            _clients[identity] = make(settings)
        return _clients[identity]


def resolve_agent(target: str | None) -> AgentName:
    """Return the full name of what a user typed, as `Config.resolve` does."""
    try:
        return config().resolve(target, registry.NAMES)
    except BarePlatformError as error:
        if _lists_agents(error.platform):
            error.hint = f"{error.hint} '%agent list {error.platform}' shows them."
        raise


def _lists_agents(name: str) -> bool:
    # The platform says it once it is made, for which it needs neither its address nor its key.
    try:
        make = registry.load(config().platform_type(name))
        made = make(PlatformSettings(platform=name, base_url="http://localhost"))
        return made.capabilities.list_agents
    except Exception:  # whatever a third party's platform raises, it is only about a hint
        return False


def is_embedded(client: Platform) -> bool:
    """Tell whether ``client`` speaks to the embedded server, whatever its platform is called."""
    return any(is_embedded_address(address) for address in _addresses(client))


def address_of(client: Platform) -> str | None:
    """Return the address that ``client`` was given, ``sandbox`` for the embedded server's.

    None where it was given none and has its platform's own, or is not known here.
    """
    known = _addresses(client)
    if not known:
        return None
    return EMBEDDED if is_embedded_address(known[0]) else known[0]


def _addresses(client: Platform) -> list[str | None]:
    with _lock:
        known = [identity for identity, each in _clients.items() if each is client]
        known += [identity for identity, each in _inherited.items() if client in each]
    return [identity[_ADDRESS] for identity in known]


async def close_clients() -> None:
    """Close every platform's connections; on the background loop, whose they are."""
    with _lock:
        clients = [*_clients.values(), *(each for some in _inherited.values() for each in some)]
        _clients.clear()
        _inherited.clear()
    await asyncio.gather(*(client.aclose() for client in clients), return_exceptions=True)


def _identity(settings: PlatformSettings) -> tuple[Any, ...]:
    return (
        settings.platform,
        settings.base_url,
        # Compared by its value, yet never shown: no plain key lies in a dict for a debugger.
        settings.api_key,
        settings.deadlines,
        settings.retries,
        settings.trust_env,
        settings.transport,
        tuple(sorted((k, repr(v)) for k, v in settings.options.items())),
    )


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    # A client that is not this package's may keep connections of its own, so new agents do not get
    # the parent's.
    for identity, client in _clients.items():
        _inherited.setdefault(identity, []).append(client)
    _clients.clear()


after_fork_in_child(_after_fork)
