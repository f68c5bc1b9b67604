"""Check one platform: its key, the connection, and whether the key is accepted."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from typing import Any, Final

from agentnb._http import RequestOptions
from agentnb._http.retry import Retries
from agentnb._http.timeout import Deadlines
from agentnb.cassettes import active_playback
from agentnb.config import EMBEDDED, Config, url_from_environment
from agentnb.doctor.checks import run_on_loop
from agentnb.doctor.network import GRACE, check_connection
from agentnb.doctor.report import Finding, failed, note, ok, problem
from agentnb.errors import (
    AgentnbError,
    AuthenticationError,
    ConfigError,
    MissingKeyError,
    NotFoundError,
    RateLimitError,
)
from agentnb.platforms import registry
from agentnb.platforms.base import AgentInfo, Platform
from agentnb.run.clients import key_use

# Shares of the timeout for connecting, and for listing the agents.
_CONNECT_SHARE: Final = 0.55
_LIST_SHARE: Final = 0.85
_MIN_TIMEOUT: Final = 0.1


def single_attempt(timeout: float) -> RequestOptions:
    """Return options for a request without retries that ends within ``timeout`` seconds."""
    deadlines = Deadlines(connect=timeout, first_event=timeout, idle=timeout, total=timeout)
    return RequestOptions(deadlines=deadlines, retries=Retries(requests=0, reconnects=0))


def check_platform(*, name: str, current: Config, timeout: float = 9.0) -> Iterator[Finding]:
    """Report the platform's key, its address, the connection, and whether the key is accepted.

    Each request takes less than ``timeout`` seconds.
    """
    if active_playback() is not None:
        yield ok(name, "a recording is played back: no request is sent")
        return
    address = _address(name, current)
    source = yield from _check_key(name, address, current)
    if address == EMBEDDED:
        yield ok(f"{name}: connection", "the sandbox of this process")
    elif address is None:
        yield ok(f"{name}: connection", "the platform's own address, which is not known here")
    elif source is None and current.untrusted_endpoint(name) is not None:
        # An address from a folder's file gets no request before the user trusts it.
        return
    else:
        connect = _rounded(timeout * _CONNECT_SHARE)
        if not (yield from check_connection(name, address, current, connect)):
            return
    if source:
        yield _check_access(name, source, current, _rounded(timeout * _LIST_SHARE))


def _rounded(timeout: float) -> float:
    # As displayed; never 0, which would time out at once.
    return max(_MIN_TIMEOUT, round(timeout, 1))


def new_client(name: str, current: Config) -> Platform:
    """Return a new client of the platform, which the caller closes.

    The client that runs share is not used: its configuration files may be broken.

    Raises:
        ConfigError: its settings are wrong.
    """
    make = registry.load(current.platform_type(name))
    return make(current.settings(name, ask=False, key=key_use(make)))


async def list_agents(client: Platform, *, timeout: float) -> list[AgentInfo] | None:
    """Return the platform's agents, without retries, and close the client.

    None if the platform has no such call.

    Raises:
        AgentnbError: it does not list them, or not within ``timeout`` seconds.
    """
    try:
        if not client.capabilities.list_agents:
            return None
        with single_attempt(timeout).applied():
            return await client.agents()
    finally:
        await client.aclose()


def _address(name: str, current: Config) -> str | None:
    if address := url_from_environment(name) or current.file.section(name).base_url:
        return address
    factory: Any = registry.load(current.platform_type(name))
    return getattr(sys.modules.get(factory.__module__), "DEFAULT_BASE_URL", None)


def _check_key(
    name: str, address: str | None, current: Config
) -> Generator[Finding, None, str | None]:
    """Report where the key comes from, never the key; return that, or None without a key."""
    check = f"{name}: key"
    use = key_use(registry.load(current.platform_type(name)))
    try:
        source = current.locate_key(name)
    except ConfigError as error:
        if address == EMBEDDED:
            source = "the sandbox's own"
        elif isinstance(error, MissingKeyError) and use != "required":
            source = "none is needed"
        else:
            yield failed(check, error)
            return None
    yield ok(check, source)
    return source


def _check_access(name: str, source: str, current: Config, timeout: float) -> Finding:
    """Return whether the platform accepts the key, if listing its agents is free."""
    check = f"{name}: access"
    client = new_client(name, current)
    try:
        agents = run_on_loop(list_agents(client, timeout=timeout), timeout=timeout + GRACE)
    except AuthenticationError as error:
        hint = f"The key ({source}) is wrong, or may not do this: put the right one there."
        return problem(check, error.message, hint)
    except RateLimitError as error:
        return note(check, error.message, error.hint or "Try again later.")
    except NotFoundError as error:
        return problem(check, error.message, "Check base_url: this is not the platform's API.")
    except AgentnbError as error:
        return failed(check, error, "The platform itself fails; try again later.")
    except TimeoutError:
        hint = "The platform itself is slow; try again later."
        return problem(check, f"{name} did not list its agents within {timeout:g} s", hint)
    if agents is None:
        message = "not checked: this platform has no call that is free and wants a key"
        return ok(check, message, f"'agentnb doctor --stream {name}:AGENT' asks a short question.")
    noun = "agent" if len(agents) == 1 else "agents"
    return ok(check, f"the key is accepted, {len(agents)} {noun}")
