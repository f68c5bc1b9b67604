"""Making a request again: after what failures, after how long, and as the same request."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from agentnb.errors import AgentnbError, ConnectionFailedError, PlatformError

__all__ = ["LONGEST_WISH", "idempotency_header", "is_passing", "own_pause", "pause_before"]

# In seconds; each pause is twice as long as the one before.
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 8.0
# 2 to the power of more than this is no pause that anybody makes.
_DOUBLED: Final = 10
#: Of a server's wish to be left alone, in seconds; for a longer one nobody waits.
LONGEST_WISH: Final = 120.0

_PASSING: Final = frozenset({408, 409, 425, 429})
_HEADER: Final = "idempotency-key"
# These change nothing, however often they come.
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def _jitter() -> float:
    return random.uniform(0.75, 1.0)


def own_pause(attempt: int, *, jitter: Callable[[], float] = _jitter) -> float:
    """Return how long to wait before a further attempt where no server wishes more, in seconds.

    ``attempt`` counts the further ones from 1.
    """
    return min(_FIRST_PAUSE * 2 ** min(attempt - 1, _DOUBLED), _LONGEST_PAUSE) * jitter()


def is_passing(status: int) -> bool:
    """Tell whether the same request may well succeed after an answer of this HTTP status."""
    return status in _PASSING or status >= 500


def pause_before(attempt: int, error: AgentnbError) -> float | None:
    """Return how long to wait before a further attempt, in seconds; None where there is no use.

    ``attempt`` counts the further ones from 1; ``error`` is what the one before it brought.
    """
    match error:
        case PlatformError(status=int(status), retry_after=wish):
            if not is_passing(status):
                return None
        case ConnectionFailedError(lasting=False):
            wish = None
        case _:
            return None
    if wish is not None and wish > LONGEST_WISH:
        return None
    own = own_pause(attempt)
    return own if wish is None else max(own, wish)


def idempotency_header(method: str, *layers: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the header by which a server knows further attempts as the same request.

    Nothing for a request that only reads, or where ``layers`` of headers have one already.
    """
    if method.upper() in _READING:
        return {}
    if any(name.lower() == _HEADER for layer in layers for name in layer or ()):
        return {}
    return {_HEADER: str(uuid.uuid4())}
