"""The configuration: its files, and what it makes the default."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from agentnb._http.transports import INSTALL_AIOHTTP, chosen_transport
from agentnb.config import Config, load_config, user_config_path
from agentnb.config.env_file import env_file
from agentnb.doctor.checking import Tell
from agentnb.doctor.findings import note, ok, problem, refusal
from agentnb.doctor.versions import installed
from agentnb.errors import ConfigError
from agentnb.platforms import registry

__all__ = ["look_at_default_agent", "look_at_files", "look_at_transport"]


def look_at_files(tell: Tell, *, current: Config) -> None:
    """Tell which files there are, whether they can be read, and whether they are in force."""
    try:
        file, paths = load_config()
    except ConfigError as error:
        tell(refusal("configuration", error, "Mend the file, then '%agent config'."))
        return
    except OSError as error:
        tell(problem("configuration", f"A file cannot be looked for: {error}."))
        return
    if (keys := env_file()) is not None:
        tell(ok("configuration", f"keys of {keys} count, but for those of the environment"))
    if not paths:
        says = f"no file ({user_config_path()} could be one)"
        tell(ok("configuration", says))
    elif current.paths and (file, paths) != (current.file, current.paths):
        says = f"{_listed(paths)}, changed since this session read it"
        tell(note("configuration", says, "'%agent config' reads it again."))
    else:
        tell(ok("configuration", _listed(paths)))


def look_at_default_agent(tell: Tell, *, current: Config) -> None:
    """Tell which agent answers where none is named."""
    names = registry.names()
    is_named = any((current.default_agent, current.option_agent, current.file.default_agent))
    try:
        tell(ok("default agent", str(current.resolve(None, names))))
    except ConfigError as error:
        if is_named:
            tell(refusal("default agent", error))
            return
        try:
            says = f"none; a bare name is one of {current.bare_platform(names)}"
        except ConfigError as several:
            tell(note("default agent", several.message, several.hint or ""))
            return
        tell(ok("default agent", says))


def look_at_transport(tell: Tell, *, current: Config) -> None:
    """Tell which library carries the requests, and whether it is there."""
    try:
        name = chosen_transport(current.file.transport)
    except ConfigError as error:
        tell(refusal("transport", error))
        return
    if (version := installed(name)) is None:
        tell(problem("transport", f"{name} is chosen, and is not installed", INSTALL_AIOHTTP))
        return
    tell(ok("transport", f"{name} {version}"))


def _listed(paths: Iterable[Path]) -> str:
    return ", ".join(map(str, paths))
