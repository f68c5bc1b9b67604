"""Errors without the frames in which they were raised."""

from __future__ import annotations

from agentnb.errors import AgentnbError

__all__ = ["without_frames"]


def without_frames(error: AgentnbError) -> AgentnbError:
    """Return ``error`` itself, without its traceback so far and what it was raised in place of.

    The frames of a request and its answer hold headers and bytes, in which servers repeat keys, and
    so do the errors of HTTP libraries.  Some tracebacks print both.  Its cause is kept, by itself.
    """
    cause = error.__cause__
    if cause is not None:
        cause.__traceback__ = None
        cause.__cause__ = cause.__context__ = None
    error.__traceback__ = error.__context__ = None
    return error
