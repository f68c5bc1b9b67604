"""Check the way to a server: DNS, proxies, the connection, TLS, and the server's clock."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies

from agentnb._http.options import chosen_transport
from agentnb._http.request import check_base_url, proxy_for
from agentnb._http.timeout import Deadlines
from agentnb._http.transport import Transport
from agentnb.config import Config
from agentnb.doctor.checks import run_on_loop
from agentnb.doctor.report import Finding, failed, note, ok, problem, redact_url
from agentnb.errors import AgentnbError, DeadlineError, TransportError

#: The client's own deadlines expire first, by so many seconds: they say which of them it was.
GRACE: Final = 1.0
# Share of the timeout that connecting may take.
_CONNECT: Final = 0.5
# Seconds that two clocks may differ: `Date` has no fractions, and the response takes its time.
_MAX_SKEW: Final = 30.0
_HARMFUL_SKEW: Final = 300.0
_SLOW: Final = "Check base_url, the network, and whether a proxy is needed."
_LOCALHOST: Final = "127.0.0.1"
_LOCAL: Final = ("127.", "localhost", "::1", "[::1]")


@dataclass(frozen=True, slots=True)
class ProbeResponse:
    """Response to a request without a key; any status shows that the server can be reached.

    ``sent_at`` is the Unix time halfway between request and response.
    """

    status: int
    headers: Mapping[str, str]
    seconds: float
    sent_at: float


def check_proxies() -> Iterator[Finding]:
    """Report the proxies of the environment, and whether one is used for this machine itself."""
    proxies = getproxies()
    named = [
        f"{scheme}: {redact_url(_proxy_url(proxy))}"
        for scheme, proxy in proxies.items()
        if scheme in ("http", "https", "all") and proxy
    ]
    if not named:
        yield ok("proxy", "none")
        return
    message = ", ".join(named) + (f"; not for {proxies['no']}" if proxies.get("no") else "")
    if proxy_for(f"http://{_LOCALHOST}") is not None:
        message += ": also requests to servers on this machine go there"
        yield note("proxy", message, f"Add '{_LOCALHOST},localhost' to NO_PROXY.")
    else:
        yield ok("proxy", message)


def _proxy_url(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"


def check_connection(
    name: str, address: str, current: Config, timeout: float
) -> Generator[Finding, None, bool]:
    """Report the connection and the server's clock; return whether there is a connection.

    The request has no key.
    """
    check = f"{name}: connection"
    try:
        address = check_base_url(address, name=name)
        if (unresolved := _unresolved_host(check, address)) is not None:
            yield unresolved
            return False
        response = run_on_loop(_probe(name, address, current, timeout), timeout=timeout + GRACE)
    except TransportError as error:
        yield _not_connected(check, error)
        return False
    except AgentnbError as error:
        yield failed(check, error)
        return False
    except TimeoutError:
        yield problem(check, f"{redact_url(address)} gave no answer within {timeout:g} s", _SLOW)
        return False
    yield _connected(check, address, response)
    if (clock := check_clock(f"{name}: clock", response)) is not None:
        yield clock
    return True


def _unresolved_host(check: str, address: str) -> Finding | None:
    """Return why the host of ``address`` does not resolve; None if it or a proxy for it does.

    Blocks for as long as the system's resolver takes.
    """
    host = urlsplit(address).hostname or ""
    if proxy_for(address) is not None:
        return None
    try:
        socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        message = f"{host} has no address: {error.strerror or error}."
        return problem(check, message, "Check the spelling of base_url, the network and its DNS.")
    except UnicodeError:
        return problem(check, "The name in base_url is not a host name.", "Check its spelling.")
    return None


async def _probe(name: str, address: str, current: Config, timeout: float) -> ProbeResponse:
    connect = max(0.1, round(timeout * _CONNECT, 1))
    deadlines = Deadlines(connect=connect, first_event=timeout, idle=timeout)
    transport = Transport(
        address,
        name=name,
        trust_env=current.file.section(name).trust_env is not False,
        library=chosen_transport(current.file.transport),
    )
    try:
        started, now = time.monotonic(), time.time()
        request = transport.build_request(
            "GET", "/", params=None, headers=_headers, content=None, connect=connect
        )
        response = await transport.send(request, deadlines=deadlines, left=None)
        elapsed = time.monotonic() - started
        await response.aclose()
    finally:
        await transport.aclose()
    return ProbeResponse(response.status, response.headers, elapsed, now + elapsed / 2)


def _headers() -> list[tuple[bytes, bytes]]:
    return [(b"accept", b"*/*"), (b"user-agent", b"agentnb-doctor")]


def _connected(check: str, address: str, response: ProbeResponse) -> Finding:
    proxy = proxy_for(address)
    is_encrypted = address.startswith("https:")
    details = [
        f"{redact_url(address)} answers in {response.seconds * 1000:.0f} ms; "
        + ("the certificate is trusted" if is_encrypted else "not encrypted"),
        f"through the proxy {redact_url(proxy)}" if proxy else "",
        f"via {via[:80]}" if (via := response.headers.get("via")) else "",
    ]
    message = ", ".join(filter(None, details))
    is_local = (urlsplit(address).hostname or "").startswith(_LOCAL)
    if not is_encrypted and not is_local:
        return note(check, message, "Others on the way can read the key; use an https address.")
    return ok(check, message)


def _not_connected(check: str, error: TransportError) -> Finding:
    hint = error.hint or ""
    if "certificate" in error.message:
        hint = (
            "If a proxy of your network signs its own certificates, name the file of its "
            "authority in SSL_CERT_FILE."
        )
    elif isinstance(error.__cause__, ConnectionRefusedError):
        hint = "Nothing listens there: check the port in base_url, or start the server."
    elif isinstance(error, DeadlineError):
        hint = _SLOW
    return problem(check, error.message, hint)


def check_clock(check: str, response: ProbeResponse) -> Finding | None:
    """Compare this machine's clock with the server's; None without a usable ``Date`` header."""
    try:
        date = parsedate_to_datetime(response.headers.get("date", ""))
        # A cached response is older by this many seconds.
        age = float(response.headers.get("age", "0"))
    except (TypeError, ValueError, OverflowError):
        return None
    if not math.isfinite(age):
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    # `Date` is truncated to a second, so half a second is added on average.
    skew = response.sent_at - (date.timestamp() + 0.5 + age)
    if abs(skew) <= _MAX_SKEW:
        return ok(check, "agrees with the server's")
    when = datetime.fromtimestamp(date.timestamp(), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    direction = "ahead of" if skew > 0 else "behind"
    message = f"This machine's clock is {_duration(abs(skew))} {direction} the server's ({when})."
    hint = "Set it by the network's time: certificates, tokens and Retry-After depend on it."
    return (problem if abs(skew) > _HARMFUL_SKEW else note)(check, message, hint)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"
