"""Full names of agents, and text helpers for messages about names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

__all__ = ["EMBEDDED", "AgentName", "printable", "quoted", "suggestion"]

#: The platform name and the base address that mean agentnb's embedded server.
EMBEDDED: Final = "sandbox"

# Characters compared; the cost of a comparison is the product of the lengths.
_MAX_COMPARED: Final = 200
_MIN_PREFIX: Final = 3


@dataclass(frozen=True, slots=True)
class AgentName:
    """An agent's full name, ``platform:agent``.

    ``notice`` is one line for the user when an alias in a project file chose the agent.
    """

    platform: str
    agent: str
    notice: str | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.platform}:{self.agent}"


def printable(text: str, *, longest: int = 80) -> str:
    """Return ``text`` truncated to ``longest`` characters, unprintable ones escaped."""
    cut = text if len(text) <= longest else f"{text[:longest]}…"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)


def quoted(text: str, *, longest: int = 80) -> str:
    """Return `printable` text in single quotes."""
    return f"'{printable(text, longest=longest)}'"


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """Return ``Did you mean 'x'?`` for the closest of ``known``, or "" if none is close.

    A name that is the only one starting with ``wrong`` is the closest.
    """
    import difflib  # only misspelt names need it

    names = list(known)
    near = [name for name in names if len(wrong) >= _MIN_PREFIX and name.startswith(wrong)]
    if len(near) != 1:
        near = difflib.get_close_matches(wrong[:_MAX_COMPARED], names, n=1, cutoff=0.6)
    return f"Did you mean {quoted(near[0])}?" if near else ""
