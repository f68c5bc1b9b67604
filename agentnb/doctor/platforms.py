"""One platform: its key, the way to it, and whether it accepts the key."""

from __future__ import annotations

import sys
from typing import Any, Final

from agentnb._http import Terms
from agentnb._http.deadlines import Deadlines
from agentnb._http.request import check_base_url
from agentnb._http.retries import Retries
from agentnb.cassettes import now_playing
from agentnb.config import EMBEDDED, Config, PlatformSection, url_from_environment
from agentnb.doctor.checking import Tell, on_loop
from agentnb.doctor.discretion import shown_address
from agentnb.doctor.findings import note, ok, problem, refusal
from agentnb.doctor.network import clock, look_up, reach, reached, unreached
from agentnb.errors import (
    AgentnbError,
    AuthenticationError,
    ConfigError,
    NotFoundError,
    RateLimitError,
)
from agentnb.platforms import registry
from agentnb.platforms.base import AgentInfo, Platform

__all__ = ["client_of", "listed_agents", "look_at_platform", "patience"]

# How much of the time reaching a platform may take, and asking it.
_REACH: Final = 0.55
_ASK: Final = 0.85
# The client's own deadlines come first, in seconds: they say which of them it was.
_SLACK: Final = 1.0
_LEAST: Final = 0.1


def patience(seconds: float) -> Terms:
    """Return terms on which a request fails at once, and at the latest after ``seconds``."""
    deadlines = Deadlines(connect=seconds, first_event=seconds, idle=seconds, total=seconds)
    return Terms(deadlines=deadlines, retries=Retries(requests=0, reconnects=0))


def look_at_platform(tell: Tell, *, name: str, current: Config, seconds: float = 9.0) -> None:
    """Tell of the platform's key, its address, the way there, and whether the key is accepted.

    No request waits for as long as ``seconds``.
    """
    if now_playing() is not None:
        tell(ok(name, "a recording is played back: nothing is asked"))
        return
    address = _address(name, current)
    source = _look_at_key(tell, name, address, current)
    if address == EMBEDDED:
        tell(ok(f"{name}: connection", "the sandbox of this process"))
        is_open = True
    elif address is None:
        says = "the platform's own address, which is not known here"
        tell(ok(f"{name}: connection", says))
        is_open = True
    elif source is None and current.stranger(name) is not None:
        # What a folder's file names is not asked anything before the user agreed to it.
        is_open = False
    else:
        is_open = _look_at_way(tell, name, address, current, _part(seconds, _REACH))
    if is_open and source:
        _look_at_access(tell, name, source, current, _part(seconds, _ASK))


def _part(seconds: float, share: float) -> float:
    # As it is shown.  No deadline is 0, which would be over before anything is asked.
    return max(_LEAST, round(seconds * share, 1))


def _address(name: str, current: Config) -> str | None:
    section = current.file.platforms.get(name, PlatformSection())
    if address := url_from_environment(name) or section.base_url:
        return address
    made: Any = registry.load(current.platform_type(name))
    return getattr(sys.modules.get(made.__module__), "DEFAULT_BASE_URL", None)


def _look_at_key(tell: Tell, name: str, address: str | None, current: Config) -> str | None:
    """Tell where the key comes from, never the key; return that, None where there is none."""
    check = f"{name}: key"
    try:
        source = current.look_for_key(name)
    except ConfigError as error:
        if address != EMBEDDED:
            tell(refusal(check, error))
            return None
        source = "the sandbox's own"
    tell(ok(check, source))
    return source


def _look_at_way(tell: Tell, name: str, address: str, current: Config, seconds: float) -> bool:
    check = f"{name}: connection"
    section = current.file.platforms.get(name, PlatformSection())
    trust_env = section.trust_env is not False
    try:
        address = check_base_url(address, name=name)
    except ConfigError as error:
        tell(refusal(check, error))
        return False
    if (unknown := look_up(check, address)) is not None:
        tell(unknown)
        return False
    try:
        asked = reach(
            name,
            address,
            trust_env=trust_env,
            seconds=seconds,
            configured=current.file.transport,
        )
        answer = on_loop(asked, seconds=seconds + _SLACK)
    except AgentnbError as error:
        tell(unreached(check, address, error))
        return False
    except TimeoutError:
        says = f"{shown_address(address)} gave no answer within {seconds:g} s"
        tell(problem(check, says, "Check base_url, the network, and whether a proxy is needed."))
        return False
    tell(reached(check, address, answer))
    if (time := clock(f"{name}: clock", answer)) is not None:
        tell(time)
    return True


def _look_at_access(tell: Tell, name: str, source: str, current: Config, seconds: float) -> None:
    """Tell whether the platform accepts the key, where asking that is free."""
    check = f"{name}: access"
    client = client_of(name, current)
    try:
        found = on_loop(listed_agents(client, seconds=seconds), seconds=seconds + _SLACK)
    except AuthenticationError as error:
        hint = f"The key ({source}) is wrong, or may not do this: put the right one there."
        tell(problem(check, error.message, hint))
    except RateLimitError as error:
        tell(note(check, error.message, error.hint or "Ask again later."))
    except NotFoundError as error:
        tell(problem(check, error.message, "Check base_url: this is not the platform's API."))
    except AgentnbError as error:
        tell(refusal(check, error, "The platform itself fails; try again later."))
    except TimeoutError:
        hint = "The platform itself is slow; try again later."
        tell(problem(check, f"{name} did not list its agents within {seconds:g} s", hint))
    else:
        if found is None:
            says = "not checked: this platform has no call that is free and wants a key"
            hint = f"'agentnb doctor --stream {name}:AGENT' asks a short question."
            tell(ok(check, says, hint))
            return
        agents = "agent" if len(found) == 1 else "agents"
        tell(ok(check, f"the key is accepted, {len(found)} {agents}"))


def client_of(name: str, current: Config) -> Platform:
    """Return a client of the platform that nobody else uses; it is to be closed.

    Not the one that runs use: that is made by the configuration, whose files may be broken.

    Raises:
        ConfigError: its settings are wrong.
    """
    make = registry.load(current.platform_type(name))
    return make(current.settings(name, ask=False))


async def listed_agents(client: Platform, *, seconds: float) -> list[AgentInfo] | None:
    """Return the agents that the platform lists, asked once; close the client.

    None where the platform has no such call.

    Raises:
        AgentnbError: it does not list them, or not within ``seconds``.
    """
    try:
        if not client.capabilities.list_agents:
            return None
        with patience(seconds).applied():
            return await client.agents()
    finally:
        await client.aclose()
