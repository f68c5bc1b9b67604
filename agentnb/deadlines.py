"""How long to wait, and for what."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Deadlines"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Limits of one run, in seconds; None waits for ever.

    ``connect`` covers the connection and TLS, ``first_event`` the time from sending the request to
    the answer's head, ``idle`` the longest silence inside an answer, ``total`` the whole run.
    """

    connect: float | None = 10.0
    first_event: float | None = 120.0
    idle: float | None = 120.0
    total: float | None = None
