"""Retries of requests: which failures, after what delay, and under which idempotency key."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentnb._http.timeout import is_seconds
from agentnb.errors import AgentnbError, ConfigError, ConnectionFailedError, PlatformError

# In seconds; each delay is twice the previous one.
_FIRST_DELAY: Final = 0.5
_MAX_DELAY: Final = 8.0
# Caps the exponent.
_MAX_DOUBLINGS: Final = 10
#: Longest ``Retry-After`` honoured, in seconds; a request that would have to wait longer fails.
MAX_RETRY_AFTER: Final = 120.0

_RETRYABLE: Final = frozenset({408, 409, 425, 429})
_IDEMPOTENCY_KEY: Final = "idempotency-key"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """Number of attempts after temporary failures of a request or a stream.

    ``requests`` is how many further attempts a request gets before the head of its response: after
    408, 409, 425, 429, 5xx and a failed connection.  ``reconnects`` is how many attempts in a row
    may be made to resume a broken stream, where the platform supports it; a new event resets the
    count.  ``reconnect_timeout`` limits the total time a run spends on reconnecting, in seconds,
    delays and attempts together; None for no limit.  0 attempts switch either off.

    Raises:
        ConfigError: a value is no such number.
    """

    requests: int = 2
    reconnects: int = 5
    reconnect_timeout: float | None = 600.0

    def __post_init__(self) -> None:
        for name in ("requests", "reconnects"):
            value: object = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ConfigError(f"{name} is a number of attempts, 0 or more, not {value!r}.")
        seconds = self.reconnect_timeout
        if seconds is not None and not is_seconds(seconds):
            raise ConfigError(
                f"reconnect_timeout is a number of seconds above 0, not {seconds!r}.",
                hint="None sets no bound; reconnects=0 switches reconnecting off.",
            )


def _jitter() -> float:
    return random.uniform(0.75, 1.0)


def backoff_delay(attempt: int, *, jitter: Callable[[], float] = _jitter) -> float:
    """Return the delay in seconds before retry ``attempt``, which counts from 1."""
    return min(_FIRST_DELAY * 2 ** min(attempt - 1, _MAX_DOUBLINGS), _MAX_DELAY) * jitter()


def is_retryable_status(status: int) -> bool:
    """Return whether the same request may succeed after a response with this HTTP status."""
    return status in _RETRYABLE or status >= 500


def retry_delay(attempt: int, error: AgentnbError) -> float | None:
    """Return the delay in seconds before retry ``attempt`` after ``error``; None: do not retry.

    ``attempt`` counts from 1.
    """
    match error:
        case PlatformError(status=int(status), retry_after=retry_after):
            if not is_retryable_status(status):
                return None
        case ConnectionFailedError(lasting=False):
            retry_after = None
        case _:
            return None
    if retry_after is None:
        return backoff_delay(attempt)
    return None if retry_after > MAX_RETRY_AFTER else max(backoff_delay(attempt), retry_after)


def idempotency_header(method: str, *layers: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the header by which a server recognizes retries as the same request.

    It is empty for a safe method, or where ``layers`` of headers have one already.
    """
    if method.upper() in _SAFE_METHODS:
        return {}
    if any(name.lower() == _IDEMPOTENCY_KEY for layer in layers for name in layer or ()):
        return {}
    return {_IDEMPOTENCY_KEY: str(uuid.uuid4())}
