"""Run all checks and return their report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from agentnb.config import EMBEDDED, Config, config
from agentnb.doctor.checks import DoctorCheck, run_checks
from agentnb.doctor.frontend import Host, check_event_loops, check_frontend, check_kernel
from agentnb.doctor.network import check_proxies
from agentnb.doctor.packages import check_extras, check_packages, check_python, check_views
from agentnb.doctor.platforms import check_platform
from agentnb.doctor.report import LEVELS, Report, redact_text
from agentnb.doctor.settings import check_config_files, check_default_agent, check_transport
from agentnb.doctor.store import check_store
from agentnb.doctor.streaming import check_sandbox, check_stream
from agentnb.errors import ConfigError
from agentnb.platforms import registry
from agentnb.redaction.secrets import remember_environment

#: Default time for all checks, in seconds.
SECONDS: Final = 10.0
# Shares of that time for checks of this machine, and for those that wait for others.
_LOCAL_SHARE: Final = 0.5
_REMOTE_SHARE: Final = 0.9
# Share of a check's time that the background loop, and the sandbox, may take to answer.
_LOOP_SHARE: Final = 0.6
_SANDBOX_SHARE: Final = 0.9
# Times as long may an agent take to answer a question.
_STREAM_FACTOR: Final = 4.5
# Minimum for local checks, in seconds: they are late only on a busy machine.
_MIN_LOCAL: Final = 5.0
# Hints for checks that are late.
_LATE_STORE: Final = (
    "The disk or the database does not answer; AGENTNB_HISTORY names another place, or 'off'."
)
_LATE_PLATFORM: Final = (
    "Check its address, the network and the proxy; its keyring may wait for a password."
)
_LATE_STREAM: Final = "Ask another agent: '--stream PLATFORM:AGENT'."


def examine(
    named: Sequence[str] = (),
    *,
    stream: bool = False,
    seconds: float = SECONDS,
    host: Host | None = None,
) -> Report:
    """Run all checks and return the report; blocks for at most ``seconds``, but at least 5.

    ``named`` are platforms, or agents as ``platform:agent``; by default all configured platforms
    are checked, and the sandbox always.  ``stream`` also sends an agent of each platform a short
    question, which costs what a question costs, to measure whether the answer is streamed; if it
    arrives at once, a second time.  That is the named agent, else the default agent, else the first
    that the platform lists.  This may take several times as long.

    Raises:
        ConfigError: there is no such platform.
    """
    started = time.monotonic()
    remember_environment()
    try:
        current = config()
    # Another check reports invalid files; the environment applies without them.
    except (ConfigError, OSError):
        current = Config()
    platforms = selected_platforms(current, named)
    checks = _checks(host or Host(), current, platforms, seconds, stream=stream)
    findings = [
        replace(finding, says=redact_text(finding.says), hint=redact_text(finding.hint))
        for finding in run_checks(checks)
    ]
    findings.sort(key=lambda finding: LEVELS.index(finding.level))
    return Report(tuple(findings), time.monotonic() - started)


def selected_platforms(current: Config, named: Sequence[str]) -> Mapping[str, str | None]:
    """Return the platforms to check, each with its named agent, if any.

    Raises:
        ConfigError: there is no such platform.
    """
    known = current.platform_names(registry.names())
    if not named:
        return {n: None for n in current.configured_platforms(registry.names()) if n != EMBEDDED}
    selected: dict[str, str | None] = {}
    for name in named:
        if name in known:
            selected.setdefault(name, None)
            continue
        is_agent = ":" in name or name in current.all_aliases()
        # An unknown name is rejected as a platform, with a suggestion.
        resolved = current.resolve(name if is_agent else f"{name}:agent", registry.names())
        selected[resolved.platform] = resolved.agent
    return selected


def _checks(
    host: Host,
    current: Config,
    platforms: Mapping[str, str | None],
    seconds: float,
    *,
    stream: bool,
) -> list[DoctorCheck]:
    local = max(_MIN_LOCAL, seconds * _LOCAL_SHARE)
    remote = max(_MIN_LOCAL, seconds * _REMOTE_SHARE)
    checks = {
        "frontend": partial(check_frontend, host=host),
        "ipykernel": partial(check_kernel, host=host),
        "views": check_views,
        "event loop": partial(check_event_loops, host=host, timeout=local * _LOOP_SHARE),
        "Python": check_python,
        "packages": check_packages,
        "extras": check_extras,
        "configuration": partial(check_config_files, current=current),
        "default agent": partial(check_default_agent, current=current),
        "transport": partial(check_transport, current=current),
        "proxy": check_proxies,
    }
    result = [DoctorCheck(name, check, local, is_local=True) for name, check in checks.items()]
    result.append(DoctorCheck("history", check_store, remote, _LATE_STORE))
    sandbox = partial(check_sandbox, current=current, timeout=remote * _SANDBOX_SHARE)
    result.append(DoctorCheck(EMBEDDED, sandbox, remote, is_local=True))
    limit = seconds * _REMOTE_SHARE
    for name in platforms:
        if name != EMBEDDED:
            check = partial(check_platform, name=name, current=current, timeout=limit)
            result.append(DoctorCheck(name, check, limit, _LATE_PLATFORM))
    limit = seconds * _STREAM_FACTOR
    for name, agent in platforms.items() if stream else ():
        check = partial(check_stream, name=name, agent=agent, current=current, timeout=limit)
        result.append(DoctorCheck(f"{name}: stream", check, limit, _LATE_STREAM))
    return result
