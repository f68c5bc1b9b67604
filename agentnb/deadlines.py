"""How long to wait, and for what."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Deadlines"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Limits of one run, in seconds; None waits for ever.

    ``connect`` covers the connection and TLS, ``first_event`` the time from sending the request to
    the first event of the answer, ``idle`` the longest silence inside an answer, ``progress`` the
    longest time without an event though bytes come (comments that keep a connection open), and
    ``total`` the whole run with all its requests and pauses.
    """

    connect: float | None = 10.0
    first_event: float | None = 120.0
    idle: float | None = 120.0
    progress: float | None = 600.0
    total: float | None = None
