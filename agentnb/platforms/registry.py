"""Platforms by name: the built-in ones, and those that other distributions add.

A third party adds a platform with an entry point in the group ``agentnb.platforms``, whose name is
the platform's and whose object is a callable that takes `PlatformSettings` and returns a
`Platform`::

    [project.entry-points."agentnb.platforms"]
    acme = "acme_agentnb:AcmePlatform"

Names are listed without importing anything; only `load` imports, and only the one asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Final, cast

from agentnb._support.imports import imported
from agentnb.config.names import quoted, suggestion
from agentnb.errors import ConfigError, UnsupportedError

if TYPE_CHECKING:
    from agentnb.platforms.base import Platform, PlatformSettings

__all__ = ["BUILTIN", "GROUP", "NAMES", "load", "names", "unsupported"]

GROUP: Final = "agentnb.platforms"

BUILTIN: Final[dict[str, str]] = {
    "operativus": "agentnb.platforms.operativus:OperativusPlatform",
    "runagent": "agentnb.platforms.runagent:RunAgentPlatform",
    "runtools": "agentnb.platforms.runtools:RunToolsPlatform",
    "seekr": "agentnb.platforms.seekr:SeekrPlatform",
}


# The platforms of a recording that is played back, which need not be installed or configured here.
_played: tuple[str, ...] = ()


def set_played(names: tuple[str, ...]) -> None:
    """Let `names` have these, too."""
    global _played
    _played = names


def names() -> list[str]:
    """Return every platform's name: the built-in ones first, then what is installed, sorted."""
    installed = sorted(name for name in _installed() if name not in BUILTIN)
    return list(dict.fromkeys([*BUILTIN, *installed, *_played]))


class _Names(Collection[str]):
    """`names`, looked up where they are needed: whether a built-in one is known is known anyway."""

    def __contains__(self, name: object) -> bool:
        return name in BUILTIN or name in names()

    def __iter__(self) -> Iterator[str]:
        return iter(names())

    def __len__(self) -> int:
        return len(names())


#: What `names` returns, each time that it is asked.
NAMES: Final[Collection[str]] = _Names()


def load(name: str) -> Callable[[PlatformSettings], Platform]:
    """Return what makes the platform ``name`` from its settings.

    A built-in name is never taken over by an installed one.

    Raises:
        ConfigError: there is no such platform, or what its entry point names cannot be imported
            or called.
    """
    if name in BUILTIN:
        module, _, attribute = BUILTIN[name].partition(":")
        return _checked(getattr(imported(module), attribute), name)
    entry = _installed().get(name)
    if entry is None:
        known = names()
        raise ConfigError(
            f"There is no platform {quoted(name)}.",
            hint=suggestion(name, known) or f"Known are: {', '.join(known)}.",
        )
    try:
        made = entry.load()
    # Whatever a stranger's module does while it is imported must not look like our own failure.
    except Exception as error:
        raise ConfigError(
            f"The platform '{name}' is installed as {entry.value} and cannot be loaded: "
            f"{type(error).__name__}: {error}"
        ) from error
    return _checked(made, name)


def unsupported(name: str, what: str) -> UnsupportedError:
    """Return the error that says that the platform ``name`` has no ``what``, to be raised."""
    return UnsupportedError(f"The platform {name} does not support this: {what}.")


def _checked(made: Any, name: str) -> Callable[[PlatformSettings], Platform]:
    if not callable(made):
        raise ConfigError(
            f"The platform '{name}' is no callable that takes PlatformSettings, "
            f"but a {type(made).__name__}."
        )
    return cast("Callable[[PlatformSettings], Platform]", made)


def _installed() -> dict[str, EntryPoint]:
    # Looked up each time: what is installed in a running kernel is found without a restart.
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, entry)
    return found
