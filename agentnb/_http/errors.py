"""Reasons and causes of httpx's exceptions, for error messages."""

from __future__ import annotations

import os
import re
import socket
import ssl

import httpx

from agentnb._http.error_responses import one_line

__all__ = ["cause_of", "is_permanent", "reason_of"]


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
