"""Platforms by name: the built-in ones, open protocols, and those of other distributions.

A third party adds a platform with an entry point in the group ``agentnb.platforms``, named as
the platform, with a callable that takes `PlatformSettings` and returns a `Platform`::

    [project.entry-points."agentnb.platforms"]
    acme = "acme_agentnb:AcmePlatform"

Listing names imports nothing; `load` imports one platform.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Final, cast

from agentnb._support.fork import imported
from agentnb.config.names import quoted, suggestion
from agentnb.errors import ConfigError

if TYPE_CHECKING:
    from agentnb.platforms.base import Platform, PlatformSettings

GROUP: Final = "agentnb.platforms"

BUILTIN: Final[dict[str, str]] = {
    "operativus": "agentnb.platforms.operativus:OperativusPlatform",
    "runagent": "agentnb.platforms.runagent:RunAgentPlatform",
    "runtools": "agentnb.platforms.runtools:RunToolsPlatform",
    "seekr": "agentnb.platforms.seekr:SeekrPlatform",
}

#: Open protocols, whose servers are the user's own: each has an address in its settings.
PROTOCOLS: Final[dict[str, str]] = {
    "a2a": "agentnb.platforms.a2a:A2APlatform",
    "agui": "agentnb.platforms.agui:AGUIPlatform",
    "langgraph": "agentnb.platforms.langgraph:LangGraphPlatform",
    "openai": "agentnb.platforms.openai:OpenAIPlatform",
    "sse": "agentnb.platforms.sse:SSEPlatform",
}
_MODULES: Final = {**BUILTIN, **PROTOCOLS}

# Platforms of the cassette that is played back, which need not be installed here.
_played: tuple[str, ...] = ()


def set_played(names: tuple[str, ...]) -> None:
    """Add the platforms of a cassette to `names`."""
    global _played
    _played = names


def names() -> list[str]:
    """Return every platform's name: the built-in ones first, then what is installed, sorted."""
    installed = sorted(name for name in _installed() if name not in _MODULES)
    return list(dict.fromkeys([*_MODULES, *installed, *_played]))


class _Names(Collection[str]):
    """The result of `names`, evaluated late: built-in names need no lookup."""

    def __contains__(self, name: object) -> bool:
        return name in _MODULES or name in names()

    def __iter__(self) -> Iterator[str]:
        return iter(names())

    def __len__(self) -> int:
        return len(names())


#: The current result of `names`.
NAMES: Final[Collection[str]] = _Names()


def load(name: str) -> Callable[[PlatformSettings], Platform]:
    """Return the factory of the platform ``name``; a built-in name is never overridden.

    Raises:
        ConfigError: there is no such platform, or its entry point cannot be imported or called.
    """
    if name in _MODULES:
        module, _, attribute = _MODULES[name].partition(":")
        return _validated(getattr(imported(module), attribute), name)
    entry = _installed().get(name)
    if entry is None:
        known = names()
        raise ConfigError(
            f"There is no platform {quoted(name)}.",
            hint=suggestion(name, known)
            or f"Known are: {', '.join(known)}; an installed package adds others by an "
            "entry point.",
        )
    try:
        factory = entry.load()
    # A third party's module may raise anything while it is imported.
    except Exception as error:
        raise ConfigError(
            f"The platform '{name}' is installed as {entry.value} and cannot be loaded: "
            f"{type(error).__name__}: {error}"
        ) from error
    return _validated(factory, name)


def _validated(factory: Any, name: str) -> Callable[[PlatformSettings], Platform]:
    if not callable(factory):
        raise ConfigError(
            f"The platform '{name}' is no callable that takes PlatformSettings, "
            f"but a {type(factory).__name__}."
        )
    return cast("Callable[[PlatformSettings], Platform]", factory)


def _installed() -> dict[str, EntryPoint]:
    # Not cached: what is installed into a running kernel is found without a restart.
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, entry)
    return found
