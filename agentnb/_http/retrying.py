"""Making a request again: after what failures, after how long, and as the same request."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping
from typing import Any, Final

from agentnb.errors import AgentnbError, ConnectionFailedError, PlatformError

__all__ = ["idempotency_header", "pause_before"]

# In seconds; each pause is twice as long as the one before.
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 8.0
# Of a platform's wish to be left alone, in seconds; more is not waited for.
_LONGEST_WISH: Final = 120.0

_PASSING: Final = frozenset({408, 409, 425, 429})
_HEADER: Final = "idempotency-key"
# These change nothing, however often they come.
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def pause_before(attempt: int, error: AgentnbError) -> float | None:
    """Return how long to wait before a further attempt, in seconds; None where there is no use.

    ``attempt`` counts the further ones from 1; ``error`` is what the one before it brought.
    """
    match error:
        case PlatformError(status=int(status), retry_after=wish):
            if status not in _PASSING and status < 500:
                return None
        case ConnectionFailedError(lasting=False):
            wish = None
        case _:
            return None
    if wish is not None and wish > _LONGEST_WISH:
        return None
    own = min(_FIRST_PAUSE * 2 ** min(attempt - 1, 10), _LONGEST_PAUSE) * random.uniform(0.75, 1.0)
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
