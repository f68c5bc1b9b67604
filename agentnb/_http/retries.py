"""How often to try again, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

from agentnb._http.deadlines import is_seconds
from agentnb.errors import ConfigError

__all__ = ["Retries"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """What is done when a request or a stream fails for a reason that may pass.

    ``requests`` is how many further attempts a request gets before the head of its answer: after
    408, 409, 425, 429, 5xx and a failed connection.  ``reconnects`` is how many attempts in a row a
    stream that broke off gets to be taken up again, where the platform can do that; a new event
    begins the count anew.  ``reconnect_timeout`` bounds what reconnecting may take of one run, in
    seconds, pauses and attempts together; None for no bound.  0 attempts switch either off.

    Raises:
        ConfigError: one is no such number.
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
