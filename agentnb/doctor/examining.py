"""All checks, and the platforms that they are made of."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from agentnb.config import EMBEDDED, Config, config
from agentnb.doctor.checking import Check, carry_out
from agentnb.doctor.discretion import discreet
from agentnb.doctor.environment import look_at_extras, look_at_packages, look_at_python
from agentnb.doctor.findings import LEVELS, Finding, Report
from agentnb.doctor.frontend import look_at_frontend, look_at_kernel, look_at_loops
from agentnb.doctor.host import Host
from agentnb.doctor.platforms import look_at_platform
from agentnb.doctor.proxies import look_at_proxies
from agentnb.doctor.settings import look_at_default_agent, look_at_files, look_at_transport
from agentnb.doctor.store import look_at_store
from agentnb.doctor.streaming import look_at_sandbox, look_at_stream
from agentnb.doctor.views import look_at_views
from agentnb.errors import ConfigError
from agentnb.platforms import registry
from agentnb.redaction.secrets import remember_environment

__all__ = ["SECONDS", "chosen_platforms", "examine"]

#: How long everything may take, in seconds.
SECONDS: Final = 10.0
# Shares of it: of what only looks at this machine, and of what waits for somebody else.
_HERE: Final = 0.5
_ELSEWHERE: Final = 0.9
# How long the background loop may take to answer, of the time for what looks at this machine.
_STUCK: Final = 0.6
# How much longer the answer to a question may take.
_STREAM: Final = 4.5
# What needs nobody else gets so many seconds at least: it is late only where this machine is.
_LEAST: Final = 5.0
# Of its own time, how much the sandbox may use: what it says of a delay says more.
_OWN: Final = 0.9


def examine(
    named: Sequence[str] = (),
    *,
    stream: bool = False,
    seconds: float = SECONDS,
    host: Host | None = None,
) -> Report:
    """Look at everything and return what was found; blocks for ``seconds`` at most, or for 5.

    ``named`` are platforms, or agents as ``platform:agent``: then these are asked, else all that
    are configured; the sandbox always is.  ``stream`` asks an agent of each a short question, which
    costs what a question costs, and measures whether the answer arrives as it is written; where it
    arrives at once, a second time.  That is the agent that is named, else the default agent, else
    the first that the platform lists; it may take several times as long.

    Raises:
        ConfigError: there is no such platform.
    """
    began = time.monotonic()
    remember_environment()
    current = _config_in_force()
    chosen = chosen_platforms(current, named)
    checks = _checks(host or Host(), current, seconds)
    checks += _platform_checks(current, chosen, seconds)
    if stream:
        checks += _stream_checks(current, chosen, seconds * _STREAM)
    shown = [_discreet(finding) for finding in carry_out(checks)]
    shown.sort(key=lambda finding: LEVELS.index(finding.level))
    return Report(tuple(shown), time.monotonic() - began)


def chosen_platforms(current: Config, named: Sequence[str]) -> Mapping[str, str | None]:
    """Return the platforms to ask, each with the agent that was named, if any.

    Raises:
        ConfigError: there is no such platform.
    """
    known = current.platform_names(registry.names())
    if not named:
        return {n: None for n in known if n != EMBEDDED and current.is_configured(n)}
    chosen: dict[str, str | None] = {}
    for name in named:
        if name in known:
            chosen.setdefault(name, None)
            continue
        is_agent = ":" in name or name in current.all_aliases()
        # A word that is neither is refused as a platform, with what was probably meant.
        found = current.resolve(name if is_agent else f"{name}:agent", registry.names())
        chosen[found.platform] = found.agent
    return chosen


def _config_in_force() -> Config:
    try:
        return config()
    # What is wrong with the files is a finding of its own; the environment counts without them.
    except (ConfigError, OSError):
        return Config()


def _checks(host: Host, current: Config, seconds: float) -> list[Check]:
    here = max(_LEAST, seconds * _HERE)
    elsewhere = max(_LEAST, seconds * _ELSEWHERE)
    looks: dict[str, Callable[..., None]] = {
        "frontend": partial(look_at_frontend, host=host),
        "ipykernel": partial(look_at_kernel, host=host),
        "views": look_at_views,
        "event loop": partial(look_at_loops, host=host, seconds=here * _STUCK),
        "Python": look_at_python,
        "packages": look_at_packages,
        "extras": look_at_extras,
        "configuration": partial(look_at_files, current=current),
        "default agent": partial(look_at_default_agent, current=current),
        "transport": partial(look_at_transport, current=current),
        "proxy": look_at_proxies,
    }
    return [
        *(Check(name, look, here, is_local=True) for name, look in looks.items()),
        Check(
            "history",
            look_at_store,
            elsewhere,
            "The disk or the database does not answer; AGENTNB_HISTORY names another place, or "
            "'off'.",
        ),
        Check(
            EMBEDDED,
            partial(look_at_sandbox, current=current, seconds=elsewhere * _OWN),
            elsewhere,
            is_local=True,
        ),
    ]


def _platform_checks(
    current: Config, chosen: Mapping[str, str | None], seconds: float
) -> list[Check]:
    late = "Check its address, the network and the proxy; its keyring may wait for a password."
    limit = seconds * _ELSEWHERE
    return [
        Check(
            name,
            partial(look_at_platform, name=name, current=current, seconds=limit),
            limit,
            late,
        )
        for name in chosen
        if name != EMBEDDED
    ]


def _stream_checks(
    current: Config, chosen: Mapping[str, str | None], seconds: float
) -> list[Check]:
    return [
        Check(
            f"{name}: stream",
            partial(look_at_stream, name=name, agent=agent, current=current, seconds=seconds),
            seconds,
            "Ask another agent: '--stream PLATFORM:AGENT'.",
        )
        for name, agent in chosen.items()
    ]


def _discreet(finding: Finding) -> Finding:
    return Finding(finding.level, finding.check, discreet(finding.says), discreet(finding.hint))
