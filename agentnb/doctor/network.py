"""The way to a platform: its name, a connection, TLS, an answer, and what time the server has."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from agentnb._http.deadlines import Deadlines
from agentnb._http.request import check_base_url
from agentnb._http.transport import Transport
from agentnb._http.transports import TransportName, chosen_transport
from agentnb.doctor.discretion import shown_address
from agentnb.doctor.findings import Finding, note, ok, problem
from agentnb.doctor.proxies import proxy_for
from agentnb.errors import AgentnbError, DeadlineError, TransportError

__all__ = ["Reached", "clock", "is_local", "look_up", "reach", "reached", "unreached"]

# How much of the time for an answer a connection may take.
_CONNECT: Final = 0.5
# Seconds that two clocks may be apart: `Date` has no fractions, and an answer takes its way.
_APART: Final = 30.0
_FAR_APART: Final = 300.0
_LOCAL: Final = ("127.", "localhost", "::1", "[::1]")


@dataclass(frozen=True, slots=True)
class Reached:
    """An answer to a request without a key: any answer shows that the way is open.

    ``asked`` is the moment, in seconds of the epoch, halfway between question and answer.
    """

    status: int
    headers: Mapping[str, str]
    seconds: float
    asked: float


def is_local(address: str) -> bool:
    """Tell whether ``address`` is on this machine."""
    return (urlsplit(address).hostname or "").startswith(_LOCAL)


def look_up(check: str, address: str) -> Finding | None:
    """Return what is wrong with the name in ``address``; None where it resolves, or a proxy does.

    Blocks, for as long as the system takes.
    """
    host = urlsplit(address).hostname or ""
    if proxy_for(address) is not None:
        return None
    try:
        socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        says = f"{host} has no address: {error.strerror or error}."
        return problem(check, says, "Check the spelling of base_url, the network and its DNS.")
    except UnicodeError:
        return problem(check, "The name in base_url is none.", "Check its spelling.")
    return None


async def reach(
    name: str,
    address: str,
    *,
    trust_env: bool,
    seconds: float,
    configured: TransportName | None = None,
) -> Reached:
    """Ask ``address`` for anything, without a key; ``seconds`` is for how long.

    Raises:
        ConfigError: certificates or proxies that the environment names cannot be used.
        TransportError: there is no connection, its certificate is not trusted, or no answer.
    """
    connect = max(0.1, round(seconds * _CONNECT, 1))
    deadlines = Deadlines(connect=connect, first_event=seconds, idle=seconds)
    transport = Transport(
        check_base_url(address, name=name),
        name=name,
        trust_env=trust_env,
        library=chosen_transport(configured),
    )
    try:
        began, on_clock = time.monotonic(), time.time()
        request = transport.build(
            "GET", "/", params=None, headers=_headers, content=None, connect=connect
        )
        answer = await transport.send(request, deadlines=deadlines, left=None)
        took = time.monotonic() - began
        await answer.aclose()
    finally:
        await transport.aclose()
    return Reached(answer.status, answer.headers, took, on_clock + took / 2)


def reached(check: str, address: str, answer: Reached) -> Finding:
    """Return what an answer says of the way that it took."""
    proxy = proxy_for(address)
    ways = [
        "the certificate is trusted" if address.startswith("https:") else "not encrypted",
        f"through the proxy {shown_address(proxy)}" if proxy else "",
        f"via {via[:80]}" if (via := answer.headers.get("via")) else "",
    ]
    told = ", ".join(way for way in ways if way)
    says = f"{shown_address(address)} answers in {answer.seconds * 1000:.0f} ms; {told}"
    if address.startswith("http:") and not is_local(address):
        hint = "Others on the way can read the key; use an https address."
        return note(check, says, hint)
    return ok(check, says)


def unreached(check: str, address: str, error: AgentnbError) -> Finding:
    """Return why there was no answer, and what to do."""
    hint = error.hint or ""
    cause = error.__cause__
    if isinstance(error, TransportError):
        if "certificate" in error.message:
            hint = (
                "If a proxy of your network signs its own certificates, name the file of its "
                "authority in SSL_CERT_FILE."
            )
        elif isinstance(cause, ConnectionRefusedError):
            hint = "Nothing listens there: check the port in base_url, or start the server."
        elif isinstance(error, DeadlineError):
            hint = "Check base_url, the network, and whether a proxy is needed."
    return problem(check, error.message, hint)


def clock(check: str, answer: Reached) -> Finding | None:
    """Return how far this machine's clock is from the server's; None where that tells none."""
    date = answer.headers.get("date", "")
    try:
        told = parsedate_to_datetime(date)
        # What a cache gives was told so many seconds ago.
        age = float(answer.headers.get("age", "0"))
    except (TypeError, ValueError, OverflowError):
        return None
    if not math.isfinite(age):
        return None
    told = told if told.tzinfo else told.replace(tzinfo=UTC)
    # The second that it names is over by half, on average.
    apart = answer.asked - (told.timestamp() + 0.5 + age)
    if abs(apart) <= _APART:
        return ok(check, "agrees with the server's")
    when = datetime.fromtimestamp(told.timestamp(), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    way = "ahead of" if apart > 0 else "behind"
    says = f"This machine's clock is {_span(abs(apart))} {way} the server's ({when})."
    hint = "Set it by the network's time: certificates, tokens and Retry-After depend on it."
    return (problem if abs(apart) > _FAR_APART else note)(check, says, hint)


def _headers() -> list[tuple[bytes, bytes]]:
    return [(b"accept", b"*/*"), (b"user-agent", b"agentnb-doctor")]


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"
