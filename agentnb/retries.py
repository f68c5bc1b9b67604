"""How often to try again, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Retries"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """What is done when a request or a stream fails for a reason that may pass.

    ``requests`` is how many further attempts a request gets before the head of its answer: after
    408, 409, 425, 429, 5xx and a failed connection.  ``reconnects`` is how many attempts in a row a
    stream that broke off gets to be taken up again, where the platform can do that; a new event
    begins the count anew.  ``reconnect_timeout`` bounds what reconnecting may take of one run, in
    seconds, pauses and attempts together; None for no bound.  0 attempts switch either off.
    """

    requests: int = 2
    reconnects: int = 5
    reconnect_timeout: float | None = 600.0
