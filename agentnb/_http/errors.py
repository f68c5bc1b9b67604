"""Reasons and causes of httpx's exceptions, for error messages."""

from __future__ import annotations

import os
import re
import socket
import ssl
from typing import Final

import httpx

from agentnb._http.error_responses import one_line
from agentnb.errors import ConfigError, ConnectionFailedError, DeadlineError

_NETWORK_HINT: Final = "Check base_url and the network."


def is_permanent(error: Exception) -> bool:
    """Return whether a retry would fail with the same error."""
    if isinstance(error, httpx.RemoteProtocolError):
        return not _is_disconnect(error)
    root = _root(error)
    # An end of file during the handshake is a lost connection like any other.
    return isinstance(root, ssl.SSLError) and not isinstance(
        root, ssl.SSLEOFError | ssl.SSLZeroReturnError
    )


def cause_of(error: Exception) -> BaseException | None:
    """Return the exception to chain from, without frames; None where it may hold a secret."""
    # A protocol error repeats the server's bytes.
    return None if isinstance(error, httpx.RemoteProtocolError) else _root(error)


def reason_of(error: Exception) -> str:
    """Return the reason of a failure in a few words, without a full stop."""
    if isinstance(error, httpx.RemoteProtocolError):
        if _is_disconnect(error):
            return "the connection was closed"
        return "the response is not valid HTTP"
    root = _root(error)
    if isinstance(root, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({one_line(root.verify_message)})"
    if isinstance(root, ssl.SSLError):
        return f"TLS failed ({one_line(root.reason or str(root))})"
    if isinstance(root, socket.gaierror):
        return one_line(root.strerror or str(root))
    if isinstance(root, OSError) and root.errno:
        return os.strerror(root.errno)
    return one_line(str(root)).rstrip(".") or type(root).__name__


def connect_timeout(name: str, base_url: str, seconds: float) -> DeadlineError:
    """Return the exception for a connection that was not made within ``seconds``."""
    return DeadlineError(
        f"No connection to {name} at {base_url} within {seconds:g} s.",
        deadline="connect",
        seconds=seconds,
        hint=_NETWORK_HINT,
    )


def connection_failed(
    name: str, base_url: str, reason: str, *, lasting: bool
) -> ConnectionFailedError:
    """Return the exception for a connection that failed."""
    return ConnectionFailedError(
        f"No connection to {name} at {base_url}: {reason}.", hint=_NETWORK_HINT, lasting=lasting
    )


def proxy_error(detail: str = "") -> ConfigError:
    """Return the exception for an invalid proxy; its address is left out, as it may hold a key."""
    return ConfigError(
        f"The environment names a proxy that cannot be used{detail and '; '}{detail}.",
        hint="Correct HTTP_PROXY, HTTPS_PROXY or ALL_PROXY, or set trust_env to False.",
    )


def _is_disconnect(error: httpx.RemoteProtocolError) -> bool:
    return re.search("disconnected|closed connection", str(error)) is not None


def _root(error: BaseException) -> BaseException:
    """Return the root cause without its frames, which hold the request and its headers."""
    seen: set[int] = set()
    while (below := error.__cause__ or error.__context__) is not None and id(below) not in seen:
        seen.add(id(below))
        if isinstance(below, BaseExceptionGroup):
            break
        error = below
    return error.with_traceback(None)
