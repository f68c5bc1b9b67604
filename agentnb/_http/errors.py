"""What failures of httpx mean: whether another attempt may help, and what a reader is told."""

from __future__ import annotations

import os
import re
import socket
import ssl

import httpx

from agentnb._http.error_responses import one_line

__all__ = ["cause_of", "is_lasting", "reason_of"]


def is_lasting(error: Exception) -> bool:
    """Tell whether another attempt would fail, too."""
    if isinstance(error, httpx.RemoteProtocolError):
        return not _hung_up(error)
    root = _root(error)
    # What only broke off during the handshake is as any other connection that did.
    return isinstance(root, ssl.SSLError) and not isinstance(
        root, ssl.SSLEOFError | ssl.SSLZeroReturnError
    )


def _hung_up(error: httpx.RemoteProtocolError) -> bool:
    return re.search("disconnected|closed connection", str(error)) is not None


def cause_of(error: Exception) -> BaseException | None:
    # What the parser of HTTP says repeats the server's bytes, which may be anything.
    return None if isinstance(error, httpx.RemoteProtocolError) else _root(error)


def _root(error: BaseException) -> BaseException:
    """Return the error underneath, without its frames: those hold the request and its headers."""
    seen: set[int] = set()
    while (below := error.__cause__ or error.__context__) is not None and id(below) not in seen:
        seen.add(id(below))
        if isinstance(below, BaseExceptionGroup):
            break
        error = below
    return error.with_traceback(None)


def reason_of(failure: Exception) -> str:
    if isinstance(failure, httpx.RemoteProtocolError):
        return "the connection was closed" if _hung_up(failure) else "what came is not valid HTTP"
    error = _root(failure)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({one_line(error.verify_message)})"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({one_line(error.reason or str(error))})"
    if isinstance(error, socket.gaierror):
        return one_line(error.strerror or str(error))
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return one_line(str(error)).rstrip(".") or type(error).__name__
