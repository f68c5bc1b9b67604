"""How long to wait, and for what."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from agentnb.errors import ConfigError

__all__ = ["Deadlines", "is_seconds", "to_wait_longer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Limits of one run, in seconds; None waits for ever.

    ``connect`` covers the connection and TLS, ``first_event`` the time from sending the request to
    the first event of the answer, ``idle`` the longest silence inside an answer, ``progress`` the
    longest time without an event though bytes come (comments that keep a connection open), and
    ``total`` the whole run with all its requests and pauses.

    Raises:
        ConfigError: one is neither None nor a number above 0.
    """

    connect: float | None = 10.0
    first_event: float | None = 120.0
    idle: float | None = 120.0
    progress: float | None = 600.0
    total: float | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None and not is_seconds(value):
                raise ConfigError(
                    f"The deadline {each.name} is a number of seconds above 0, not {value!r}.",
                    hint="None waits for ever.",
                )


def to_wait_longer(setting: str, *, by_timeout: bool = False) -> str:
    """Return what to do about a deadline that passed; ``by_timeout``: ``timeout`` had set it."""
    if by_timeout:
        return "To wait longer, raise timeout=, or --timeout in a cell."
    return (
        f"To wait longer, raise it: deadlines=agentnb.Deadlines({setting}=...), or "
        f"{setting}_timeout in agentnb.toml."
    )


def is_seconds(value: object) -> bool:
    """Tell whether ``value`` is a time that passes: a number above 0, and not infinite."""
    # Callers without types are told, too; NaN is not more than 0, either.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 < value < math.inf
