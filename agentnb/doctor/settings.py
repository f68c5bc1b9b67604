"""Check the configuration: its files, the default agent, and the HTTP library."""

from __future__ import annotations

from collections.abc import Iterator

from agentnb._http.options import INSTALL_AIOHTTP, chosen_transport
from agentnb.config import Config, load_config, user_config_path
from agentnb.config.environment import env_file
from agentnb.doctor.packages import installed_version
from agentnb.doctor.report import Finding, failed, note, ok, problem
from agentnb.errors import ConfigError
from agentnb.platforms import registry


def check_config_files(*, current: Config) -> Iterator[Finding]:
    """Report the files, whether they can be read, and whether this session has read them."""
    check = "configuration"
    try:
        file, paths = load_config()
    except ConfigError as error:
        yield failed(check, error, "Correct the file, then '%agent config'.")
        return
    except OSError as error:
        yield problem(check, f"A file cannot be looked for: {error}.")
        return
    if (keys := env_file()) is not None:
        yield ok(check, f"keys of {keys} count, but for those of the environment")
    names = ", ".join(map(str, paths))
    if not paths:
        yield ok(check, f"no file ({user_config_path()} could be one)")
    elif current.paths and (file, paths) != (current.file, current.paths):
        message = f"{names}, changed since this session read it"
        yield note(check, message, "'%agent config' reads it again.")
    else:
        yield ok(check, names)


def check_default_agent(*, current: Config) -> Iterator[Finding]:
    """Report which agent answers if a prompt names none."""
    check = "default agent"
    names = registry.names()
    try:
        yield ok(check, str(current.resolve(None, names)))
        return
    except ConfigError as error:
        if any((current.default_agent, current.option_agent, current.file.default_agent)):
            yield failed(check, error)
            return
    try:
        yield ok(check, f"none; a bare name is one of {current.infer_platform(names)}")
    except ConfigError as error:
        yield note(check, error.message, error.hint or "")


def check_transport(*, current: Config) -> Iterator[Finding]:
    """Report the HTTP library, and whether it is installed."""
    try:
        name = chosen_transport(current.file.transport)
    except ConfigError as error:
        yield failed("transport", error)
        return
    version = installed_version(name)
    if version is None:
        yield problem("transport", f"{name} is chosen, and is not installed", INSTALL_AIOHTTP)
    else:
        yield ok("transport", f"{name} {version}")
