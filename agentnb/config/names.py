"""Names of agents as users type them, and what was probably meant by a wrong one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["EMBEDDED", "AgentName", "suggestion"]

#: The platform, and the base address, that mean agentnb's own local server.
EMBEDDED: Final = "sandbox"


@dataclass(frozen=True, slots=True)
class AgentName:
    """An agent's full name: ``platform:agent``."""

    platform: str
    agent: str

    def __str__(self) -> str:
        return f"{self.platform}:{self.agent}"


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """Return ``Did you mean 'x'?`` for the nearest of ``known``, or "" where none is near."""
    # Only here: what is spelt right does not need it.
    import difflib

    near = difflib.get_close_matches(wrong, list(known), n=1, cutoff=0.6)
    return f"Did you mean '{near[0]}'?" if near else ""
