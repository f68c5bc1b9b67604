"""The clients of platforms, one for each settings, and so with shared connections."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Final

from agentnb._support.embedded import is_embedded as is_embedded_address
from agentnb._support.fork import after_fork_in_child, undisturbed
from agentnb.cassettes import active_playback
from agentnb.config import EMBEDDED, AgentName, BarePlatformError, PlatformSettings, config
from agentnb.config.settings import KeyUse
from agentnb.errors import ConfigError
from agentnb.platforms import registry

if TYPE_CHECKING:
    from agentnb.platforms.base import Platform

_clients: dict[tuple[Any, ...], Platform] = {}
_lock = threading.Lock()
# Index of the address in an identity.
_ADDRESS: Final = 2

# The clients of agents that a forked child has from its parent.
_inherited: dict[tuple[Any, ...], list[Platform]] = {}


@undisturbed()  # pydantic builds validators on first use, under a lock
def connect(name: str, **arguments: Any) -> Platform:
    """Return the client of the platform ``name``, the same for equal settings.

    ``arguments`` are those of `Config.settings`.  While a recording is played back it is the
    recorded platform.

    Raises:
        ConfigError: the platform is unknown, or its settings are wrong.
        PlaybackError: the recording that is played back lacks the platform.
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
    # Before the settings, which may prompt for a key: a wrong name needs none.
    factory = registry.load(kind)
    settings = current.settings(name, key=key_use(factory), **arguments)
    identity = (kind, *_identity(settings))
    with _lock:
        if identity not in _clients:
            _clients[identity] = factory(settings)
        return _clients[identity]


def key_use(factory: Any) -> KeyUse:
    """Return whether the platforms that ``factory`` makes need a key; by default they do."""
    return getattr(factory, "key", "required")


def resolve_agent(target: str | None) -> AgentName:
    """Return the full name of an agent that a user typed, as `Config.resolve` does."""
    try:
        return config().resolve(target, registry.NAMES)
    except BarePlatformError as error:
        if _lists_agents(error.platform):
            error.hint = f"{error.hint} '%agent list {error.platform}' lists them."
        raise


def _lists_agents(name: str) -> bool:
    # Capabilities need neither the address nor the key.
    try:
        factory = registry.load(config().platform_type(name))
        client = factory(PlatformSettings(platform=name, base_url="http://localhost"))
        return client.capabilities.list_agents
    except Exception:  # of a third party's platform; only a hint depends on it
        return False


def is_embedded(client: Platform) -> bool:
    """Return whether ``client`` is connected to the embedded server."""
    return any(is_embedded_address(address) for address in _addresses(client))


def address_of(client: Platform) -> str | None:
    """Return the configured address of ``client``, ``sandbox`` for the embedded server.

    None where it has its platform's own, or was not made by `connect`.
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
    """Close every platform's connections (background loop)."""
    with _lock:
        clients = [*_clients.values(), *(each for some in _inherited.values() for each in some)]
        _clients.clear()
        _inherited.clear()
    await asyncio.gather(*(client.aclose() for client in clients), return_exceptions=True)


def _identity(settings: PlatformSettings) -> tuple[Any, ...]:
    return (
        settings.platform,
        settings.base_url,
        # As a secret type: no plain key is in the dict.
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
    # A third party's client may hold connections of the parent, so new agents get new clients.
    for identity, client in _clients.items():
        _inherited.setdefault(identity, []).append(client)
    _clients.clear()


after_fork_in_child(_after_fork)
